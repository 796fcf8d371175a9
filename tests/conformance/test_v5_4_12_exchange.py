"""MQTT 5, 4.12 Enhanced authentication before CONNACK, with a method of two steps and more."""

import pytest

from tests.conformance.challenge import DEADLINE_S, METHOD, accepted, begun, challenged, props, respond
from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Will, frame, v5
from tests.conformance.received import Connack, Disconnect, Publish
from tests.conformance.steps import subscriber


@clause("MQTT-4.12.0-2", "MQTT-4.12.0-3", v=5)
@pytest.mark.parametrize("rounds", [1, 2, 8])
def test_mqtt_4_12_0_2_the_exchange_goes_on_by_auth_until_it_is_done(method_lab: Lab, rounds: int) -> None:
    client, challenge = begun(method_lab, f"rounds={rounds}")
    seen = {challenge.properties["authentication_data"]}
    for _ in range(rounds - 1):
        respond(client, challenge)
        challenge = challenged(client)
        seen.add(challenge.properties["authentication_data"])
    assert len(seen) == rounds
    respond(client, challenge)
    client.expect(Connack, reason=0)
    client.expect_alive()


@clause("MQTT-4.12.0-2", v=5)
def test_mqtt_4_12_0_2_an_exchange_of_one_step_needs_no_auth(method_lab: Lab) -> None:
    client = method_lab.dial()
    client.send(v5.connect(method_lab.name("a"), props=props(method_lab.name("a") + ";rounds=0")))
    client.expect(Connack, reason=0)


@clause("MQTT-4.12.0-5", v=5)
@pytest.mark.parametrize("final", [None, "", "welcome"])
def test_mqtt_4_12_0_5_connack_names_the_method_and_carries_the_last_data(method_lab: Lab, final: str | None) -> None:
    client, challenge = begun(method_lab, "" if final is None else f"final={final}")
    respond(client, challenge)
    properties = client.expect(Connack, reason=0).properties
    assert properties["authentication_method"] == METHOD
    assert properties.get("authentication_data") == (None if final is None else final.encode())


@clause("MQTT-4.12.0-5", "MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize(
    "answer",
    [v5.auth(0x18, props(b"x", "OTHER")), v5.auth(0x18, props(b"x", METHOD.lower())), v5.auth(0x18, {})],
    ids=["other", "case", "none"],
)
def test_mqtt_4_12_0_5_an_answer_by_another_method_is_refused(method_lab: Lab, answer: bytes) -> None:
    client, _ = begun(method_lab)
    client.send(answer)
    client.expect_refusal(Connack, 0x82)


@clause("MQTT-4.12.0-3", "MQTT-3.15.2-1", v=5)
@pytest.mark.parametrize("reason", [0x00, 0x19, 0x87])
def test_mqtt_4_12_0_3_an_answer_of_another_reason_is_refused(method_lab: Lab, reason: int) -> None:
    client, _ = begun(method_lab)
    client.send(v5.auth(reason, props(b"x")))
    client.expect_refusal(Connack, 0x82, 0x81)


@clause("MQTT-4.12.0-4", v=5)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("rounds=0;deny=87", 0x87),
        ("deny=87", 0x87),
        ("rounds=3;deny=86", 0x86),
        ("deny=8a", 0x8A),
        ("fail=1", 0x88),
        ("wrong=1", 0x88),
    ],
)
def test_mqtt_4_12_0_4_the_server_may_refuse_at_any_step(method_lab: Lab, words: str, reason: int) -> None:
    client = method_lab.dial()
    client.send(v5.connect(method_lab.name("a"), props=props(f"{method_lab.name('a')};{words}")))
    rounds = dict(word.split("=") for word in words.split(";")).get("rounds", "1")
    for _ in range(int(rounds)):
        respond(client, challenged(client))
    assert client.expect_refusal(Connack, reason) == reason


