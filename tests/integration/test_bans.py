"""Banned means out, by whichever name, at once and until it ends: real clients, over IPv4 and IPv6."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect
from tests.conformance.wire import Wire, tcp
from tests.integration.conftest import Up, place_of, run
from tests.integration.recorder import Place, Proof, Recorder, RefusedError, Will
from tests.integration.test_findings import Plant as Detecting
from tests.integration.test_revocation import POLICY

ADMINISTRATIVE_ACTION = 0x98
BANNED = 0x8A
STAYS = {"SessionExpiryInterval": 600}


class Plant:
    """A broker on IPv4 and IPv6, a thief and somebody else, each with a password and a certificate."""

    def __init__(self, start: Callable[..., Up], directory: Path) -> None:
        (directory / "policy.toml").write_text(POLICY)
        words = ("--set", f"policy.file={directory / 'policy.toml'}", "--set", "listeners.mqtts.bind=[::]:0")
        self._start = lambda: start(*words)
        self.up = self._start()
        self.bundles = {name: self._enrol(name) for name in ("thief", "press")}
        self._open: list[Recorder] = []

    @property
    def place(self) -> Place:
        return place_of(self.up)

    def _enrol(self, name: str) -> tuple[Path, str]:
        bundle = self.up.data.parent / name
        self.told("enrol", name, "--role", "crew", "--out", bundle)
        return bundle, self.told("credential", "rotate", name, "--kind", "password")["password"]

    def restart(self) -> None:
        assert self.up.stop() == 0
        self.up = self._start()

    def told(self, *words: str | Path) -> Any:
        """Runs a verb; what it prints as JSON."""
        done = run(*words, "--data", self.up.data, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def client(self, name: str, *, client_id: str = "", host: str = "127.0.0.1", **more: Any) -> Recorder:
        """A client that shows a password, not yet connected."""
        proof = Proof(user_name=name, password=self.bundles[name][1])
        made = Recorder(replace(self.place, host=host), client_id or name, proof=proof, **more)
        self._open.append(made)
        return made

    def wire(self, name: str, host: str = "127.0.0.1") -> Wire:
        """A connection with a certificate."""
        context = ssl.create_default_context(cafile=self.place.ca_file)
        bundle = self.bundles[name][0]
        context.load_cert_chain(bundle / f"{name}.crt", bundle / f"{name}.key")
        plain: Any = tcp(host, self.place.port)
        return Wire(context.wrap_socket(plain, server_hostname="127.0.0.1"))

    def close(self) -> None:
        for client in self._open:
            client.close()


@pytest.fixture
def plant(up, tmp_path) -> Iterator[Plant]:
    plant = Plant(up, tmp_path)
    yield plant
    plant.close()


def changes_of(plant: Plant, *words: str) -> list[dict[str, Any]]:
    """The changes on record that these words search for."""
    done = run("audit", "search", *words, "--json", "--data", plant.up.data)
    assert done.returncode == 0, done.stderr
    return [each for line in done.stdout.splitlines() if (each := json.loads(line))["kind"] == "change"]


def words_of(plant: Plant, target: str, last: str) -> list[str]:
    """What is on record of it, once `last` is."""
    for _ in range(100):
        words = [each["what"] for each in changes_of(plant, "--target", target)]
        if last in words:
            return words
        time.sleep(0.2)
    raise AssertionError(words)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def is_closed_before_tls(plant: Plant, host: str) -> bool:
    try:
        plant.wire("press", host).drop()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


@pytest.mark.parametrize(
    ("host", "prefix", "other"), [("127.0.0.1", "127.0.0.0/8", "::1"), ("::1", "::1/128", "127.0.0.1")]
)
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_is_cut_and_closed_before_tls_until_its_ban_is_removed(plant, host, prefix, other):
    thief, press = plant.client("thief", host=host).open(), plant.client("press", host=other).open()
    met = plant.told("ban", "add", "--address", prefix, "--dry-run")
    assert [one["client_id"] for one in met] == ["thief"]
    assert thief.ended is None, "nothing was changed"
    done = plant.told("ban", "add", "--address", prefix, "--reason", "guesses, INC-7")
    assert [(one["identity"], one["why"]) for one in done["cut"]] == [("thief", "the address is banned")]
    assert thief.wait_end() == ADMINISTRATIVE_ACTION
    assert is_closed_before_tls(plant, host)
    press.publish("plant/a", b"still here", 1)
    told = plant.up.wait_for("refused", reason="Banned")
    assert (told["why"], told["address"]) == ("the address is banned", host)
    (ban,) = plant.told("ban", "list")
    assert (ban["of"], ban["reason"], ban["until"]) == ("address", "guesses, INC-7", None)
    assert run("ban", "remove", "--address", prefix, "--data", plant.up.data).returncode == 0
    assert plant.told("ban", "list") == []
    plant.client("thief", host=host).open()


def test_an_identity_is_refused_whatever_proves_it_and_its_session_waits(plant):
    press = plant.client("press").open()
    press.subscribe("plant/#")
    thief = plant.client("thief", clean=False, will=Will("plant/alarm", b"fire", 1), **STAYS).open()
    thief.subscribe("plant/b")
    done = plant.told("ban", "add", "--identity", "thief")
    assert [one["client_id"] for one in done["cut"]] == ["thief"]
    assert thief.wait_end() == ADMINISTRATIVE_ACTION
    with pytest.raises(RefusedError) as refused:
        plant.client("thief", client_id="thief-2").open()
    assert refused.value.reason == BANNED
    with plant.wire("thief") as wire:
        wire.send(v5.connect("thief-3"))
        wire.expect(Connack, reason=BANNED)
    assert press.received_until(press, "plant/mark") == [], "its Will is suppressed"
    press.publish("plant/b", b"waits", 1)
    assert run("ban", "remove", "--identity", "thief", "--data", plant.up.data).returncode == 0
    again = plant.client("thief", clean=False, **STAYS).open()
    assert again.session_present
    assert [one.payload for one in again.receive()] == [b"waits"]


def test_a_client_identifier_is_refused_and_another_one_is_not(plant):
    thief = plant.client("thief", client_id="thief-1").open()
    other = plant.client("thief", client_id="thief-2").open()
    plant.told("ban", "add", "--client-id", "thief-1")
    assert thief.wait_end() == ADMINISTRATIVE_ACTION
    with pytest.raises(RefusedError) as refused:
        plant.client("thief", client_id="thief-1").open()
    assert refused.value.reason == BANNED
    other.publish("plant/a", b"1", 1)


def test_a_certificate_is_refused_by_its_serial_number_and_a_password_is_not(plant):
    credentials = plant.told("credential", "list", "thief")
    serial = next(one["serial_hex"] for one in credentials if one["kind"] == "certificate")
    with plant.wire("thief") as wire:
        wire.send(v5.connect("thief"))
        wire.expect(Connack, reason=0)
        met = plant.told("ban", "add", "--serial", serial.upper(), "--dry-run")
        assert [one["identity"] for one in met] == ["thief"]
        plant.told("ban", "add", "--serial", serial.upper())
        wire.expect(Disconnect, reason=ADMINISTRATIVE_ACTION)
    with plant.wire("thief") as wire:
        wire.send(v5.connect("thief"))
        wire.expect(Connack, reason=BANNED)
    plant.client("thief").open()


def test_a_ban_ends_by_itself(plant):
    thief = plant.client("thief").open()
    plant.told("ban", "add", "--identity", "thief", "--for", "2s")
    thief.wait_end()
    with pytest.raises(RefusedError):
        plant.client("thief").open()
    ends = time.monotonic() + 10
    while True:
        try:
            plant.client("thief").open()
        except RefusedError:
            assert time.monotonic() < ends
            time.sleep(0.2)
        else:
            break
    assert plant.told("ban", "list") == []
    assert words_of(plant, "ban/identity/thief", "ban.end") == ["ban.add", "ban.end"]


def test_a_ban_that_ends_while_no_broker_runs_is_on_record_once_one_does(plant):
    plant.told("ban", "add", "--identity", "thief", "--for", "1s")
    assert plant.up.stop() == 0
    time.sleep(1)
    plant.up = plant._start()
    assert words_of(plant, "ban/identity/thief", "ban.end") == ["ban.add", "ban.end"]
    plant.restart()
    plant.client("thief").open()
    assert words_of(plant, "ban/identity/thief", "ban.end") == ["ban.add", "ban.end"]


def test_a_ban_holds_over_a_restart_and_one_made_meanwhile_from_the_start(plant):
    plant.told("ban", "add", "--identity", "thief")
    assert plant.up.stop() == 0
    told = run("ban", "add", "--client-id", "press-9", "--data", plant.up.data)
    assert told.stdout == "client_id press-9 is banned; no broker runs: from its next start\n"
    plant.up = plant._start()
    for name, client_id in (("thief", "thief"), ("press", "press-9")):
        with pytest.raises(RefusedError) as refused:
            plant.client(name, client_id=client_id).open()
        assert refused.value.reason == BANNED
    plant.client("press").open()


def test_every_ban_is_on_record_as_made_by_who_made_it(plant):
    plant.told("ban", "add", "--identity", "thief", "--reason", "INC-8")
    plant.told("ban", "add", "--identity", "thief", "--for", "1h")
    run("ban", "remove", "--identity", "thief", "--data", plant.up.data)
    changes = changes_of(plant, "--target", "ban/identity/thief")
    assert [each["what"] for each in changes] == ["ban.add", "ban.add", "ban.remove"]
    assert (changes[0]["after"]["reason"], changes[0]["why"]) == ("INC-8", "INC-8")
    assert "until" in changes[1]["after"]
    assert run("audit", "verify", "--data", plant.up.data).returncode == 0


def test_what_is_no_ban_is_refused(plant):
    for words in ([], ["--identity", "a", "--client-id", "b"], ["--address", "10.0.0.1/8"], ["--identity", "a/b"]):
        assert run("ban", "add", *words, "--data", plant.up.data).returncode == 2, words
    assert run("ban", "remove", "0123456789abcdef", "--data", plant.up.data).returncode != 0


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_session_is_discarded_with_what_waits_in_it(plant, is_connected):
    press = plant.client("press").open()
    thief = plant.client("thief", clean=False, **STAYS).open()
    thief.subscribe("plant/#")
    if not is_connected:
        thief.drop()
        plant.up.wait_for("disconnected", identity="thief")
        press.publish("plant/a", b"waits", 1)
    ended = plant.told("session", "discard", "thief")
    assert (ended["identity"], ended["was_connected"], ended["subscriptions"]) == ("thief", is_connected, 1)
    assert ended["queued"] + ended["inflight"] == (0 if is_connected else 1)
    if is_connected:
        assert thief.wait_end() == ADMINISTRATIVE_ACTION
    again = plant.client("thief", clean=False, **STAYS).open()
    assert not again.session_present
    again.subscribe("plant/mark")
    press.publish("plant/a", b"later", 1)
    assert again.received_until(press, "plant/mark") == []
    gone = run("session", "discard", "nobody", "--data", plant.up.data)
    assert (gone.returncode, "no Session" in gone.stderr) == (1, True)
    (record,) = changes_of(plant, "--target", "session/thief")
    assert record["what"] == "session.discard"


def test_a_playbook_bans_the_address_that_guesses_and_leaves_out_what_it_never_bans(up):
    ban = "playbooks.out={action = 'ban', mode = 'auto', detectors = ['decoy']}"
    spare = "playbooks.spare={action = 'ban', mode = 'auto', detectors = ['decoy'], never = ['127.0.0.0/8']}"
    plant = Detecting(up, "--set", ban, "--set", spare)
    plant.guess("backup-admin", 1)
    done = plant.running.wait_for("response", playbook="out")
    assert (done["outcome"], done["why"], done["name"]) == ("done", "banned for 1 h: 0 connections cut", "127.0.0.1")
    left = plant.running.wait_for("response", playbook="spare")
    assert (left["outcome"], left["why"]) == ("left_out", "never about 127.0.0.0/8")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        plant.wire("press-01")
    listed = run("ban", "list", "--json", "--data", plant.running.data)
    (held,) = json.loads(listed.stdout)
    assert (held["what"], held["by"]) == ("127.0.0.1", "playbook out")
    assert held["until"] is not None
