"""What many tests begin with, in either version: subscribe, publish, take a message, come back.

Each step checks that the broker answered as it should, so that a test fails where the fault is.
"""

import pytest

from tests.conformance.lab import Lab
from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.properties import Props
from tests.conformance.received import (
    Acknowledgement,
    Connack,
    Disconnect,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
)
from tests.conformance.wire import Wire

BAD_PROPERTIES = pytest.mark.parametrize(
    ("props", "reason"),
    [
        ([("reason_string", "a"), ("reason_string", "b")], 0x82),
        ({"content_type": "x"}, 0x81),
        (b"\x1f\x00\x01\xff", 0x81),
    ],
    ids=["twice", "content-type", "utf8"],
)
"""What no acknowledgement may carry: a Reason String twice, a property of another packet, a text that is none."""

Wanted = str | bytes | tuple[str | bytes, int]
KEPT_S = 30
# For a test that proves the same of both versions.
in_both = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])


def kept(dialect: Dialect) -> Props:
    """CONNECT properties that keep the Session; MQTT 3.1.1 needs none."""
    return {"session_expiry_interval": KEPT_S} if dialect.level >= 5 else None


def subscribe(client: Wire, *filters: Wanted, pid: int = 1, props: Props = None) -> tuple[int, ...]:
    """SUBSCRIBE, granted: the Reason Codes."""
    client.send(client.dialect.subscribe(pid, *filters, props=props))
    reasons = client.expect(Suback, pid=pid).reasons
    assert len(reasons) == len(filters)
    assert max(reasons) <= 2, f"not granted: {reasons}"
    return reasons


def subscriber(lab: Lab, *filters: Wanted, suffix: str = "s", dialect: Dialect = v5, props: Props = None) -> Wire:
    """A client with these Subscriptions and a Session that ends with it."""
    client = lab.client(suffix, dialect=dialect, props=props)
    subscribe(client, *filters)
    return client


def lasting(lab: Lab, *filters: Wanted, suffix: str = "s", dialect: Dialect = v5) -> Wire:
    """A client with these Subscriptions and a Session that outlives the connection."""
    client = lab.client(suffix, dialect=dialect, clean=False, props=kept(dialect))
    if filters:
        subscribe(client, *filters)
    return client


def returned(
    lab: Lab, suffix: str = "s", *, dialect: Dialect = v5, session_present: bool = True, props: Props = None
) -> Wire:
    """The same client again, without clean start; `props` instead of those that keep the Session."""
    client = lab.dial(dialect)
    client.send(dialect.connect(lab.name(suffix), clean=False, props=props or kept(dialect)))
    client.expect(Connack, reason=0, session_present=session_present)
    return client


def published(
    client: Wire,
    topic: str,
    payload: bytes = b"x",
    qos: int = 1,
    *,
    pid: int = 1,
    retain: bool = False,
    props: Props = None,
) -> None:
    """PUBLISH, taken: the exchange its QoS asks for, to its end; a Retained Message of QoS 0 once a PINGREQ behind it is answered."""
    packet = client.dialect.publish(topic, payload, qos=qos, pid=pid if qos else None, retain=retain, props=props)
    client.send(packet)
    if qos == 0 and retain:
        client.expect_alive()
    if qos == 1:
        _good(client.expect(Puback, pid=pid))
    if qos == 2:
        _good(client.expect(Pubrec, pid=pid))
        client.send(client.dialect.pubrel(pid))
        _good(client.expect(Pubcomp, pid=pid))


def poured(client: Wire, topic: str, count: int, qos: int) -> None:
    """Messages "1" to "count", sent without waiting in between, and taken."""
    dialect, pids = client.dialect, range(1, count + 1)
    client.send(*(dialect.publish(topic, b"%d" % pid, qos=qos, pid=pid if qos else None) for pid in pids))
    for pid in pids if qos == 1 else ():
        _good(client.expect(Puback, pid=pid))
    for pid in pids if qos == 2 else ():
        _good(client.expect(Pubrec, pid=pid))
    if qos == 2:
        client.send(*(dialect.pubrel(pid) for pid in pids))
        for pid in pids:
            _good(client.expect(Pubcomp, pid=pid))


