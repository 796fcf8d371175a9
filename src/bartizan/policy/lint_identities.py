"""A policy beside the identities that it is for: roles nobody has, and identities it does not fit."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from bartizan.model.principal import ANONYMOUS_ROLE, QUARANTINE_ROLE, Identity
from bartizan.policy.contract import Owned
from bartizan.policy.lint_reach import Found
from bartizan.policy.overlap import Filters, meet
from bartizan.policy.places import Places
from bartizan.policy.samples import filter_of
from bartizan.policy.source import Position
from bartizan.policy.subject import Subject
from bartizan.policy.tenants import tenant_of

_NOBODYS = frozenset((ANONYMOUS_ROLE, QUARANTINE_ROLE))
"""Roles that nobody is given: they come with how a client connects, or with its state."""

SHOWN_MAX = 3
"""Identities named in one finding; the rest are counted."""


def identities_beside_roles(places: Places, identities: Iterable[Identity]) -> Iterator[Found]:
    """Roles nobody has, roles that the policy lacks, values that an identity lacks, names that two own together."""
    declared = {role.name: role for role in places.policy.roles}
    having: dict[str, int] = defaultdict(int)
    unknown: dict[str, list[str]] = defaultdict(list)
    lacking: dict[tuple[str, str], list[str]] = defaultdict(list)
    owning: list[tuple[Subject, Owned, str]] = []
    for identity in identities:
        subject = Subject.of(identity)
        for name in subject.roles:
            roles = places.included(name)
            if not roles:
                unknown[name].append(identity.name)
            for role in roles:
                having[role.name] += 1
                owned = ((each, filter_of(each.filter, role, subject)) for each in role.owns)
                owning += [(subject, each, text) for each, text in owned if text is not None]
            needed = dict.fromkeys(source for role in roles for _, source in role.binds)
            for source in (each for each in needed if subject.value(each) is None):
                lacking[name, source].append(identity.name)
    for role in (each for name, each in declared.items() if not having[name] and name not in _NOBODYS):
        hint = "remove it, or give it to somebody"
        yield Found("role-without-identity", places.at(role.at), f"no identity has the role {role.name}", hint)
    for name, who in unknown.items():
        message = f"{_named(who)} the role {name}, which the policy does not have"
        yield Found("identity-with-unknown-role", places.at(Position(1, 1)), message, "correct the role, or add it")
    for (name, source), who in lacking.items():
        message = f"{_named(who)} the role {name} and no {source}, so its permits do not exist for them"
        yield Found("identity-lacks-value", places.at(declared[name].at), message, f"give them {source}")
    yield from _owned_by_two(places, owning)


def _owned_by_two(places: Places, owning: Sequence[tuple[Subject, Owned, str]]) -> Iterator[Found]:
    """What two identities own together, of what may be shared: the rest is proved of the policy alone."""
    near = Filters([text for _, _, text in owning])
    told: set[Position] = set()
    for number, (subject, owned, text) in enumerate(owning):
        others = (owning[at] for at in near.meeting(text) if at < number) if owned.at not in told else ()
        other = next((other for other in others if other[0].identity != subject.identity), None)
        if other is not None:
            told.add(owned.at)
            names = f"{other[0].identity} and {subject.identity} own {meet(text, other[2])} together"
            yield Found("owned-by-two", places.at(owned.at), names, "bind a level to the identity if that is not meant")


def identities_beside_tenants(places: Places, identities: Iterable[Identity]) -> Iterator[Found]:
    """Identities of a tenant that the policy does not declare, where it declares any."""
    tenants = [tenant.name for tenant in places.policy.tenants]
    unknown: dict[str, list[str]] = defaultdict(list)
    for identity in identities:
        tenant = tenant_of(Subject.of(identity).attributes, tenants)
        if tenant is not None and tenant not in tenants:
            unknown[tenant].append(identity.name)
    for name, who in unknown.items():
        message = f"{_named(who)} the tenant {name}, which the policy does not declare, and may not connect"
        hint = f"write [tenants.{name}], or correct it"
        yield Found("identity-of-unknown-tenant", places.at(Position(1, 1)), message, hint)


def _named(who: list[str]) -> str:
    more = f" and {len(who) - SHOWN_MAX} more" if len(who) > SHOWN_MAX else ""
    return f"{', '.join(who[:SHOWN_MAX])}{more} {'have' if len(who) > 1 else 'has'}"
