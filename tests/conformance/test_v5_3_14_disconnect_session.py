"""MQTT 5, 3.14.2.2 DISCONNECT Properties, and what a DISCONNECT does to the Session."""

import pytest

from tests.conformance.lab import Lab
from tests.conformance.packets import v5
from tests.conformance.properties import Props
from tests.conformance.received import Disconnect, Publish
from tests.conformance.steps import kept, published, returned, subscriber


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ([("reason_string", "a"), ("reason_string", "b")], 0x82),
        ([("session_expiry_interval", 1), ("session_expiry_interval", 1)], 0x82),
        ({"receive_maximum": 1}, 0x81),
        (b"\x11\x00\x00", 0x81),
        (b"\x1f\x00\x01\xff", 0x81),
    ],
    ids=["reason-twice", "expiry-twice", "receive-maximum", "cut", "utf8"],
)
def test_a_disconnect_with_bad_properties_is_refused(lab: Lab, props: Props, reason: int) -> None:
    # 3.14.2.2
    client = lab.client(props=kept(v5))
    client.send(v5.disconnect(0x00, props))
    client.expect_refusal(Disconnect, reason)


def test_a_disconnect_may_be_explained(lab: Lab) -> None:
    client = lab.client()
    client.send(v5.disconnect(0x80, {"reason_string": "because", "user_property": [("b", "1"), ("a", "2")]}))
    client.expect_close()


def test_a_disconnect_can_end_the_session(lab: Lab) -> None:
    # 3.14.2.2.2: the Session Expiry Interval of DISCONNECT is the one that holds.
    client = lab.client("s", props=kept(v5))
    client.send(v5.disconnect(0x00, {"session_expiry_interval": 0}))
    client.expect_close()
    returned(lab, session_present=False)


def test_a_disconnect_can_shorten_the_session(lab: Lab) -> None:
    client = lab.client("s", props=kept(v5))
    client.send(v5.disconnect(0x00, {"session_expiry_interval": 1}))
    client.expect_close()
    returned(lab, props={"session_expiry_interval": 1}).disconnect()
    lab.client("clock").expect_nothing(for_s=1.4)
    returned(lab, session_present=False)


def test_a_disconnect_can_lengthen_the_session(lab: Lab) -> None:
    client = lab.client("s", props={"session_expiry_interval": 1})
    client.send(v5.disconnect(0x00, {"session_expiry_interval": 60}))
    client.expect_close()
    lab.client("clock").expect_nothing(for_s=1.4)
    returned(lab)


def test_a_disconnect_cannot_make_a_session_that_was_to_end_last(lab: Lab) -> None:
    # 3.14.2.2.2: zero in CONNECT, not zero in DISCONNECT.
    client = lab.client("s")
    client.send(v5.disconnect(0x00, {"session_expiry_interval": 60}))
    client.expect_refusal(Disconnect, 0x82)
    returned(lab, session_present=False)


def test_a_session_lasts_over_a_disconnect_with_a_reason(lab: Lab) -> None:
    client = subscriber(lab, (lab.topic("x"), 1), props=kept(v5))
    client.disconnect(0x80)
    published(lab.client("p"), lab.topic("x"), b"queued")
    returned(lab).expect(Publish, payload=b"queued")
