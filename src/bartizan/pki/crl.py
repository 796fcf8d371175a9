"""Certificate Revocation Lists of our CA (RFC 5280 section 5)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from bartizan.config.layout import DataDirectory
from bartizan.errors import CertificateUnusable
from bartizan.model.credential import CertificateCredential
from bartizan.pki.ca import Authority
from bartizan.pki.files import PUBLIC, write_durably
from bartizan.pki.profiles import CLOCK_SKEW

CRL_LIFETIME = timedelta(days=30)
RENEW_BEFORE = timedelta(days=10)
"""A CRL with less time left is written anew at start: an expired one lets no certificate in."""


def build_crl(
    authority: Authority, revoked: Iterable[CertificateCredential], *, at: datetime, lifetime: timedelta = CRL_LIFETIME
) -> bytes:
    """The CRL as PEM; `revoked` without `revoked_at` are left out. Numbered by time, so it only grows."""
    at = at.astimezone(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(at - CLOCK_SKEW)
        .next_update(at + lifetime)
        .add_extension(x509.CRLNumber(int(at.timestamp() * 1000)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    for credential in revoked:
        if credential.revoked_at is not None:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(int(credential.serial_hex, 16))
                .revocation_date(credential.revoked_at)
            )
            builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def ensure_crl(
    data: DataDirectory, authority: Authority, revoked: Iterable[CertificateCredential], *, at: datetime
) -> bool:
    """Writes the CRL when it is missing, damaged, near its end or not what `revoked` says; whether it did."""
    # One that another CA issued is that CA's to list; here its record refuses it.
    revoked = [credential for credential in revoked if credential.revoked_at is not None and not credential.issuer]
    if _current(data, authority, {int(credential.serial_hex, 16) for credential in revoked}, at):
        return False
    write_durably(data.crl, build_crl(authority, revoked, at=at), PUBLIC)
    return True


def load_crl(pem: bytes) -> x509.CertificateRevocationList:
    """A parsed CRL, or `CertificateUnusable`."""
    try:
        return x509.load_pem_x509_crl(pem)
    except ValueError:
        raise CertificateUnusable("the CRL is not PEM, or damaged: write it anew by starting the broker") from None


def _current(data: DataDirectory, authority: Authority, serials: set[int], at: datetime) -> bool:
    try:
        crl = load_crl(data.crl.read_bytes())
    except (OSError, CertificateUnusable):
        return False
    ends = crl.next_update_utc
    ours = crl.issuer == authority.certificate.subject
    return ours and ends is not None and ends - at > RENEW_BEFORE and {entry.serial_number for entry in crl} == serials
