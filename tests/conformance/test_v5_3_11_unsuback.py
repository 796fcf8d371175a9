"""MQTT 5, 3.11 UNSUBACK: its Reason Codes, their order, and what has to fit the client."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Unsuback
from tests.conformance.steps import cramped, subscriber


@clause("MQTT-3.11.2-1", "MQTT-3.11.2-2", v=5)
@pytest.mark.parametrize("count", [1, 4])
def test_mqtt_3_11_2_1_an_unsuback_fits_the_clients_maximum_packet_size(lab: Lab, count: int) -> None:
    client, limit = cramped(lab, room=5 + count)
    client.send(v5.unsubscribe(1, *[lab.topic(str(number)) for number in range(count)]))
    assert client.expect(Unsuback, pid=1, reasons=(0x11,) * count).size <= limit


@clause("MQTT-3.11.3-1", v=5)
def test_mqtt_3_11_3_1_reason_codes_are_in_the_order_of_the_filters(lab: Lab) -> None:
    names = [lab.topic(str(number)) for number in range(40)]
    there = [name for number, name in enumerate(names) if number % 3]
    client = subscriber(lab, *there)
    client.send(v5.unsubscribe(2, *names))
    client.expect(Unsuback, pid=2, reasons=tuple(0x00 if name in there else 0x11 for name in names))


@clause("MQTT-3.11.3-2", v=5)
@pytest.mark.parametrize("text", ["x", "+", "#", "a/+/b/#"])
def test_mqtt_3_11_3_2_deleted_is_0x00_and_not_found_0x11(lab: Lab, text: str) -> None:
    client = subscriber(lab, lab.topic(text))
    for reason in (0x00, 0x11):
        client.send(v5.unsubscribe(2, lab.topic(text)))
        client.expect(Unsuback, pid=2, reasons=(reason,))
