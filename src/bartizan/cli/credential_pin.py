"""`bartizan credential pin`: a certificate of another CA on record, so that it alone proves its identity."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.x509.oid import NameOID
from cyclopts import Parameter

from bartizan.errors import InvalidValue
from bartizan.identity.register import certificate_credential, credential_id
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import parse_remark
from bartizan.model.principal import Identity
from bartizan.pki.ca import load_certificate
from bartizan.pki.profiles import fingerprint, serial_hex

SERIAL_OCTETS_MAX = 20
"""RFC 5280, 4.1.2.2."""

_SERIAL = re.compile(r"(0[xX])?[0-9A-Fa-f]+\Z")
_WRITTEN_OUT = {"emailAddress": NameOID.EMAIL_ADDRESS, "serialNumber": NameOID.SERIAL_NUMBER}
"""Attributes that openssl writes by name, and RFC 4514 by number."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a certificate that nobody has here."""

    serial: Annotated[str | None, Parameter(show_default=False)] = None
    """Its serial number (hexadecimal), where the certificate itself is not at hand; with its issuer."""
    issuer: Annotated[str | None, Parameter(show_default=False)] = None
    """The issuer's name as RFC 4514 writes it, such as CN=Plant CA,O=Plant."""
    issuer_file: Annotated[Path | None, Parameter(show_default=False)] = None
    """The issuer's own certificate (PEM), in the place of its name."""


NOTHING_KNOWN = Known()


def pinned(identity: Identity, file: Path | None, known: Known, *, at: datetime, note: str) -> CertificateCredential:
    """The record of the certificate in this file, or of what is known of it."""
    if (file is None) == (known == NOTHING_KNOWN):
        raise InvalidValue("name the certificate's file, or else say --serial and --issuer or --issuer-file")
    return _of_file(identity, file, at=at, note=note) if file else _of_serial(identity, known, at=at, note=note)


def _of_file(identity: Identity, file: Path, *, at: datetime, note: str) -> CertificateCredential:
    """Refused if the certificate is of no use, or on record already."""
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


def _of_serial(identity: Identity, known: Known, *, at: datetime, note: str) -> CertificateCredential:
    if known.serial is None or (known.issuer is None) == (known.issuer_file is None):
        raise InvalidValue("a serial number is one of a CA: say --serial, and one of --issuer and --issuer-file")
    serial = _serial(known.serial)
    issuer = _issuer_of_file(known.issuer_file) if known.issuer_file else _issuer(known.issuer or "")
    for item in identity.credentials:
        if isinstance(item, CertificateCredential) and (item.issuer, int(item.serial_hex, 16)) == (issuer, serial):
            raise InvalidValue(f"{identity.name!r} has this certificate on record already ({item.id})")
    digits = f"{serial:x}"
    return CertificateCredential(
        id=credential_id(),
        fingerprint_sha256="",
        serial_hex=digits.zfill(len(digits) + len(digits) % 2),
        created_at=at,
        not_after=None,
        note=note,
        issuer=issuer,
    )


def _serial(text: str) -> int:
    """As `openssl x509 -serial` writes it, and as browsers do: `4F2A`, `4f:2a`, `0x4f2a`."""
    digits = text.removeprefix("serial=").replace(":", "")
    if not _SERIAL.match(digits):
        raise InvalidValue(f"--serial {text[:60]!r} is not hexadecimal: write it as 4F2A or 4f:2a")
    number = int(digits, 16)
    if number.bit_length() > SERIAL_OCTETS_MAX * 8:
        raise InvalidValue(f"--serial: a serial number has at most {SERIAL_OCTETS_MAX} octets")
    return number


def _issuer(text: str) -> str:
    """The name in its one form: only that is compared, letter for letter."""
    try:
        name = x509.Name.from_rfc4514_string(text, _WRITTEN_OUT)
    except ValueError:
        name = x509.Name([])
    if not name.rdns:
        raise InvalidValue(
            f"--issuer {text[:60]!r} is no name: write it as CN=Plant CA,O=Plant, without a space behind the comma, as "
            f"`openssl x509 -noout -issuer -nameopt RFC2253` prints it; or give --issuer-file"
        )
    return parse_remark(name.rfc4514_string())


def _issuer_of_file(file: Path) -> str:
    certificate = load_certificate(file)
    if not _is_ca(certificate):
        raise InvalidValue(f"{file} is no CA's certificate: name that of the issuer")
    return parse_remark(certificate.subject.rfc4514_string())


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
