"""`bartizan credential pin`: a certificate of another CA on record, so that it alone proves its identity."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from bartizan.errors import InvalidValue
from bartizan.identity.register import certificate_credential
from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import Identity
from bartizan.pki.ca import load_certificate
from bartizan.pki.profiles import fingerprint, serial_hex


def pinned(identity: Identity, file: Path, *, at: datetime, note: str) -> CertificateCredential:
    """The record of the certificate in this file; refused if it is of no use, or on record already."""
    certificate = load_certificate(file)
    if certificate.not_valid_after_utc <= at:
        raise InvalidValue(f"{file}: the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if _is_ca(certificate):
        raise InvalidValue(f"{file} is a CA's certificate: name the one that the device presents")
    print_of_it = fingerprint(certificate)
    if any(getattr(item, "fingerprint_sha256", None) == print_of_it for item in identity.credentials):
        raise InvalidValue(f"{identity.name!r} has this certificate on record already")
    record = certificate_credential(
        fingerprint_sha256=print_of_it,
        serial_hex=serial_hex(certificate),
        not_after=certificate.not_valid_after_utc,
        at=at,
        note=note,
    )
    return replace(record, issuer=certificate.issuer.rfc4514_string())


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
