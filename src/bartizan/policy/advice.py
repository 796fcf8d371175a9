"""All that `policy lint` says: the warnings of `check`, and what is only seen with every rule beside every other.

`# lint: allow CODE` on the line of a finding, or on the line above it, says that it is meant.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bartizan.model.principal import Identity
from bartizan.policy.check import CheckResult
from bartizan.policy.lint_identities import identities_beside_roles, identities_beside_tenants
from bartizan.policy.lint_messages import misfits_that_nobody_is_told
from bartizan.policy.lint_reach import Found, rules_beside_rules, rules_beside_topics, topics_beside_topics
from bartizan.policy.lint_roles import nothing_for_quarantine, roles_that_reach_too_far
from bartizan.policy.places import Places
from bartizan.policy.source import Problem

_ALLOWED = re.compile(r"#\s*lint:\s*allow\s+([a-z, -]+)")

CODES: Final = (
    "shadowed-permit",
    "shadowed-forbid",
    "unreachable-permit",
    "limit-without-effect",
    "overlapping-topics",
    "undeclared-topic",
    "wider-than-topics",
    "actuator-writable",
    "publishes-as-anyone",
    "anonymous-publishes",
    "sys-exposed",
    "dollar-topic",
    "dollar-escapes-forbid",
    "no-quarantine-role",
    "declared-not-enforced",
    "declaration-hidden",
    "role-without-identity",
    "identity-with-unknown-role",
    "identity-of-unknown-tenant",
    "identity-lacks-value",
    "owned-by-two",
)
"""The codes that `lint` adds to those of `check`; docs/reference/policy.md explains each."""


def advise(result: CheckResult, identities: Iterable[Identity] | None = None) -> tuple[Problem, ...]:
    """Everything doubtful in a good policy, in the order of its text."""
    places = Places(result)
    found = [*result.warnings, *(_problem(each) for each in _all(places, identities))]
    allowed = {origin: _allowed(text) for origin, text in places.texts.items()}
    meant = [each for each in found if each.code not in allowed.get(each.origin, {}).get(each.line, ())]
    return tuple(sorted(dict.fromkeys(meant), key=lambda each: (*each.place, each.code, each.message)))


def _all(places: Places, identities: Iterable[Identity] | None) -> Iterator[Found]:
    yield from rules_beside_rules(places)
    yield from topics_beside_topics(places)
    yield from rules_beside_topics(places)
    yield from roles_that_reach_too_far(places)
    yield from nothing_for_quarantine(places)
    yield from misfits_that_nobody_is_told(places)
    if identities is not None:
        them = list(identities)
        yield from identities_beside_roles(places, them)
        yield from identities_beside_tenants(places, them)


def _problem(found: Found) -> Problem:
    return Problem(found.at.file, found.at.line, found.at.column, found.message, found.hint, found.code)


def _allowed(text: str) -> dict[int, set[str]]:
    """The codes allowed on each line."""
    allowed: dict[int, set[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if words := _ALLOWED.search(line):
            codes = {code.split()[0] for code in words[1].split(",") if code.strip()}
            for at in (number, number + 1) if line.lstrip().startswith("#") else (number,):
                allowed.setdefault(at, set()).update(codes)
    return allowed
