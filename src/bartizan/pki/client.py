"""Certificates of identities: the CN and a SAN URI name the identity."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from cryptography import x509

from bartizan.model.ids import IdentityName
from bartizan.pki.ca import Authority
from bartizan.pki.profiles import (
    CLIENT_LIFETIME,
    IDENTITY_URI,
    build_leaf,
    certificate_pem,
    fingerprint,
    key_pem,
    new_key,
    serial_hex,
)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate, its key (to be handed over once) and what is recorded of it."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    fingerprint_sha256: str
    serial_hex: str
    not_after: datetime


def issue_client_certificate(
    authority: Authority, name: IdentityName, *, at: datetime, lifetime: timedelta = CLIENT_LIFETIME
) -> IssuedCertificate:
    """Makes a key and a certificate for an identity."""
    key = new_key()
    certificate = build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key.public_key(),
        common_name=name,
        names=[x509.UniformResourceIdentifier(IDENTITY_URI + quote(name, safe=""))],
        server=False,
        at=at,
        lifetime=lifetime,
    )
    return IssuedCertificate(
        certificate_pem=certificate_pem(certificate),
        key_pem=key_pem(key),
        fingerprint_sha256=fingerprint(certificate),
        serial_hex=serial_hex(certificate),
        not_after=certificate.not_valid_after_utc,
    )
