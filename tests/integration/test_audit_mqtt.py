"""The record on a topic: a real broker takes it by QoS 1, what it refuses comes again, and nobody reads it on the way."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from bartizan.audit.carriers import carriers_of
from bartizan.audit.search import records
from bartizan.audit.sinks import Carrier, NotDelivered
from bartizan.audit.trail import Trail
from bartizan.config.audit import AuditSettings
from bartizan.model.actor import Actor
from bartizan.testing import Broker, Bundle

TOPIC = "audit/plant-7"
POLICY = """
[roles.sink]
permit = [{ action = "publish", filter = "audit/#" }]

[roles.reader]
permit = [{ action = "subscribe", filter = "audit/#" }]
"""
SHUT = POLICY.replace('"audit/#" }]\n\n', '"elsewhere/#" }]\n\n')


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.of(tmp_path / "audit", AuditSettings(), Actor("anna"))


def change(trail: Trail, times: int) -> None:
    for number in range(times):
        with trail.changing("identity.set", f"identity/{number}", after={"note": "n" * 500}):
            pass


def carrier(trail: Trail, broker: Broker, bundle: Bundle, **more: Any) -> Carrier:
    settings = {
        "kind": "mqtt",
        "address": f"{broker.host}:{broker.port}",
        "topic": TOPIC,
        "ca_file": bundle.ca_file,
        "certificate_file": bundle.certificate_file,
        "key_file": bundle.key_file,
        "logs": ["changes"],
        "batch_max": 50,
        "deadline_s": 20,
    }
    sinks = AuditSettings.model_validate({"sinks": {"one": settings | more}}).sinks
    [made] = carriers_of(trail.log.directory.parent, sinks, lambda *_: None)
    return made


@contextmanager
def subscribed(broker: Broker, bundle: Bundle) -> Iterator[list[dict[str, Any]]]:
    """What a subscriber gets, from now on."""
    got: list[dict[str, Any]] = []
    ready = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, bundle.client_id, protocol=mqtt.MQTTv5)
    client.tls_set(bundle.ca_file, bundle.certificate_file, bundle.key_file)
    client.on_message = lambda _client, _data, message: got.append(json.loads(message.payload))
    client.on_subscribe = lambda *_: ready.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.subscribe("audit/#", qos=1)
    assert ready.wait(20)
    try:
        yield got
    finally:
        client.disconnect()
        client.loop_stop()


def until(got: list[dict[str, Any]], count: int) -> list[int]:
    done = threading.Event()
    for _ in range(2_000):
        if len(got) >= count:
            break
        done.wait(0.01)
    return [each["seq"] for each in got]


def test_every_record_is_a_message_and_a_broken_connection_loses_none(trail):
    with Broker(POLICY) as broker:
        reader = broker.enrol("board", "reader")
        carrying = carrier(trail, broker, broker.enrol("plant-7", "sink"))
        with subscribed(broker, reader) as got:
            change(trail, 120)
            while carrying.carry():
                pass
            wanted = list(records(trail.log.directory))
            assert until(got, len(wanted)) == [each["seq"] for each in wanted]
            assert got == wanted
            # The broker ends its connection; the next batch goes by another one.
            broker.remove("plant-7")
            change(trail, 3)
            with pytest.raises(NotDelivered):
                carrying.carry()
            carrying.close()
            again = carrier(trail, broker, broker.enrol("plant-8", "sink"))
            again.carry()
            again.close()
            everything = [each["seq"] for each in records(trail.log.directory)]
            assert list(dict.fromkeys(until(got, len(everything)))) == everything


def test_what_the_policy_refuses_is_not_delivered_until_it_permits_it(trail):
    with Broker(SHUT) as broker:
        reader = broker.enrol("board", "reader")
        change(trail, 2)
        carrying = carrier(trail, broker, broker.enrol("plant-7", "sink"))
        with pytest.raises(NotDelivered, match="Not authorized"):
            carrying.carry()
        broker.apply_policy(POLICY)
        with subscribed(broker, reader) as got:
            carrying.carry()
            everything = [each["seq"] for each in records(trail.log.directory)]
            assert until(got, len(everything)) == everything
        carrying.close()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_is_not_the_broker_is_told_nothing(trail):
    change(trail, 1)
    with Broker(POLICY) as broker, Broker(POLICY) as other:
        own = broker.enrol("plant-7", "sink")
        stranger = other.enrol("plant-7", "sink")
        with pytest.raises(NotDelivered, match=r"(?i)certificate"):
            carrier(trail, broker, own, ca_file=stranger.ca_file).carry()
        with pytest.raises(NotDelivered, match=r"refused|disconnected"):
            carrier(trail, broker, own, certificate_file=None, key_file=None).carry()
        with pytest.raises(NotDelivered):
            carrier(trail, broker, own, address="127.0.0.1:9").carry()


def test_a_password_logs_in_and_is_in_no_repr(trail, tmp_path):
    with Broker(POLICY) as broker:
        bundle = broker.enrol("plant-7", "sink", password=True)
        file = tmp_path / "password"
        file.touch(0o600)
        file.write_text(f"{bundle.password}\n")
        change(trail, 1)
        carrying = carrier(
            trail,
            broker,
            bundle,
            certificate_file=None,
            key_file=None,
            user_name="plant-7",
            password_file=str(file),
        )
        assert carrying.lag() > 0
        carrying.carry()
        assert carrying.lag() == 0
        assert str(bundle.password) not in repr(vars(carrying))
        carrying.close()
