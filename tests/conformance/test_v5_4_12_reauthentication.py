"""MQTT 5, 4.12.1 Re-authentication: of an open connection, while its traffic goes on."""

import pytest

from bartizan.testing import Broker
from tests.conformance.challenge import (
    DEADLINE_S,
    METHOD,
    accepted,
    again,
    begun,
    challenged,
    props,
    respond,
)
from tests.conformance.clauses import clause
from tests.conformance.lab import Lab, Target
from tests.conformance.packets import Will, v5
from tests.conformance.received import Connack, Disconnect, Puback, Publish
from tests.conformance.steps import subscribe, subscriber


@clause("MQTT-4.12.1-1", "MQTT-4.12.0-5", v=5)
@pytest.mark.parametrize("rounds", [1, 2, 8])
@pytest.mark.parametrize("final", ["", "final=welcome-back"])
def test_mqtt_4_12_1_1_a_client_proves_itself_anew(method_lab: Lab, rounds: int, final: str) -> None:
    client = accepted(method_lab)
    challenge = again(method_lab, client, f"rounds={rounds};{final}")
    for _ in range(rounds - 1):
        respond(client, challenge)
        challenge = challenged(client)
    respond(client, challenge)
    success = challenged(client, reason=0x00)
    assert success.properties.get("authentication_data") == (b"welcome-back" if final else None)
    client.expect_alive()


@clause("MQTT-4.12.1-1", v=5)
def test_mqtt_4_12_1_1_it_may_be_done_again_and_again(method_lab: Lab) -> None:
    client = accepted(method_lab)
    for _ in range(50):
        respond(client, again(method_lab, client))
        challenged(client, reason=0x00)
    client.expect_alive()


@clause("MQTT-4.12.1-1", "MQTT-4.12.0-5", "MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("method", ["OTHER", METHOD.lower(), ""])
def test_mqtt_4_12_1_1_another_method_is_a_protocol_error(method_lab: Lab, method: str) -> None:
    client = accepted(method_lab)
    client.send(v5.auth(0x19, props(method_lab.name("a"), method)))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.0-5", v=5)
def test_mqtt_4_12_0_5_another_method_in_the_answer_is_a_protocol_error(method_lab: Lab) -> None:
    client = accepted(method_lab)
    again(method_lab, client)
    client.send(v5.auth(0x18, props(b"x", "OTHER")))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.1-1", "MQTT-4.13.1-1", v=5)
def test_mqtt_4_12_1_1_an_answer_to_no_question_is_a_protocol_error(method_lab: Lab) -> None:
    client = accepted(method_lab)
    client.send(v5.auth(0x18, props(method_lab.name("a"))))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.1-1", "MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize("words", ["", "rounds=0;stall=1"], ids=["challenged", "asked"])
def test_mqtt_4_12_1_1_a_second_one_before_the_first_is_over_is_a_protocol_error(method_lab: Lab, words: str) -> None:
    client = accepted(method_lab)
    begin = v5.auth(0x19, props(f"{method_lab.name('a')};{words}"))
    client.send(begin)
    if not words:
        challenged(client)
    client.send(begin)
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.1-1", "MQTT-4.13.1-1", v=5)
def test_mqtt_4_12_1_1_an_answer_before_the_question_is_a_protocol_error(method_lab: Lab) -> None:
    client = accepted(method_lab)
    client.send(v5.auth(0x19, props(method_lab.name("a") + ";rounds=0;stall=1")), v5.auth(0x18, props(b"x")))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-4.12.1-2", v=5)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("deny=87", 0x87),
        # DISCONNECT has no word for these (table 3-10).
        ("deny=86", 0x87),
        ("deny=8c", 0x87),
        ("deny=88", 0x89),
        ("deny=89", 0x89),
        ("fail=1", 0x89),
        ("as=somebody-else", 0x87),
        ("rounds=1000", 0x87),
    ],
)
def test_mqtt_4_12_1_2_whoever_fails_is_disconnected(method_lab: Lab, words: str, reason: int) -> None:
    client = accepted(method_lab)
    challenge = again(method_lab, client, words)
    for _ in range(7 if "1000" in words else 0):
        respond(client, challenge)
        challenge = challenged(client)
    respond(client, challenge)
    client.expect_refusal(Disconnect, reason)


@clause("MQTT-4.12.1-2", v=5)
def test_mqtt_4_12_1_2_the_reason_string_tells_nothing_of_the_authenticators_words(method_lab: Lab) -> None:
    client = accepted(method_lab)
    respond(client, again(method_lab, client, "deny=87"))
    said = client.expect(Disconnect, reason=0x87)
    assert "secret" not in str(said.properties.get("reason_string"))


@clause("MQTT-4.12.1-2", v=5)
def test_mqtt_4_12_1_2_the_will_of_a_client_that_failed_is_sent(method_lab: Lab) -> None:
    watcher = subscriber(method_lab, method_lab.topic("will"), suffix="w")
    client = accepted(method_lab, will=Will(topic=method_lab.topic("will"), payload=b"gone"))
    respond(client, again(method_lab, client, "deny=87"))
    client.expect_refusal(Disconnect, 0x87)
    watcher.expect(Publish, payload=b"gone")


