"""MQTT 5, 3.3.1.3 RETAIN: what is stored, what replaces it, what removes it."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v311
from tests.conformance.received import Publish
from tests.conformance.steps import forget, newcomer, published, subscriber
from tests.conformance.wire import Wire


def then_live(client: Wire, publisher: Wire, topic: str) -> None:
    """Nothing was waiting: the next message is the next one published."""
    published(publisher, topic, b"live")
    client.expect(Publish, payload=b"live")


@clause("MQTT-3.3.1-5", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_5_the_last_retained_message_is_kept(lab: Lab, publisher: Wire, topic: str, qos: int) -> None:
    for payload in (b"first", b"second", b"third"):
        published(publisher, topic, payload, qos=qos, retain=True)
    if not qos:
        publisher.expect_alive()
    client = newcomer(lab, topic, 2)
    client.expect(Publish, topic=topic, payload=b"third", qos=qos, retain=True, dup=False)
    client.expect_nothing(for_s=0.1)


@clause("MQTT-3.3.1-5", v=5)
def test_mqtt_3_3_1_5_a_retained_message_keeps_its_properties(lab: Lab, publisher: Wire, topic: str) -> None:
    props = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "r",
        "correlation_data": b"\x00\xff",
        "user_property": [("b", "1"), ("a", "2"), ("b", "0")],
    }
    published(publisher, topic, b"kept", retain=True, props=props)
    newcomer(lab, topic).expect(Publish, payload=b"kept", properties=props)


@clause("MQTT-3.3.1-5", v=5)
def test_mqtt_3_3_1_5_replacing_leaves_nothing_of_the_old_one(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"old", qos=2, retain=True, props={"content_type": "old"})
    published(publisher, topic, b"new", qos=1, retain=True)
    newcomer(lab, topic, 2).expect(Publish, payload=b"new", qos=1, properties={})


@clause("MQTT-3.3.1-5", v=5)
def test_mqtt_3_3_1_5_a_retained_message_outlives_its_publisher(lab: Lab, topic: str) -> None:
    client = lab.client("p")
    published(client, topic, b"kept", retain=True)
    client.disconnect()
    newcomer(lab, topic).expect(Publish, payload=b"kept", retain=True)


@clause("MQTT-3.3.1-5", v=5)
def test_mqtt_3_3_1_5_it_is_one_for_both_versions(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"kept", retain=True, props={"content_type": "x"})
    older = subscriber(lab, (topic, 1), dialect=v311)
    older.expect(Publish, topic=topic, payload=b"kept", qos=1, retain=True)


@clause("MQTT-3.3.1-6", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_6_an_empty_one_is_delivered_and_removes(lab: Lab, publisher: Wire, topic: str, qos: int) -> None:
    published(publisher, topic, b"kept", retain=True)
    watcher = newcomer(lab, topic, 0, "w")
    watcher.expect(Publish, payload=b"kept")
    published(publisher, topic, b"", qos=qos, retain=True)
    watcher.expect(Publish, topic=topic, payload=b"", retain=False)
    then_live(newcomer(lab, topic), publisher, topic)


@clause("MQTT-3.3.1-6", v=5)
def test_mqtt_3_3_1_6_it_removes_that_topics_message_alone(lab: Lab, publisher: Wire, topic: str) -> None:
    others = [f"{topic}/a", f"{topic}/b", topic]
    for other in others:
        published(publisher, other, b"kept", retain=True)
    published(publisher, f"{topic}/a", b"", retain=True)
    client = newcomer(lab, f"{topic}/#")
    found = {client.expect(Publish).topic for _ in range(2)}
    assert found == {topic, f"{topic}/b"}
    client.expect_nothing(for_s=0.1)
    forget(publisher, *others)


@clause("MQTT-3.3.1-7", v=5)
def test_mqtt_3_3_1_7_an_empty_one_is_not_stored(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"", retain=True)
    then_live(newcomer(lab, topic), publisher, topic)


@clause("MQTT-3.3.1-8", v=5)
@pytest.mark.parametrize("payload", [b"passing", b""], ids=["payload", "empty"])
def test_mqtt_3_3_1_8_without_retain_nothing_stored_changes(
    lab: Lab, publisher: Wire, topic: str, payload: bytes
) -> None:
    published(publisher, topic, b"kept", retain=True)
    published(publisher, topic, payload)
    newcomer(lab, topic).expect(Publish, payload=b"kept", retain=True)


@clause("MQTT-3.3.1-8", v=5)
def test_mqtt_3_3_1_8_without_retain_nothing_is_stored(lab: Lab, publisher: Wire, topic: str) -> None:
    published(publisher, topic, b"passing")
    then_live(newcomer(lab, topic), publisher, topic)


def test_topics_that_differ_by_a_slash_retain_each_their_own(lab: Lab, publisher: Wire, topic: str) -> None:
    # "a" and "a/" are two topics (4.7.3).
    published(publisher, topic, b"one", retain=True)
    published(publisher, f"{topic}/", b"two", retain=True)
    newcomer(lab, topic).expect(Publish, payload=b"one")
    newcomer(lab, f"{topic}/", suffix="m").expect(Publish, payload=b"two")
    forget(publisher, f"{topic}/")
