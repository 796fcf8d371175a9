"""The engine's evaluator against the oracle: on random policies, identities and requests they agree."""

import tomllib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import Asked, CompiledPolicy, Request, check
from bartizan.policy.compiled import filter_covers
from tests.oracle import Identity, decide
from tests.unit.policy.strategies import as_toml, asked_filters, identities, names, policies

THOROUGH = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def compiled(policy: dict[str, Any]) -> CompiledPolicy:
    text = as_toml(policy)
    assert tomllib.loads(text) == policy, "the text says what the oracle is asked about"
    result = check(text, "random")
    assert result.compiled is not None, (text, [str(error) for error in result.errors])
    return result.compiled


def engine(policy: CompiledPolicy, who: Identity, action: Asked, topic: str, qos: int, retain: bool) -> str:
    request = Request(
        action, topic, identity=who.id, client_id=who.client_id, roles=who.roles,
        attributes=who.attributes, qos=qos, retain=retain,
    )  # fmt: skip
    decision = policy.decide(request)
    assert decision.allow or not decision.per_delivery
    assert not decision.allow or decision.rule is not None, "who allowed it?"
    return "per_delivery" if decision.per_delivery else "allow" if decision.allow else "deny"


@THOROUGH
@given(policies(), identities, st.lists(st.tuples(names, st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_publish_is_decided_as_the_oracle_does(policy, who, requests):
    native = compiled(policy)
    for topic, qos, retain in requests:
        expected = decide(policy, who, "publish", topic, qos, retain)
        assert engine(native, who, Asked.PUBLISH, topic, qos, retain) == expected, topic


@THOROUGH
@given(policies(), identities, st.lists(asked_filters, min_size=1, max_size=6))
def test_subscribe_is_decided_as_the_oracle_does(policy, who, requests):
    native = compiled(policy)
    for asked in requests:
        assert engine(native, who, Asked.SUBSCRIBE, asked, 0, False) == decide(policy, who, "subscribe", asked), asked


@THOROUGH
@given(policies(), identities, st.lists(names, min_size=1, max_size=6))
def test_each_delivery_is_decided_as_the_oracle_does(policy, who, requests):
    native = compiled(policy)
    for topic in requests:
        assert engine(native, who, Asked.RECEIVE, topic, 0, False) == decide(policy, who, "receive", topic), topic


@THOROUGH
@given(policies(), identities, st.data())
def test_what_a_policy_itself_spells_is_decided_as_the_oracle_does(policy, who, data):
    """Requests made from the policy's own patterns: near misses are where two evaluators differ."""
    own = [*policy["topics"]]
    own += [rule["filter"] for role in policy["roles"].values() for rule in role["permit"] + role["forbid"]]
    if not own:
        return
    native = compiled(policy)
    values = [who.id, who.client_id, *who.attributes.values(), "a", "q"]
    levels = [value for value in values if value and not set(value) & set("/+#\0")]
    pattern = data.draw(st.sampled_from(own)).split("/")
    asked = [data.draw(st.sampled_from([*levels, "+"])) if level[:1] == "{" else level for level in pattern]
    topic = [data.draw(st.sampled_from(levels)) if level in {"+", "#"} else level for level in asked]
    for action, levels_asked in ((Asked.SUBSCRIBE, asked), (Asked.PUBLISH, topic), (Asked.RECEIVE, topic)):
        text = "/".join(levels_asked) or "a"
        qos, retain = data.draw(st.integers(0, 2)), data.draw(st.booleans())
        assert engine(native, who, action, text, qos, retain) == decide(policy, who, action.value, text, qos, retain)


@settings(max_examples=500, deadline=None)
@given(policies(), identities, st.lists(names, min_size=1, max_size=4), asked_filters)
def test_a_subscription_never_delivers_what_its_topic_would_be_refused(policy, who, topics, asked):
    """Soundness in one sentence, without the oracle's algebra: allowed outright means all of it is readable."""
    native = compiled(policy)
    if engine(native, who, Asked.SUBSCRIBE, asked, 0, False) != "allow":
        return
    for topic in topics:
        if filter_covers(asked, topic):
            assert engine(native, who, Asked.RECEIVE, topic, 0, False) == "allow"