@clause("MQTT-4.12.0-4", v=5)
@pytest.mark.parametrize("answer", [b"", b"wrong", None])
def test_mqtt_4_12_0_4_a_wrong_answer_is_refused_without_a_word_about_it(method_lab: Lab, answer: bytes | None) -> None:
    client, _ = begun(method_lab)
    client.send(v5.auth(0x18, props(answer)))
    refusal = client.expect(Connack, reason=0x87)
    assert "reason_string" not in refusal.properties
    client.expect_close()


@clause("MQTT-4.12.0-4", v=5)
def test_mqtt_4_12_0_4_no_exchange_goes_on_for_ever(method_lab: Lab) -> None:
    client, challenge = begun(method_lab, "rounds=1000")
    for _ in range(7):
        respond(client, challenge)
        challenge = challenged(client)
    respond(client, challenge)
    client.expect_refusal(Connack, 0x87)


@clause("MQTT-4.12.0-4", v=5)
@pytest.mark.parametrize("words", ["rounds=0;stall=1", "stall=1"], ids=["at-once", "after-a-round"])
def test_mqtt_4_12_0_4_no_verdict_in_time_is_a_refusal(hasty: Lab, words: str) -> None:
    client, name = hasty.dial(), hasty.name("a")
    client.send(v5.connect(name, props=props(f"{name};{words}")))
    if "rounds=0" not in words:
        respond(client, challenged(client))
    client.expect_refusal(Connack, 0x88, within_s=DEADLINE_S + 10)


@clause("MQTT-4.12.0-4", v=5)
def test_mqtt_4_12_0_4_no_answer_in_time_is_refused(hasty: Lab) -> None:
    client, _ = begun(hasty)
    client.expect_refusal(Connack, 0x88, within_s=DEADLINE_S + 10)


@clause("MQTT-4.12.0-1", v=5)
@pytest.mark.parametrize("method", ["OTHER", METHOD.lower(), METHOD + " ", ""])
def test_mqtt_4_12_0_1_a_method_is_its_exact_name(method_lab: Lab, method: str) -> None:
    client = method_lab.dial()
    client.send(v5.connect(method_lab.name("a"), props=props("x;rounds=0", method)))
    client.expect_refusal(Connack, 0x8C)


@clause("MQTT-4.12.0-6", "MQTT-4.12.0-7", v=5)
def test_mqtt_4_12_0_6_who_names_no_method_sees_no_auth_where_there_is_one(method_lab: Lab) -> None:
    client = method_lab.dial()
    client.send(v5.connect(method_lab.name("a")))
    assert "authentication_method" not in client.expect(Connack, reason=0).properties
    client.send(v5.auth(0x19, props(b"x")))
    client.expect_refusal(Disconnect, 0x82)


@clause("MQTT-3.1.2-30", "MQTT-4.13.1-1", v=5)
@pytest.mark.parametrize(
    "early",
    [
        v5.publish("early/publish", b"early"),
        v5.subscribe(1, "#"),
        v5.unsubscribe(1, "#"),
        v5.pingreq(),
        v5.connect("again"),
        v5.puback(1),
    ],
    ids=["publish", "subscribe", "unsubscribe", "pingreq", "connect", "puback"],
)
def test_mqtt_3_1_2_30_only_auth_or_disconnect_may_come_before_connack(method_lab: Lab, early: bytes) -> None:
    watcher = subscriber(method_lab, "early/publish", suffix="w")
    client, _ = begun(method_lab)
    client.send(early)
    client.expect_refusal(Connack, 0x82)
    watcher.expect_alive()


@clause("MQTT-3.1.2-30", v=5)
def test_mqtt_3_1_2_30_disconnect_ends_the_exchange_and_its_will_is_nobodys(method_lab: Lab) -> None:
    watcher = subscriber(method_lab, method_lab.topic("will"), suffix="w")
    will = Will(topic=method_lab.topic("will"), payload=b"x")
    client, _ = begun(method_lab, will=will)
    client.send(v5.disconnect(0x04))
    client.expect_close()
    dropped, _ = begun(method_lab, will=will)
    dropped.drop()
    watcher.expect_nothing()


