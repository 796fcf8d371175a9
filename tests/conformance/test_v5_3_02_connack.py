"""MQTT 5, 3.2 CONNACK: first and only one, Session Present, Reason Codes, what it tells of the server."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.properties import Value
from tests.conformance.received import Connack, Disconnect, Pingresp, Puback, Publish, Suback
from tests.conformance.steps import cramped, identifier, kept, lasting, published_meanwhile, returned
from tests.conformance.wire import Wire

NOBODYS_METHOD: dict[str, Value] = {"authentication_method": "NO-SUCH-METHOD"}


@clause("MQTT-3.2.0-1", v=5)
def test_mqtt_3_2_0_1_connack_comes_before_all_answers(lab: Lab, wire: Wire) -> None:
    topic = lab.topic("x")
    wire.send(
        v5.connect(lab.name("a")) + v5.pingreq() + v5.subscribe(1, (topic, 1)) + v5.publish(topic, b"x", qos=1, pid=2)
    )
    wire.expect(Connack, reason=0)
    wire.expect(Pingresp)
    wire.expect(Suback, pid=1)
    assert {type(wire.next_packet()), type(wire.next_packet())} == {Puback, Publish}


@clause("MQTT-3.2.0-1", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_3_2_0_1_connack_comes_before_what_waited(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    lasting(lab, (topic, qos)).disconnect()
    published_meanwhile(lab, topic, b"queued", qos=qos)
    # `returned` expects CONNACK as the first packet.
    returned(lab).expect(Publish, payload=b"queued", qos=qos)


@clause("MQTT-3.2.0-1", v=5)
def test_mqtt_3_2_0_1_connack_comes_before_what_was_in_flight(lab: Lab) -> None:
    topic = lab.topic("x")
    client = lasting(lab, (topic, 1))
    published_meanwhile(lab, topic)
    first = identifier(client.expect(Publish))
    client.drop()
    returned(lab).expect(Publish, pid=first)


@clause("MQTT-3.2.0-2", v=5)
def test_mqtt_3_2_0_2_there_is_one_connack(lab: Lab, wire: Wire) -> None:
    connect = v5.connect(lab.name("a"))
    wire.send(connect + connect)
    wire.expect(Connack, reason=0)
    wire.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.2.2-1", v=5)
def test_mqtt_3_2_2_1_the_other_acknowledge_flags_are_zero(lab: Lab, wire: Wire) -> None:
    wire.send(v5.connect(lab.name("a"), props=kept(v5)))
    assert wire.expect_bytes("20 .. 00 00")
    wire.drop()
    again = lab.dial()
    again.send(v5.connect(lab.name("a"), clean=False))
    assert again.expect_bytes("20 .. 01 00")


@clause("MQTT-3.2.2-2", v=5)
def test_mqtt_3_2_2_2_clean_start_has_no_session_present(lab: Lab) -> None:
    lab.client(props=kept(v5)).drop()
    again = lab.dial()
    again.send(v5.connect(lab.name("a"), clean=True))
    again.expect(Connack, reason=0, session_present=False)


@clause("MQTT-3.2.2-3", v=5)
def test_mqtt_3_2_2_3_session_present_tells_whether_there_was_a_session(lab: Lab) -> None:
    for present in (False, True, True):
        client = lab.dial()
        client.send(v5.connect(lab.name("a"), clean=False, props=kept(v5)))
        client.expect(Connack, reason=0, session_present=present)
        client.disconnect()


@clause("MQTT-3.2.2-3", v=5)
def test_mqtt_3_2_2_3_a_session_taken_over_is_present(lab: Lab) -> None:
    earlier = lab.client(props=kept(v5))
    returned(lab, "a")
    earlier.expect_refusal(Disconnect, 0x8E)


@clause("MQTT-3.2.2-6", "MQTT-3.2.2-7", v=5)
def test_mqtt_3_2_2_6_a_refusal_says_nothing_of_the_session(lab: Lab) -> None:
    lab.client(props=kept(v5)).drop()
    refused = lab.dial()
    refused.send(v5.connect(lab.name("a"), clean=False, props=NOBODYS_METHOD))
    # Session Present in a refusal fails in the decoder, but byte by byte it is seen here.
    refused.expect_bytes("20 .. 00 8c")
    returned(lab, "a")


@clause("MQTT-3.2.2-7", v=5)
def test_mqtt_3_2_2_7_a_refusal_is_followed_by_the_close(wire: Wire) -> None:
    wire.send(v5.connect("a", props=NOBODYS_METHOD))
    wire.expect(Connack, reason=0x8C, session_present=False)
    wire.expect_close()


@clause("MQTT-3.2.2-8", v=5)
@pytest.mark.parametrize(
    ("connect", "reason"),
    [
        (v5.connect("a", flags=0x03), 0x81),
        (v5.connect("a", props={"receive_maximum": 0}), 0x82),
        (v5.connect("a", props=NOBODYS_METHOD), 0x8C),
        (v5.connect(b"\xff"), 0x81),
    ],
    ids=["malformed", "protocol-error", "method", "utf8"],
)
def test_mqtt_3_2_2_8_a_refusal_has_the_reason_that_fits(wire: Wire, connect: bytes, reason: int) -> None:
    # Every CONNACK that any test receives is held against the table; these are its usual lines.
    wire.send(connect)
    wire.expect_refusal(Connack, reason)


@clause("MQTT-3.2.2-16", v=5)
def test_mqtt_3_2_2_16_assigned_identifiers_are_nobody_elses(lab: Lab) -> None:
    open_at_once = []
    assigned = set()
    for _ in range(5):
        client = lab.dial()
        client.send(v5.connect("", props=kept(v5)))
        connack = client.expect(Connack, reason=0, session_present=False)
        assigned.add(connack.properties["assigned_client_identifier"])
        open_at_once.append(client)
    assert len(assigned) == 5
    for client in open_at_once:  # a name given twice would have taken one of them over
        client.expect_alive()
        client.disconnect()


@clause("MQTT-3.2.2-19", "MQTT-3.2.2-20", v=5)
@pytest.mark.parametrize("size", [5, 8, 16, 32])
def test_mqtt_3_2_2_19_a_refusal_fits_the_clients_maximum_packet_size(wire: Wire, size: int) -> None:
    # 20 03 00 8C 00 is a CONNACK that explains nothing.
    wire.send(v5.connect("a", props={"maximum_packet_size": size, **NOBODYS_METHOD}))
    assert wire.expect(Connack, reason=0x8C).size <= size
    wire.expect_close()


@clause("MQTT-3.2.2-19", "MQTT-3.2.2-20", v=5)
def test_mqtt_3_2_2_19_an_acceptance_fits_the_clients_maximum_packet_size(lab: Lab) -> None:
    client, limit = cramped(lab)
    client.expect_alive()
    again = lab.dial()
    again.send(v5.connect(lab.name("b"), props={"maximum_packet_size": limit}))
    assert again.expect(Connack, reason=0).size <= limit


@clause("MQTT-3.2.2-22", v=5)
def test_mqtt_3_2_2_22_without_a_server_keep_alive_the_clients_own_holds(lab: Lab, wire: Wire) -> None:
    wire.send(v5.connect(lab.name("a"), keep_alive=1))
    assert "server_keep_alive" not in wire.expect(Connack, reason=0).properties
    wire.expect_nothing(for_s=1.2)
    wire.expect_refusal(Disconnect, 0x8D, within_s=15)


def test_what_connack_announces_has_values_that_exist(lab: Lab, wire: Wire) -> None:
    # 3.2.2.3: absent, or one of these; that the features are there is tested where they belong.
    wire.send(v5.connect(lab.name("a"), props={"request_response_information": 1}))
    told = wire.expect(Connack, reason=0).properties
    assert told.get("maximum_qos") in (None, 0, 1)
    for flag in ("retain_available", "wildcard_subscription_available"):
        assert told.get(flag) in (None, 0, 1)
    for flag in ("subscription_identifier_available", "shared_subscription_available"):
        assert told.get(flag) in (None, 0, 1)
    for never_zero in ("receive_maximum", "maximum_packet_size"):
        assert told.get(never_zero, 1) != 0
    assert "authentication_method" not in told
    assert "assigned_client_identifier" not in told


def test_connack_names_the_session_expiry_only_where_it_differs(lab: Lab) -> None:
    # 3.2.2.3.2: absent means the client's own value holds.
    for asked in (0, 1, 60):
        client = lab.dial()
        client.send(v5.connect(lab.name("a"), props={"session_expiry_interval": asked}))
        told = client.expect(Connack, reason=0).properties
        assert told.get("session_expiry_interval", asked) == asked
        client.disconnect()
