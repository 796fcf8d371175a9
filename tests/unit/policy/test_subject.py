"""Requests as people write them, and who makes them."""

import pytest

from bartizan.errors import InvalidValue
from bartizan.policy.compiled import Asked
from bartizan.policy.subject import Ask
from tests.unit.policy.plant import PRESS, explainer


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("publish a/b", Ask(Asked.PUBLISH, "a/b")),
        ("publish a/b qos=1 retain", Ask(Asked.PUBLISH, "a/b", 1, True)),
        ("publish a/b retain qos=2", Ask(Asked.PUBLISH, "a/b", 2, True)),
        ("  subscribe  a/+/#  ", Ask(Asked.SUBSCRIBE, "a/+/#")),
        ("receive a b/c d", Ask(Asked.RECEIVE, "a b/c d")),
        ("publish retain", Ask(Asked.PUBLISH, "retain")),
        ("publish a bytes=3 utf8 content_type=text/plain", Ask(Asked.PUBLISH, "a", 0, False, 3, "text/plain", True)),
        ('publish a content_type="a/b; charset=x" retain', Ask(Asked.PUBLISH, "a", 0, True, 0, "a/b; charset=x")),
        (r'publish a content_type="\" content_type=x"', Ask(Asked.PUBLISH, "a", content_type='" content_type=x')),
        ('publish a content_type=""', Ask(Asked.PUBLISH, "a", content_type="")),
        ("publish utf8 utf8", Ask(Asked.PUBLISH, "utf8", utf8=True)),
        ("publish content_type=x", Ask(Asked.PUBLISH, "content_type=x")),
        ("publish qos=1 qos=1", Ask(Asked.PUBLISH, "qos=1", 1)),
    ],
)
def test_a_request_is_read(text, ask):
    assert Ask.parse(text) == ask
    assert Ask.parse(str(ask)) == ask


@pytest.mark.parametrize(
    "text",
    [
        "",
        "publish",
        "write a",
        "publish a/+",
        "publish a qos=3",
        "subscribe a qos=1",
        "receive a retain",
        "subscribe a utf8",
        "receive a content_type=text/plain",
        r'publish a content_type="\x"',
        "subscribe a#",
    ],
)
def test_what_is_no_request_is_refused(text):
    with pytest.raises(InvalidValue):
        Ask.parse(text)


@pytest.mark.parametrize(
    ("asked", "allow"),
    [
        ("$share/workers/commands/chicago/press-01/#", True),
        ("$share/workers/commands/#", False),
        ("$share//commands/chicago/press-01/#", False),
        ("$share/+/commands/chicago/press-01/#", False),
        ("$share/workers", False),
    ],
)
def test_a_shared_subscription_is_decided_by_its_filter(asked, allow):
    decision, _ = explainer().decide(PRESS, Ask(Asked.SUBSCRIBE, asked))
    assert decision.allow is allow


def test_a_value_that_cannot_stand_as_a_level_is_none():
    assert PRESS.value("attr.site") == "chicago"
    assert PRESS.value("client_id") == "press-01"
    assert PRESS.value("attr.area") is None
    odd = type(PRESS)("a/b", "", ("press",), {"site": "+"})
    assert [odd.value(source) for source in ("identity", "client_id", "attr.site")] == [None, None, None]
