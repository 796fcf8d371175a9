"""MQTT 5, 4.12 Enhanced authentication, of a broker that offers no method: what it does not do."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Disconnect
from tests.conformance.wire import Wire


@clause("MQTT-4.12.0-1", v=5)
@pytest.mark.parametrize("method", ["NO-SUCH-METHOD", "", "\u00e9", "m" * 65535])
@pytest.mark.parametrize("data", [{}, {"authentication_data": b""}, {"authentication_data": b"\x00" * 65535}])
def test_mqtt_4_12_0_1_an_unknown_method_is_refused(wire: Wire, method: str, data: dict[str, bytes]) -> None:
    wire.send(v5.connect("a", props={"authentication_method": method, **data}))
    wire.expect_refusal(Connack, 0x8C, 0x87)


@clause("MQTT-4.12.0-1", v=5)
def test_mqtt_4_12_0_1_a_good_password_beside_it_changes_nothing(wire: Wire) -> None:
    wire.send(v5.connect("a", username="u", password=b"p", props={"authentication_method": "NO-SUCH-METHOD"}))
    wire.expect_refusal(Connack, 0x8C, 0x87)


@clause("MQTT-4.12.0-1", v=5)
def test_mqtt_4_12_0_1_the_refused_client_disturbs_nobody(lab: Lab) -> None:
    # Not even the connection whose Client Identifier it names.
    client = lab.client("a")
    refused = lab.dial()
    refused.send(v5.connect(lab.name("a"), props={"authentication_method": "NO-SUCH-METHOD"}))
    refused.expect_refusal(Connack, 0x8C, 0x87)
    client.expect_alive()


@clause("MQTT-4.12.0-6", v=5)
@pytest.mark.parametrize("credentials", [{}, {"username": "u"}, {"username": "u", "password": b"p"}])
def test_mqtt_4_12_0_6_without_a_method_there_is_no_auth(wire: Wire, credentials: dict[str, str]) -> None:
    wire.send(v5.connect("", **credentials))  # type: ignore[arg-type]
    properties = wire.expect(Connack).properties  # and nothing before it
    assert "authentication_method" not in properties
    assert "authentication_data" not in properties


@clause("MQTT-4.12.0-7", "MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("reason", [0x00, 0x18, 0x19])
@pytest.mark.parametrize("props", [{}, {"authentication_method": "m"}], ids=["bare", "method"])
def test_mqtt_4_12_0_7_auth_without_a_method_in_connect_is_a_protocol_error(
    lab: Lab, reason: int, props: dict[str, str]
) -> None:
    client = lab.client()
    client.send(v5.auth(reason, props))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.1-1", "MQTT-4.13.1-1", v=5)
def test_mqtt_4_12_1_1_reauthentication_without_a_method_in_connect_is_a_protocol_error(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.auth(0x19, {"authentication_method": "m", "authentication_data": b"x"}))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.0-7", v=5)
def test_mqtt_4_12_0_7_an_auth_of_no_length_is_a_protocol_error(lab: Lab) -> None:
    client = lab.client()
    client.send("f0 00")  # success, no properties (3.15.2.1)
    client.expect_refusal(Disconnect, 0x82)
