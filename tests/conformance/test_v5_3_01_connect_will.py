"""MQTT 5, 3.1.2.5 - 3.1.3.2 CONNECT: when a Will is published, how, and when not."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, v5
from tests.conformance.received import Publish, Suback
from tests.conformance.wire import Wire


@pytest.fixture
def topic(lab: Lab) -> str:
    """The Will Topic."""
    return lab.topic("will")


@pytest.fixture
def watcher(lab: Lab, topic: str) -> Wire:
    """Someone who is told of the Will, RETAIN as published (0x08)."""
    client = lab.client("w")
    client.send(v5.subscribe(1, (topic, 0x08 | 2)))
    client.expect(Suback, reasons=(2,))
    return client


def retained(lab: Lab, topic: str) -> Wire:
    """A new subscriber, who gets the Retained Message if there is one."""
    client = lab.client("r")
    client.send(v5.subscribe(1, topic))
    client.expect(Suback)
    return client


@clause("MQTT-3.1.2-7", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_1_2_7_a_will_is_stored_with_the_session(lab: Lab, watcher: Wire, topic: str, qos: int) -> None:
    client = lab.client(will=Will(topic=topic, payload=b"gone", qos=qos))
    watcher.expect_nothing()
    client.drop()
    watcher.expect(Publish, topic=topic, payload=b"gone", qos=qos)


@clause("MQTT-3.1.2-8", v=5)
def test_mqtt_3_1_2_8_a_will_waits_for_its_delay(lab: Lab, watcher: Wire, topic: str) -> None:
    will = Will(topic=topic, payload=b"gone", props={"will_delay_interval": 1})
    lab.client(will=will, props={"session_expiry_interval": 30}).drop()
    watcher.expect_nothing(for_s=0.7)
    watcher.expect(Publish, payload=b"gone", within_s=15)


@clause("MQTT-3.1.2-8", v=5)
def test_mqtt_3_1_2_8_a_will_does_not_outwait_its_session(lab: Lab, watcher: Wire, topic: str) -> None:
    will = Will(topic=topic, payload=b"gone", props={"will_delay_interval": 60})
    lab.client(will=will, props={"session_expiry_interval": 1}).drop()
    watcher.expect(Publish, payload=b"gone", within_s=15)


@clause("MQTT-3.1.2-8", v=5)
def test_mqtt_3_1_2_8_disconnect_with_will_message_publishes_it(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(will=Will(topic=topic, payload=b"gone")).disconnect(0x04)
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-8", v=5)
def test_mqtt_3_1_2_8_a_protocol_error_publishes_the_will(lab: Lab, watcher: Wire, topic: str) -> None:
    client = lab.client(will=Will(topic=topic, payload=b"gone"))
    client.send(v5.connect(lab.name("a")))
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-3.1.2-8", v=5)
def test_mqtt_3_1_2_8_keep_alive_running_out_publishes_the_will(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(keep_alive=1, will=Will(topic=topic, payload=b"gone"))
    watcher.expect(Publish, payload=b"gone", within_s=15)


@clause("MQTT-3.1.2-10", v=5)
def test_mqtt_3_1_2_10_normal_disconnection_removes_the_will(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(will=Will(topic=topic, payload=b"gone")).disconnect()
    watcher.expect_nothing()


@clause("MQTT-3.1.2-10", v=5)
def test_mqtt_3_1_2_10_a_will_is_published_once(lab: Lab, watcher: Wire, topic: str) -> None:
    will = Will(topic=topic, payload=b"gone")
    lab.client(will=will, props={"session_expiry_interval": 1}).drop()
    watcher.expect(Publish, payload=b"gone")
    watcher.expect_nothing(for_s=2)  # past the end of the Session too


@clause("MQTT-3.1.2-14", v=5)
def test_mqtt_3_1_2_14_a_will_without_will_retain_is_not_retained(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(will=Will(topic=topic, payload=b"gone")).drop()
    watcher.expect(Publish, payload=b"gone", retain=False)
    retained(lab, topic).expect_nothing()


@clause("MQTT-3.1.2-15", v=5)
def test_mqtt_3_1_2_15_a_will_with_will_retain_is_retained(lab: Lab, watcher: Wire, topic: str) -> None:
    lab.client(will=Will(topic=topic, payload=b"gone", retain=True)).drop()
    watcher.expect(Publish, payload=b"gone", retain=True)
    retained(lab, topic).expect(Publish, payload=b"gone", retain=True)
    watcher.send(v5.publish(topic, b"", retain=True))  # leave nothing behind


@clause("MQTT-3.1.3-9", v=5)
def test_mqtt_3_1_3_9_a_return_within_the_delay_keeps_the_will_unsent(lab: Lab, watcher: Wire, topic: str) -> None:
    will = Will(topic=topic, payload=b"gone", props={"will_delay_interval": 1})
    lab.client(will=will, props={"session_expiry_interval": 30}).drop()
    watcher.expect_nothing(for_s=0.2)
    lab.client(clean=False, props={"session_expiry_interval": 30})
    watcher.expect_nothing(for_s=2)


@clause("MQTT-3.1.3-10", v=5)
def test_mqtt_3_1_3_10_user_properties_of_the_will_keep_their_order(lab: Lab, watcher: Wire, topic: str) -> None:
    pairs = [("b", "1"), ("a", "2"), ("b", "0"), ("", "")]
    lab.client(will=Will(topic=topic, payload=b"gone", props={"user_property": pairs})).drop()
    watcher.expect(Publish, properties={"user_property": pairs})
