"""Roles written as text are the same roles when they are read."""

from dataclasses import replace

import pytest

from bartizan.policy import check, default_policy_text
from bartizan.policy.contract import Role, Rule
from bartizan.policy.format import formatted
from bartizan.policy.source import Position
from bartizan.policy.writer import policy_text

NOWHERE = Position(1, 1)
WHOLE = """
[roles.reader]

[roles.press]
includes  = ["reader"]
client_id = ["identity", "press-*"]
user_name = "identity"
binds     = { site = "attr.site", "Own" = "client_id" }
permit = [
    { action = "publish", filter = "a/{site}/#", qos_max = 1, retain = false, reason = 'a "word" \\ é' },
    { action = "all", filter = "b/{Own}/+", when = { address = ["10.0.0.0/8", "::1/128"], strength = "mfa" } },
    { action = "publish", filter = "c", when = { qos = [1], retain = true, attr = { site = ["x", "y"] } } },
]
forbid = [{ action = "subscribe", filter = "$SYS/#" }]

[roles.press.credentials]
password_days_max = 90

[roles.press.limits]
publish_rate_per_s = 5
"""


def roles(text: str) -> list[Role]:
    """The roles of a text, without where they stand."""
    result = check(text, "policy.toml")
    assert result.policy is not None, [str(error) for error in result.errors]
    return sorted(map(placeless, result.policy.roles), key=lambda role: role.name)


def placeless(role: Role) -> Role:
    return replace(role, at=NOWHERE, permit=tuple(map(moved, role.permit)), forbid=tuple(map(moved, role.forbid)))


def moved(rule: Rule) -> Rule:
    return replace(rule, at=NOWHERE)


@pytest.mark.parametrize("text", [WHOLE, "[roles.a]\n"])
def test_what_is_written_is_read_as_the_same(text):
    assert roles(policy_text(roles(text))) == roles(text)


def test_it_is_written_in_the_one_form():
    text = policy_text(roles(WHOLE), heading=["From somewhere."])
    assert text.startswith("# From somewhere.\n\n[roles.press]\n")
    assert formatted(text) == text


def test_the_roles_of_the_first_policy_are_written_too():
    declared = [role for role in roles(default_policy_text()) if role.permit or role.forbid]
    assert [role.name for role in roles(policy_text(declared))] == [role.name for role in declared]
