"""Who owns a name is the only one to publish there: proved of the whole policy, whatever identities there are.

The engine knows no owners. A policy with `owns` is good only if its permits leave room for no other publisher: then
the proof holds for every decision, and costs none. What cannot be proved is an error.

Two identities never have the same name, and never the same Client Identifier where every role keeps its identities
to their own namespace. So two patterns with such a value at the same level are apart. Attributes may coincide.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from bartizan.policy.compiled import filter_covers
from bartizan.policy.contract import BOUND, Action, Literal, Owned, Pattern, Policy, Role, Variable, Wildcard
from bartizan.policy.naming import keeps_to_own_namespace
from bartizan.policy.overlap import Filters, meet
from bartizan.policy.source import Position

_PUBLISH: Final = Action.PUBLISH
_OWN: Final = object()
"""A level that no two identities have alike."""

_Problems: TypeAlias = Iterator[tuple[Position, str, str]]


@dataclass(frozen=True, slots=True)
class _Owner:
    role: Role
    owned: Owned
    levels: tuple[object, ...]


def ownership_problems(policy: Policy) -> _Problems:
    """Every place where somebody might publish what another owns, or two might own the same: where, what, a hint."""
    if not any(role.owns for role in policy.roles):
        return
    unique, loose = _unique(policy)
    owners = [_Owner(role, owned, _levels(owned.filter, role, unique)) for role in policy.roles for owned in role.owns]
    near = Filters([_wide(owner) for owner in owners])
    yield from _owned_by_two(owners, near, loose)
    roles = {role.name: role for role in policy.roles}
    granted = policy.topics_by_role()
    for role in policy.roles:
        publishes = [(topic.template, topic.at) for topic, action in granted.get(role.name, ()) if action is _PUBLISH]
        publishes += [(rule.filter, rule.at) for rule in role.permit if _PUBLISH in rule.actions]
        for pattern, at in publishes:
            levels = _levels(pattern, role, unique)
            for owner in [owners[number] for number in near.meeting(pattern.widest_filter)]:
                if not _apart(levels, owner.levels) and not _is_excused(role, pattern, owner, roles):
                    yield at, *_trespass(role, pattern, owner)


def _unique(policy: Policy) -> tuple[Collection[str], str]:
    """The sources of which no two identities have the same value; and the role that spoils Client Identifiers."""
    for role in policy.roles:
        if not all(map(keeps_to_own_namespace, role.client_ids)):
            return {"identity"}, role.name
    return {"identity", "client_id"}, ""


def _levels(pattern: Pattern, role: Role, unique: Collection[str]) -> tuple[object, ...]:
    found: list[object] = []
    for level in pattern.levels:
        if isinstance(level, Literal):
            found.append(level.text)
        elif isinstance(level, Variable):
            found.append(_OWN if role.bound_to(level.name) in unique else Wildcard.ONE)
        else:
            found.append(level)
    return tuple(found)


def _apart(a: Sequence[object], b: Sequence[object]) -> bool:
    """True if no topic of one identity's `a` is one of another identity's `b`."""
    for at in range(max(len(a), len(b)) + 1):
        mine, other = a[at : at + 1], b[at : at + 1]
        # A # is everything below, and the level above.
        if Wildcard.MANY in (*mine, *other):
            return False
        if not mine or not other:
            return bool(mine or other)
        if mine[0] is other[0] is _OWN:
            return True
        if _is_text(mine[0]) and _is_text(other[0]) and mine != other:
            return True
    return False


def _is_text(level: object) -> bool:
    return isinstance(level, str) and not isinstance(level, Wildcard)


def _owned_by_two(owners: Sequence[_Owner], near: Filters, loose: str) -> _Problems:
    pairs = [(owners[at], each) for n, each in enumerate(owners) for at in near.meeting(_wide(each)) if at <= n]
    for first, second in pairs:
        if (first.owned.shared and second.owned.shared) or _apart(first.levels, second.levels):
            continue
        if first is second:
            what = f"two identities of role {first.role.name} may own the same of {first.owned.filter.text}"
        else:
            what = f"two identities may own the same: {second.owned.filter.text}, and {_told(first)}"
        because = f", for role {loose} lets its identities use Client Identifiers outside of their namespace"
        word = '"identity"' if loose else '"identity" or "client_id"'
        hint = f"bind a level to {word}{because if loose else ''}; or write {{ filter = ..., shared = true }}"
        yield second.owned.at, what, hint


def _is_excused(role: Role, pattern: Pattern, owner: _Owner, roles: Mapping[str, Role]) -> bool:
    """True if the role is forbidden what another owns, or owns it together with him."""
    mine = role.scope(pattern)
    common = meet(mine, _open_where_bound(mine, _wide(owner)))
    if common is None:
        return True
    having = _with_included(role, roles)
    if owner.owned.shared and owner.role in having and filter_covers(owner.role.scope(owner.owned.filter), common):
        return True
    return any(
        filter_covers(each.scope(rule.filter), common)
        for each in having
        for rule in each.forbid
        if _PUBLISH in rule.actions and not rule.when
    )


def _open_where_bound(scope: str, filter: str) -> str:
    """The filter with `+` where the scope has a value of the identity's own: that may be the very word that stands there."""
    own = scope.split("/")
    levels = filter.split("/")
    return "/".join(
        "+" if level != "#" and at < len(own) and own[at].startswith(BOUND) else level
        for at, level in enumerate(levels)
    )


def _with_included(role: Role, roles: Mapping[str, Role]) -> list[Role]:
    found: dict[str, Role] = {}
    waiting = [role.name]
    while waiting:
        name = waiting.pop()
        if name in roles and name not in found:
            found[name] = roles[name]
            waiting += roles[name].includes
    return list(found.values())


def _trespass(role: Role, pattern: Pattern, owner: _Owner) -> tuple[str, str]:
    what = f"role {role.name} may publish to {pattern.text}, of which others own {_told(owner)}"
    return (
        what,
        f'narrow it, or forbid what is owned: {{ action = "publish", filter = "{_wide(owner)}" }} for role {role.name}',
    )


def _wide(owner: _Owner) -> str:
    return owner.owned.filter.widest_filter


def _told(owner: _Owner) -> str:
    at = owner.owned.at
    where = f"{at.origin}:{at.line}" if at.origin else f"line {at.line}"
    return f"{owner.owned.filter.text} (role {owner.role.name}, {where})"
