"""The CA and its certificates: verified by OpenSSL, rights of files, renewal, what a crash leaves."""

import base64
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from bartizan.config.layout import DataDirectory
from bartizan.errors import AlreadyExists, CertificateUnusable
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import IdentityName
from bartizan.pki.ca import Authority, load_certificate
from bartizan.pki.client import certify, issue_client_certificate, new_request, requested_key
from bartizan.pki.crl import build_crl, ensure_crl, load_crl
from bartizan.pki.files import write_durably
from bartizan.pki.server import ensure_server_certificate, own_names

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path)
    directory.pki.mkdir()
    return directory


@pytest.fixture
def authority(data: DataDirectory) -> Authority:
    return Authority.create(data.ca_certificate, data.ca_key, name="Test CA", at=NOW)


def verify_client(authority: Authority, pem: bytes, at: datetime = NOW) -> None:
    verifier = PolicyBuilder().store(Store([authority.certificate])).time(at).build_client_verifier()
    verifier.verify(x509.load_pem_x509_certificate(pem), [])


def test_the_ca_is_ecdsa_p256_and_may_sign_no_further_ca(authority):
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert authority.key.curve.name == "secp256r1"
    assert timedelta(days=3650) < authority.certificate.not_valid_after_utc - NOW < timedelta(days=3660)


def test_keys_are_for_their_owner_only_and_never_in_repr(data, authority):
    ensure_server_certificate(data, authority, at=NOW)
    for key in (data.ca_key, data.server_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    issued = issue_client_certificate(authority, IdentityName("press-01"), at=NOW)
    assert "PRIVATE" not in repr(issued)
    assert "key" not in repr(authority)


def test_an_existing_ca_is_never_overwritten(data, authority):
    with pytest.raises(AlreadyExists):
        Authority.create(data.ca_certificate, data.ca_key, name="Another", at=NOW)
    assert Authority.load(data.ca_certificate, data.ca_key).fingerprint == authority.fingerprint


def test_a_key_that_does_not_fit_is_told(data, authority, tmp_path):
    other = Authority.create(tmp_path / "o.crt", tmp_path / "o.key", name="Other", at=NOW)
    assert other.fingerprint != authority.fingerprint
    with pytest.raises(CertificateUnusable, match="not the key of"):
        Authority.load(data.ca_certificate, tmp_path / "o.key")
    data.ca_key.write_text("garbage")
    with pytest.raises(CertificateUnusable, match="no PEM private key"):
        Authority.load(data.ca_certificate, data.ca_key)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "broker.example", "192.0.2.7"])
def test_clients_verify_the_server_by_every_name(data, authority, host):
    assert ensure_server_certificate(data, authority, at=NOW, names=["broker.example", "192.0.2.7"])
    client = ssl.create_default_context(cafile=str(data.ca_certificate))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(data.server_certificate, data.server_key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() == "TLSv1.3"


def test_the_server_certificate_lives_397_days_and_is_renewed_30_before(data, authority):
    ensure_server_certificate(data, authority, at=NOW, names=["broker.example"])
    first = load_certificate(data.server_certificate)
    assert first.not_valid_after_utc - NOW == timedelta(days=397)
    assert not ensure_server_certificate(data, authority, at=NOW + timedelta(days=366))
    assert ensure_server_certificate(data, authority, at=NOW + timedelta(days=368))
    second = load_certificate(data.server_certificate)
    names = second.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )
    assert second.serial_number != first.serial_number
    assert "broker.example" in names, "a renewal keeps the names"


def test_a_further_name_makes_a_new_certificate(data, authority):
    ensure_server_certificate(data, authority, at=NOW)
    assert ensure_server_certificate(data, authority, at=NOW, names=["new.example"])
    assert not ensure_server_certificate(data, authority, at=NOW, names=["new.example"])


def test_a_pair_that_a_crash_left_unfit_is_made_anew(data, authority):
    ensure_server_certificate(data, authority, at=NOW)
    data.server_key.write_bytes(data.ca_key.read_bytes())
    assert ensure_server_certificate(data, authority, at=NOW)
    assert not ensure_server_certificate(data, authority, at=NOW)


