"""The identity store that records every change of itself: whoever opens one through here cannot forget to."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bartizan.audit import shown
from bartizan.audit.record import Entry
from bartizan.audit.trail import Span, Trail
from bartizan.audit.words import of_credentials
from bartizan.model.actor import Actor
from bartizan.model.approval import KeptRequest
from bartizan.model.ban import Ban
from bartizan.model.credential import CertificateCredential
from bartizan.model.group import Group
from bartizan.model.operator import ApiToken, Operator
from bartizan.model.principal import Identity
from bartizan.model.throttle import Throttle
from bartizan.model.usage import Usage
from bartizan.store.ports import (
    Change,
    Create,
    CreateGroup,
    Delta,
    Order,
    Place,
    PutBan,
    PutThrottle,
    Remove,
    RemoveBan,
    RemoveGroup,
    RemoveThrottle,
    Replace,
    ReplaceGroup,
    Told,
    WholeStore,
)

TOGETHER = 1_000
"""Changes that are recorded at once: an import of many more is not held in memory twice."""


class RecordedOperators:
    """`OperatorStore`, recorded."""

    def __init__(self, store: WholeStore, trail: Trail) -> None:
        self._store = store
        self._trail = trail

    async def operators(self) -> Sequence[Operator]:
        """See `OperatorStore`."""
        return await self._store.operators()

    async def operator(self, name: str) -> Operator | None:
        """See `OperatorStore`."""
        return await self._store.operator(name)

    async def add_operator(self, operator: Operator) -> Operator:
        """See `OperatorStore`."""
        span = await self._begin("operator.add", operator.name, None, operator)
        async with self._trail.settling(span, "operator.add"):
            return await self._store.add_operator(operator)

    async def replace_operator(self, operator: Operator) -> Operator:
        """See `OperatorStore`. That an operator logged in is written, and is no change."""
        before = await self._store.operator(operator.name)
        span = None
        if before is not None and any(shown.of_operators(before, operator)):
            span = await self._begin("operator.set", operator.name, before, operator)
        async with self._trail.settling(span, "operator.set"):
            return await self._store.replace_operator(operator)

    async def remove_operator(self, name: str) -> None:
        """See `OperatorStore`."""
        span = await self._begin("operator.remove", name, await self._store.operator(name), None)
        async with self._trail.settling(span, "operator.remove"):
            await self._store.remove_operator(name)

    async def tokens(self, operator: str) -> Sequence[ApiToken]:
        """See `OperatorStore`."""
        return await self._store.tokens(operator)

    async def token_of(self, hash_: str) -> ApiToken | None:
        """See `OperatorStore`."""
        return await self._store.token_of(hash_)

    async def add_token(self, token: ApiToken) -> None:
        """See `OperatorStore`."""
        target = f"operator/{token.operator}"
        span = await self._trail.begin("operator.token-add", target, after=shown.token(token))
        async with self._trail.settling(span, "operator.token-add"):
            await self._store.add_token(token)

    async def remove_token(self, operator: str, id_: str) -> None:
        """See `OperatorStore`."""
        span = await self._trail.begin("operator.token-remove", f"operator/{operator}", before={"id": id_})
        async with self._trail.settling(span, "operator.token-remove"):
            await self._store.remove_token(operator, id_)

    async def note_token_use(self, id_: str, at: datetime) -> None:
        """See `OperatorStore`. That a token was used is no change."""
        await self._store.note_token_use(id_, at)

    async def approvals(self) -> Sequence[KeptRequest]:
        """See `OperatorStore`."""
        return await self._store.approvals()

    async def add_approval(self, request: KeptRequest) -> None:
        """See `OperatorStore`. That something waits is no change: what is done of it is one."""
        await self._store.add_approval(request)

    async def remove_approval(self, id_: str) -> bool:
        """See `OperatorStore`."""
        return await self._store.remove_approval(id_)

    async def _begin(self, what: str, name: str, before: Operator | None, after: Operator | None) -> Span:
        entry = _entry(self._trail, what, f"operator/{name}", shown.of_operators(before, after))
        return await asyncio.to_thread(self._trail.record, [entry])


class RecordedStore(RecordedOperators):
    """`IdentityStore` and `OperatorStore`, recorded."""

    def acting_as(self, actor: Actor) -> "RecordedStore":
        """The same store, as somebody else changes it."""
        return RecordedStore(self._store, self._trail.acting_as(actor))

    async def get(self, name: str) -> Identity | None:
        """See `IdentityDirectory`."""
        return await self._store.get(name)

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """See `IdentityDirectory`."""
        return await self._store.known(names)

    async def held(self, name: str) -> Identity | None:
        """See `IdentityDirectory`."""
        return await self._store.held(name)

    async def renewed(self, name: str, identity: Identity | None) -> Identity | None:
        """See `IdentityDirectory`."""
        return await self._store.renewed(name, identity)

    async def decoy_key(self) -> bytes:
        """See `IdentityDirectory`."""
        return await self._store.decoy_key()

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """See `IdentityStore`."""
        return await self._store.page(after, limit)

    async def in_order(self, order: Order, behind: Place | None = None, limit: int = 100) -> Sequence[Identity]:
        """See `IdentityStore`."""
        return await self._store.in_order(order, behind, limit)

    async def get_many(self, names: Collection[str]) -> Sequence[Identity]:
        """See `IdentityStore`."""
        return await self._store.get_many(names)

    async def changes_since(self, revision: int) -> Delta:
        """See `IdentityStore`."""
        return await self._store.changes_since(revision)

    async def look_for_changes(self, revision: int) -> Delta:
        """See `IdentityStore`."""
        return await self._store.look_for_changes(revision)

    async def revoked_certificates(self) -> Sequence[CertificateCredential]:
        """See `IdentityStore`."""
        return await self._store.revoked_certificates()

    async def groups(self) -> Sequence[Group]:
        """See `IdentityStore`."""
        return await self._store.groups()

    async def bans(self) -> Sequence[Ban]:
        """See `IdentityStore`."""
        return await self._store.bans()

    async def throttles(self) -> Sequence[Throttle]:
        """See `IdentityStore`."""
        return await self._store.throttles()

    async def commit(self, changes: Sequence[Change], told: Told | None = None) -> int:
        """See `IdentityStore`: each change is on record first."""
        span, what = None, ""
        for part in _parts(changes):
            entries = await self._entries(part)
            first, last = await asyncio.to_thread(self._trail.record, entries)
            span, what = (span[0] if span else first, last), what or entries[0].what
        async with self._trail.settling(span, what):
            return await self._store.commit(changes, told)

    async def note_usage(self, usages: Sequence[Usage]) -> None:
        """See `IdentityStore`. Who was seen is no change."""
        await self._store.note_usage(usages)

    async def usage(self, names: Collection[str] | None = None) -> Sequence[Usage]:
        """See `IdentityStore`."""
        return await self._store.usage(names)

    async def close(self) -> None:
        """See `IdentityStore`."""
        await self._store.close()

    async def _entries(self, changes: Sequence[Change]) -> list[Entry]:
        names = {str(name) for change in changes if (name := _changed(change)) is not None}
        identities = {str(one.name): one for one in await self._store.get_many(names)} if names else {}
        of_groups = any(isinstance(change, ReplaceGroup | RemoveGroup) for change in changes)
        groups = {str(one.name): one for one in await self._store.groups()} if of_groups else {}
        of_bans = any(isinstance(change, PutBan | RemoveBan) for change in changes)
        bans = {one.id: one for one in await self._store.bans()} if of_bans else {}
        of_throttles = any(isinstance(change, PutThrottle | RemoveThrottle) for change in changes)
        throttles = {one.identity: one for one in await self._store.throttles()} if of_throttles else {}
        entries: list[Entry] = []
        for change in changes:
            match change:
                case PutBan() | RemoveBan():
                    entries += self._of_ban(change, bans)
                case PutThrottle() | RemoveThrottle():
                    entries.append(self._of_throttle(change, throttles))
                case _:
                    entries.append(self._of(change, identities, groups))
        return entries

    def _of_ban(self, change: PutBan | RemoveBan, bans: dict[str, Ban]) -> Iterator[Entry]:
        after = change.ban if isinstance(change, PutBan) else None
        id_ = change.id if isinstance(change, RemoveBan) else change.ban.id
        held = bans.pop(id_, None)
        named = after or held
        word = "ban.add" if after else "ban.end" if isinstance(change, RemoveBan) and change.is_over else "ban.remove"
        said = shown.difference(shown.ban(held) if held else {}, shown.ban(after) if after else {})
        yield _entry(self._trail, word, f"ban/{named.of}/{named.what}" if named else f"ban/{id_}", said)
        if after is not None:
            # With it, the store lets go of those that are over.
            for over in [one.id for one in bans.values() if not one.holds(after.created_at)]:
                yield from self._of_ban(RemoveBan(over, is_over=True), bans)
            bans[id_] = after

    def _of_throttle(self, change: PutThrottle | RemoveThrottle, throttles: Mapping[str, Throttle]) -> Entry:
        if isinstance(change, PutThrottle):
            name, after, word = change.throttle.identity, shown.throttle(change.throttle), "identity.throttle"
        else:
            name, after = change.identity, dict[str, Any]()
            word = "identity.throttle-end" if change.is_over else "identity.unthrottle"
        held = throttles.get(name)
        said = shown.difference(shown.throttle(held) if held else {}, after)
        return _entry(self._trail, word, f"identity/{name}", said)

    def _of(
        self,
        change: Create | Replace | Remove | CreateGroup | ReplaceGroup | RemoveGroup,
        identities: Mapping[str, Identity],
        groups: Mapping[str, Group],
    ) -> Entry:
        match change:
            case Create(identity):
                what, target, said = "identity.add", f"identity/{identity.name}", shown.of_identities(None, identity)
            case Replace(identity):
                before = identities.get(identity.name)
                said = shown.of_identities(before, identity)
                what, target = _word(said), f"identity/{identity.name}"
            case Remove(name):
                said = shown.of_identities(identities.get(name), None)
                what, target = "identity.remove", f"identity/{name}"
            case CreateGroup(group) | ReplaceGroup(group):
                held = groups.get(group.name)
                said = shown.difference(shown.group(held) if held else {}, shown.group(group))
                what = "group.add" if isinstance(change, CreateGroup) else "group.set"
                target = f"group/{group.name}"
            case RemoveGroup(name):
                held = groups.get(name)
                said = shown.difference(shown.group(held) if held else {}, {})
                what, target = "group.remove", f"group/{name}"
        return _entry(self._trail, what, target, said)


def _entry(trail: Trail, what: str, target: str, said: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Entry:
    before, after = said
    return trail.entry(what, target, before=before or None, after=after or None)


def _word(said: tuple[Mapping[str, Any], Mapping[str, Any]]) -> str:
    before, after = said
    if before.keys() | after.keys() == {"credentials"}:
        return of_credentials(before.get("credentials", {}), after.get("credentials", {}))
    return "identity.set"


def _changed(change: Change) -> str | None:
    match change:
        case Replace(identity):
            return identity.name
        case Remove(name):
            return name
        case _:
            return None


def _parts(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    yield from (changes[at : at + TOGETHER] for at in range(0, len(changes), TOGETHER))
