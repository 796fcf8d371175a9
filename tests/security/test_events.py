"""The log under attack: floods become counts, peers write no lines of their own, and no secret is in it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.keys import public_key
from bartizan.audit.search import records
from bartizan.audit.verify import verify
from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Puback, Suback
from tests.conformance.wire import Wire
from tests.security.party import HOST, NOT_AUTHORIZED, PLANT, eventually, party, plain, tls_context
from tests.security.process import Process, running

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
ALIKE_MAX = 8


def test_a_flood_of_denials_is_told_once_a_second_and_counted_in_full():
    with party(PLANT, "listeners.mqtt.limits.publish_burst=5000") as plant:
        plant.enrol("press-01", "press")
        press = plant.connect("press-01")
        press.send(v5.publish("forbidden", b"x") * 2_000)
        press.expect_alive()
        told = plant.wait_for("repeated", kind="denied", about="publish")
        assert told["identity"] == "press-01"
        denials, rest = plant.events("denied"), plant.events("repeated", kind="denied")
        assert len(denials) + sum(event["count"] for event in rest) == 2_000
        assert len(denials) < 100
        assert plant.number("bartizan_denied_total") == 2_000


def test_a_flood_of_refused_connections_is_told_by_address():
    with party(PLANT, "listeners.mqtt.limits.connection_burst_per_prefix=10") as plant:
        for _ in range(100):
            plain(plant.port()).close()
        told = plant.wait_for("repeated", kind="limit_met", about="connection_rate_per_prefix_per_s")
        assert told["address"] == HOST
        assert told["count"] > ALIKE_MAX


def test_a_flood_is_recorded_by_numbers_and_every_change_beside_it():
    # For some seconds, each of which is told by itself.
    with party(PLANT, *(f"listeners.mqtt.limits.publish_{each}=5000" for each in ("burst", "rate_per_s"))) as plant:
        plant.enrol("press-01", "press")
        press = plant.connect("press-01")
        running = plant.broker._running.broker
        for number in range(10):
            press.send(v5.publish("forbidden", b"x") * 2_000)
            with running.trail.changing("identity.set", f"identity/p{number}"):
                press.expect_alive()
        eventually(lambda: sum(denials(recorded(running.data.audit / "events"))) == 20_000)
        changes = [each for each in recorded(running.data.audit / "changes") if each["kind"] == "change"]
        assert [each["target"] for each in changes if each["what"] == "identity.set"] == [
            f"identity/p{number}" for number in range(10)
        ]
        assert len(recorded(running.data.audit / "events")) < 2_000
        for name in ("changes", "events"):
            found = verify(running.data.audit / name, public_key(running.data.audit))
            assert found.is_whole, found.problems


def test_a_broker_that_was_told_to_records_who_comes_and_goes():
    with party(PLANT, 'audit.events="connections"') as plant:
        plant.enrol("press-01", "press")
        press = plant.connect("press-01")
        press.send(v5.disconnect(0x00, {}))
        events = plant.broker._running.broker.data.audit / "events"
        eventually(lambda: {"connected", "disconnected"} <= {each["what"] for each in recorded(events)})
        [connected] = [each for each in recorded(events) if each["what"] == "connected"]
        assert (connected["who"], connected["target"], connected["detail"]["severity"]) == (
            "press-01",
            "client/press-01",
            "info",
        )


def recorded(log: Path) -> list[dict[str, Any]]:
    return list(records(log))


def denials(found: list[dict[str, Any]]) -> Iterator[int]:
    """How many each record is about."""
    for each in found:
        if each["what"] == "denied" or (each["what"], each.get("detail", {}).get("kind")) == ("repeated", "denied"):
            yield each["detail"].get("count", 1)


HOSTILE = [
    'x\n{"event":"connected","identity":"admin"}',
    "x\r\nX: y",
    "x\x1b[2J\x1b[1;1Hall is well",
    "x\x9b31m",
    "x\u2028y\u2029z",
    "x\u202ereversed",
    "x\u200bhidden",
    '"},{"',
    "%s%n{0}",
]


@DIALECTS
@pytest.mark.parametrize("form", ["json", "human"])
def test_what_a_peer_chose_stays_on_one_line_and_moves_no_cursor(form: str, dialect: Dialect):
    with party(PLANT, f"log.format={form}") as plant:
        plant.enrol("press-01", "press")
        for number, text in enumerate(HOSTILE):
            for wire, packet in (
                (plant.dial(), dialect.connect(text, username=text, password=b"x")),
                (
                    plant.connect("press-01", client_id=f"press-01-{number}", dialect=dialect),
                    dialect.publish(f"a/{text}", b"x"),
                ),
                (
                    plant.connect("press-01", client_id=f"press-01-s{number}", dialect=dialect),
                    dialect.subscribe(1, f"a/{text}"),
                ),
                (plant.dial(plant.names["press-01"]), dialect.connect("press-01", will=Will(topic=f"a/{text}"))),
            ):
                wire.send(packet)
                wire.drop()
        goodbye = plant.connect("press-01")
        goodbye.send(v5.disconnect(0x04, {"reason_string": "x\n\x1b[2J{}"}))
        goodbye.expect_close()
        time.sleep(0.5)
        text = plant.text()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\u200b]", text)
        if form == "json":
            events = [json.loads(line) for line in text.splitlines()]
            assert not [event for event in events if event["event"] == "connected" and event.get("identity") == "admin"]
        else:
            assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in text.splitlines())


def connected(broker: Process, certificate: Path | None, *packets: bytes) -> Wire:
    context = tls_context(str(broker.data / "pki" / "ca.crt"))
    if certificate is not None:
        context.load_cert_chain(str(certificate), str(certificate.with_suffix(".key")))
    wire = Wire(context.wrap_socket(plain(broker.port("mqtts")), server_hostname=HOST))
    wire.send(*packets)
    return wire


def test_no_secret_of_a_run_is_in_its_log_its_metrics_or_its_control_answers(tmp_path: Path):
    """Passwords right and wrong, payloads, keys, the administrator's secret, the hashes that are kept."""
    password, guess, payload = b"Gue55-me-not-7f3a", b"wr0ng-guess-91bc", b"payload-secret-55d0"
    with running(tmp_path / "data", "log.level=debug", "http.bind=127.0.0.1:0") as broker:
        press = tmp_path / "data" / "demo" / "press-01" / "press-01.crt"
        secrets = [password, guess, payload, str(broker.summary["administrator_secret"]).encode()]
        secrets += [key_text(path) for path in broker.data.rglob("*.key")]
        own = "data/chicago/hall/press-01/temperature"
        wire = connected(broker, press, v5.connect("press-01"), v5.publish(own, payload, qos=1, pid=1, retain=True))
        wire.expect(Connack, reason=0)
        wire.expect(Puback)
        wire.send(v5.publish("forbidden", payload, qos=1, pid=2), v5.subscribe(3, "#"))
        wire.expect(Puback, reason=NOT_AUTHORIZED)
        wire.expect(Suback, reasons=(NOT_AUTHORIZED,))
        wire.drop()
        props = {"authentication_method": "SCRAM", "authentication_data": guess}
        for packet in (
            v5.connect("admin", username="admin", password=guess),
            v5.connect("admin", username="admin", password=secrets[3]),
            v311.connect("admin", username="admin", password=password),
            v5.connect("x", props=props),
            v5.connect("admin", username="admin", password=password)[:-3],
            v5.connect("press-01", will=Will(topic="forbidden", payload=payload)),
        ):
            refused = connected(broker, None, packet)
            refused.drop()
        time.sleep(1.0)
        said = [broker.log(), broker.get("/metrics"), broker.get("/v1/status"), broker.get("/v1/clients")]
        broker.end()
        said.append(broker.log())
        everything = "\n".join(said).encode()
        assert broker.events("refused"), "the test saw what it is about"
        for secret in secrets:
            assert secret not in everything
            assert secret.hex().encode() not in everything
        assert b"$argon2" not in everything
        assert b"PRIVATE KEY" not in everything


def key_text(path: Path) -> bytes:
    """The first line of a private key's own text."""
    return path.read_bytes().splitlines()[1]
