"""A CA and a server certificate on P-256, the same for every broker that takes one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=30)
STORE_PASSWORD = "changeit"  # noqa: S105  Java wants one; the key beside it has none
PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of the files."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The CA certificate that clients trust."""
        return self.directory / "ca.crt"

    @property
    def chain(self) -> Path:
        """The server's certificate."""
        return self.directory / "server.crt"

    @property
    def key(self) -> Path:
        """The server's private key, PKCS #8."""
        return self.directory / "server.key"

    @property
    def store(self) -> Path:
        """Certificate and key as PKCS #12, for Java; `STORE_PASSWORD` opens it."""
        return self.directory / "server.p12"


def make_certificates(directory: Path) -> Certificates:
    """Makes all files anew."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificates(directory)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("bench CA")
    ca = (
        _begun(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    server = (
        _begun(_name("localhost"), ca_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files.ca.write_bytes(ca.public_bytes(pem))
    files.chain.write_bytes(server.public_bytes(pem))
    files.key.touch(PRIVATE)
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files.store.touch(PRIVATE)
    files.store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"server", key, server, [ca], serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
        )
    )
    return files


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )
