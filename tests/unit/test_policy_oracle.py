"""The engine's evaluator against the oracle: on random policies, identities and requests they agree."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import Asked, CompiledPolicy
from bartizan.policy.compiled import filter_covers
from tests.oracle import Identity, decide
from tests.unit.policy.strategies import asked_filters, asked_of, bearers, compiled_of, contents, names, tenanted

# Drawing a policy costs more than a hundred decisions, so each is asked many things; a seed draws those.
seeds = st.integers(0, 2**32).map(Random)
relaxed = [HealthCheck.too_slow]


def engine(
    policy: CompiledPolicy, who: Identity, action: Asked, topic: str, qos: int, retain: bool, **content: Any
) -> str:
    decision = policy.decide(asked_of(who, action, topic, qos=qos, retain=retain, **content))
    assert decision.allow or not decision.per_delivery
    assert not decision.allow or decision.rule is not None, "who allowed it?"
    return "per_delivery" if decision.per_delivery else "allow" if decision.allow else "deny"


@pytest.mark.timeout(600)
@settings(max_examples=1000, deadline=None, suppress_health_check=relaxed)
@given(tenanted(), bearers, seeds)
def test_the_engine_decides_as_the_oracle_does(policy, who, random):
    native = compiled_of(policy)
    for topic in names(random, 12):
        qos, retain, content = random.randint(0, 2), random.random() < 0.5, contents(random)
        assert engine(native, who, Asked.PUBLISH, topic, qos, retain, **content) == decide(
            policy, who, "publish", topic, qos, retain, **content
        ), (topic, qos, retain, content)
        assert engine(native, who, Asked.RECEIVE, topic, 0, False) == decide(policy, who, "receive", topic), topic
    for asked in asked_filters(random, 12):
        assert engine(native, who, Asked.SUBSCRIBE, asked, 0, False) == decide(policy, who, "subscribe", asked), asked


@pytest.mark.timeout(600)
@settings(max_examples=500, deadline=None, suppress_health_check=relaxed)
@given(tenanted(), bearers, seeds)
def test_what_a_policy_itself_spells_is_decided_as_the_oracle_does(policy, who, random):
    """Requests made from the policy's own patterns: near misses are where two evaluators differ."""
    own = [*policy["topics"]]
    own += [rule["filter"] for role in policy["roles"].values() for rule in role["permit"] + role["forbid"]]
    if not own:
        return
    native = compiled_of(policy)
    values = [who.id, who.client_id, *who.attributes.values(), "a", "q"]
    levels = [value for value in values if value and not set(value) & set("/+#\0")]
    for pattern in random.sample(own, min(3, len(own))):
        parts = pattern.split("/")
        asked = [random.choice([*levels, "+"]) if level[:1] == "{" else level for level in parts]
        topic = [random.choice(levels) if level in {"+", "#"} else level for level in asked]
        wider = [random.choice([level, level, "+"]) for level in parts[:-1]] + [random.choice([parts[-1], "+", "#"])]
        wider = ["+" if level[:1] == "{" else level for level in wider]
        for action, spelt in (
            (Asked.SUBSCRIBE, asked),
            (Asked.SUBSCRIBE, wider),
            (Asked.PUBLISH, topic),
            (Asked.RECEIVE, topic),
        ):
            text = "/".join(spelt) or "a"
            qos, retain, content = random.randint(0, 2), random.random() < 0.5, contents(random)
            expected = decide(policy, who, action.value, text, qos, retain, **content)
            answer = engine(native, who, action, text, qos, retain, **content)
            assert answer == expected, (action, text, qos, retain, content)


@settings(max_examples=300, deadline=None, suppress_health_check=relaxed)
@given(tenanted(), bearers, seeds)
def test_a_token_widens_nothing(policy, who, random):
    """Without the oracle: what is allowed with a token is allowed, by the same rule, without it."""
    native, free = compiled_of(policy), replace(who, tokens=())
    asked = [(Asked.SUBSCRIBE, each) for each in asked_filters(random, 10)]
    asked += [(action, each) for each in names(random, 20) for action in (Asked.PUBLISH, Asked.RECEIVE)]
    for action, topic in asked:
        narrowed = engine(native, who, action, topic, 0, False)
        assert narrowed in {"deny", engine(native, free, action, topic, 0, False)}, (action, topic)


@settings(max_examples=300, deadline=None, suppress_health_check=relaxed)
@given(tenanted(), bearers, seeds)
def test_a_subscription_allowed_outright_never_delivers_what_may_not_be_received(policy, who, random):
    """Soundness without the oracle: what a granted filter can bring, the identity may receive."""
    native = compiled_of(policy)
    topics = names(random, 40)
    for asked in asked_filters(random, 10):
        if engine(native, who, Asked.SUBSCRIBE, asked, 0, False) != "allow":
            continue
        for topic in topics:
            if filter_covers(asked, topic):
                assert engine(native, who, Asked.RECEIVE, topic, 0, False) == "allow", (asked, topic)
