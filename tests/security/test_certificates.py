"""Certificates of other CAs than our own: chains, names that are none, lists, responders, copies, ages."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bartizan.authn.ocsp import OcspGuard
from bartizan.identity.register import Register, new_identity, password_credential
from bartizan.model.credential import CertificateCredential
from bartizan.testing import Bundle
from tests.authority import Issued, Issuer, Responder, Site, now, site
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect, Puback
from tests.conformance.wire import Wire
from tests.left_out import require_program
from tests.security.party import HOST, NOT_AUTHORIZED, PLANT, Party, eventually, party, tls_context, tls_stream
from tests.security.test_tls import refused_by_tls

SERVER_UNAVAILABLE = 0x88
MAXIMUM_CONNECT_TIME = 0xA0

CN = 'authenticators.fleet.rules=[{ from = "cn" }]'
FLEET = ("authenticators.fleet.kind=certificate", 'listeners.mqtt.authentication=["fleet", "password"]')


def bundle(to: Party, directory: Path, issued: Issued, name: str, *, with_chain: bool = True) -> Bundle:
    """What a client with this certificate uses."""
    certificate, key = issued.write(directory, with_chain=with_chain)
    return Bundle(directory, name, name, to.broker.ca_file, certificate, key)


@contextmanager
def fleet(directory: Path, trusted: Issuer, *settings: str, policy: str = PLANT) -> Iterator[Party]:
    """A broker that trusts this CA with its clients, and knows press-01 and press-02."""
    file = directory / "fleet-ca.pem"
    file.write_bytes(trusted.pem)
    with party(policy, f"listeners.mqtt.client_ca_file={str(file)!r}", *settings) as plant:
        for name in ("press-01", "press-02"):
            known(plant, name)
        yield plant


def known(to: Party, name: str, *credentials: Any) -> None:
    """An identity of the role press."""
    identity = replace(new_identity(name, at=now(), roles=["press"]), credentials=credentials)
    call(to, Register(to.broker._running._store).add(identity))


def call(to: Party, work: Any) -> Any:
    """Something asynchronous, in the broker's loop."""
    return asyncio.run_coroutine_threadsafe(work, to.broker._loop).result(20)


def connects(to: Party, shown: Bundle, client_id: str | None = None, **more: Any) -> tuple[Wire, int]:
    """A CONNECT and its answer."""
    wire = to.dial(shown)
    wire.send(v5.connect(client_id or shown.client_id, **more))
    return wire, wire.expect(Connack, within_s=10).reason


def first_octets(to: Party, shown: Bundle) -> bytes:
    """What the broker says first to a CONNECT with this certificate; nothing where TLS ends the connection."""
    try:
        with tls_stream(to, shown) as stream:
            stream.sendall(v5.connect(shown.client_id))
            return stream.recv(4)
    except (ssl.SSLError, ConnectionError):
        return b""


# ---- chains -------------------------------------------------------------------------------------


