"""MQTT 5, 3.12 PINGREQ and 3.13 PINGRESP."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.received import Disconnect


@clause("MQTT-3.12.4-1", v=5)
def test_mqtt_3_12_4_1_pingreq_is_answered(lab: Lab) -> None:
    client = lab.client()
    client.send("c0 00")
    client.expect_bytes("d0 00")


@clause("MQTT-3.12.4-1", v=5)
def test_mqtt_3_12_4_1_each_of_many_is_answered_once(lab: Lab) -> None:
    client = lab.client()
    client.send("c0 00" * 100)
    client.expect_bytes(" ".join(["d0 00"] * 100))
    client.expect_nothing(for_s=0.1)


@clause("MQTT-3.12.4-1", v=5)
def test_mqtt_3_12_4_1_pingreq_in_two_pieces_is_one(lab: Lab) -> None:
    client = lab.client()
    client.send("c0")
    client.expect_nothing(for_s=0.1)
    client.send("00")
    client.expect_bytes("d0 00")


@clause("MQTT-3.12.4-1", v=5)
def test_mqtt_3_12_4_1_pingreq_keeps_the_connection(lab: Lab) -> None:
    client = lab.client(keep_alive=1)
    for _ in range(3):
        client.expect_nothing(for_s=0.7)
        client.expect_alive()


@pytest.mark.parametrize("octets", ["c1 00", "c2 00", "c8 00", "c0 01 00"])
def test_a_pingreq_with_flags_or_a_body_is_malformed(lab: Lab, octets: str) -> None:
    # 3.12.1 to 3.12.3
    client = lab.client()
    client.send(octets)
    client.expect_refusal(Disconnect, 0x81)


def test_a_client_sends_no_pingresp(lab: Lab) -> None:
    # 2.1.2: PINGRESP flows from the server alone.
    client = lab.client()
    client.send("d0 00")
    client.expect_refusal(Disconnect, 0x82)
