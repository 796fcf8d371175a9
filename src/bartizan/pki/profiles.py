"""What our certificates contain (RFC 5280), in one place."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3653)
SERVER_LIFETIME = timedelta(days=397)
CLIENT_LIFETIME = timedelta(days=365)
COMMON_NAME_BYTES_MAX = 64
CLOCK_SKEW = timedelta(hours=1)
"""Certificates begin this much earlier: the clocks of small devices lag."""

IDENTITY_URI = "urn:bartizan:identity:"
"""A client certificate names its identity in the SAN as this plus the percent-encoded name."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS#8 PEM, not encrypted: the file's mode guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, in lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial_hex(certificate: x509.Certificate) -> str:
    """The serial number, in lower-case hex with an even number of digits."""
    text = f"{certificate.serial_number:x}"
    return text.zfill(len(text) + len(text) % 2)


def display_fingerprint(certificate: x509.Certificate) -> str:
    """The fingerprint as people compare it: `AB:CD:...`."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signing: bool = False, ca: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, at: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at.astimezone(UTC) - CLOCK_SKEW)
        .not_valid_after(at.astimezone(UTC) + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def build_ca(key: ec.EllipticCurvePrivateKey, common_name: str, at: datetime) -> x509.Certificate:
    """A self-signed CA that may sign end-entity certificates and CRLs, but no further CA."""
    subject = _name(common_name)
    return (
        _builder(subject, subject, key.public_key(), at, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def build_leaf(  # noqa: PLR0913  a certificate has that many parts
    *,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    common_name: str,
    names: Sequence[x509.GeneralName],
    server: bool,
    at: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """A server or client certificate; it never outlives its CA."""
    lifetime = min(lifetime, issuer.not_valid_after_utc - at)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    # A CN has at most 64 octets (RFC 5280, ub-common-name). A longer name stands in the SAN alone, which
    # is then critical (4.1.2.6): a name cut short could be that of somebody else.
    fits = len(common_name.encode()) <= COMMON_NAME_BYTES_MAX
    subject = _name(common_name) if fits else x509.Name([])
    return (
        _builder(subject, issuer.subject, key, at, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signing=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=not fits)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def server_name(text: str) -> x509.GeneralName:
    """A SAN entry: an address as IP, anything else as DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text.encode("idna").decode() if not text.isascii() else text)
