"""What a token says that its bearer may do is read to the letter, or refused."""

import pytest

from bartizan.errors import InvalidValue
from bartizan.model.token_grant import GRANTS_MAX, TokenAction, TokenGrant, parse_token_grants


def grant(action: str, text: str) -> dict[str, str]:
    return {"action": action, "filter": text}


def test_a_list_of_grants_is_read_in_its_order_and_each_once():
    said = [grant("publish", "a/+"), grant("all", "b/#"), grant("publish", "a/+")]
    assert parse_token_grants(said) == (TokenGrant.parse("publish", "a/+"), TokenGrant.parse("all", "b/#"))
    assert [each.action for each in parse_token_grants(said)] == [TokenAction.PUBLISH, TokenAction.ALL]


@pytest.mark.parametrize("said", [[], "", "openid profile", "publish subscribe"])
def test_no_grants_are_an_empty_list_of_them(said):
    assert parse_token_grants(said) == ()


def test_scopes_are_grants_where_they_say_so():
    said = "openid publish:data/press-01/+  subscribe:commands/a:b/# all:x"
    assert [(each.action, each.filter) for each in parse_token_grants(said)] == [
        ("publish", "data/press-01/+"),
        ("subscribe", "commands/a:b/#"),
        ("all", "x"),
    ]


@pytest.mark.parametrize(
    "said",
    [
        None, True, 7, {}, {"action": "publish", "filter": "a"},
        ["publish:a"], [None], [[]], [{}],
        [{"action": "publish"}], [{"filter": "a"}],
        [grant("read", "a")], [grant("Publish", "a")], [grant("", "a")], [{"action": ["publish"], "filter": "a"}],
        [grant("publish", "")], [grant("publish", "a/#/b")], [grant("publish", "a+")], [grant("all", "a\0")],
        [{"action": "publish", "filter": ["a"]}], [{"action": "publish", "filter": None}],
        [{"action": "publish", "filter": "a", "qos": 1}],
        [grant("subscribe", "$share/g/a")], [grant("subscribe", "$share")],
        [grant("publish", "x" * 65_536)],
        "publish:", "publish:a/#/b", "subscribe:$share/g/a", "all:a+",
        [grant("publish", f"a/{at}") for at in range(GRANTS_MAX + 1)],
        [grant("publish", "a")] * (GRANTS_MAX + 1),
    ],
)  # fmt: skip
def test_what_is_no_grant_refuses_them_all(said):
    good = [grant("publish", "a")]
    with pytest.raises(InvalidValue):
        parse_token_grants(said)
    if isinstance(said, list) and len(said) == 1:
        with pytest.raises(InvalidValue):
            parse_token_grants(good + said)


def test_a_long_filter_is_not_shown_whole():
    with pytest.raises(InvalidValue) as told:
        parse_token_grants([grant("publish", "#" * 60_000)])
    assert len(str(told.value)) < 200