@pytest.mark.parametrize("trusts", ["root", "intermediate"])
def test_a_device_of_a_two_level_ca_publishes_with_a_real_client(tmp_path: Path, trusts: str):
    root = Issuer.root()
    middle = root.intermediate()
    device = middle.issue("press-01")
    with fleet(tmp_path, root if trusts == "root" else middle) as plant:
        certificate, key = device.write(tmp_path, with_chain=trusts == "root")
        command = [
            require_program("mosquitto_pub", "mosquitto-clients"), "-h", "localhost", "-p", str(plant.port()),
            "--cafile", plant.broker.ca_file, "--cert", certificate, "--key", key, "-i", "press-01", "-V", "5",
            "-q", "1", "-t", "data/press-01/temperature", "-m", "7",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert plant.wait_for("connected", identity="press-01")["method"] == "certificate"


def test_a_chain_with_a_link_missing_or_of_another_root_is_refused(tmp_path: Path):
    root = Issuer.root()
    middle = root.intermediate()
    with fleet(tmp_path, root) as plant:
        refused_by_tls(plant, bundle(plant, tmp_path, middle.issue("press-01"), "press-01", with_chain=False))
        # The same names, by other keys.
        other = Issuer.root().intermediate().issue("press-01")
        refused_by_tls(plant, bundle(plant, tmp_path, other, "press-01"))


def test_a_device_is_no_ca(tmp_path: Path):
    root = Issuer.root()
    device = root.issue("press-02")
    forger = Issuer(device.certificate, device.key, (root.certificate,))
    with fleet(tmp_path, root) as plant:
        refused_by_tls(plant, bundle(plant, tmp_path, forger.issue("press-01"), "press-01"))


# ---- names --------------------------------------------------------------------------------------


NOBODY = [
    (None, ()),
    ("", ()),
    ("*", ()),
    ("*.plant.example", ()),
    ("press-01+", ()),
    ("+", ()),
    ("#", ()),
    ("press-01/x", ()),
    ("press-01\0x", ()),
    ("press-01\x00", ()),
    (" press-01", ()),
    ("press-01\n", ()),
    ("PRESS-01", ()),
    ("\u0440ress-01", ()),
    ("press\u201001", ()),
    ("press-01\u200b", ()),
    ("$SYS", ()),
    ("anonymous", ()),
    ("press-99", ()),
    ("press-01", (x509.UniformResourceIdentifier("spiffe://plant/press-02"),)),
    (None, (x509.UniformResourceIdentifier("spiffe://plant/*"),)),
    (None, (x509.UniformResourceIdentifier("spiffe://plant/press-01%00"),)),
    (None, (x509.UniformResourceIdentifier("spiffe://plant/%2Bpress-01"),)),
    (None, (x509.UniformResourceIdentifier("spiffe://plant.evil/press-01"),)),
    (None, (x509.DNSName("press-01"),)),
]


def test_a_certificate_whose_name_is_none_or_two_proves_nobody(tmp_path: Path):
    root = Issuer.root()
    rules = 'authenticators.fleet.rules=[{ from = "cn" }, { from = "san_uri", pattern = "spiffe://plant/{identity}" }]'
    with fleet(tmp_path, root, *FLEET, rules) as plant:
        for common_name, sans in NOBODY:
            shown = bundle(plant, tmp_path, root.issue(common_name, sans=sans), "press-01")
            said = first_octets(plant, shown)
            # Either TLS did not take it at all, or a CONNACK says no. No answer at all is none of both: it times out.
            assert said == b"" or (said[0], said[3]) == (0x20, NOT_AUTHORIZED), (common_name, sans, said)
        assert plant.events("connected") == []
        good = root.issue("press-01", sans=[x509.UniformResourceIdentifier("spiffe://plant/press-01")])
        assert connects(plant, bundle(plant, tmp_path, good, "press-01"))[1] == 0


def test_the_built_in_rule_takes_no_wildcard_either(tmp_path: Path):
    root = Issuer.root()
    with fleet(tmp_path, root) as plant:
        known(plant, "*")
        assert connects(plant, bundle(plant, tmp_path, root.issue("*"), "*"), "x")[1] == NOT_AUTHORIZED


def test_a_name_by_the_whole_subject_is_of_that_place_alone(tmp_path: Path):
    root = Issuer.root()
    rule = 'authenticators.fleet.rules=[{ from = "subject", pattern = "CN={identity},OU=Presses" }]'
    with fleet(tmp_path, root, *FLEET, rule) as plant:
        for units, reason in (
            (("Presses",), 0),
            (("Guests",), NOT_AUTHORIZED),
            (("Presses", "Guests"), NOT_AUTHORIZED),
        ):
            shown = bundle(plant, tmp_path, root.issue("press-01", *units), "press-01")
            assert connects(plant, shown)[1] == reason, units


def test_a_certificate_alone_acts_with_the_roles_of_its_units(tmp_path: Path):
    root = Issuer.root()
    alone = ("authenticators.fleet.identities=certificate", 'authenticators.fleet.roles_by_ou={ Presses = ["press"] }')
    with fleet(tmp_path, root, *FLEET, CN, *alone) as plant:
        for name, units, reason in (("lathe-07", ("Presses",), 0x10), ("lathe-08", ("Guests",), NOT_AUTHORIZED)):
            wire, accepted = connects(plant, bundle(plant, tmp_path, root.issue(name, *units), name))
            assert accepted == 0
            wire.send(v5.publish(f"data/{name}/temperature", b"7", qos=1, pid=1))
            assert wire.expect(Puback, within_s=5).reason == reason
        # Nobody of ours, nor in the namespace of one.
        for name in ("press-01", "press-01-twin"):
            shown = bundle(plant, tmp_path, root.issue(name, "Presses"), name)
            assert connects(plant, shown)[1] == NOT_AUTHORIZED


def test_pinned_another_certificate_of_the_same_name_and_ca_proves_nothing(tmp_path: Path):
    root = Issuer.root()
    own, other = root.issue("gear"), root.issue("gear")
    at = now()
    record = CertificateCredential("own", own.fingerprint, "1", at, at + timedelta(days=9))
    with fleet(tmp_path, root, *FLEET, CN, "authenticators.fleet.pinned=true") as plant:
        known(plant, "gear", record)
        assert connects(plant, bundle(plant, tmp_path, other, "gear"))[1] == NOT_AUTHORIZED
        assert connects(plant, bundle(plant, tmp_path, own, "gear"))[1] == 0


def test_pinned_by_serial_number_and_issuer_it_proves_and_revoked_it_ends_what_it_opened(tmp_path: Path):
    root = Issuer.root()
    own = root.issue("gear", serial=0x4F2A)
    # Another CA that the listener trusts, with the same serial number, and a name that only looks alike.
    twin = root.intermediate("test root ").issue("gear", serial=0x4F2A)
    record = CertificateCredential("by-serial", "", "4f2a", now(), None, issuer="CN=test root")
    with fleet(tmp_path, root, *FLEET, CN, "authenticators.fleet.pinned=true") as plant:
        known(plant, "gear", record)
        room = tmp_path / "twin"
        room.mkdir()
        assert connects(plant, bundle(plant, room, twin, "gear"))[1] == NOT_AUTHORIZED
        live, reason = connects(plant, bundle(plant, tmp_path, own, "gear"))
        assert reason == 0
        register = Register(plant.broker._running._store)
        call(plant, register.revoke_credentials("gear", ["by-serial"], at=now()))
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=5)
        assert connects(plant, bundle(plant, tmp_path, own, "gear"))[1] == NOT_AUTHORIZED


