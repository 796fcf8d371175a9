"""The engine's evaluator against the oracle on every pair of small patterns and filters: no corner is left to chance."""

import json
import tomllib
from itertools import product

import pytest

from bartizan.policy import Asked, CompiledPolicy, Request, check
from tests.oracle import Identity, decide

WORDS = ("", "a", "$s", "+", "#")
WHO = Identity(roles=("r",))


def small_filters(words: tuple[str, ...]) -> list[str]:
    """Every filter of up to three of these levels."""
    found = ["/".join(levels) for depth in (1, 2, 3) for levels in product(words, repeat=depth)]
    return [text for text in found if text and "#/" not in text]


FILTERS = small_filters(WORDS)
NAMES = small_filters(("", "a", "$s", "q"))


def role(text: str) -> tuple[CompiledPolicy, dict[str, object]]:
    """This role `r`, compiled and as the oracle reads it."""
    compiled = check(f"[roles.r]\n{text}", "pairs").compiled
    assert compiled is not None
    return compiled, tomllib.loads(f"[roles.r]\n{text}")


def subscribed(policy: CompiledPolicy, asked: str) -> str:
    decision = policy.decide(Request(Asked.SUBSCRIBE, asked, roles=("r",)))
    return "per_delivery" if decision.per_delivery else "allow" if decision.allow else "deny"


@pytest.mark.parametrize("pattern", FILTERS)
def test_a_permit_covers_exactly_what_the_oracle_says(pattern):
    policy, text = role(f'permit = [{{ action = "subscribe", filter = {json.dumps(pattern)} }}]')
    for asked in FILTERS:
        assert subscribed(policy, asked) == decide(text, WHO, "subscribe", asked), asked
    for name in NAMES:
        allow = policy.decide(Request(Asked.RECEIVE, name, roles=("r",))).allow
        assert allow == (decide(text, WHO, "receive", name) == "allow"), name


@pytest.mark.parametrize("pattern", FILTERS)
def test_a_forbid_covers_and_overlaps_exactly_what_the_oracle_says(pattern):
    everything = ", ".join(f'{{ action = "subscribe", filter = "{each}" }}' for each in ("#", "$s/#"))
    forbid = f'{{ action = "subscribe", filter = {json.dumps(pattern)} }}'
    policy, text = role(f"permit = [{everything}]\nforbid = [{forbid}]")
    for asked in FILTERS:
        assert subscribed(policy, asked) == decide(text, WHO, "subscribe", asked), asked


@pytest.mark.parametrize("pattern", [text for text in FILTERS if not text.startswith("$")])
def test_a_permit_to_publish_matches_exactly_what_the_oracle_says(pattern):
    policy, text = role(f'permit = [{{ action = "publish", filter = {json.dumps(pattern)} }}]')
    for name in NAMES:
        allow = policy.decide(Request(Asked.PUBLISH, name, roles=("r",))).allow
        assert allow == (decide(text, WHO, "publish", name) == "allow"), name


ALL_PERMITTED = 'permit = [{ action = "all", filter = "#" }, { action = "subscribe", filter = "$s/#" }]\n'
BOUND = [text for text in small_filters(("{x}", "a", "+", "#")) if "{x}" in text and text.count("/") <= 1]


@pytest.mark.parametrize("value", ["a", "$s", "", "+", "#", "a/a", "a\0", "q", None])
@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_bound_value_means_exactly_what_the_oracle_says(effect, value):
    who = Identity(roles=("r",), attributes={} if value is None else {"x": value})
    for pattern in BOUND:
        rule = f'{effect} = [{{ action = "all", filter = {json.dumps(pattern)} }}]'
        policy, text = role(f'binds = {{ x = "attr.x" }}\n{ALL_PERMITTED if effect == "forbid" else ""}{rule}')
        asked_by = {"roles": who.roles, "attributes": who.attributes}
        for asked in FILTERS:
            decision = policy.decide(Request(Asked.SUBSCRIBE, asked, **asked_by))
            word = "per_delivery" if decision.per_delivery else "allow" if decision.allow else "deny"
            assert word == decide(text, who, "subscribe", asked), (pattern, asked)
        for name in NAMES:
            for action in (Asked.PUBLISH, Asked.RECEIVE):
                allow = policy.decide(Request(action, name, **asked_by)).allow
                assert allow == (decide(text, who, action.value, name) == "allow"), (pattern, action, name)
