"""MQTT 5, 3.1.2.11 CONNECT Properties: what a client asked for binds every packet it is sent."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Packet, Puback, Pubcomp, Publish, Pubrec, Suback, Unsuback
from tests.conformance.wire import Wire


def subscriber(lab: Lab, topic: str, options: int = 0, **props: int) -> Wire:
    """Client `s`, connected with these properties and subscribed to `topic`."""
    client = lab.client("s", props=props)
    client.send(v5.subscribe(1, (topic, options)))
    client.expect(Suback, reasons=(options,))
    return client


@clause("MQTT-3.1.2-24", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_1_2_24_no_packet_is_larger_than_the_client_takes(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic, qos, maximum_packet_size=100)
    fits = 100 - len(v5.publish(topic, b"", qos=qos, pid=1 if qos else None))
    publisher = lab.client("p")
    for pid, size in enumerate((fits + 1, 2000, fits), start=1):
        publisher.send(v5.publish(topic, b"x" * size, qos=qos, pid=pid if qos else None))
    assert client.expect(Publish, payload=b"x" * fits).size == 100


@clause("MQTT-3.1.2-25", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_1_2_25_a_packet_too_large_counts_as_sent(lab: Lab, qos: int) -> None:
    # Were it still in flight, a Receive Maximum of 1 would hold back what follows.
    topic = lab.topic("x")
    client = subscriber(lab, topic, qos, maximum_packet_size=100, receive_maximum=1)
    publisher = lab.client("p")
    for pid, payload in enumerate((b"x" * 2000, b"x" * 2000, b"small"), start=1):
        publisher.send(v5.publish(topic, payload, qos=qos, pid=pid))
        publisher.expect(Puback if qos == 1 else Pubrec, pid=pid, reason=0)
    client.expect(Publish, payload=b"small")


@clause("MQTT-3.1.2-26", v=5)
def test_mqtt_3_1_2_26_topic_aliases_stay_within_the_clients_maximum(lab: Lab) -> None:
    client = subscriber(lab, lab.topic("#"), topic_alias_maximum=2)
    publisher = lab.client("p")
    known: dict[object, str] = {}
    for number in (*range(5), *range(5)):
        publisher.send(v5.publish(lab.topic(str(number)), b"x"))
        publish = client.expect(Publish)
        alias = publish.properties.get("topic_alias")
        assert alias in (None, 1, 2)
        topic = publish.topic or known[alias]
        known[alias] = topic
        assert topic == lab.topic(str(number))


@clause("MQTT-3.1.2-27", v=5)
@pytest.mark.parametrize("props", [{}, {"topic_alias_maximum": 0}], ids=["absent", "zero"])
def test_mqtt_3_1_2_27_without_a_maximum_there_are_no_topic_aliases(lab: Lab, props: dict[str, int]) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, topic, **props)
    publisher = lab.client("p")
    for _ in range(3):
        publisher.send(v5.publish(topic, b"x"))
        client.expect(Publish, topic=topic, properties={})


@clause("MQTT-3.1.2-28", v=5)
@pytest.mark.parametrize("props", [None, {"request_response_information": 0}], ids=["absent", "0"])
def test_mqtt_3_1_2_28_response_information_only_on_request(lab: Lab, wire: Wire, props: dict[str, int] | None) -> None:
    wire.send(v5.connect(lab.name("a"), props=props))
    assert "response_information" not in wire.expect(Connack, reason=0).properties


@clause("MQTT-3.1.2-29", v=5)
def test_mqtt_3_1_2_29_no_problem_information_where_it_is_not_wanted(lab: Lab) -> None:
    # Answers that a broker is tempted to explain: nobody listens, nothing to delete, no such
    # Packet Identifier.
    client = lab.client(props={"request_problem_information": 0})
    exchanges: list[tuple[bytes, type[Packet]]] = [
        (v5.publish(lab.topic("x"), b"x", qos=1, pid=1), Puback),
        (v5.publish(lab.topic("x"), b"x", qos=2, pid=2), Pubrec),
        (v5.pubrel(2), Pubcomp),
        (v5.pubrel(9), Pubcomp),
        (v5.subscribe(3, lab.topic("x")), Suback),
        (v5.unsubscribe(4, lab.topic("never")), Unsuback),
    ]
    for packet, answer in exchanges:
        client.send(packet)
        assert client.expect(answer).properties == {}
