"""What is written down for the engine's tests in Rust is what the compiler and the oracle say of the policies there."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from tests.oracle import limits, tenant_limits
from tests.oracle_cases import FOLDER
from tests.oracle_messages import Published, passed
from tests.unit.policy.strategies import compiled_of


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["limits.jsonl", "messages.jsonl"])
def test_each_image_is_what_the_compiler_makes_of_its_policy(name):
    for case in lines(name):
        assert json.loads(compiled_of(case["policy"]).image) == case["image"]


def test_each_limit_is_what_the_oracle_says():
    for case in lines("limits.jsonl"):
        policy = case["policy"]
        assert case["limits"] == limits(policy, tuple(case["roles"]), case["listener"])
        assert case["tenants"] == {name: list(tenant_limits(policy, name)) for name in policy.get("tenants", {})}


def test_each_message_ends_as_the_oracle_says():
    for case in lines("messages.jsonl"):
        sent = [
            Published(at_ms, topic, bytes(octets), expiry_s, tuple((name, value) for name, value in said))
            for at_ms, topic, octets, expiry_s, said, *_ in case["sent"]
        ]
        told = [list(asdict(each).values()) for each in passed(case["policy"], sent)]
        assert json.loads(json.dumps(told)) == [row[5:] for row in case["sent"]]
