"""Detectors on a broker that runs: real clients misbehave, it is told within seconds, and people see to it."""

import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import v5
from tests.conformance.received import Connack, Suback
from tests.conformance.wire import Wire, tcp
from tests.integration.conftest import Up, port_of, run

HOST = "127.0.0.1"
WITHIN_S = 5.0
TIGHT = ("--set", "detect.failed_logins_per_10min_max=2", "--set", 'detect.decoy_identities=["backup-admin"]')


class Plant:
    """A broker of a first run, with its demo press."""

    def __init__(self, up: Any, *more: str) -> None:
        self._up = up
        self.running: Up = up(*TIGHT, *more)

    def wire(self, name: str = "") -> Wire:
        data = self.running.data
        context = ssl.create_default_context(cafile=str(data / "pki/ca.crt"))
        if name:
            place = data / "demo" / name
            context.load_cert_chain(place / f"{name}.crt", place / f"{name}.key")
        plain: Any = tcp(HOST, port_of(self.running.summary["places"][0]))
        return Wire(context.wrap_socket(plain, server_hostname=HOST))

    def guess(self, name: str, count: int) -> None:
        for _ in range(count):
            with self.wire() as stranger:
                stranger.send(v5.connect("x", username=name, password=b"guess"))
                assert stranger.expect(Connack).reason != 0

    def asks_for_everything(self) -> None:
        with self.wire("press-01") as press:
            press.send(v5.connect("press-01"))
            press.expect(Connack, reason=0)
            press.send(v5.subscribe(1, "#"))
            press.expect(Suback)

    def verb(self, *words: str | Path) -> Any:
        done = run("findings", *words, "--data", self.running.data)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout

    def found(self, detector: str, **fields: object) -> dict[str, Any]:
        return self.running.wait_for("finding", WITHIN_S, detector=detector, **fields)

    def restart(self) -> None:
        assert self.running.stop() == 0
        self.running = self._up(*TIGHT)


@pytest.fixture
def plant(up: Any) -> Plant:
    return Plant(up)


def test_what_clients_do_is_found_within_seconds_and_named(plant: Plant) -> None:
    plant.guess("admin", 4)
    guessed = plant.found("password_guessing", about="network")
    assert (guessed["name"], guessed["level"], guessed["technique"]) == (HOST, "warning", "T0859")
    assert guessed["text"].startswith("network 127.0.0.1: 3 logins failed in 10 minutes, more than 2")
    plant.found("password_guessing", about="target", name="admin")
    plant.guess("backup-admin", 1)
    assert plant.found("decoy")["severity"] == "critical"
    plant.asks_for_everything()
    wide = plant.found("wide_subscription", about="identity", name="press-01")
    assert wide["text"] == "identity press-01 asked for #, which is everything, and was denied"


def test_a_finding_is_seen_to_and_stays_so_over_a_restart(plant: Plant) -> None:
    plant.asks_for_everything()
    number = str(plant.found("wide_subscription")["number"])
    (listed,) = plant.verb("list", "--json")
    assert (listed["detector"], listed["state"], listed["count"]) == ("wide_subscription", "open", 1)
    assert plant.verb("list", "--severity", "high", "--json") == []
    assert plant.verb("list").endswith("1 findings\n")
    assert "T0861" in plant.verb("show", number)
    plant.verb("ack", number, "--why", "a person with a tool")
    assert plant.verb("list", "--json") == []
    plant.restart()
    (kept,) = plant.verb("list", "--all", "--json")
    assert (kept["state"], kept["why"], bool(kept["by"])) == ("acknowledged", "a person with a tool", True)
    plant.asks_for_everything()
    time.sleep(2)
    again = plant.verb("show", number, "--json")
    assert (again["state"], again["count"]) == ("acknowledged", 2)
    assert run("findings", "show", "99", "--data", plant.running.data).returncode == 1


def test_what_is_muted_is_told_to_nobody_until_the_mute_ends(plant: Plant) -> None:
    why = ("--why", "commissioning")
    assert "press-01" in plant.verb("mute", "wide_subscription", "--of", "identity:press-01", "--for", "1h", *why)
    plant.asks_for_everything()
    time.sleep(2)
    assert plant.verb("list", "--json") == []
    assert [each["state"] for each in plant.verb("list", "--all", "--json")] == ["muted"]
    (muted,) = plant.verb("mutes", "--json")
    assert (muted["about"], muted["name"], muted["why"]) == ("identity", "press-01", "commissioning")
    assert "press-01" in plant.verb("mutes")
    assert not [event for event in plant.running.log() if event["event"] == "finding"]
    plant.verb("unmute", str(muted["number"]))
    assert plant.verb("mutes", "--json") == []


def test_what_is_no_request_is_refused_with_what_to_write(plant: Plant) -> None:
    for words in (
        ("mute", "wide_subscription", "--of", "press-01", "--why", "x"),
        ("mute", "wide_subscription", "--why", " "),
        ("mute", "No Such", "--why", "x"),
        ("list", "--since", "yesterday"),
    ):
        done = run("findings", *words, "--data", plant.running.data)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), words


def test_what_a_client_does_without_any_event_is_counted_and_found(up: Any) -> None:
    plant = Plant(up, "--set", "detect.pings_per_min_max=20")
    with plant.wire("press-01") as press:
        press.send(v5.connect("press-01"))
        press.expect(Connack, reason=0)
        # The engine counts from the first look on, two seconds after the start.
        for _ in range(16):
            press.send("c0 00" * 10)
            time.sleep(0.25)
    flood = plant.found("ping_flood", about="identity", name="press-01")
    assert flood["text"].startswith("identity press-01: sent ")
