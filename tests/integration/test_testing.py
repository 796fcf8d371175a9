"""`bartizan.testing`: quick, closed by default, and a restart on one directory forgets nothing."""

import time
from typing import Any

import paho.mqtt.client as mqtt
import paho.mqtt.publish
import paho.mqtt.subscribe
import pytest

from bartizan.errors import ConfigurationError
from bartizan.testing import Broker, Bundle

TOPIC = "data/chicago/hall-2/press-01/temperature"
OPEN = {"danger_plaintext": "a test on loopback", "danger_anonymous": "a test on loopback"}
ALL = '[roles.anonymous]\npermit = [{ action = "all", filter = "#" }]\n'


def test_it_starts_in_under_a_second():
    def seconds() -> float:
        began = time.perf_counter()
        with Broker():
            return time.perf_counter() - began

    assert min(seconds() for _ in range(3)) < 1


def test_two_at_once_do_not_meet():
    with Broker() as one, Broker() as other:
        assert one.port != other.port


def place(broker: Broker, bundle: Bundle) -> dict[str, Any]:
    tls = {"ca_certs": bundle.ca_file, "certfile": bundle.certificate_file, "keyfile": bundle.key_file}
    return {"hostname": broker.host, "port": broker.port, "client_id": bundle.client_id, "tls": tls}


def test_a_second_broker_on_the_directory_has_what_the_first_acknowledged(tmp_path):
    with Broker(directory=tmp_path) as first:
        press = first.enrol("press-01", role="press", site="chicago")
        dash = first.enrol("dash-01", role="dashboard", site="chicago")
        paho.mqtt.publish.single(TOPIC, "71.5", qos=1, retain=True, **place(first, press))
    with Broker(directory=tmp_path) as second:
        assert payload(paho.mqtt.subscribe.simple(TOPIC, **place(second, dash))) == b"71.5"


def payload(message: object) -> bytes:
    assert isinstance(message, mqtt.MQTTMessage)
    return bytes(message.payload)


def test_an_open_listener_needs_its_reasons_and_a_policy_that_says_so():
    with Broker(ALL, **OPEN) as broker:
        paho.mqtt.publish.single("any/topic", "x", qos=1, retain=True, hostname=broker.host, port=broker.port)
        assert payload(paho.mqtt.subscribe.simple("any/topic", hostname=broker.host, port=broker.port)) == b"x"


def test_a_bad_policy_does_not_start_and_does_not_replace_a_good_one():
    with pytest.raises(ConfigurationError), Broker("[topics."):
        pass
    with Broker() as broker, pytest.raises(ConfigurationError):
        broker.apply_policy("[topics.")


def test_outside_its_block_there_is_no_broker():
    with pytest.raises(RuntimeError):
        Broker().enrol("press-01")


def test_the_fixture_is_a_broker(request):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    if not request.config.pluginmanager.has_plugin("bartizan"):
        pytest.skip("Bartizan is on the path, but not installed")
    broker = request.getfixturevalue("bartizan_broker")
    bundle = broker.enrol("press-01", role="press", site="chicago")
    client.tls_set(bundle.ca_file, bundle.certificate_file, bundle.key_file)
    assert client.connect(broker.host, broker.port) == 0