def test_own_names_are_each_there_once():
    names = own_names(["localhost", "x"])
    assert len(names) == len(set(names))
    assert {"localhost", "127.0.0.1", "::1", "x"} <= set(names)


@pytest.mark.parametrize("name", ["press-01", "Prägewerk 7", "ü" * 128])
def test_a_client_certificate_names_its_identity_and_only_serves_clients(authority, name):
    issued = issue_client_certificate(authority, IdentityName.parse(name), at=NOW)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    common_names = [item.value for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert common_names == ([name] if len(name) < 64 else []), "a name cut short would be another name"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert issued.fingerprint_sha256 == certificate.fingerprint(hashes.SHA256()).hex()
    assert int(issued.serial_hex, 16) == certificate.serial_number
    verify_client(authority, issued.certificate_pem)
    with pytest.raises(VerificationError):
        verify_client(authority, issued.certificate_pem, NOW + timedelta(days=366))


def test_no_certificate_outlives_its_ca(authority):
    late = authority.certificate.not_valid_after_utc - timedelta(days=10)
    assert (
        issue_client_certificate(authority, IdentityName("a"), at=late).not_after
        == authority.certificate.not_valid_after_utc
    )


def test_the_crl_lists_what_is_revoked_and_is_signed_by_the_ca(authority):
    revoked = CertificateCredential("1", "ab", "0f", NOW, NOW, revoked_at=NOW)
    live = CertificateCredential("2", "cd", "10", NOW, NOW)
    crl = load_crl(build_crl(authority, [revoked, live], at=NOW))
    assert [entry.serial_number for entry in crl] == [15]
    assert crl.is_signature_valid(authority.key.public_key())


def test_the_crl_is_written_when_missing_stale_damaged_or_different(data, authority):
    revoked = [CertificateCredential("1", "ab", "0f", NOW, NOW, revoked_at=NOW)]
    assert ensure_crl(data, authority, [], at=NOW)
    assert not ensure_crl(data, authority, [], at=NOW + timedelta(days=1))
    assert ensure_crl(data, authority, [], at=NOW + timedelta(days=25))
    assert ensure_crl(data, authority, revoked, at=NOW)
    data.crl.write_text("garbage")
    assert ensure_crl(data, authority, revoked, at=NOW)
    assert not ensure_crl(data, authority, revoked, at=NOW)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "key"
    write_durably(file, b"old", 0o600)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bartizan.pki.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(file, b"new", 0o600)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_of_a_request_the_key_alone_counts(authority):
    key = ec.generate_private_key(ec.SECP384R1())
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody-else")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("broker.example")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    made = certify(authority, IdentityName("press-01"), requested_key(asked), at=NOW)
    assert made.public_key() == key.public_key()
    assert [name.value for name in made.subject] == ["press-01"]
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    (name,) = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert name.value == "urn:bartizan:identity:press-01"
    verify_client(authority, made.public_bytes(Encoding.PEM))


def test_a_request_that_is_none_or_has_another_key_is_refused():
    key_pem, asked = new_request("press-01")
    assert b"PRIVATE KEY" in key_pem
    assert "PRIVATE" not in asked
    requested_key(asked)
    octets = bytearray(x509.load_pem_x509_csr(asked.encode()).public_bytes(Encoding.DER))
    octets[-1] ^= 1
    body = base64.b64encode(octets).decode()
    forged = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "press-01")])
    of_rsa = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(weak, hashes.SHA256())
    odd = ec.generate_private_key(ec.SECP256K1())
    of_odd = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(odd, hashes.SHA256())
    others = [one.public_bytes(Encoding.PEM).decode() for one in (of_rsa, of_odd)]
    for refused in ("", "x", "\u4e00", key_pem.decode(), forged, *others):
        with pytest.raises(CertificateUnusable):
            requested_key(refused)
