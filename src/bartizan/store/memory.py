"""Identities in memory: nothing survives the process. For tests and throw-away brokers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_bytes

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.ban import BANS_MAX, Ban
from bartizan.model.credential import CertificateCredential
from bartizan.model.group import Group
from bartizan.model.principal import Identity
from bartizan.model.throttle import THROTTLES_MAX, Throttle
from bartizan.model.usage import Usage
from bartizan.store.operators import MemoryOperators
from bartizan.store.ports import (
    DECOY_KEY_BYTES,
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
)


@dataclass
class _State:
    """Everything that a transaction may change; each works on a copy."""

    identities: dict[str, Identity] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    bans: dict[str, Ban] = field(default_factory=dict)
    throttles: dict[str, Throttle] = field(default_factory=dict)
    groups_revision: int = 0
    bans_revision: int = 0
    throttles_revision: int = 0
    revision: int = 0

    def copy(self) -> "_State":
        return replace(
            self,
            identities=dict(self.identities),
            removed=dict(self.removed),
            groups=dict(self.groups),
            bans=dict(self.bans),
            throttles=dict(self.throttles),
        )

    def apply(self, change: Change) -> None:
        match change:
            case Create() | Replace():
                self._write(change)
            case Remove():
                if self.identities.pop(change.name, None) is None:
                    raise NotFound(f"there is no identity {change.name!r}")
                self.removed[change.name] = self.revision
            case CreateGroup() | ReplaceGroup():
                self._write_group(change)
            case RemoveGroup():
                self._remove_group(change)
            case PutBan() | RemoveBan():
                self._write_ban(change)
            case PutThrottle() | RemoveThrottle():
                self._write_throttle(change)

    def _write(self, change: Create | Replace) -> None:
        identity = change.identity
        before = self.identities.get(identity.name)
        if isinstance(change, Create):
            if before is not None:
                raise AlreadyExists(f"an identity {identity.name!r} exists already")
            self.removed.pop(identity.name, None)
        elif before is None:
            raise NotFound(f"there is no identity {identity.name!r}")
        elif before.revision != identity.revision:
            raise Conflict(f"identity {identity.name!r} was changed in between")
        for group in identity.groups:
            if group not in self.groups:
                raise NotFound(f"there is no group {group!r}")
        self.identities[identity.name] = replace(identity, revision=self.revision)

    def _write_group(self, change: CreateGroup | ReplaceGroup) -> None:
        group = change.group
        before = self.groups.get(group.name)
        if isinstance(change, CreateGroup):
            if before is not None:
                raise AlreadyExists(f"a group {group.name!r} exists already")
        elif before is None:
            raise NotFound(f"there is no group {group.name!r}")
        elif before.revision != group.revision:
            raise Conflict(f"group {group.name!r} was changed in between")
        self.groups[group.name] = replace(group, revision=self.revision)
        self.groups_revision = self.revision

    def _write_ban(self, change: PutBan | RemoveBan) -> None:
        if isinstance(change, RemoveBan):
            if self.bans.pop(change.id, None) is None:
                raise NotFound(f"there is no ban {change.id!r}")
        else:
            ban = change.ban
            self.bans = {id_: one for id_, one in self.bans.items() if one.holds(ban.created_at)}
            if ban.id not in self.bans and len(self.bans) >= BANS_MAX:
                raise Conflict(f"there are {BANS_MAX} bans already: remove some, or ban a prefix")
            self.bans[ban.id] = ban
        self.bans_revision = self.revision

    def _write_throttle(self, change: PutThrottle | RemoveThrottle) -> None:
        if isinstance(change, RemoveThrottle):
            if self.throttles.pop(change.identity, None) is None:
                raise NotFound(f"{change.identity!r} is not throttled")
        else:
            throttle = change.throttle
            if throttle.identity not in self.throttles and len(self.throttles) >= THROTTLES_MAX:
                raise Conflict(f"{THROTTLES_MAX} identities are throttled already")
            self.throttles[throttle.identity] = throttle
        self.throttles_revision = self.revision

    def _remove_group(self, change: RemoveGroup) -> None:
        if change.name not in self.groups:
            raise NotFound(f"there is no group {change.name!r}")
        if any(change.name in identity.groups for identity in self.identities.values()):
            raise Conflict(f"identities are in group {change.name!r}")
        del self.groups[change.name]
        self.groups_revision = self.revision


class MemoryIdentityStore(MemoryOperators):
    """`IdentityStore` and `OperatorStore` on dicts."""

    def __init__(self) -> None:
        super().__init__()
        self._state = _State()
        self._usage: dict[tuple[str, str], Usage] = {}
        self._decoy_key = token_bytes(DECOY_KEY_BYTES)

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        return self._state.identities.get(name)

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        return frozenset(name for name in names if name in self._state.identities)

    async def held(self, name: str) -> Identity | None:
        """See `IdentityDirectory`."""
        return await self.get(name)

    async def renewed(self, name: str, identity: Identity | None) -> Identity | None:
        """See `IdentityDirectory`."""
        found = await self.get(name)
        return found if found != identity else None

    async def changes_since(self, revision: int) -> Delta:
        """What changed after `revision`."""
        return await self.look_for_changes(revision)

    async def look_for_changes(self, revision: int) -> Delta:
        """What changed after `revision`."""
        state = self._state
        if revision >= state.revision:
            return Delta(revision=state.revision, written=frozenset(), removed=frozenset())
        return Delta(
            revision=state.revision,
            written=frozenset(name for name, identity in state.identities.items() if identity.revision > revision),
            removed=frozenset(name for name, at in state.removed.items() if at > revision),
            groups_changed=state.groups_revision > revision,
            bans_changed=state.bans_revision > revision,
            throttles_changed=state.throttles_revision > revision,
        )

    async def decoy_key(self) -> bytes:
        """A secret of this store."""
        return self._decoy_key

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        identities = self._state.identities
        return [identities[name] for name in sorted(name for name in identities if name > after)[:limit]]

    async def in_order(self, order: Order, behind: Place | None = None, limit: int = 100) -> Sequence[Identity]:
        """Identities in this order, beginning behind a place in it, or with the first."""
        everyone = sorted(self._state.identities.values(), key=order.place, reverse=order.is_down)
        if behind is not None:
            everyone = [
                one for one in everyone if (order.place(one) < behind if order.is_down else order.place(one) > behind)
            ]
        return everyone[:limit]

    async def get_many(self, names: Collection[str]) -> Sequence[Identity]:
        """The identities of these names, as far as there are any."""
        return [self._state.identities[name] for name in sorted(set(names) & self._state.identities.keys())]

    async def revoked_certificates(self) -> Sequence[CertificateCredential]:
        """Every certificate on record that was revoked."""
        return [
            item
            for _, identity in sorted(self._state.identities.items())
            for item in identity.credentials
            if isinstance(item, CertificateCredential) and item.revoked_at is not None
        ]

    async def groups(self) -> Sequence[Group]:
        """Every group, in order of name."""
        return [self._state.groups[name] for name in sorted(self._state.groups)]

    async def bans(self) -> Sequence[Ban]:
        """Every ban, the oldest first."""
        return sorted(self._state.bans.values(), key=lambda ban: (ban.created_at, ban.id))

    async def throttles(self) -> Sequence[Throttle]:
        """Every throttle, in order of identity."""
        return [self._state.throttles[name] for name in sorted(self._state.throttles)]

    async def commit(self, changes: Sequence[Change], told: Told | None = None) -> int:
        """All changes or none."""
        state = self._state.copy()
        state.revision += 1
        for change in changes:
            state.apply(change)
        for name in self._state.identities.keys() - state.identities.keys():
            for key in [key for key in self._usage if key[0] == name]:
                del self._usage[key]
        self._state = state
        if told is not None:
            told(len(changes))
        return state.revision

    async def note_usage(self, usages: Sequence[Usage]) -> None:
        """Keeps the last use of each credential."""
        for usage in usages:
            if usage.name not in self._state.identities:
                continue
            before = self._usage.get((usage.name, usage.credential_id))
            if before is None or before.last_seen_at <= usage.last_seen_at:
                self._usage[usage.name, usage.credential_id] = usage

    async def usage(self, names: Collection[str] | None = None) -> Sequence[Usage]:
        """What is kept, by name, the newest first."""
        found = [usage for usage in self._usage.values() if names is None or usage.name in names]
        newest_first = sorted(found, key=lambda usage: usage.last_seen_at, reverse=True)
        return sorted(newest_first, key=lambda usage: usage.name)

    async def close(self) -> None:
        """Nothing to let go of."""
