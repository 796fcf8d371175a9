"""TLS: what is too old, expired, foreign, revoked or somebody else's does not get in, nor stay in."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bartizan.identity.register import Register
from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import IdentityState
from bartizan.pki.ca import Authority, certificate_pem, key_pem
from bartizan.pki.profiles import build_leaf
from bartizan.testing import Bundle
from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack, Disconnect
from tests.conformance.wire import Wire
from tests.security.party import (
    HOST,
    NOT_AUTHORIZED,
    NOT_AUTHORIZED_V311,
    PLANT,
    Party,
    eventually,
    party,
    tls_context,
    tls_stream,
)

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])


def authority_of(to: Party) -> Authority:
    data = to.broker._running.data
    return Authority.load(data.ca_certificate, data.ca_key)


def leaf(authority: Authority, directory: Path, name: str, *, at: datetime, lifetime: timedelta) -> Bundle:
    """A client certificate of this CA, as `enrol` would make it, valid when we like."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key.public_key(),
        common_name=name,
        names=[x509.UniformResourceIdentifier(f"urn:bartizan:identity:{name}")],
        server=False,
        at=at,
        lifetime=lifetime,
    )
    (directory / "leaf.crt").write_bytes(certificate_pem(certificate))
    (directory / "leaf.key").write_bytes(key_pem(key))
    return Bundle(directory, name, name, "", str(directory / "leaf.crt"), str(directory / "leaf.key"))


def refused_by_tls(to: Party, bundle: Bundle) -> None:
    """TLS 1.3 tells a client of its bad certificate after the handshake, at the first read."""
    try:
        stream = tls_stream(to, bundle)
        stream.sendall(v5.connect(bundle.client_id))
        said = stream.recv(1)
    except (ssl.SSLError, ConnectionError):
        said = b""
    assert said == b"", "a CONNACK came"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["tls1.0", "tls1.1"])
