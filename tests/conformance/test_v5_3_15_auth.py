"""MQTT 5, 3.15 AUTH: nobody may send one who named no Authentication Method, nor a malformed one."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import frame, v5
from tests.conformance.properties import Props
from tests.conformance.received import Connack, Disconnect
from tests.conformance.wire import Wire

METHOD = {"authentication_method": "m"}


@clause("MQTT-3.15.1-1", v=5)
@pytest.mark.parametrize("flags", [0x01, 0x02, 0x04, 0x08, 0x0F])
def test_mqtt_3_15_1_1_flags_are_malformed(lab: Lab, flags: int) -> None:
    client = lab.client()
    client.send(bytes([0xF0 | flags]), v5.auth(0x18, METHOD)[1:])
    client.expect_refusal(Disconnect, 0x81)


@clause("MQTT-3.15.2-1", v=5)
@pytest.mark.parametrize("reason", [0x00, 0x01, 0x17, 0x1A, 0x80, 0x8C, 0xFF])
def test_mqtt_3_15_2_1_a_reason_that_no_client_has_is_refused(lab: Lab, reason: int) -> None:
    client = lab.client()
    client.send(v5.auth(reason, METHOD))
    client.expect_refusal(Disconnect, 0x82, 0x81)


@clause("MQTT-3.15.2-1", v=5)
def test_mqtt_3_15_2_1_without_reason_and_properties_it_is_a_success_no_client_sends(lab: Lab) -> None:
    # 3.15.2.1: left out, the Reason Code is 0x00.
    client = lab.client()
    client.send("f0 00")
    client.expect_refusal(Disconnect, 0x82)


@pytest.mark.parametrize("reason", [0x18, 0x19], ids=["continue", "re-authenticate"])
@pytest.mark.parametrize("props", [METHOD, {**METHOD, "authentication_data": b"x"}], ids=["method", "data"])
def test_auth_without_a_method_in_connect_is_a_protocol_error(lab: Lab, reason: int, props: Props) -> None:
    # 4.12: a client that set no Authentication Method sends no AUTH.
    client = lab.client()
    client.send(v5.auth(reason, props))
    client.expect_refusal(Disconnect, 0x82)


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ({"authentication_data": b"x"}, 0x82),
        ([("authentication_method", "m"), ("authentication_method", "m")], 0x82),
        ([("authentication_method", "m"), ("authentication_data", b""), ("authentication_data", b"")], 0x82),
        ([("authentication_method", "m"), ("reason_string", "a"), ("reason_string", "b")], 0x82),
        ([("authentication_method", "m"), ("topic_alias", 1)], 0x81),
        (b"\x15\x00\x01\xff", 0x81),
        (b"\x15\x00\x05m", 0x81),
    ],
    ids=["no-method", "method-twice", "data-twice", "reason-twice", "alias", "utf8", "cut"],
)
def test_auth_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.15.2.2
    client = lab.client()
    client.send(v5.auth(0x18, props))
    client.expect_refusal(Disconnect, reason)


@pytest.mark.parametrize("body", ["18", "18 05", "18 00 00"], ids=["short", "cut", "long"])
def test_auth_of_the_wrong_length_is_refused(lab: Lab, body: str) -> None:
    client = lab.client()
    client.send(frame(0xF0, bytes.fromhex(body)))
    client.expect_refusal(Disconnect, 0x81, 0x82)


def test_auth_before_connect_ends_the_connection(wire: Wire) -> None:
    wire.send(v5.auth(0x18, METHOD))
    wire.expect_close()


def test_auth_after_a_refused_method_is_not_heard(wire: Wire) -> None:
    wire.send(v5.connect("a", props=METHOD), v5.auth(0x18, METHOD))
    wire.expect_refusal(Connack, 0x8C, 0x87)
