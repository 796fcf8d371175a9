"""MQTT 5, 4.8.2 Shared Subscriptions: one member for each message, and what happens when it leaves."""

import time
from collections.abc import Sequence
from itertools import chain

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import v5, v311
from tests.conformance.received import Puback, Publish, Pubrec, Pubrel, Unsuback
from tests.conformance.steps import (
    heard,
    lasting,
    poured,
    published,
    refused_filter,
    returned,
    subscribe,
    subscriber,
    taken,
)
from tests.conformance.wire import Wire


def shared(lab: Lab, filter: str, group: str = "g") -> str:
    """A Shared Subscription of one of this test's own groups."""
    return f"$share/{lab.name(group)}/{filter}"


def chosen(members: Sequence[Wire]) -> tuple[int, Publish]:
    """The one member that is sent a message, and the message; the others are sent nothing."""
    deadline = time.monotonic() + 2
    found: list[tuple[int, Publish]] = []
    while not found and time.monotonic() < deadline:
        found = [(at, one) for at, member in enumerate(members) for one in heard(member)]
    found += [(at, one) for at, member in enumerate(members) for one in heard(member)]
    assert len(found) == 1, f"one member expected to be sent one message, got {found}"
    return found[0]


@clause("MQTT-4.8.2-1", v=5)
@pytest.mark.parametrize("filter", ["$share//a", "$share/", "$share//", "$share//#"])
def test_mqtt_4_8_2_1_a_share_name_has_a_character(lab: Lab, filter: str) -> None:
    refused_filter(lab, v5, filter, 0x8F)


@clause("MQTT-4.8.2-1", v=5)
@pytest.mark.parametrize("name", ["g", "$x", "\u00e9 \u4e16", "a.b-c_d", "$share"])
def test_mqtt_4_8_2_1_a_shared_subscription_matches_by_what_follows_its_name(lab: Lab, name: str) -> None:
    topic = lab.topic("a/b")
    client = subscriber(lab, f"$share/{name}/{lab.topic('+/b')}")
    published(lab.client("p"), topic, b"x")
    client.expect(Publish, topic=topic, payload=b"x")


