"""Identities as lists and as one: with the roles of their groups, and when they were last seen."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from bartizan.identity.records import credential_record, identity_record, time_text
from bartizan.identity.register import Register
from bartizan.model.group import Group, acting_roles
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.usage import Usage
from bartizan.store.ports import Order, Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which identities a list is about; None: whatever they have."""

    match: str = "*"
    """A pattern of names; `*` and `?` stand for any characters."""
    role: str | None = None
    group: str | None = None
    state: IdentityState | None = None
    not_since: datetime | None = None
    """Not seen since then."""

    def fits(self, identity: Identity, roles: Sequence[str], last: Usage | None, at: datetime) -> bool:
        """Whether it is one of them."""
        return (
            self.role in {None, *roles}
            and self.group in {None, *identity.groups}
            and self.state in {None, identity.state_at(at)}
            and (self.not_since is None or last is None or last.last_seen_at < self.not_since)
            and fnmatchcase(identity.name, self.match)
        )


async def listed(register: Register, wanted: Wanted, *, at: datetime) -> AsyncIterator[dict[str, Any]]:
    """The records of these identities, in order of name."""
    groups = await groups_by_name(register)
    seen = last_seen(await register.store.usage())
    async for identity in register.everyone():
        last = seen.get(identity.name)
        if wanted.fits(identity, acting_roles(identity, groups, at), last, at):
            yield acting_record(identity, groups, last, at=at)


async def page_of(  # noqa: PLR0913  which part of which list
    register: Register,
    wanted: Wanted,
    is_seen: Callable[[Identity], bool],
    *,
    at: datetime,
    order: Order,
    behind: Place | None,
    limit: int,
    looked_at_max: int,
) -> tuple[list[dict[str, Any]], Place | None]:
    """At most so many of these identities behind a place, and the place behind which the next page begins.

    It looks at a bounded number of identities: a page may be short, or empty, and have a next one.
    """
    groups = await groups_by_name(register)
    seen = dict[str, Usage]() if wanted.not_since is None else last_seen(await register.store.usage())
    found: list[Identity] = []
    looked_at, more = 0, False
    async for identity in register.in_order(order, behind):
        if more := len(found) == limit or looked_at == looked_at_max:
            break
        looked_at, behind = looked_at + 1, order.place(identity)
        roles = acting_roles(identity, groups, at)
        if is_seen(identity) and wanted.fits(identity, roles, seen.get(identity.name), at):
            found.append(identity)
    uses = last_seen(await register.store.usage([one.name for one in found]))
    return [acting_record(one, groups, uses.get(one.name), at=at) for one in found], behind if more else None


def acting_record(
    identity: Identity, groups: Mapping[str, Group], last: Usage | None, *, at: datetime
) -> dict[str, Any]:
    """An identity, with what it acts as and when it was last seen."""
    return identity_record(identity, at=at) | {
        "all_roles": list(acting_roles(identity, groups, at)),
        "last_seen_at": time_text(last.last_seen_at if last else None),
    }


async def shown(register: Register, identity: Identity, *, at: datetime) -> dict[str, Any]:
    """An identity with its credentials and their last uses."""
    usage = await register.store.usage([identity.name])
    used = {use.credential_id: use for use in usage}
    last = last_seen(usage).get(identity.name)
    return acting_record(identity, await groups_by_name(register), last, at=at) | {
        "last_seen_from": last.address if last else "",
        "credentials": [
            credential_record(item)
            | {"live": item.is_live(at)}
            | {"last_used_at": time_text(used[item.id].last_seen_at) if item.id in used else None}
            for item in identity.credentials
        ],
    }


def last_seen(usages: Iterable[Usage]) -> dict[str, Usage]:
    """The newest use of each identity."""
    newest: dict[str, Usage] = {}
    for usage in usages:
        before = newest.get(usage.name)
        if before is None or before.last_seen_at < usage.last_seen_at:
            newest[usage.name] = usage
    return newest


async def groups_by_name(register: Register) -> dict[str, Group]:
    """Every group."""
    return {str(group.name): group for group in await register.store.groups()}