def test_a_serial_number_on_record_that_has_ended_lets_nobody_in_where_nothing_looks_into_certificates(tmp_path: Path):
    root = Issuer.root()
    ended, other = root.issue("gear", serial=0x4F2A), root.issue("gear", serial=0x4F2B)
    record = CertificateCredential(
        "by-serial", "", "4f2a", now() - timedelta(days=2), None, issuer="CN=test root", expires_at=now()
    )
    with fleet(tmp_path, root) as plant:
        known(plant, "gear", record)
        room = tmp_path / "other"
        room.mkdir()
        assert connects(plant, bundle(plant, tmp_path, ended, "gear"))[1] == NOT_AUTHORIZED
        assert connects(plant, bundle(plant, room, other, "gear"))[1] == 0


# ---- lists --------------------------------------------------------------------------------------


def fetch_again(to: Party) -> None:
    """What the clock does, a while later."""
    broker = to.broker._running.broker
    for source in broker.crls._sources.values():
        source._tried_at = datetime.min.replace(tzinfo=UTC)
    call(to, broker.care_for_crls())


def test_a_revocation_found_in_a_list_ends_live_connections_and_no_others(tmp_path: Path):
    root = Issuer.root()
    lost, kept = root.issue("press-01"), root.issue("press-02")
    with site() as served:
        served.files["/ca.crl"] = root.crl()
        with fleet(tmp_path, root, f'listeners.mqtt.crl_urls=["{served.url("/ca.crl")}"]') as plant:
            gone, stays = bundle(plant, tmp_path, lost, "press-01"), bundle(plant, tmp_path, kept, "press-02")
            live, other = connects(plant, gone)[0], connects(plant, stays)[0]
            served.files["/ca.crl"] = root.crl(lost, made=now())
            fetch_again(plant)
            live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=5)
            other.expect_alive()
            refused_by_tls(plant, gone)
            assert connects(plant, stays, "press-02-b")[1] == 0
            assert f'bartizan_crl_next_update_timestamp_seconds{{listener="mqtt",url="{served.url("/ca.crl")}"}}' in (
                plant.metrics()
            )