def published_meanwhile(lab: Lab, topic: str, payload: bytes = b"x", qos: int = 1, *, props: Props = None) -> None:
    """The same, by a client `m` that comes for it and goes."""
    client = lab.client("m")
    published(client, topic, payload, qos, props=props)
    client.disconnect()


def forget(client: Wire, *topics: str) -> None:
    """Remove the Retained Messages of these topics: a test leaves nothing behind."""
    for topic in topics:
        client.send(client.dialect.publish(topic, b"", retain=True))


def identifier(publish: Publish) -> int:
    """The Packet Identifier of a message with a QoS."""
    assert publish.pid is not None
    return publish.pid


def cramped(lab: Lab, *, room: int = 0) -> tuple[Wire, int]:
    """A client with no room for explanations: its Maximum Packet Size, given too, is its CONNACK's size, or `room`."""
    first = lab.dial()
    first.send(v5.connect(lab.name("a")))
    size = max(first.expect(Connack, reason=0).size, room)
    first.disconnect()
    return lab.client(props={"maximum_packet_size": size}), size


def newcomer(lab: Lab, topic: str, options: int = 0, suffix: str = "n") -> Wire:
    """A new Subscription, whose Retained Messages are still to be read."""
    return subscriber(lab, (topic, options), suffix=suffix)


def taken(client: Wire, *, within_s: float = 10.0, **fields: object) -> Publish:
    """The next packet is such a PUBLISH, and it is acknowledged as its QoS asks."""
    publish = client.expect(Publish, within_s=within_s, **fields)
    pid = publish.pid or 0
    if publish.qos == 1:
        client.send(client.dialect.puback(pid))
    if publish.qos == 2:
        client.send(client.dialect.pubrec(pid))
        client.expect(Pubrel, pid=pid)
        client.send(client.dialect.pubcomp(pid))
    return publish


def all_taken(client: Wire, count: int) -> list[Publish]:
    """So many messages, each acknowledged at once; a PUBREL may come between others' PUBLISH."""
    found: list[Publish] = []
    unreleased: set[int] = set()
    while len(found) < count or unreleased:
        packet = client.next_packet()
        if isinstance(packet, Pubrel):
            unreleased.remove(packet.pid)
            client.send(client.dialect.pubcomp(packet.pid))
            continue
        assert isinstance(packet, Publish), f"Publish or Pubrel expected, got {packet}"
        found.append(packet)
        pid = packet.pid or 0
        if packet.qos == 1:
            client.send(client.dialect.puback(pid))
        if packet.qos == 2:
            unreleased.add(pid)
            client.send(client.dialect.pubrec(pid))
    assert len(found) == count, f"{count} messages expected, got {len(found)}"
    return found


def cut_off(client: Wire, *reasons: int) -> None:
    """The broker ends the connection: with one of these in DISCONNECT, or in MQTT 3.1.1 by the close alone."""
    if client.dialect.level >= 5:
        client.expect_refusal(Disconnect, *reasons)
    else:
        client.expect_close()


def refused_filter(lab: Lab, dialect: Dialect, filter: str | bytes, *reasons: int) -> None:
    """As filter of SUBSCRIBE, alone or beside a good one, and of UNSUBSCRIBE, it ends the connection."""
    packets = (
        dialect.subscribe(1, filter),
        dialect.subscribe(1, "good", (filter, 1)),
        dialect.unsubscribe(1, filter),
    )
    for packet in packets:
        client = lab.client(dialect=dialect)
        client.send(packet)
        cut_off(client, *reasons)


def refused_name(lab: Lab, dialect: Dialect, name: str | bytes, *reasons: int) -> None:
    """As Topic Name, at each QoS, it ends the connection."""
    for qos in (0, 1, 2):
        client = lab.client(dialect=dialect)
        client.send(dialect.publish(name, b"x", qos=qos, pid=1 if qos else None))
        cut_off(client, *reasons)


def heard(client: Wire) -> list[Publish]:
    """What has come before the answer to a PINGREQ."""
    client.send(client.dialect.pingreq())
    found: list[Publish] = []
    while isinstance(packet := client.next_packet(), Publish):
        found.append(packet)
    assert isinstance(packet, Pingresp), f"Publish or Pingresp expected, got {packet}"
    return found


def _good(answer: Acknowledgement) -> None:
    assert answer.reason < 0x80, f"refused: {answer}"
