"""Revoked means revoked (I12): a real client tries each way past it. And quarantine, which leaves one way open."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.search import records
from tests.integration.conftest import Up, place_of, run
from tests.integration.recorder import Place, Proof, Recorder, RefusedError, Will

POLICY = """
[roles.crew]
client_id = ["identity-*", "identity"]
permit    = [{ action = "all", filter = "plant/#" }]

[topics."remediation/{client}/#"]
publish   = ["quarantine"]
subscribe = ["quarantine", "mender"]

[roles.quarantine]
binds = { client = "client_id" }

[roles.mender]
permit = [{ action = "all", filter = "remediation/#" }]
"""
VERSIONS = pytest.mark.parametrize("version", ["3.1.1", "5"])
ADMINISTRATIVE_ACTION = 0x98
NOT_AUTHORIZED = {"3.1.1": 5, "5": 0x87}
STAYS = {"SessionExpiryInterval": 600}


class Plant:
    """A broker, a thief, somebody else, and who mends."""

    def __init__(self, start: Callable[[], Up]) -> None:
        self._start = start
        self.up = start()
        self.proofs = {
            name: self._enrol(name, role) for name, role in (("thief", "crew"), ("press", "crew"), ("olga", "mender"))
        }
        self._open: list[Recorder] = []

    @property
    def place(self) -> Place:
        return place_of(self.up)

    def start_again(self) -> None:
        """A broker on the same data directory, after the one before has stopped."""
        self.up = self._start()

    def let_in_again(self, name: str) -> None:
        """Somebody enables it, with a new password."""
        self.told("identity", "set", name, "--state", "enabled")
        password = self.told("credential", "rotate", name, "--kind", "password")["password"]
        self.proofs[name] = Proof(user_name=name, password=password)

    def records(self, what: str) -> list[dict[str, Any]]:
        """What is on record under this word."""
        return [each for each in records(self.up.data / "audit" / "changes") if each["what"] == what]

    def _enrol(self, name: str, role: str) -> Proof:
        words = ("--role", role, "--password", "--out", self.up.data.parent / name)
        return Proof(user_name=name, password=self.told("enrol", name, *words)["password"])

    def told(self, *words: str | Path) -> Any:
        """Runs a verb; what it prints as JSON."""
        done = run(*words, "--data", self.up.data, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def client(
        self, name: str, version: str, *, stays: bool = False, will: Will | None = None, acknowledges: bool = True
    ) -> Recorder:
        """A client, not yet connected; one that stays has a Session that outlives its connection."""
        more: dict[str, Any] = STAYS if stays and version == "5" else {}
        client = Recorder(
            self.place,
            name,
            version=version,
            proof=self.proofs[name],
            clean=not stays,
            will=will,
            acknowledges=acknowledges,
            **more,
        )
        self._open.append(client)
        return client

    def bundle(self, directory: str, name: str) -> Proof:
        """The certificate of a bundle that a verb wrote beside the data directory."""
        bundle = self.up.data.parent / directory
        return Proof(certificate_file=bundle / f"{name}.crt", key_file=bundle / f"{name}.key")

    @contextmanager
    def lathe(self, proof: Proof) -> Iterator[Recorder]:
        """A client that proves itself by a certificate, not yet connected."""
        client = Recorder(self.place, "lathe", proof=proof)
        try:
            yield client
        finally:
            client.close()

    def close(self) -> None:
        for client in self._open:
            client.close()


@pytest.fixture
def plant(up, tmp_path) -> Iterator[Plant]:
    (tmp_path / "policy.toml").write_text(POLICY)
    plant = Plant(partial(up, "--set", f"policy.file={tmp_path / 'policy.toml'}"))
    yield plant
    plant.close()


def is_refused(client: Recorder, version: str) -> bool:
    with pytest.raises(RefusedError) as refused:
        client.open()
    return refused.value.reason in (NOT_AUTHORIZED[version], 4, 0x86)


@VERSIONS
def test_a_live_subscription_ends_with_the_connection(plant, version):
    thief, press = plant.client("thief", version).open(), plant.client("press", version).open()
    thief.subscribe("plant/#")
    (done,) = plant.told("revoke", "thief", "--note", "stolen, INC-1")
    ended = thief.wait_end()
    assert version == "3.1.1" or ended == ADMINISTRATIVE_ACTION  # 3.1.1 has no DISCONNECT of the server's
    (session,) = done["ended"]["sessions"]
    assert (session["client_id"], session["was_connected"], session["subscriptions"]) == ("thief", True, 1)
    assert (done["after"], len(done["credentials_ended"])) == ("revoked", 1)
    press.publish("plant/a", b"after", 1)
    assert is_refused(thief, version)
    shown = plant.told("identity", "show", "thief")
    assert (shown["state"], shown["note"]) == ("revoked", "stolen, INC-1")


@VERSIONS
def test_a_session_that_waits_is_not_resumed_nor_what_waited_in_it(plant, version):
    thief, press = plant.client("thief", version, stays=True).open(), plant.client("press", version).open()
    thief.subscribe("plant/#")
    thief.drop()
    press.publish("plant/a", b"waits", 1)
    (done,) = plant.told("revoke", "thief")
    (session,) = done["ended"]["sessions"]
    assert (session["was_connected"], session["queued"] + session["inflight"]) == (False, 1)
    assert is_refused(thief, version)
    # Somebody lets it in again, with a new password: nothing of before is there.
    plant.let_in_again("thief")
    again = plant.client("thief", version, stays=True).open()
    assert not again.session_present
    again.subscribe("plant/#")
    press.publish("plant/b", b"new", 1)
    assert [one.payload for one in again.receive()] == [b"new"]


@VERSIONS
def test_what_it_has_not_acknowledged_is_not_sent_again(plant, version):
    press = plant.client("press", version).open()
    thief = plant.client("thief", version, stays=True, acknowledges=False).open()
    thief.subscribe("plant/#")
    press.publish("plant/a", b"in flight", 1)
    assert [one.payload for one in thief.receive()] == [b"in flight"]
    (done,) = plant.told("revoke", "thief")
    assert done["ended"]["sessions"][0]["inflight"] == 1
    thief.wait_end()
    assert is_refused(thief, version)


@VERSIONS
@pytest.mark.parametrize("drops", [False, True])
def test_its_will_is_suppressed(plant, version, drops):
    delayed = {"WillDelayInterval": 300} if version == "5" and drops else None
    press = plant.client("press", version).open()
    press.subscribe("plant/#")
    thief = plant.client("thief", version, stays=True, will=Will("plant/alarm", b"fire", 1, properties=delayed)).open()
    if delayed:
        thief.drop()
        plant.up.wait_for("disconnected", identity="thief")
    (done,) = plant.told("revoke", "thief")
    assert done["ended"]["sessions"][0]["had_will"]
    assert press.received_until(press, "plant/mark") == []


@VERSIONS
def test_what_it_retained_is_not_sent_any_more_and_can_be_cleared(plant, version):
    thief = plant.client("thief", version).open()
    thief.publish("plant/state", b"false", 1, retain=True)
    (done,) = plant.told("revoke", "thief", "--clear-retained")
    assert done["ended"]["retained"] == 1
    assert plant.told("retained", "list", "plant/state") == []
    press = plant.client("press", version).open()
    press.subscribe("plant/#")
    assert press.received_until(press, "plant/mark") == []


@VERSIONS
def test_what_it_retained_is_kept_unless_it_is_to_be_cleared(plant, version):
    thief = plant.client("thief", version).open()
    thief.publish("plant/state", b"false", 1, retain=True)
    (done,) = plant.told("revoke", "thief")
    assert done["ended"]["retained"] == 0
    assert [one["topic"] for one in plant.told("retained", "list", "plant/state")] == ["plant/state"]
    # Kept for whoever looks into it; nobody is sent what somebody published who is out.
    press = plant.client("press", version).open()
    press.subscribe("plant/#")
    assert press.received_until(press, "plant/mark") == []


def test_its_certificate_is_blocked_by_serial_number(plant):
    plant.told("enrol", "lathe", "--role", "crew", "--out", plant.up.data.parent / "lathe")
    old = plant.bundle("lathe", "lathe")
    with plant.lathe(old) as lathe:
        lathe.open()
        (done,) = plant.told("revoke", "lathe")
        assert len(done["serials_blocked"]) == 1
        lathe.wait_end()
    # The name is good again by another certificate: the stolen one is not.
    plant.told("identity", "set", "lathe", "--state", "enabled")
    words = ("--kind", "certificate", "--out", plant.up.data.parent / "again")
    plant.told("credential", "rotate", "lathe", *words)
    with plant.lathe(plant.bundle("again", "lathe")) as lathe:
        lathe.open()
    with plant.lathe(old) as lathe, pytest.raises(RefusedError):
        lathe.open()
    plant.up.wait_for("refused")


@VERSIONS
def test_in_quarantine_it_stays_connected_and_reaches_only_what_mends_it(plant, version):
    thief, press = plant.client("thief", version, stays=True).open(), plant.client("press", version).open()
    mender = plant.client("olga", version).open()
    mender.subscribe("remediation/#")
    thief.subscribe("plant/#")
    (done,) = plant.told("quarantine", "thief", "--for", "1h", "--reason", "odd, INC-2")
    assert done["after"] == "quarantined"
    assert done["ended"]["sessions"] == []
    press.publish("plant/a", b"secret", 1)
    assert thief.subscribe("plant/#") == [0x80 if version == "3.1.1" else 0x87]
    assert thief.subscribe("remediation/thief/#", "remediation/press/#")[1] >= 0x80
    thief.publish("remediation/thief/report", b"log", 1)
    mender.publish("remediation/thief/update", b"patch", 1)
    assert [one.payload for one in mender.receive(2)] == [b"log", b"patch"]
    assert [one.payload for one in thief.receive(2)] == [b"log", b"patch"]
    # It may come back, to the same.
    thief.drop()
    thief.open()
    assert thief.subscribe("plant/a") == [0x80 if version == "3.1.1" else 0x87]
    (done,) = plant.told("release", "thief")
    assert [one["client_id"] for one in done["ended"]["sessions"]] == ["thief"]
    thief.wait_end()
    back = plant.client("thief", version, stays=True).open()
    assert not back.session_present
    back.subscribe("plant/#")
    press.publish("plant/a", b"again", 1)
    assert [one.payload for one in back.receive()] == [b"again"]


def test_who_is_meant_by_a_role_or_a_pattern_is_told_before_anything_happens(plant):
    preview = run("quarantine", "--all-of-role", "crew", "--data", plant.up.data)
    assert preview.returncode == 2
    assert preview.stdout.splitlines() == ["press", "thief", "2 would be put into quarantine: repeat it with --yes"]
    assert plant.told("identity", "show", "press")["state"] == "enabled"
    done = plant.told("revoke", "--matching", "th*", "--yes")
    assert [one["identity"] for one in done] == ["thief"]
    held = plant.told("quarantine", "press", "olga")
    assert [one["after"] for one in held] == ["quarantined"] * 2
    # By the role that they have outside.
    preview = run("release", "--all-of-role", "crew", "--data", plant.up.data)
    assert (preview.returncode, preview.stdout.splitlines()[0]) == (2, "press")
    assert plant.told("identity", "show", "press")["state"] == "quarantined"
    assert [one["identity"] for one in plant.told("release", "--all-of-role", "crew", "--yes")] == ["press"]
    assert [one["identity"] for one in plant.told("release", "--matching", "o*", "--yes")] == ["olga"]
    for words in (["revoke"], ["revoke", "press", "--matching", "*"], ["release", "press"], ["revoke", "nobody"]):
        assert run(*words, "--data", plant.up.data).returncode in (1, 2)


@VERSIONS
def test_without_a_broker_it_holds_from_the_next_start_on(plant, version):
    will = Will("plant/alarm", b"fire", 1, properties={"WillDelayInterval": 300}) if version == "5" else None
    press = plant.client("press", version).open()
    thief = plant.client("thief", version, stays=True, acknowledges=False, will=will).open()
    thief.subscribe("plant/#")
    press.publish("plant/a", b"in flight", 1)
    assert [one.payload for one in thief.receive()] == [b"in flight"]
    thief.drop()
    plant.up.wait_for("disconnected", identity="thief")
    press.publish("plant/b", b"waits", 1)
    plant.up.stop()
    (done,) = plant.told("revoke", "thief")
    assert (done["is_in_force"], done["after"]) == (False, "revoked")
    plant.start_again()
    assert is_refused(plant.client("thief", version), version)
    (ended,) = plant.records("session.end")
    assert (ended["target"], ended["why"]) == ("session/thief", "the identity is revoked")
    told = ended["detail"]
    assert (told["identity"], told["subscriptions"]) == ("thief", 1)
    assert told["queued"] + told["inflight"] == 2
    assert told["had_will"] is (version == "5")
    # Let in again, it finds nothing of before.
    plant.let_in_again("thief")
    again = plant.client("thief", version, stays=True).open()
    assert not again.session_present
    again.subscribe("plant/#")
    plant.client("press", version).open().publish("plant/c", b"new", 1)
    assert [one.payload for one in again.receive()] == [b"new"]
    # What ended once is not there to end at the next start.
    plant.up.stop()
    plant.start_again()
    assert len(plant.records("session.end")) == 1


def test_without_a_broker_nobody_can_clear_what_is_retained_and_nothing_is_done(plant):
    plant.client("thief", "5").open().publish("plant/state", b"false", 1, retain=True)
    plant.up.stop()
    refused = run("revoke", "press", "thief", "--clear-retained", "--data", plant.up.data)
    assert (refused.returncode, "--clear-retained takes a broker that runs" in refused.stderr) == (2, True)
    assert [plant.told("identity", "show", name)["state"] for name in ("press", "thief")] == ["enabled"] * 2


def test_what_the_kernel_still_holds_for_a_slow_reader_never_arrives(plant):
    proof = plant.proofs["thief"]
    context = ssl.create_default_context(cafile=plant.place.ca_file)
    with socket.socket() as plain:
        # Before it connects: what has reached the thief's own machine nobody takes back, so that is little.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.connect(("127.0.0.1", plant.place.port))
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as thief:
            thief.sendall(connect_packet("thief", proof))
            assert thief.recv(64)[:1] == b"\x20"
            thief.sendall(b"\x82\x0c\x00\x01\x00\x07plant/#\x00")
            assert thief.recv(64)[:1] == b"\x90"
            press = plant.client("press", "5").open()
            for _ in range(200):
                press.publish("plant/a", b"x" * 60_000, 1)
            (done,) = plant.told("revoke", "thief")
            assert done["ended"]["sessions"][0]["was_connected"]
            got = taken_until_reset(thief)
    # Its own buffer, and a record of TLS that was cut: of 12 MB, most of which the kernel held or the broker.
    assert got < 500_000


def taken_until_reset(reader: ssl.SSLSocket) -> int:
    """Octets that it still gets."""
    got = 0
    try:
        while octets := reader.recv(65_536):
            got += len(octets)
    except (ConnectionResetError, ssl.SSLEOFError):
        return got
    pytest.fail("the connection ended in order")


def connect_packet(client_id: str, proof: Proof) -> bytes:
    """A CONNECT of 3.1.1 with User Name and Password."""

    def text(value: str | None) -> bytes:
        octets = (value or "").encode()
        return len(octets).to_bytes(2, "big") + octets

    body = text("MQTT") + b"\x04\xc2\x00\x3c" + text(client_id) + text(proof.user_name) + text(proof.password)
    return b"\x10" + bytes([len(body)]) + body
