"""MQTT 5, 3.3.2.3.4 Topic Alias: set, used, set again, gone with the connection; inward and outward."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Pubrec
from tests.conformance.steps import kept, published, published_meanwhile, returned, subscriber
from tests.conformance.wire import Wire


def alias_maximum(lab: Lab) -> int:
    """What the broker announced; 0 where it did not."""
    client = lab.dial()
    client.send(v5.connect(lab.name("m")))
    told = client.expect(Connack, reason=0).properties.get("topic_alias_maximum", 0)
    assert isinstance(told, int)
    return told


def setting(client: Wire, topic: str, alias: int = 1) -> None:
    """PUBLISH with a Topic Name and an alias for it."""
    client.send(v5.publish(topic, b"set", props={"topic_alias": alias}))


def using(client: Wire, alias: int = 1) -> None:
    """PUBLISH with the alias alone."""
    client.send(v5.publish("", b"used", props={"topic_alias": alias}))


@clause("MQTT-3.3.2-7", v=5)
def test_mqtt_3_3_2_7_an_alias_does_not_outlive_its_connection(lab: Lab) -> None:
    client = lab.client("a", props=kept(v5))
    setting(client, lab.topic("x"))
    client.expect_alive()
    client.disconnect()
    again = returned(lab, "a")
    using(again)
    again.expect_refusal(Disconnect, 0x82, 0x94)


@clause("MQTT-3.3.2-7", v=5)
def test_mqtt_3_3_2_7_an_alias_belongs_to_one_connection(lab: Lab) -> None:
    setting(lab.client("a"), lab.topic("x"))
    other = lab.client("b")
    using(other)
    other.expect_refusal(Disconnect, 0x82, 0x94)


@clause("MQTT-3.3.2-7", v=5)
def test_mqtt_3_3_2_7_the_servers_aliases_begin_anew(lab: Lab) -> None:
    topic = lab.topic("x")
    props = {"topic_alias_maximum": 5, "session_expiry_interval": 60}
    client = subscriber(lab, (topic, 1), props=props)
    for _ in range(3):
        published_meanwhile(lab, topic)
        client.send(v5.puback(client.expect(Publish).pid or 0))
    client.disconnect()
    published_meanwhile(lab, topic)
    # The first message on the new connection cannot lean on an alias of the old one.
    returned(lab, props=props).expect(Publish, topic=topic)


@clause("MQTT-3.3.2-7", v=5)
def test_mqtt_3_3_2_7_a_message_sent_again_names_its_topic_again(lab: Lab) -> None:
    topic = lab.topic("x")
    props = {"topic_alias_maximum": 5, "session_expiry_interval": 60}
    client = subscriber(lab, (topic, 1), props=props)
    for _ in range(2):
        published_meanwhile(lab, topic)
        client.expect(Publish)
    client.drop()
    again = returned(lab, props=props)
    again.expect(Publish, topic=topic, dup=True)
    second = again.expect(Publish, dup=True)
    assert second.topic == topic or second.properties["topic_alias"]


@clause("MQTT-3.3.2-8", v=5)
@pytest.mark.parametrize("topic", ["a", ""])
def test_mqtt_3_3_2_8_alias_0_is_invalid(lab: Lab, topic: str) -> None:
    client = lab.client()
    client.send(v5.publish(topic, b"x", props={"topic_alias": 0}))
    client.expect_refusal(Disconnect, 0x94)


@clause("MQTT-3.3.2-12", v=5)
def test_mqtt_3_3_2_12_aliases_up_to_the_maximum_are_taken(lab: Lab) -> None:
    highest = alias_maximum(lab)
    client = subscriber(lab, lab.topic("#"))
    for alias in sorted({1, highest // 2 or 1, highest} - {0}):
        topic = lab.topic(str(alias))
        setting(client, topic, alias)
        client.expect(Publish, topic=topic, payload=b"set", properties={})
        using(client, alias)
        client.expect(Publish, topic=topic, payload=b"used", properties={})


@clause("MQTT-3.3.2-12", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_3_2_12_an_alias_serves_every_qos(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (topic, 2))
    publisher = lab.client("p")
    setting(publisher, topic)
    client.expect(Publish, topic=topic, payload=b"set")
    publisher.send(v5.publish("", b"used", qos=qos, pid=1, props={"topic_alias": 1}))
    publisher.expect(Puback if qos == 1 else Pubrec, pid=1, reason=0)
    publisher.send(v5.pubrel(1) if qos == 2 else v5.pingreq())
    client.expect(Publish, topic=topic, payload=b"used", qos=qos)


@clause("MQTT-3.3.2-12", v=5)
def test_mqtt_3_3_2_12_an_alias_can_be_given_another_topic(lab: Lab) -> None:
    client = subscriber(lab, lab.topic("#"))
    for name in ("x", "y", "x"):
        setting(client, lab.topic(name))
        client.expect(Publish, topic=lab.topic(name), payload=b"set")
        using(client)
        client.expect(Publish, topic=lab.topic(name), payload=b"used")


@clause("MQTT-3.3.2-12", v=5)
def test_mqtt_3_3_2_12_aliases_are_each_their_own(lab: Lab) -> None:
    client = subscriber(lab, lab.topic("#"))
    for alias in range(1, min(alias_maximum(lab), 8) + 1):
        setting(client, lab.topic(str(alias)), alias)
        client.expect(Publish, topic=lab.topic(str(alias)))
    for alias in range(min(alias_maximum(lab), 8), 0, -1):
        using(client, alias)
        client.expect(Publish, topic=lab.topic(str(alias)), payload=b"used")


@clause("MQTT-3.3.2-12", v=5)
def test_mqtt_3_3_2_12_an_alias_of_the_publisher_does_not_reach_subscribers(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic)
    publisher = lab.client("p")
    setting(publisher, topic)
    using(publisher)
    client.expect(Publish, topic=topic, payload=b"set", properties={})
    client.expect(Publish, topic=topic, payload=b"used", properties={})


@clause("MQTT-3.3.2-11", v=5)
@pytest.mark.parametrize("maximum", [1, 3])
def test_mqtt_3_3_2_11_the_servers_aliases_stay_within_the_clients_maximum(lab: Lab, maximum: int) -> None:
    client = subscriber(lab, lab.topic("#"), props={"topic_alias_maximum": maximum})
    publisher = lab.client("p")
    known: dict[object, str] = {}
    for number in (*range(5), *range(5), 0, 0, 0):
        published(publisher, lab.topic(str(number)), qos=0)
        received = client.expect(Publish)
        alias = received.properties.get("topic_alias")
        assert alias in {None, *range(1, maximum + 1)}
        topic = received.topic or known[alias]
        if alias is not None:
            known[alias] = topic
        assert topic == lab.topic(str(number))


def test_the_server_uses_the_aliases_it_is_allowed(lab: Lab) -> None:
    # 3.3.2.3.4 leaves it the choice; a topic that comes again need not be spelt again.
    topic = lab.topic("x" * 50)
    client = subscriber(lab, topic, props={"topic_alias_maximum": 1})
    publisher = lab.client("p")
    sizes = []
    for _ in range(4):
        published(publisher, topic, qos=0)
        sizes.append(client.expect(Publish).size)
    if lab.target.strict:
        assert sizes[-1] < sizes[0]
    assert min(sizes) > 0


@pytest.mark.parametrize("props", [None, {"content_type": "x"}], ids=["no-properties", "others"])
def test_an_empty_topic_name_without_an_alias_is_a_protocol_error(lab: Lab, props: dict[str, str] | None) -> None:
    # 3.3.2.1
    client = lab.client()
    client.send(v5.publish("", b"x", props=props))
    client.expect_refusal(Disconnect, 0x82)


def test_an_alias_nobody_set_is_a_protocol_error(lab: Lab) -> None:
    # 3.3.4: a receiver that does not know the alias.
    client = lab.client()
    using(client)
    client.expect_refusal(Disconnect, 0x82, 0x94)