def test_a_revocation_written_into_a_file_ends_live_connections_without_a_signal(tmp_path: Path):
    root = Issuer.root()
    lost, kept = root.issue("press-01"), root.issue("press-02")
    file = tmp_path / "ca.crl"
    file.write_bytes(root.crl())
    with fleet(tmp_path, root, f"listeners.mqtt.crl_files=[{str(file)!r}]") as plant:
        gone, stays = bundle(plant, tmp_path, lost, "press-01"), bundle(plant, tmp_path, kept, "press-02")
        live, other = connects(plant, gone)[0], connects(plant, stays)[0]
        # What is no list, or has ended, or is gone, changes nothing, and is told.
        for number, broken in enumerate((b"", root.crl()[:200], root.crl(ends=now() - timedelta(seconds=1)), None), 1):
            if broken is None:
                file.unlink()
            else:
                file.write_bytes(broken)
            call(plant, plant.broker._running.broker.care_for_crls())
            eventually(lambda number=number: len(plant.events("certificates_refused")) == number)
            live.expect_alive()
            assert connects(plant, stays, f"press-02-{number}")[1] == 0
        (newer := tmp_path / "new.crl").write_bytes(root.crl(lost, made=now()))
        newer.rename(file)
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=30)
        other.expect_alive()
        refused_by_tls(plant, gone)
        assert connects(plant, stays, "press-02-b")[1] == 0


def test_without_a_list_no_certificate_is_accepted_and_passwords_are(tmp_path: Path):
    root = Issuer.root()
    with site() as served:
        served.is_down = True
        with fleet(tmp_path, root, f'listeners.mqtt.crl_urls=["{served.url("/ca.crl")}"]') as plant:
            shown = bundle(plant, tmp_path, root.issue("press-01"), "press-01")
            refused_by_tls(plant, shown)
            assert plant.wait_for("crl_unavailable")["url"] == served.url("/ca.crl")
            plant.enrol("dash", "dashboard", password=True)
            plant.connect("dash")
            served.is_down = False
            served.files["/ca.crl"] = root.crl()
            fetch_again(plant)
            assert connects(plant, shown)[1] == 0
            assert plant.wait_for("crl_available")


def test_when_the_last_list_has_ended_nobody_is_let_in_by_its_ca(tmp_path: Path):
    root = Issuer.root()
    with site() as served:
        served.files["/ca.crl"] = root.crl(ends=now() + timedelta(seconds=6))
        url = f'listeners.mqtt.crl_urls=["{served.url("/ca.crl")}"]'
        with fleet(tmp_path, root, url, "listeners.mqtt.crl_leeway_s=0") as plant:
            shown = bundle(plant, tmp_path, root.issue("press-01"), "press-01")
            live, reason = connects(plant, shown)
            assert reason == 0
            served.is_down = True
            eventually(lambda: plant.events("certificates_replaced"))
            refused_by_tls(plant, shown)
            # Nobody said that it was revoked.
            live.expect_alive()


def test_by_a_danger_that_gives_its_reason_a_missing_list_stops_nobody(tmp_path: Path):
    root = Issuer.root()
    with site() as served:
        url = f'listeners.mqtt.crl_urls=["{served.url("/ca.crl")}"]'
        with fleet(tmp_path, root, url, "listeners.mqtt.danger_stale_crl='the CA is at sea'") as plant:
            assert connects(plant, bundle(plant, tmp_path, root.issue("press-01"), "press-01"))[1] == 0
            assert plant.wait_for("danger")["reason"] == "the CA is at sea"


# ---- responders ---------------------------------------------------------------------------------


@pytest.fixture
def served() -> Iterator[Site]:
    with site() as one:
        yield one


def asks(served: Site, mode: str) -> tuple[str, str]:
    return f"listeners.mqtt.ocsp={mode}", f"listeners.mqtt.ocsp_url={served.url('/ocsp')!r}"


def test_who_is_revoked_by_the_responder_is_refused_and_the_others_are_asked_about_once(tmp_path: Path, served: Site):
    root = Issuer.root()
    lost, kept = root.issue("press-01"), root.issue("press-02")
    responder = Responder(root, revoked={lost.certificate.serial_number})
    served.posts["/ocsp"] = responder.answer
    with fleet(tmp_path, root, *asks(served, "required")) as plant:
        assert connects(plant, bundle(plant, tmp_path, lost, "press-01"))[1] == NOT_AUTHORIZED
        for number in range(3):
            shown = bundle(plant, tmp_path, kept, "press-02")
            assert connects(plant, shown, f"press-02-{number}")[1] == 0
        assert responder.asked.count(kept.certificate.serial_number) == 1


