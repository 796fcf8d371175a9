"""The CA of a data directory: made once, loaded ever after."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bartizan.errors import AlreadyExists, CertificateUnusable
from bartizan.pki.files import PRIVATE, PUBLIC, write_durably
from bartizan.pki.profiles import build_ca, certificate_pem, display_fingerprint, key_pem, new_key


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate and its key. The key never shows in `repr`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, certificate_file: Path, key_file: Path, *, name: str, at: datetime) -> Self:
        """Makes a new CA and writes it. An existing CA is never overwritten: every client trusts it."""
        if certificate_file.exists():
            raise AlreadyExists(f"there is a CA already: {certificate_file}")
        key = new_key()
        certificate = build_ca(key, name, at)
        # The key first: a key without certificate is a first run that was cut short and is made anew,
        # a certificate without key would be a CA that can sign nothing.
        write_durably(key_file, key_pem(key), PRIVATE)
        write_durably(certificate_file, certificate_pem(certificate), PUBLIC)
        return cls(certificate=certificate, key=key)

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path) -> Self:
        """Reads a CA; `CertificateUnusable` when a file is missing, damaged or does not fit the other."""
        certificate = load_certificate(certificate_file)
        key = load_key(key_file)
        if key.public_key() != certificate.public_key():
            raise CertificateUnusable(
                f"{key_file} is not the key of {certificate_file}: restore the pair from a backup"
            )
        return cls(certificate=certificate, key=key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 as people compare it."""
        return display_fingerprint(self.certificate)


def load_certificate(file: Path) -> x509.Certificate:
    """The first certificate of a PEM file."""
    try:
        return x509.load_pem_x509_certificates(_read(file))[0]
    except (ValueError, IndexError):
        raise CertificateUnusable(f"{file} holds no PEM certificate: restore it from a backup") from None


def load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a PEM file."""
    try:
        key = load_pem_private_key(_read(file), password=None)
    except (ValueError, TypeError):
        raise CertificateUnusable(f"{file} holds no PEM private key: restore it from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateUnusable(f"{file} holds no elliptic-curve key: restore it from a backup")
    return key


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateUnusable(
            f"{file} cannot be read ({error.strerror}): restore it, or correct its rights"
        ) from None