@clause("MQTT-4.12.1-2", v=5)
@pytest.mark.parametrize(("words", "reason"), [("", 0x87), ("rounds=0;stall=1", 0x89)], ids=["client", "authenticator"])
def test_mqtt_4_12_1_2_one_that_is_not_over_in_time_has_failed(hasty: Lab, words: str, reason: int) -> None:
    client = accepted(hasty, suffix=str(reason))
    client.send(v5.auth(0x19, props(f"{hasty.name(str(reason))};{words}")))
    if not words:
        challenged(client)
    client.expect_refusal(Disconnect, reason, within_s=DEADLINE_S + 10)


@clause("MQTT-4.12.1-1", v=5)
def test_mqtt_4_12_1_1_one_that_was_in_time_leaves_the_connection_alone(hasty: Lab) -> None:
    client = accepted(hasty, suffix="c")
    respond(client, again(hasty, client, suffix="c"))
    challenged(client, reason=0x00)
    client.expect_nothing(for_s=DEADLINE_S + 0.3)


def test_traffic_goes_on_while_a_client_is_challenged(method_lab: Lab) -> None:
    # 4.12.1: "During this ... other Control Packets can flow".
    topic, other = method_lab.topic("in"), method_lab.client("w")
    client = accepted(method_lab)
    subscribe(client, (topic, 1))
    challenge = again(method_lab, client)
    client.send(v5.publish(method_lab.topic("out"), b"1", qos=1, pid=7))
    client.expect(Puback, pid=7)
    other.send(v5.publish(topic, b"2"))
    client.expect(Publish, payload=b"2")
    client.expect_alive()
    respond(client, challenge)
    challenged(client, reason=0x00)


def test_traffic_goes_on_while_the_authenticator_thinks(method_lab: Lab) -> None:
    client = accepted(method_lab)
    client.send(v5.auth(0x19, props(method_lab.name("a") + ";rounds=0;stall=1")))
    client.send(v5.publish(method_lab.topic("out"), b"1", qos=1, pid=7))
    client.expect(Puback, pid=7)
    client.expect_alive()


def test_a_credential_that_ends_ends_the_connection(method_lab: Lab) -> None:
    client = accepted(method_lab, "ends_in_s=0.6")
    client.expect_refusal(Disconnect, 0xA0, within_s=15)


@pytest.mark.parametrize("words", ["ends_in_s=2.5", ""], ids=["later", "never"])
def test_re_authentication_extends_the_credential(method_lab: Lab, words: str) -> None:
    client = accepted(method_lab, "ends_in_s=1")
    respond(client, again(method_lab, client, words))
    challenged(client, reason=0x00)
    client.expect_nothing(for_s=1.4)
    if words:
        client.expect_refusal(Disconnect, 0xA0, within_s=15)
    else:
        client.expect_alive()


def test_re_authentication_may_shorten_the_credential(method_lab: Lab) -> None:
    client = accepted(method_lab, "ends_in_s=3600")
    respond(client, again(method_lab, client, "ends_in_s=0.4"))
    challenged(client, reason=0x00)
    client.expect_refusal(Disconnect, 0xA0, within_s=15)


def test_a_re_authentication_under_way_does_not_outlive_the_credential(method_lab: Lab) -> None:
    client = accepted(method_lab, "ends_in_s=0.6")
    again(method_lab, client)
    client.expect_refusal(Disconnect, 0xA0, within_s=15)


def test_roles_proved_anew_replace_those_of_before(method_lab: Lab) -> None:
    client = accepted(method_lab)
    subscribe(client, method_lab.topic("#"))
    respond(client, again(method_lab, client, "role=reader"))
    challenged(client, reason=0x00)
    client.send(v5.publish(method_lab.topic("x"), b"1", qos=1, pid=1))
    client.expect(Puback, pid=1, reason=0x87)
    other = method_lab.client("w")
    other.send(v5.publish(method_lab.topic("x"), b"2"))
    client.expect(Publish, payload=b"2")


def test_roles_lost_take_their_subscriptions_with_them(method_lab: Lab) -> None:
    client = accepted(method_lab)
    subscribe(client, method_lab.topic("#"))
    respond(client, again(method_lab, client, "role=none"))
    challenged(client, reason=0x00)
    method_lab.client("w").send(v5.publish(method_lab.topic("x"), b"2"))
    client.expect_nothing()


def test_the_next_connection_has_to_prove_itself_too(method_lab: Lab) -> None:
    first = accepted(method_lab)
    second, challenge = begun(method_lab)
    first.expect_alive()  # nobody is taken over by a claim alone
    respond(second, challenge)
    second.expect(Connack, reason=0)
    first.expect_refusal(Disconnect, 0x8E)


def test_a_challenge_of_a_re_authentication_fits_the_clients_maximum_packet_size(method_lab: Lab) -> None:
    # [MQTT-3.1.2-24]
    client = accepted(method_lab, props={"maximum_packet_size": 128})
    client.send(v5.auth(0x19, props(method_lab.name("a") + ";size=200")))
    client.expect_refusal(Disconnect, 0x95)


def test_an_identity_that_is_removed_is_not_kept_by_its_re_authentication(
    challenging_broker: tuple[Target, Broker], method_lab: Lab
) -> None:
    broker, name = challenging_broker[1], method_lab.name("a")
    broker.enrol(name, role="all")
    client = accepted(method_lab, "managed=1")
    respond(client, again(method_lab, client, "managed=1"))
    challenged(client, reason=0x00)
    broker.remove(name)
    client.expect_refusal(Disconnect, 0x87)