def test_a_revoked_certificate_is_no_company_for_a_good_password(tmp_path: Path, served: Site):
    root = Issuer.root()
    lost = root.issue("press-01")
    served.posts["/ocsp"] = Responder(root, revoked={lost.certificate.serial_number}).answer
    with fleet(tmp_path, root, *asks(served, "soft")) as plant:
        dash = plant.enrol("dash", "dashboard", password=True)
        shown, password = bundle(plant, tmp_path, lost, "dash"), (dash.password or "").encode()
        assert connects(plant, shown, username="dash", password=password)[1] == NOT_AUTHORIZED
        plant.connect("dash")


@pytest.mark.parametrize(("mode", "reason"), [("required", SERVER_UNAVAILABLE), ("soft", 0)])
def test_without_an_answer_nobody_is_let_in_where_one_is_required(tmp_path: Path, served: Site, mode: str, reason: int):
    root = Issuer.root()
    with fleet(tmp_path, root, *asks(served, mode)) as plant:
        plant.enrol("dash", "dashboard", password=True)
        assert connects(plant, bundle(plant, tmp_path, root.issue("press-01"), "press-01"))[1] == reason
        assert plant.wait_for("provider_unavailable")["authenticator"] == "ocsp of mqtt"
        plant.connect("dash")


def test_a_revocation_that_a_responder_tells_of_ends_live_connections_and_no_others(tmp_path: Path, served: Site):
    root = Issuer.root()
    lost, kept = root.issue("press-01"), root.issue("press-02")
    responder = Responder(root, lasts=None)
    served.posts["/ocsp"] = responder.answer
    with fleet(tmp_path, root, *asks(served, "soft")) as plant:
        dash = plant.enrol("dash", "dashboard", password=True)
        gone, stays = bundle(plant, tmp_path, lost, "press-01"), bundle(plant, tmp_path, kept, "press-02")
        company, password = bundle(plant, tmp_path, lost, "dash"), (dash.password or "").encode()
        live = connects(plant, gone)[0]
        # Whom a password proved came with the same certificate.
        beside, reason = connects(plant, company, username="dash", password=password)
        assert reason == 0
        other = connects(plant, stays)[0]
        responder.revoked.add(lost.certificate.serial_number)
        assert connects(plant, gone, "press-01-b")[1] == NOT_AUTHORIZED
        for wire in (live, beside):
            wire.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=5)
        other.expect_alive()
        # A name that begins as nobody's does is as free as before.
        assert connects(plant, stays, "press-02-b")[1] == 0


def test_a_responder_is_asked_again_about_who_stays_connected(tmp_path: Path, served: Site):
    root = Issuer.root()
    lost = root.issue("press-01")
    responder = Responder(root, lasts=None)
    served.posts["/ocsp"] = responder.answer
    with fleet(tmp_path, root, *asks(served, "soft")) as plant:
        live = connects(plant, bundle(plant, tmp_path, lost, "press-01"))[0]
        responder.revoked.add(lost.certificate.serial_number)
        look_later(plant)
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=5)


def look_later(to: Party) -> None:
    """What the clock does, five minutes later."""
    broker = to.broker._running.broker
    guard = broker._chain._guards["mqtt"]
    assert isinstance(guard, OcspGuard)
    for known in guard._known.values():
        known.asked_at -= timedelta(minutes=5)
    call(to, broker.look_at_responders())


def test_who_came_in_without_an_answer_goes_when_the_responder_is_back_and_says_revoked(tmp_path: Path, served: Site):
    root = Issuer.root()
    lost, kept = root.issue("press-01"), root.issue("press-02")
    responder = Responder(root, lasts=None, revoked={lost.certificate.serial_number})
    served.posts["/ocsp"], served.is_down = responder.answer, True
    with fleet(tmp_path, root, *asks(served, "soft")) as plant:
        gone, stays = bundle(plant, tmp_path, lost, "press-01"), bundle(plant, tmp_path, kept, "press-02")
        live, other = connects(plant, gone)[0], connects(plant, stays)[0]
        served.is_down = False
        look_later(plant)
        live.expect_refusal(Disconnect, NOT_AUTHORIZED, within_s=5)
        other.expect_alive()
        # The responder is away again, and what it said is over.
        served.is_down = True
        look_later(plant)
        assert connects(plant, gone)[1] == NOT_AUTHORIZED
        assert connects(plant, stays, "press-02-b")[1] == 0


