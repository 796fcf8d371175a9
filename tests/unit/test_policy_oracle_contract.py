"""Declared topics against the oracle: which declaration holds, how a message is not as it says, and what else it asks."""

import json
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle_messages import broken_by, declaration, enforced
from tests.unit.policy.strategies import compiled_of
from tests.unit.policy.strategies_messages import contracts, meant

SAID_OF_MESSAGES = ("rate_per_s", "retention_s", "provenance")


@pytest.mark.timeout(600)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contracts(), st.integers(0, 2**32).map(Random))
def test_a_message_is_held_to_the_declaration_that_the_oracle_names(policy, random):
    native = compiled_of(policy)
    image = {topic["name"]: topic for topic in json.loads(native.image)["topics"]}
    for topic in meant(policy, random):
        payload = bytes(random.randint(0, 3))
        told = native.examine(topic, payload)
        declared = declaration(policy, topic)
        assert told.broken == broken_by(policy, topic, payload), (topic, payload)
        assert told.declared == declared, topic
        if told.declared is not None or told.broken is not None:
            assert told.enforce == enforced(policy, topic), topic
        assert native.examine(topic, None).broken in {None, "topic"}
        if declared is not None:
            # What the engine reads of it is not asked by Python: `oracle_cases` and `server_oracle.rs` do that.
            asked = {key: image[declared].get(key, False) for key in SAID_OF_MESSAGES}
            assert asked == {key: policy["topics"][declared].get(key, False) for key in SAID_OF_MESSAGES}, topic
