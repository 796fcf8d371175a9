"""Playbooks on a broker that runs: who is told is told, signed; who is to be disconnected is; what waits is confirmed."""

import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from bartizan.audit.search import records
from bartizan.cli.person import person
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect, Pingresp, Puback, Suback
from tests.conformance.wire import Wire
from tests.integration.conftest import run
from tests.integration.test_findings import Plant

SECRET = b"7d2f" * 16
ADMINISTRATIVE_ACTION = 0x98
NOT_AUTHORIZED = 0x87


class Told(BaseHTTPRequestHandler):
    """Notes what it is told."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        server.told.put((self.path, dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002  the name it has there
        del format


@pytest.fixture
def alarm() -> Iterator[Any]:
    """A service that is told of findings."""
    with HTTPServer(("127.0.0.1", 0), Told) as server:
        served: Any = server
        served.told = Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


def asks_for_everything(plant: Plant) -> Wire:
    press = plant.wire("press-01")
    press.send(v5.connect("press-01"))
    press.expect(Connack, reason=0)
    press.send(v5.subscribe(1, "#"))
    press.expect(Suback)
    return press


def test_whoever_is_named_is_told_and_knows_who_tells_it(up: Any, alarm: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET + b"\n")
    secret.chmod(0o600)
    url = f"http://127.0.0.1:{alarm.server_port}"
    danger = "danger_plaintext_alert = 'loopback of a test'"
    plant = Plant(
        up,
        "--set",
        f"alerts.soc={{kind = 'webhook', alert_url = '{url}/hook', secret_file = '{secret}', {danger}}}",
        "--set",
        f"alerts.prometheus={{kind = 'alertmanager', alert_url = '{url}/api/v2/alerts', {danger}}}",
        "--set",
        "playbooks.tell={action = 'alert', to = 'soc', severity = 'critical'}",
        "--set",
        "playbooks.page={action = 'alert', to = 'prometheus', detectors = ['decoy']}",
    )
    plant.guess("backup-admin", 1)
    told = {path: (headers, body) for path, headers, body in (alarm.told.get(timeout=10) for _ in range(2))}
    headers, body = told["/hook"]
    mark = hmac.digest(SECRET, headers["bartizan-timestamp"].encode() + b"." + body, "sha256").hex()
    assert headers["bartizan-signature"] == f"v1={mark}"
    assert json.loads(body)["finding"]["text"] == "the decoy identity backup-admin was tried from 127.0.0.1"
    (alert,) = json.loads(told["/api/v2/alerts"][1])
    assert (alert["labels"]["alertname"], alert["labels"]["severity"]) == ("bartizan_decoy", "critical")
    done = plant.running.wait_for("response", playbook="tell")
    assert (done["outcome"], done["why"], done["name"]) == ("done", "webhook was told", "127.0.0.1")


def test_an_identity_is_disconnected_where_that_is_automatic(up: Any) -> None:
    automatic = (
        "playbooks.cut={action = 'disconnect', mode = 'auto', detectors = ['wide_subscription'], severity = 'low'}"
    )
    plant = Plant(up, "--set", automatic)
    with asks_for_everything(plant) as press:
        press.expect(Disconnect, reason=ADMINISTRATIVE_ACTION)
    plant.running.wait_for("response", outcome="done")
    (told,) = disconnections(plant)
    assert (told["who"], told["why"]) == ("broker", "finding 1, playbook cut")


def disconnections(plant: Plant) -> list[dict[str, Any]]:
    found = [each for each in records(Path(plant.running.data) / "audit" / "changes") if each["kind"] == "change"]
    mine = [dict(each) for each in found if each["what"] == "client.disconnect"]
    assert {(each["target"], each["after"]["reason"]) for each in mine} == {("client/press-01", ADMINISTRATIVE_ACTION)}
    return mine


def test_what_waits_is_done_when_an_operator_says_so_and_only_once(up: Any) -> None:
    waits = "playbooks.cut={action = 'disconnect', mode = 'confirm', severity = 'low'}"
    plant = Plant(up, "--set", waits, "--set", "playbooks.see={action = 'disconnect', severity = 'low'}")
    with asks_for_everything(plant) as press:
        number = plant.running.wait_for("response", outcome="waiting")["number"]
        assert plant.running.wait_for("response", outcome="observed")["playbook"] == "see"
        press.send(v5.pingreq())
        press.expect(Pingresp)
        listed = run("response", "list", "--waiting", "--json", "--data", plant.running.data)
        assert [(each["number"], each["name"]) for each in json.loads(listed.stdout)] == [(number, "press-01")]
        confirmed = run("response", "confirm", str(number), "--data", plant.running.data)
        assert (confirmed.returncode, confirmed.stdout) == (0, f"response {number} is done: 1 connections ended\n")
        press.expect(Disconnect, reason=ADMINISTRATIVE_ACTION)
    (told,) = disconnections(plant)
    assert (told["who"], told["why"]) == (person().name, "finding 1, playbook cut")
    again = run("response", "dismiss", str(number), "--data", plant.running.data)
    assert (again.returncode, "waits" in again.stderr) == (2, True)
    assert "press-01" in run("response", "list", "--data", plant.running.data).stdout


def state_of(plant: Plant, name: str) -> str:
    return json.loads(run("identity", "show", name, "--json", "--data", plant.running.data).stdout)["state"]


def test_a_device_is_put_into_quarantine_by_itself_and_reaches_remediation_alone_until_it_is_released(up: Any) -> None:
    automatic = "playbooks.hold={action = 'quarantine', mode = 'auto', severity = 'low', quarantine_h = 8}"
    plant = Plant(up, "--set", automatic)
    with asks_for_everything(plant):
        done = plant.running.wait_for("response", outcome="done")
    assert done["why"].startswith("it was enabled and is quarantined")
    assert state_of(plant, "press-01") == "quarantined"
    with plant.wire("press-01") as press:
        press.send(v5.connect("press-01"))
        press.expect(Connack, reason=0)
        press.send(v5.publish("data/chicago/hall/press-01/temperature", b"1", qos=1, pid=1))
        press.expect(Puback, reason=NOT_AUTHORIZED)
        press.send(v5.publish("remediation/press-01/log", b"1", qos=1, pid=2))
        assert press.expect(Puback).reason != NOT_AUTHORIZED
    assert run("release", "press-01", "--data", plant.running.data).returncode == 0
    assert state_of(plant, "press-01") == "enabled"


def test_a_device_is_revoked_when_an_operator_confirms_it(up: Any) -> None:
    plant = Plant(up, "--set", "playbooks.end={action = 'revoke', mode = 'confirm', severity = 'low'}")
    with asks_for_everything(plant):
        number = str(plant.running.wait_for("response", outcome="waiting")["number"])
        assert state_of(plant, "press-01") == "enabled"
        assert run("response", "confirm", number, "--data", plant.running.data).returncode == 0
    assert state_of(plant, "press-01") == "revoked"


def test_no_playbook_revokes_by_itself_where_that_takes_two(up: Any) -> None:
    automatic = "playbooks.end={action = 'revoke', mode = 'auto', severity = 'low'}"
    plant = Plant(up, "--set", automatic, "--set", "api.two_person=['revoke']")
    with asks_for_everything(plant) as press:
        waiting = plant.running.wait_for("response", playbook="end")
        assert (waiting["outcome"], waiting["why"]) == ("waiting", "to revoke takes two operators here")
        press.send(v5.pingreq())
        press.expect(Pingresp)
    assert state_of(plant, "press-01") == "enabled"


@pytest.mark.parametrize("clears", [True, False])
def test_what_it_retained_goes_with_it_where_the_playbook_says_so(up: Any, clears: bool) -> None:
    more = ", clear_retained = true" if clears else ""
    plant = Plant(up, "--set", f"playbooks.end={{action = 'revoke', mode = 'auto', severity = 'low'{more}}}")
    topic = "data/chicago/hall/press-01/temperature"
    with plant.wire("press-01") as press:
        press.send(v5.connect("press-01"))
        press.expect(Connack, reason=0)
        press.send(v5.publish(topic, b"1", qos=1, pid=1, retain=True))
        assert press.expect(Puback).reason != NOT_AUTHORIZED
        press.send(v5.subscribe(1, "#"))
        press.expect(Suback)
        plant.running.wait_for("response", outcome="done")
    assert state_of(plant, "press-01") == "revoked"
    listed = run("retained", "list", topic, "--json", "--data", plant.running.data)
    assert [one["topic"] for one in json.loads(listed.stdout)] == ([] if clears else [topic])


def test_an_identity_publishes_more_slowly_where_a_playbook_says_so(up: Any) -> None:
    slow = "playbooks.slow={action = 'throttle', severity = 'low', throttle_per_s = 1, throttle_h = 2}"
    plant = Plant(up, "--set", slow)
    topic = "data/chicago/hall/press-01/temperature"
    with asks_for_everything(plant) as press:
        done = plant.running.wait_for("response", playbook="slow")
        assert (done["outcome"], done["why"]) == ("done", "throttled to 1 messages a second for 2 h")
        press.send(*(v5.publish(topic, b"1", qos=1, pid=number) for number in range(1, 4)))
        plant.running.wait_for("limit_met", identity="press-01", limit="publish_rate_per_s")
        # Nothing is lost by it.
        for number in range(1, 4):
            assert press.expect(Puback, pid=number, within_s=5).reason != NOT_AUTHORIZED
    (held,) = json.loads(run("throttle", "list", "--json", "--data", plant.running.data).stdout)
    assert (held["identity"], held["messages_per_s"], held["by"]) == ("press-01", 1, "playbook slow")
