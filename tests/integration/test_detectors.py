"""Real clients misbehave, and `bartizan findings list` names each of them: from a packet on a socket to a finding.

Not here are those that learn for days before they say anything: `novelty`, `silent_device`, `volume`, `new_topic`,
`widened_subscription`, `actuator_command`. Nobody can move the clock of a broker; a replay has weeks (`tests/unit/detect`).
"""

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from bartizan.config.detect import DetectorName
from bartizan.identity.register import Register, new_identity, password_credential
from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Disconnect, Puback, Suback
from tests.conformance.wire import Wire
from tests.integration.conftest import run
from tests.security.party import HOST, Party, listener, party

POLICY = """
[topics."line/{asset}/state"]
publish = ["device"]
payload = "json"
enforce = "warn"

[roles.device]
permit = [{ action = "all", filter = "free/#" }]

[roles.aged]
credentials = { password_days_max = 30 }
"""

USUAL: Mapping[str, object] = {
    "failed_logins_per_10min_max": 3,
    "failed_names_per_hour_max": 2,
    "failed_handshakes_per_10min_max": 2,
    "connections_per_min_max": 10,
    "slow_connects_per_10min_max": 2,
    "malformed_per_10min_max": 2,
    "denials_per_min_max": 10,
    "denied_topics_per_10min_max": 4,
    "broken_contracts_per_min_max": 2,
    "limits_met_per_10min_max": 1,
    "take_overs_per_10min_max": 2,
    "reconnects_per_10min_max": 10,
    "keep_alive_timeouts_per_10min_max": 2,
    "keep_alive_off_per_10min_max": 2,
    "retained_per_10min_max": 5,
    "wills_per_10min_max": 2,
    "pings_per_min_max": 20,
    "decoy_identities": '["backup-admin"]',
}
LIMITS: Mapping[str, object] = {
    "retained_messages_per_identity_max": 2,
    "keep_alive_min_s": 1,
    "connect_timeout_s": 3.0,
}
LEARN = frozenset({"novelty", "silent_device", "volume", "new_topic", "widened_subscription", "actuator_command"})
WITHIN_S = 60.0
AGAIN_S = 6.0
"""Longer than the engine is not asked what identities did, and than a finding takes to be told."""


@dataclass(frozen=True)
class Scene:
    """One broker, and who misbehaves there."""

    plant: Party
    root: Path
    name: str = ""

    def dial(self, *, address: str = HOST, by: str = "plain", dialect: Dialect = v5) -> Wire:
        """A connection from this address."""
        raw: Any = socket.create_connection((HOST, self.plant.port(by)), timeout=10, source_address=(address, 0))
        return Wire(self.plant.keep(raw), dialect=dialect)

    def client(self, *, client_id: str = "", address: str = HOST, dialect: Dialect = v5, **more: Any) -> Wire:
        """The identity that misbehaves, connected."""
        wire = self.dial(address=address, dialect=dialect)
        password = str(self.plant.names[self.name].password).encode()
        words: dict[str, Any] = {"keep_alive": 60, "username": self.name, "password": password} | more
        wire.send(dialect.connect(client_id or self.name, **words))
        wire.expect(Connack, reason=0)
        return wire

    def guess(self, name: str, address: str) -> None:
        """A wrong password."""
        with self.dial(address=address) as stranger:
            stranger.send(v5.connect("x", username=name, password=b"guess"))
            assert stranger.expect(Connack).reason != 0

    def findings(self) -> set[tuple[str, str, str]]:
        """Who is found by what, as the command line says it."""
        done = run("findings", "list", "--all", "--json", "--data", self.root)
        assert done.returncode == 0, done.stderr
        return {(each["detector"], each["about"], each["name"]) for each in json.loads(done.stdout)}


def password_guessing(scene: Scene) -> None:
    for _ in range(5):
        scene.guess(scene.name, "127.0.10.1")


def password_spraying(scene: Scene) -> None:
    for number in range(4):
        scene.guess(f"somebody-{number}", "127.0.11.1")


def failed_handshakes(scene: Scene) -> None:
    for _ in range(4):
        with scene.dial(address="127.0.12.1", by="mqtt") as wire:
            wire.send("47 45 54 20 2f 0d 0a")
            with suppress(AssertionError):
                wire.expect_close()


def connect_flood(scene: Scene) -> None:
    for _ in range(14):
        with scene.dial(address="127.0.13.1", dialect=v311) as wire:
            wire.send(v311.connect("x", level=9))
            wire.expect(Connack, reason=1)


def slow_connects(scene: Scene) -> None:
    wires = [scene.dial(address="127.0.14.1") for _ in range(4)]
    for wire in wires:
        wire.expect_close()


def malformed_packets(scene: Scene) -> None:
    for _ in range(4):
        with scene.client() as wire:
            wire.send("f0 00")
            wire.expect(Disconnect)


def denial_burst(scene: Scene) -> None:
    with scene.client() as wire:
        for number in range(1, 15):
            wire.send(v5.publish("no/1", b"x", qos=1, pid=number))
            wire.expect(Puback, reason=0x87)


def topic_scan(scene: Scene) -> None:
    with scene.client() as wire:
        wire.send(v5.subscribe(1, *(f"no/{number}" for number in range(8))))
        wire.expect(Suback)


def wide_subscription(scene: Scene) -> None:
    with scene.client() as wire:
        wire.send(v5.subscribe(1, "#"))
        wire.expect(Suback)