def test_old_tls_is_refused(plant: Party, version: ssl.TLSVersion):
    context = tls_context(plant.broker.ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls_stream(plant, context=context)
    assert plant.wait_for("refused")["why"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls1.2", "tls1.3"])
def test_modern_tls_is_spoken_with_forward_secrecy_and_no_stateless_ticket(plant: Party, version: ssl.TLSVersion):
    context = tls_context(plant.broker.ca_file, plant.names["press-01"])
    context.minimum_version = context.maximum_version = version
    stream = tls_stream(plant, context=context)
    cipher = stream.cipher()
    assert cipher is not None
    name, _, bits = cipher
    assert bits >= 128
    assert name.startswith(("TLS_", "ECDHE-"))
    stream.close()


@pytest.mark.parametrize(
    "suites", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "eNULL"]
)
def test_old_cipher_suites_are_refused(plant: Party, suites: str):
    context = tls_context(plant.broker.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(f"{suites}:@SECLEVEL=0")
    except ssl.SSLError:
        pytest.skip("this OpenSSL does not know them")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls_stream(plant, context=context)


def test_an_expired_client_certificate_is_refused(plant: Party, tmp_path: Path):
    ago = datetime.now(UTC) - timedelta(days=10)
    refused_by_tls(plant, leaf(authority_of(plant), tmp_path, "press-01", at=ago, lifetime=timedelta(days=1)))


def test_a_client_certificate_of_the_future_is_refused(plant: Party, tmp_path: Path):
    later = datetime.now(UTC) + timedelta(days=10)
    refused_by_tls(plant, leaf(authority_of(plant), tmp_path, "press-01", at=later, lifetime=timedelta(days=1)))


def test_a_client_certificate_of_another_ca_is_refused(plant: Party, tmp_path: Path):
    other = Authority.create(tmp_path / "ca.crt", tmp_path / "ca.key", name="Bartizan test CA", at=datetime.now(UTC))
    refused_by_tls(plant, leaf(other, tmp_path, "press-01", at=datetime.now(UTC), lifetime=timedelta(days=1)))


@DIALECTS
def test_a_certificate_of_an_identity_that_does_not_exist_is_refused(plant: Party, tmp_path: Path, dialect: Dialect):
    bundle = leaf(authority_of(plant), tmp_path, "press-99", at=datetime.now(UTC), lifetime=timedelta(days=1))
    wire = plant.dial(bundle, dialect=dialect)
    wire.send(dialect.connect("press-99"))
    wire.expect_refusal(Connack, NOT_AUTHORIZED if dialect is v5 else NOT_AUTHORIZED_V311)
    assert "press-99" in plant.wait_for("refused", client_id="press-99")["why"]


@DIALECTS
def test_a_certificate_does_not_prove_the_user_name_of_another(plant: Party, dialect: Dialect):
    for password in (None, b"guess"):
        wire = plant.dial(plant.names["press-01"], dialect=dialect)
        wire.send(dialect.connect("dash", username="dash", password=password))
        reason = wire.expect(Connack, within_s=5).reason
        assert reason in ((0x86, NOT_AUTHORIZED) if dialect is v5 else (0x04, NOT_AUTHORIZED_V311))


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_who_is_disabled_or_removed_is_disconnected_within_a_second_and_stays_out(tmp_path: Path, how: str):
    with party(PLANT, directory=tmp_path) as plant:
        plant.enrol("press-01", "press")
        live = plant.connect("press-01")
        old = plant.connect("press-01", client_id="press-01-old", dialect=v311)
        store = plant.broker._running._store
        register = Register(store)
        change = (
            register.set_state("press-01", IdentityState.DISABLED) if how == "disabled" else register.remove("press-01")
        )
        asyncio.run_coroutine_threadsafe(change, plant.broker._loop).result(5)
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=1.5)
        old.expect_close(within_s=1.5)
        again = plant.dial(plant.names["press-01"])
        again.send(v5.connect("press-01"))
        again.expect_refusal(Connack, NOT_AUTHORIZED)


def revoke(to: Party, name: str) -> None:
    store, loop = to.broker._running._store, to.broker._loop

    async def revoked() -> None:
        identity = await Register(store).get(name)
        for credential in identity.credentials:
            assert isinstance(credential, CertificateCredential)
            await Register(store).revoke_certificate(name, credential.fingerprint_sha256, at=datetime.now(UTC))

    asyncio.run_coroutine_threadsafe(revoked(), loop).result(5)


def test_a_revoked_certificate_is_cut_off_at_once_and_refused_from_then_on(tmp_path: Path):
    with party(PLANT, directory=tmp_path) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("press-02", "press")
        live, other = plant.connect("press-01"), plant.connect("press-02")
        revoke(plant, "press-01")
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=2)
        eventually(lambda: plant.events("certificates_replaced"))
        refused_by_tls(plant, plant.names["press-01"])
        other.expect_alive()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls1.2", "tls1.3"])
def test_a_tls_session_of_a_revoked_certificate_is_not_resumed(tmp_path: Path, version: ssl.TLSVersion):
    with party(PLANT, directory=tmp_path) as plant:
        plant.enrol("press-01", "press")
        context = tls_context(plant.broker.ca_file, plant.names["press-01"])
        context.minimum_version = context.maximum_version = version

        def once(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool]:
            stream = tls_stream(plant, context=context, session=session)
            wire = Wire(stream)
            wire.send(v5.connect("press-01"))
            wire.expect(Connack, reason=0)
            kept, reused = stream.session, bool(stream.session_reused)
            wire.drop()
            return kept, reused

        session, _ = once(None)
        _, resumed = once(session)
        revoke(plant, "press-01")
        eventually(lambda: plant.events("certificates_replaced"))
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)) as error:
            once(session)
        assert "reason" not in str(error.value) or "0x87" in str(error.value) or "135" in str(error.value), resumed


def test_a_listener_that_requires_certificates_takes_none_without(tmp_path: Path):
    with party(PLANT, "listeners.mqtt.client_certificates=required") as plant:
        plant.enrol("dash", "dashboard", password=True)
        refused_by_tls(plant, Bundle(tmp_path, "dash", "dash", plant.broker.ca_file))


def test_renegotiation_and_compression_are_not_offered(plant: Party):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = [openssl, "s_client", "-connect", f"{HOST}:{plant.port()}", "-tls1_2", "-CAfile", plant.broker.ca_file]
    said = subprocess.run(command, input=b"R\n", capture_output=True, timeout=20, check=False).stdout.decode()
    assert "Compression: NONE" in said
    assert "Secure Renegotiation IS supported" in said or "renegotiation" in said.lower()
    with socket.create_connection((HOST, plant.port()), timeout=5):
        pass
