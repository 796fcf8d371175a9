"""MQTT 5, 3.9 SUBACK: its Reason Codes, their order, and what has to fit the client."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Publish, Suback
from tests.conformance.steps import cramped

# A filter the open lab's policy covers nowhere.
NOT_GRANTED = "$nowhere/#"


@clause("MQTT-3.9.2-1", "MQTT-3.9.2-2", v=5)
@pytest.mark.parametrize("count", [1, 4])
def test_mqtt_3_9_2_1_a_suback_fits_the_clients_maximum_packet_size(lab: Lab, count: int) -> None:
    client, limit = cramped(lab, room=5 + count)
    client.send(v5.subscribe(1, *[lab.topic(str(number)) for number in range(count)]))
    assert client.expect(Suback, pid=1, reasons=(0,) * count).size <= limit


@clause("MQTT-3.9.2-1", "MQTT-3.9.2-2", v=5)
def test_mqtt_3_9_2_1_a_refusing_suback_fits_it_too(lab: Lab) -> None:
    client, limit = cramped(lab)
    client.send(v5.subscribe(1, NOT_GRANTED))
    assert client.expect(Suback, pid=1).size <= limit


@clause("MQTT-3.9.3-1", v=5)
def test_mqtt_3_9_3_1_reason_codes_are_in_the_order_of_the_filters(lab: Lab) -> None:
    client = lab.client()
    wanted = [(7 * number) % 3 for number in range(50)]
    client.send(v5.subscribe(1, *[(lab.topic(f"{number}/+"), qos) for number, qos in enumerate(wanted)]))
    client.expect(Suback, pid=1, reasons=tuple(wanted))


@clause("MQTT-3.9.3-1", v=5)
def test_mqtt_3_9_3_1_a_refusal_stands_where_its_filter_stood(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, lab.topic("a"), NOT_GRANTED, (lab.topic("b"), 2)))
    reasons = client.expect(Suback, pid=1).reasons
    assert reasons == (0, 0x87, 2) or not lab.target.strict
    client.send(v5.publish(lab.topic("b"), b"x"))
    client.expect(Publish, topic=lab.topic("b"))


@clause("MQTT-3.9.3-2", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("text", ["x", "+/x", "x/#", "+", "//", "x/+/y"])
def test_mqtt_3_9_3_2_what_is_granted_is_granted_as_asked(lab: Lab, text: str, qos: int) -> None:
    # Any Reason Code that is not of the table fails in the decoder, in every test that subscribes.
    client = lab.client()
    client.send(v5.subscribe(1, (lab.topic(text), qos)))
    client.expect(Suback, pid=1, reasons=(qos,), properties={})


@clause("MQTT-3.9.3-2", v=5)
@pytest.mark.parametrize("text", ["#", "+", "+/#", "/", "$share/g/#"])
def test_mqtt_3_9_3_2_filters_beyond_a_tests_own_topics_are_granted(lab: Lab, text: str) -> None:
    client = lab.client()
    client.send(v5.subscribe(1, text.replace("/g/", f"/{lab.name()}/")))
    # Another test's message may come before it (3.8.4).
    while not isinstance(packet := client.next_packet(), Suback):
        pass
    assert packet.reasons == (0,)
