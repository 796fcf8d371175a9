"""Certificates of identities: the CN and a SAN URI name the identity. Its key is made here, or by who asks (PKCS #10)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bartizan.errors import CertificateUnusable
from bartizan.model.ids import IdentityName
from bartizan.pki.ca import Authority
from bartizan.pki.profiles import (
    CLIENT_LIFETIME,
    COMMON_NAME_BYTES_MAX,
    IDENTITY_URI,
    build_leaf,
    certificate_pem,
    fingerprint,
    key_pem,
    new_key,
    serial_hex,
)

CURVES = (ec.SECP256R1, ec.SECP384R1)
"""What every TLS library of a device can use."""


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
    certificate = certify(authority, name, key.public_key(), at=at, lifetime=lifetime)
    return IssuedCertificate(
        certificate_pem=certificate_pem(certificate),
        key_pem=key_pem(key),
        fingerprint_sha256=fingerprint(certificate),
        serial_hex=serial_hex(certificate),
        not_after=certificate.not_valid_after_utc,
    )


def certify(
    authority: Authority,
    name: IdentityName,
    key: ec.EllipticCurvePublicKey,
    *,
    at: datetime,
    lifetime: timedelta = CLIENT_LIFETIME,
) -> x509.Certificate:
    """A certificate for an identity whose key somebody has made."""
    return build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key,
        common_name=name,
        names=[x509.UniformResourceIdentifier(IDENTITY_URI + quote(name, safe=""))],
        server=False,
        at=at,
        lifetime=lifetime,
    )


def new_request(name: str) -> tuple[bytes, str]:
    """A new key (PEM), and what asks for a certificate for it."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:COMMON_NAME_BYTES_MAX] or "client")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return key_pem(key), asked.public_bytes(serialization.Encoding.PEM).decode("ascii")


def requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    """The key of such a request, whose holder has signed it; whatever else it asks for, it does not get.

    `CertificateUnusable` for anything that is none, and for other keys than those of P-256 and P-384.
    """
    try:
        asked = x509.load_pem_x509_csr(pem.encode("ascii"))
        is_signed, key = asked.is_signature_valid, asked.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise CertificateUnusable("this is no request for a certificate (PKCS #10, PEM)") from None
    if not is_signed:
        raise CertificateUnusable("this request for a certificate is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVES):
        raise CertificateUnusable("this request for a certificate has no key of P-256 or P-384")
    return key