def broken_contract(scene: Scene) -> None:
    with scene.client() as wire:
        for number in range(1, 6):
            wire.send(v5.publish("line/1/state", b"{", qos=1, pid=number))
            wire.expect(Puback)


def retains(scene: Scene, topics: Iterable[str]) -> None:
    with scene.client() as wire:
        for number, topic in enumerate(topics, 1):
            wire.send(v5.publish(topic, b"x", qos=1, pid=number, retain=True))
            wire.expect(Puback)


def limits_met(scene: Scene) -> None:
    retains(scene, (f"free/{scene.name}/{number}" for number in range(1, 7)))


def take_overs(scene: Scene) -> None:
    for _ in range(5):
        scene.client()


def reconnects(scene: Scene) -> None:
    for _ in range(14):
        with scene.client() as wire:
            wire.send(v5.disconnect())


def keep_alive(scene: Scene) -> None:
    wires = [scene.client(client_id=f"{scene.name}-{number}", keep_alive=1) for number in range(4)]
    for wire in wires:
        wire.expect(Disconnect, reason=0x8D)


def keep_alive_off(scene: Scene) -> None:
    for _ in range(4):
        with scene.client(dialect=v311, keep_alive=0) as wire:
            wire.send(v311.disconnect())


def two_places(scene: Scene) -> None:
    scene.client(client_id=f"{scene.name}-a", address="127.0.20.1")
    scene.client(client_id=f"{scene.name}-b", address="127.0.21.1")


def retained_flood(scene: Scene) -> None:
    retains(scene, [f"free/{scene.name}"] * 10)


def will_flood(scene: Scene) -> None:
    for _ in range(4):
        with scene.client(will=Will(topic=f"free/{scene.name}")) as wire:
            wire.expect_alive()


def ping_flood(scene: Scene) -> None:
    with scene.client() as wire:
        for _ in range(30):
            wire.expect_alive()


def credential_ending(scene: Scene) -> None:
    scene.plant.broker._call(scene.plant.broker._running.broker.ages.look())


def decoy(scene: Scene) -> None:
    scene.guess("backup-admin", "127.0.22.1")


Attack = Callable[[Scene], None]
OF_STRANGERS: Mapping[str, tuple[Attack, str, str]] = {
    "password_guessing": (password_guessing, "network", "127.0.10.1"),
    "password_spraying": (password_spraying, "network", "127.0.11.1"),
    "failed_handshakes": (failed_handshakes, "network", "127.0.12.1"),
    "connect_flood": (connect_flood, "network", "127.0.13.1"),
    "slow_connects": (slow_connects, "network", "127.0.14.1"),
    "credential_ending": (credential_ending, "target", "aged"),
    "decoy": (decoy, "network", "127.0.22.1"),
}
"""By detector: what happens, and about whom the finding is."""

OF_IDENTITIES: Mapping[str, Attack] = {
    "malformed_packets": malformed_packets,
    "denial_burst": denial_burst,
    "topic_scan": topic_scan,
    "wide_subscription": wide_subscription,
    "broken_contract": broken_contract,
    "limits_met": limits_met,
    "take_overs": take_overs,
    "reconnects": reconnects,
    "keep_alive": keep_alive,
    "keep_alive, off": keep_alive_off,
    "two_places": two_places,
    "retained_flood": retained_flood,
    "will_flood": will_flood,
    "ping_flood": ping_flood,
}
"""By detector, and a word where there are two ways: what an identity does."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("scene") / "data"
    settings = [f"detect.{name}={value}" for name, value in USUAL.items()]
    with party(POLICY, *settings, listener("plain", limits=LIMITS), directory=root) as plant:
        # The command line opens what a first run has made.
        plant.broker._running.data.first_run_mark.touch()
        secret = password_credential("correct horse battery", at=datetime.now(UTC) - timedelta(days=29))
        aged = replace(new_identity("aged", at=datetime.now(UTC), roles=["aged"]), credentials=(secret,))
        plant.broker._call(Register(plant.broker._running._store).add(aged))
        plant.broker._call(plant.broker._running.broker.directory.refresh())
        yield Scene(plant, root)


def found_after(scene: Scene, attack: Attack, finding: tuple[str, str, str]) -> bool:
    """Whether it is found. What the engine counts begins a moment after the start, so it may have to happen again."""
    ends = time.monotonic() + WITHIN_S
    while time.monotonic() < ends:
        attack(scene)
        again = time.monotonic() + AGAIN_S
        while time.monotonic() < again:
            if finding in scene.findings():
                return True
    return False


def test_every_detector_that_needs_no_days_is_here() -> None:
    here = {name.partition(",")[0] for name in (*OF_STRANGERS, *OF_IDENTITIES)}
    assert here | LEARN == set(get_args(DetectorName))
    assert not here & LEARN


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OF_STRANGERS)
def test_what_strangers_do_is_found_and_from_where(scene: Scene, name: str) -> None:
    attack, about, whom = OF_STRANGERS[name]
    assert found_after(replace(scene, name="nobody"), attack, (name, about, whom)), scene.plant.text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OF_IDENTITIES)
def test_what_an_identity_does_is_found_and_whose_it_is(scene: Scene, name: str) -> None:
    whom = name.replace("_", "-").replace(", ", "-")
    scene.plant.enrol(whom, "device", password=True)
    finding = (name.partition(",")[0], "identity", whom)
    assert found_after(replace(scene, name=whom), OF_IDENTITIES[name], finding), scene.plant.text()