@clause("MQTT-3.1.2-30", v=5)
def test_mqtt_3_1_2_30_what_is_sent_behind_the_answer_waits_for_connack(method_lab: Lab) -> None:
    watcher = subscriber(method_lab, method_lab.topic("x"), suffix="w")
    client, challenge = begun(method_lab)
    respond(client, challenge)
    client.send(v5.publish(method_lab.topic("x"), b"early"))
    client.expect(Connack, reason=0)
    watcher.expect(Publish, payload=b"early")


@clause("MQTT-3.15.2-2", "MQTT-3.15.2-3", "MQTT-3.1.2-24", v=5)
def test_mqtt_3_15_2_2_auth_fits_the_clients_maximum_packet_size(method_lab: Lab) -> None:
    # AUTH carries no Reason String and no User Property: its smallest size is its only one.
    _, challenge = begun(method_lab, "size=64")
    assert set(challenge.properties) == {"authentication_method", "authentication_data"}
    client = accepted(method_lab, "size=64", props={"maximum_packet_size": challenge.size})
    client.expect_alive()
    name = method_lab.name("a")
    refused = method_lab.dial()
    refused.send(v5.connect(name, props={**props(f"{name};size=64"), "maximum_packet_size": challenge.size - 1}))
    refused.expect_refusal(Connack, 0x95)


@clause("MQTT-3.15.1-1", v=5)
@pytest.mark.parametrize("flags", [0x01, 0x08, 0x0F])
def test_mqtt_3_15_1_1_flags_in_an_answer_are_malformed(method_lab: Lab, flags: int) -> None:
    client, _ = begun(method_lab)
    client.send(bytes([0xF0 | flags]), v5.auth(0x18, props(b"x"))[1:])
    client.expect_refusal(Connack, 0x81)


def test_the_answer_proves_one_client_and_no_other(method_lab: Lab) -> None:
    first, one = begun(method_lab, suffix="a")
    second, other = begun(method_lab, suffix="b")
    respond(first, other)
    first.expect_refusal(Connack, 0x87)
    respond(second, other)
    second.expect(Connack, reason=0)
    assert one.properties["authentication_data"] != other.properties["authentication_data"]


def test_the_proved_identity_binds_the_client_identifier(method_lab: Lab) -> None:
    client, challenge = begun(method_lab, "as=somebody-else")
    respond(client, challenge)
    client.expect_refusal(Connack, 0x87)


def test_an_assigned_client_identifier_begins_with_the_identity(method_lab: Lab) -> None:
    client, name = method_lab.dial(), method_lab.name("n")
    client.send(v5.connect("", props=props(name)))
    respond(client, challenged(client))
    assigned = client.expect(Connack, reason=0).properties["assigned_client_identifier"]
    assert str(assigned).startswith(name + "-")


def test_many_exchanges_at_once_do_not_mix(method_lab: Lab) -> None:
    open_ = [begun(method_lab, "rounds=2", suffix=f"m{at}") for at in range(64)]
    for client, challenge in reversed(open_):
        respond(client, challenge)
    for client, _ in open_:
        respond(client, challenged(client))
    for client, _ in open_:
        client.expect(Connack, reason=0)


def test_a_challenge_as_long_as_mqtt_allows_reaches_the_client(method_lab: Lab) -> None:
    client, challenge = begun(method_lab, "size=65535")
    assert len(bytes(challenge.properties["authentication_data"])) == 65535  # type: ignore[arg-type]
    respond(client, challenge)
    client.expect(Connack, reason=0)


def test_an_answer_cut_short_is_malformed(method_lab: Lab) -> None:
    client, _ = begun(method_lab)
    client.send(frame(0xF0, bytes.fromhex("18 05")))
    client.expect_refusal(Connack, 0x81, 0x82)