@clause("MQTT-4.8.2-2", v=5)
@pytest.mark.parametrize(
    "filter",
    ["$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/a+/b", "$share/a#b/c", "$share/g/a#", "$share/g/+a"],
)
def test_mqtt_4_8_2_2_no_wildcard_in_the_name_and_a_filter_behind_it(lab: Lab, filter: str) -> None:
    refused_filter(lab, v5, filter, 0x8F)


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_each_message_goes_to_one_member_of_each_group(lab: Lab) -> None:
    topic = lab.topic("x")
    groups = {name: [lab.client(f"{name}{at}") for at in range(3)] for name in "gh"}
    for name, members in groups.items():
        for member in members:
            subscribe(member, shared(lab, topic, name))
    plain = subscriber(lab, topic)
    poured(lab.client("p"), topic, 60, 1)
    wanted = [b"%d" % at for at in range(1, 61)]
    assert [plain.expect(Publish).payload for _ in wanted] == wanted
    for members in groups.values():
        payloads = [[one.payload for one in heard(member)] for member in members]
        assert sorted(chain.from_iterable(payloads), key=int) == wanted
        assert all(mine == sorted(mine, key=int) for mine in payloads)
        assert all(payloads), "a member without a message"


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_the_same_name_with_another_filter_is_another_group(lab: Lab) -> None:
    one, other = lab.client("1"), lab.client("2")
    subscribe(one, shared(lab, lab.topic("x")))
    subscribe(other, shared(lab, lab.topic("+")))
    published(lab.client("p"), lab.topic("x"), b"x")
    one.expect(Publish, payload=b"x")
    other.expect(Publish, payload=b"x")


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_shared_and_plain_subscriptions_are_two(lab: Lab) -> None:
    topic, client = lab.topic("x"), lab.client("s")
    subscribe(client, topic, props={"subscription_identifier": 1})
    subscribe(client, shared(lab, topic), props={"subscription_identifier": 2})
    published(lab.client("p"), topic, b"x")
    identifiers = [client.expect(Publish, payload=b"x").properties["subscription_identifier"] for _ in range(2)]
    assert sorted(map(str, identifiers)) == ["[1]", "[2]"]


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_retained_messages_are_not_sent_to_a_group(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p")
    published(publisher, topic, b"kept", retain=True)
    subscriber(lab, shared(lab, topic)).expect_nothing()
    published(publisher, topic, b"", retain=True)


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_unsubscribing_leaves_the_group_to_the_others(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p")
    members = [subscriber(lab, shared(lab, topic), suffix=f"s{at}") for at in range(2)]
    members[0].send(v5.unsubscribe(2, topic, shared(lab, topic), shared(lab, topic, "other")))
    members[0].expect(Unsuback, reasons=(0x11, 0x00, 0x11))
    for _ in range(4):
        published(publisher, topic, b"x")
        members[1].expect(Publish)
    members[0].expect_alive()
    members[1].send(v5.unsubscribe(2, shared(lab, topic)))
    members[1].expect(Unsuback, reasons=(0x00,))
    publisher.send(v5.publish(topic, b"x", qos=1, pid=1))
    if publisher.strict:
        publisher.expect(Puback, reason=0x10)
    members[1].expect_alive()


@clause("MQTT-4.8.2-2", v=5)
def test_mqtt_4_8_2_2_members_may_speak_either_version(lab: Lab) -> None:
    topic, publisher = lab.topic("x"), lab.client("p")
    members = [
        subscriber(lab, (shared(lab, topic), 1), suffix="new"),
        subscriber(lab, (shared(lab, topic), 1), suffix="old", dialect=v311),
    ]
    used = set()
    for _ in range(20):
        published(publisher, topic, b"x")
        at, message = chosen(members)
        members[at].send(v5.puback(message.pid or 0))
        used.add(at)
    assert used == {0, 1}


@clause("MQTT-4.8.2-3", v=5)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_4_8_2_3_delivery_is_at_the_qos_of_the_member(lab: Lab, qos: int) -> None:
    topic, publisher = lab.topic("x"), lab.client("p")
    members = [lab.client(f"s{granted}") for granted in range(3)]
    for granted, member in enumerate(members):
        subscribe(member, (shared(lab, topic), granted))
    seen = {}
    for _ in range(12):
        published(publisher, topic, b"x", qos)
        at, message = chosen(members)
        seen[at] = message.qos
        if message.qos:
            members[at].send(v5.puback(message.pid or 0) if message.qos == 1 else v5.pubrec(message.pid or 0))
        if message.qos == 2:
            members[at].expect(Pubrel)
            members[at].send(v5.pubcomp(message.pid or 0))
    assert seen == {granted: min(qos, granted) for granted in range(3)}


@clause("MQTT-4.8.2-4", v=5)
@pytest.mark.parametrize("received", [False, True])
def test_mqtt_4_8_2_4_qos_2_is_completed_to_the_same_member(lab: Lab, received: bool) -> None:
    topic = lab.topic("x")
    members = [lasting(lab, (shared(lab, topic), 2), suffix=f"s{at}") for at in range(2)]
    published(lab.client("p"), topic, b"x", 2)
    at, message = chosen(members)
    pid = message.pid or 0
    if received:
        members[at].send(v5.pubrec(pid))
        members[at].expect(Pubrel, pid=pid)
    members[at].drop()
    members[1 - at].expect_nothing()
    again = returned(lab, f"s{at}")
    if not received:
        again.expect(Publish, payload=b"x", qos=2, dup=True, pid=pid)
        again.send(v5.pubrec(pid))
    again.expect(Pubrel, pid=pid)
    again.send(v5.pubcomp(pid))
    again.expect_alive()
    members[1 - at].expect_alive()


@clause("MQTT-4.8.2-5", v=5)
def test_mqtt_4_8_2_5_qos_2_of_a_session_that_ended_goes_to_nobody(lab: Lab) -> None:
    topic = lab.topic("x")
    members = [subscriber(lab, (shared(lab, topic), 2), suffix=f"s{at}") for at in range(3)]
    published(lab.client("p"), topic, b"x", 2)
    at, _ = chosen(members)
    members.pop(at).drop()
    for member in members:
        member.expect_nothing()


@clause("MQTT-4.8.2-5", v=5)
def test_mqtt_4_8_2_5_qos_1_of_a_session_that_ended_goes_to_another(lab: Lab) -> None:
    # A SHOULD of the standard (4.8.2), and Bartizan's promise.
    topic = lab.topic("x")
    members = [subscriber(lab, (shared(lab, topic), 1), suffix=f"s{at}") for at in range(3)]
    published(lab.client("p"), topic, b"x")
    at, _ = chosen(members)
    members.pop(at).disconnect()
    at, message = chosen(members)
    assert (message.payload, message.qos) == (b"x", 1)
    members[at].send(v5.puback(message.pid or 0))
    members[at].disconnect()
    members.pop(at)
    members[0].expect_nothing()


@clause("MQTT-4.8.2-6", v=5)
@pytest.mark.parametrize("qos", [1, 2])
def test_mqtt_4_8_2_6_what_a_member_refused_goes_to_nobody_else(lab: Lab, qos: int) -> None:
    topic = lab.topic("x")
    members = [subscriber(lab, (shared(lab, topic), qos), suffix=f"s{at}") for at in range(3)]
    published(lab.client("p"), topic, b"x", qos)
    at, message = chosen(members)
    refusal = v5.puback if qos == 1 else v5.pubrec
    members[at].send(refusal(message.pid or 0, 0x83))
    members[at].expect_alive()
    members.pop(at).drop()
    for member in members:
        member.expect_nothing()


@clause("MQTT-4.8.2-4", v=5)
def test_mqtt_4_8_2_4_messages_for_an_absent_group_wait_for_it(lab: Lab) -> None:
    topic = lab.topic("x")
    for at in range(2):
        lasting(lab, (shared(lab, topic), 1), suffix=f"s{at}").drop()
    poured(lab.client("p"), topic, 10, 1)
    back = [returned(lab, f"s{at}") for at in range(2)]
    found: list[bytes] = []
    deadline = time.monotonic() + 2
    while len(found) < 10 and time.monotonic() < deadline:
        for member in back:
            messages = heard(member)
            member.send(*(v5.puback(one.pid or 0) for one in messages))
            found += [one.payload for one in messages]
    assert sorted(found, key=int) == [b"%d" % at for at in range(1, 11)]


@clause("MQTT-4.8.2-3", v=5)
def test_mqtt_4_8_2_3_a_member_may_change_its_qos(lab: Lab) -> None:
    topic = lab.topic("x")
    client = subscriber(lab, (shared(lab, topic), 2))
    subscribe(client, (shared(lab, topic), 1), pid=2)
    publisher = lab.client("p")
    publisher.send(v5.publish(topic, b"x", qos=2, pid=1), v5.pubrel(1))
    publisher.expect(Pubrec, pid=1, reason=0)
    taken(client, qos=1)
    client.expect_alive()