def test_the_responder_is_asked_about_a_device_of_an_intermediate_too(tmp_path: Path, served: Site):
    root = Issuer.root()
    middle = root.intermediate()
    served.posts["/ocsp"] = Responder(middle).answer
    with fleet(tmp_path, root, *asks(served, "required")) as plant:
        assert connects(plant, bundle(plant, tmp_path, middle.issue("press-01"), "press-01"))[1] == 0


# ---- copies and ages ----------------------------------------------------------------------------


def test_a_copy_of_a_certificate_in_another_network_is_told(tmp_path: Path):
    with party(PLANT, "listeners.mqtt.loopback_only=false", directory=tmp_path) as plant:
        press = plant.enrol("press-01", "press")
        plant.connect("press-01")
        context = tls_context(plant.broker.ca_file, press)
        raw = plant.keep(_from("127.9.9.9", plant.port()))
        wire = Wire(plant.keep(context.wrap_socket(raw, server_hostname=HOST)))
        wire.send(v5.connect("press-01-copy"))
        wire.expect(Connack, reason=0)
        told = plant.wait_for("certificate_in_two_places", identity="press-01")
        assert (told["client_id"], told["address"]) == ("press-01-copy", "127.9.9.9")
        assert (told["other_client_id"], told["other_address"]) == ("press-01", HOST)


def _from(address: str, port: int) -> Any:
    import socket  # noqa: PLC0415

    return socket.create_connection((HOST, port), timeout=5, source_address=(address, 0))


def test_a_policy_that_shortens_the_age_of_a_password_ends_the_connections_that_are_there(tmp_path: Path):
    role = "\n[roles.guest]\ncredentials = {{ password_days_max = {0} }}\n"
    with party(PLANT + role.format(30), "credentials.ages=enforce", directory=tmp_path) as plant:
        wires: list[Wire] = []
        for name, days in (("guest", 10), ("fresh", 1)):
            secret = password_credential("correct horse battery", at=datetime.now(UTC) - timedelta(days=days))
            guest = replace(new_identity(name, at=now(), roles=["guest"]), credentials=(secret,))
            call(plant, Register(plant.broker._running._store).add(guest))
            wires.append(Wire(tls_stream(plant)))
            wires[-1].send(v5.connect(name, username=name, password=b"correct horse battery"))
            wires[-1].expect(Connack, reason=0, within_s=5)
        broker = plant.broker._running.broker
        broker.data.policy.write_text(PLANT + role.format(7))
        assert call(plant, broker.reload()).applied
        wires[0].expect_refusal(Disconnect, MAXIMUM_CONNECT_TIME, within_s=5)
        wires[1].expect_alive()


def test_a_password_that_becomes_too_old_ends_its_connection_and_proves_nothing_more(tmp_path: Path):
    policy = PLANT + "\n[roles.guest]\ncredentials = { password_days_max = 7 }\n"
    with party(policy, "credentials.ages=enforce", directory=tmp_path) as plant:
        age = timedelta(days=7) - timedelta(seconds=8)
        secret = password_credential("correct horse battery", at=datetime.now(UTC) - age)
        guest = replace(new_identity("guest", at=now(), roles=["guest"]), credentials=(secret,))
        call(plant, Register(plant.broker._running._store).add(guest))
        wire = Wire(tls_stream(plant))
        wire.send(v5.connect("guest", username="guest", password=b"correct horse battery"))
        wire.expect(Connack, reason=0, within_s=5)
        wire.expect_refusal(Disconnect, MAXIMUM_CONNECT_TIME, within_s=30)
        again = Wire(tls_stream(plant))
        again.send(v5.connect("guest", username="guest", password=b"correct horse battery"))
        again.expect_refusal(Connack, NOT_AUTHORIZED, within_s=5)
        assert "older than the 7 days" in plant.wait_for("refused", client_id="guest")["why"]
        call(plant, plant.broker._running.broker.ages.look())
        assert plant.wait_for("credential_expiring", identity="guest")["effect"] == "refused"
        assert 'bartizan_credentials_expiring{within_days="0"} 1' in plant.metrics()
