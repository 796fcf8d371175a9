"""Declared topics against the oracle: which declaration holds, and how a message is not as it says."""

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import CompiledPolicy, check
from tests.oracle import broken, declaration, enforced
from tests.unit.policy.strategies import as_toml, names, templates

ENFORCE = ("off", "warn", "reject")


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    """Topics with bounds on their payloads; none that a message cannot tell apart."""
    topics: dict[str, dict[str, Any]] = {}
    shapes: set[str] = set()
    for template in draw(st.lists(templates(dollar=True), min_size=1, max_size=8, unique=True)):
        shape = "/".join("+" if part.startswith("{") else part for part in template.split("/"))
        if shape in shapes:
            continue
        shapes.add(shape)
        # Where one topic asks for something the image has all of them.
        said: dict[str, Any] = {} if topics else {"retention_s": 60}
        if draw(st.booleans()):
            said["enforce"] = draw(st.sampled_from(ENFORCE))
        if draw(st.booleans()):
            said["payload"] = {"format": "bytes", "bytes_max": draw(st.integers(0, 2))}
        topics[template] = said
    contract = draw(st.sampled_from([{}, *({"enforce": word} for word in ENFORCE)]))
    return {"topics": topics, "roles": {}} | ({"contract": contract} if contract else {})


def compiled(policy: dict[str, Any]) -> CompiledPolicy:
    text = as_toml(policy)
    result = check(text, "random")
    assert result.compiled is not None, (text, [str(error) for error in result.errors])
    return result.compiled


def asked(policy: dict[str, Any], random: Random) -> list[str]:
    """Random topics, and near misses of what the policy spells."""
    spelt = []
    for template in policy["topics"]:
        parts = [random.choice("abq") if part[:1] == "{" else part for part in template.split("/")]
        tail = [random.choice("abq") for _ in range(random.randint(0, 2))]
        spelt.append("/".join([*parts[:-1], *tail] if parts[-1] == "#" else parts) or "a")
    return [name for name in [*spelt, *names(random, 12)] if not set(name) & set("+#")]


@pytest.mark.timeout(600)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contracts(), st.integers(0, 2**32).map(Random))
def test_a_message_is_held_to_the_declaration_that_the_oracle_names(policy, random):
    native = compiled(policy)
    for topic in asked(policy, random):
        payload = bytes(random.randint(0, 3))
        told = native.examine(topic, payload)
        assert told.broken == broken(policy, topic, payload), (topic, payload)
        assert told.declared == declaration(policy, topic), topic
        if told.declared is not None or told.broken is not None:
            assert told.enforce == enforced(policy, topic), topic
        assert native.examine(topic, None).broken in {None, "topic"}
