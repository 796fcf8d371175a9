"""CAs of several levels, what they issue, revoke and say: for tests of certificates that are not our own CA's."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
OCSP_SIGNING = (ExtendedKeyUsageOID.OCSP_SIGNING,)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def name(common_name: str | None, *units: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    if common_name is not None:
        with warnings.catch_warnings(action="ignore"):
            # It warns of names that no CA should write down: here they are the point.
            parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False))
    return x509.Name(parts)


@dataclass
class Issued:
    """A certificate with its key, and those that lead from it towards the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The same."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """As the engine spells it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def write(self, directory: Path, *, with_chain: bool = True) -> tuple[str, str]:
        """Certificate (and what is above it, but for the root) and key as files."""
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in self.above if one.subject != one.issuer)
        stem = directory / f"{self.certificate.serial_number:x}"
        certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
        certificate.write_bytes(self.pem + (chain if with_chain else b""))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(certificate), str(key)


class Issuer(Issued):
    """A CA."""

    @classmethod
    def root(cls, common_name: str = "test root") -> "Issuer":
        """One that signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_ca(common_name, key, name(common_name), key), key)

    def intermediate(self, common_name: str = "test intermediate") -> "Issuer":
        """One that this one signs."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issuer(_ca(common_name, key, self.certificate.subject, self.key), key, (self.certificate, *self.above))

    def issue(
        self,
        common_name: str | None,
        *units: str,
        sans: Sequence[x509.GeneralName] = (),
        usages: Sequence[x509.ObjectIdentifier] = CLIENT,
        responder: str | None = None,
        begins: datetime | None = None,
        serial: int | None = None,
    ) -> Issued:
        """A certificate of an end; `responder` is the URL of OCSP that it names."""
        key = ec.generate_private_key(ec.SECP256R1())
        begins = begins or now() - timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common_name, *units))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=common_name is None)
        if responder is not None:
            place = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key, (self.certificate, *self.above))

    def crl(
        self, *revoked: Issued, made: datetime | None = None, ends: datetime | None = None, der: bool = False
    ) -> bytes:
        """Its list."""
        made = made or now() - timedelta(minutes=1)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(made)
            .next_update(ends or made + timedelta(days=1))
            .add_extension(x509.CRLNumber(int(made.timestamp())), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(made).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER if der else Encoding.PEM)


def _ca(
    common_name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(hours=1))
        .not_valid_after(now() + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


@dataclass
class Responder:
    """An OCSP responder's answers: as it should be, or as a test bends it."""

    issuer: Issuer
    signer: Issued | None = None
    """Who signs in the issuer's place."""
    revoked: set[int] = field(default_factory=set)
    unknown: bool = False
    begins: timedelta = timedelta(minutes=-1)
    lasts: timedelta | None = timedelta(hours=1)
    nonce: Callable[[bytes], bytes | None] = lambda asked: asked
    asked: list[int] = field(default_factory=list)

    def answer(self, octets: bytes) -> bytes:
        """To a request in DER."""
        request = ocsp.load_der_ocsp_request(octets)
        self.asked.append(request.serial_number)
        is_revoked = request.serial_number in self.revoked
        status = ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD
        at = now() + self.begins
        signer = self.signer or self.issuer
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.UNKNOWN if self.unknown else status,
            this_update=at,
            next_update=None if self.lasts is None else at + self.lasts,
            revocation_time=at if is_revoked and not self.unknown else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if self.signer is not None:
            builder = builder.certificates([signer.certificate])
        said = self.nonce(request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce)
        if said is not None:
            builder = builder.add_extension(x509.OCSPNonce(said), critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass
class Site:
    """A web server on loopback: what each path answers, and what was asked."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    posts: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def site() -> Iterator[Site]:
    """A server, while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(served.files.get(self.path))

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            answer = served.posts.get(self.path)
            self._say(None if answer is None else answer(content))

        def _say(self, content: bytes | None) -> None:
            served.asked.append(self.path)
            self.send_response(503 if served.is_down else 404 if content is None else 200)
            body = b"" if content is None or served.is_down else content
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # pyrefly: ignore[missing-override-decorator]
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class has it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
