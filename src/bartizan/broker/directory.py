"""All identities in memory, kept level with the store.

A CONNECT costs no query, a reconnect storm none at all. Another process (`bartizan enrol`) writes the
store too: its revision is looked at every `POLL_INTERVAL_S`, and at once when a name is unknown or its proof
does not hold.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bartizan.broker.ended import Ended
from bartizan.broker.packed import entry_of, is_quarantined, pack, unpack
from bartizan.broker.timed import Timed
from bartizan.errors import StoreUnavailable
from bartizan.model.ban import Ban, BanOf
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.ending import Ending
from bartizan.model.group import Group, acting_roles
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.throttle import Throttle
from bartizan.store.ports import FUTURE, Delta, IdentityDirectory, IdentityStore, RemoveBan, RemoveThrottle

REVOKED = Ending("the identity is revoked")
RELEASED = Ending("released from quarantine: connect and subscribe anew")

POLL_INTERVAL_S = 0.5
"""Time after which a change by another process is seen at the latest."""

PAGE_IDENTITIES = 1_000
REFRESH_IDENTITIES = 250
"""Read at once while clients wait for the same event loop."""

SLICE_PAUSE_S = 0.01
"""Between so many of them that are looked through one after the other."""

UNKNOWN_INTERVAL_S = 0.05
"""Unknown names and wrong proofs cause at most one query per this time, however many of them come."""

TOUCHED_MAX = 10_000
"""Where more identities change at once, telling the engine all of them costs no more."""

LOOK_MAX_S = 1.0
"""A refusal waits no longer for a look: well within the time in which a CONNECT is answered."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Identities, packed, and groups as they are at one revision of the store."""

    records: Mapping[str, bytes]
    groups: Mapping[str, Group]
    revision: int
    bans: tuple[Ban, ...] = ()
    """Those that hold."""
    throttles: tuple[Throttle, ...] = ()
    """The same of these."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What the engine has to be told of a change: packed identities, None for one that is gone."""

    records: Mapping[str, bytes | None]
    groups: Mapping[str, Group]
    revision: int
    endings: Mapping[str, Ending]
    """Identities whose Sessions end, whatever they may do from now on."""
    is_everything: bool
    """More changed than `records` has: what does not end is to be told anew, all of it."""
    bans: tuple[Ban, ...] | None = None
    """All that hold; None where none began or ended."""
    throttles: tuple[Throttle, ...] | None = None
    """The same of these."""

    def clearing(self, names: Collection[str]) -> "Touched":
        """The same; with the Sessions of these, what they retained goes too."""
        endings = {
            name: replace(ending, clears_retained=True) if name in names else ending
            for name, ending in self.endings.items()
        }
        return replace(self, endings=endings)


class LiveDirectory(IdentityDirectory):
    """`IdentityDirectory` from memory. `revision` says which state of the store it shows."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._records: dict[str, bytes] = {}
        self._groups: dict[str, Group] = {}
        self._revoked: dict[str, tuple[CertificateCredential, ...]] = {}
        self._quarantines: dict[str, datetime] = {}
        """When quarantines end by themselves."""
        self._ended: dict[tuple[str, bool], frozenset[str]] = {}
        self._refreshing = asyncio.Lock()
        self._looked_at = float("-inf")
        self._decoy_key = b""
        self._touched: set[str] | None = set()
        """Names of what the engine has to be told again; None for everything."""
        self._endings: dict[str, Ending] = {}
        self._bans = Timed[Ban]()
        self._throttles = Timed[Throttle]()
        self._banned = frozenset[str]()
        """Names of identities."""
        self._rehashed: dict[str, Identity] = {}
        """What this broker writes by itself, and the engine need not know."""
        self.revision = 0
        self.engine_revision = 0
        """The last one in which there was something that the engine has to know."""
        self.changed = asyncio.Event()
        """Set whenever identities changed in a way that the engine has to know; who acts on it clears it."""

    async def load(self) -> None:
        """Reads every identity."""
        revision = (await self._store.changes_since(FUTURE)).revision
        self._decoy_key = await self._store.decoy_key()
        await self._read_groups()
        await self._read_timed(bans=True, throttles=True)
        after = ""
        while page := await self._store.page(after, PAGE_IDENTITIES):
            self._take(page)
            after = page[-1].name
        self.revision = self.engine_revision = revision
        # An engine that starts is told all of it; then what Sessions end, of those that its store gives back.
        self._endings = dict(self.take_touched().endings)

    def expect_rehashed(self, identity: Identity) -> None:
        """It is about to be written with the same passwords, hashed anew: what they proved stays good."""
        self._rehashed[str(identity.name)] = identity

    async def refresh(self) -> bool:
        """Takes over what changed in the store, and quarantines that ended; whether anything did."""
        async with self._refreshing:
            return await self._take_over(await self._store.changes_since(self.revision))

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name, as it acts: with the roles of its groups."""
        found = self._held(name)
        return self._held(name) if found is None and await self._look_again() else found

    async def held(self, name: str) -> Identity | None:
        """See `IdentityDirectory`."""
        return self._held(name)

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        return frozenset(name for name in names if name in self._records)

    async def renewed(self, name: str, identity: Identity | None) -> Identity | None:
        """See `IdentityDirectory`. Waits for a look at the store that begins after the question."""
        asked_at = _now()
        await asyncio.sleep(self._looked_at + UNKNOWN_INTERVAL_S - asked_at)
        # A store that cannot be asked makes no refusal another one, or guesses would go uncounted: memory stands.
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LOOK_MAX_S), self._refreshing:
                if self._looked_at <= asked_at:
                    await self._look()
        found = self._held(name)
        return found if found != identity else None

    def banned(self) -> Mapping[BanOf, int]:
        """How many bans there are, by what they ban."""
        counts = Counter(ban.of for ban in self._bans.held)
        return {of: counts[of] for of in BanOf}

    def is_banned(self, name: str) -> bool:
        """Whether an identity of this name may not connect, whatever proves it."""
        return name in self._banned

    def throttles(self, at: datetime) -> list[Throttle]:
        """Those that hold, in order of identity."""
        return [each for each in self._throttles.held if each.holds(at)]

    async def let_go(self, store: IdentityStore) -> None:
        """Has bans and throttles that ended by themselves stored no more, by `store`: on record, each once."""
        bans, throttles = self._bans.over, self._throttles.over
        if not bans and not throttles:
            return
        # Another broker of the same store may have been first; and what was made anew under the same name holds.
        at = datetime.now(UTC)
        changes: list[RemoveBan | RemoveThrottle] = []
        changes += [RemoveBan(each.id, is_over=True) for each in await store.bans() if not each.holds(at)]
        changes += [
            RemoveThrottle(each.identity, is_over=True) for each in await store.throttles() if not each.holds(at)
        ]
        if changes:
            await store.commit(changes)
        await self.refresh()

    async def decoy_key(self) -> bytes:
        """What the store says."""
        return self._decoy_key

    def snapshot(self) -> Snapshot:
        """All identities as they are now, for another thread."""
        return Snapshot(self._records.copy(), self._groups, self.revision, self._bans.held, self._throttles.held)

    def take_touched(self) -> Touched:
        """What changed since the last call, for another thread."""
        touched, self._touched = self._touched, set()
        endings, self._endings = self._endings, dict[str, Ending]()
        is_everything = touched is None or len(touched) > TOUCHED_MAX
        names = sorted(endings if touched is None or is_everything else touched | endings.keys())
        records = {name: self._records.get(name) for name in names}
        return Touched(
            records,
            self._groups,
            self.revision,
            endings,
            is_everything=is_everything,
            bans=self._bans.take(),
            throttles=self._throttles.take(),
        )

    def give_back(self, touched: Touched) -> None:
        """It did not reach the engine: next time that is told everything."""
        self._touched = None
        self._bans.give_back(touched.bans)
        self._throttles.give_back(touched.throttles)
        self._endings = {**touched.endings, **self._endings}

    def revoked_certificates(self) -> Iterable[CertificateCredential]:
        """Every certificate on record that was revoked."""
        return [certificate for revoked in tuple(self._revoked.values()) for certificate in revoked]

    def take_ended(self) -> Ended:
        """Credentials that were revoked or taken away since the last call, but for what the engine itself watches."""
        ended, self._ended = self._ended, dict[tuple[str, bool], frozenset[str]]()
        return ended

    async def everyone(self) -> AsyncIterator[Identity]:
        """Every identity as it acts, as of now; others get their turn in between."""
        for at, record in enumerate(tuple(self._records.values()), 1):
            yield self._acting(unpack(record))
            if at % REFRESH_IDENTITIES == 0:
                await asyncio.sleep(SLICE_PAUSE_S)

    def __len__(self) -> int:
        return len(self._records)

    async def _follow(self, delta: Delta) -> bool:
        """Takes over what changed; whether the engine has to know."""
        matters = delta.groups_changed or bool(delta.removed)
        matters |= await self._read_timed(bans=delta.bans_changed, throttles=delta.throttles_changed)
        if delta.groups_changed:
            self._touched = None
            await self._read_groups()
        names = sorted(delta.written)
        for at in range(0, len(names), REFRESH_IDENTITIES):
            part = names[at : at + REFRESH_IDENTITIES]
            found = await self._store.get_many(part)
            gone = set(part) - {str(identity.name) for identity in found}
            self._forget(gone)
            self._touch(gone)
            matters |= self._take(found) or bool(gone)
        self._forget(delta.removed)
        self._touch(delta.removed)
        self.revision = delta.revision
        return matters

    def _take(self, identities: Iterable[Identity]) -> bool:
        """Takes these over; whether the engine has to know."""
        matters = False
        for identity in identities:
            before = self._records.get(identity.name)
            if not self._is_rehashed(before, identity):
                matters = True
                self._touch([identity.name])
                self._end_if_due(before, identity)
            for is_certificate, id_ in self._ended_of(before, identity):
                key = (str(identity.name), is_certificate)
                self._ended[key] = self._ended.get(key, frozenset()) | {id_}
            self._forget([identity.name])
            self._records[str(identity.name)] = pack(identity)
            revoked = tuple(
                item for item in identity.credentials if isinstance(item, CertificateCredential) and item.revoked_at
            )
            if revoked:
                self._revoked[identity.name] = revoked
            if identity.state is IdentityState.QUARANTINED and identity.quarantined_until is not None:
                self._quarantines[identity.name] = identity.quarantined_until
        return matters

    @staticmethod
    def _ended_of(before: bytes | None, identity: Identity) -> Collection[tuple[bool, str]]:
        """Credentials whose connections have to be looked for. Of a revoked identity the engine ends them all."""
        if before is None or identity.state is IdentityState.REVOKED:
            return ()
        return _unrevoked(unpack(before)) - _unrevoked(identity)

    def _touch(self, names: Iterable[str]) -> None:
        if self._touched is not None:
            self._touched.update(map(str, names))

    def _end_if_due(self, before: bytes | None, identity: Identity) -> None:
        """Who is revoked keeps nothing. Who is released subscribes anew: what it had before is gone."""
        if identity.state is IdentityState.REVOKED:
            self._endings[str(identity.name)] = REVOKED
        elif before is not None and identity.state is not IdentityState.QUARANTINED and is_quarantined(before):
            self._endings[str(identity.name)] = RELEASED

    def _is_rehashed(self, before: bytes | None, identity: Identity) -> bool:
        """Whether nothing is new in it but hashes that this broker wrote."""
        own = self._rehashed.pop(identity.name, None)
        if before is None or own is None or replace(own, revision=identity.revision) != identity:
            return False
        # What somebody else changed just before is in it as well.
        return _but_for_hashes(unpack(before)) == _but_for_hashes(identity)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._records.pop(name, None)
            self._revoked.pop(name, None)
            self._quarantines.pop(name, None)

    def _end_quarantines(self, at: datetime) -> bool:
        over = [name for name, until in self._quarantines.items() if until <= at]
        for name in over:
            del self._quarantines[name]
            self._endings[name] = RELEASED
        self._touch(over)
        return bool(over)

    async def _read_timed(self, *, bans: bool, throttles: bool) -> bool:
        """Reads these again; whether the engine has to know."""
        at, matters = datetime.now(UTC), False
        if bans and self._bans.read(await self._store.bans(), at):
            matters, self._banned = True, self._banned_names()
        if throttles:
            matters |= self._throttles.read(await self._store.throttles(), at)
        return matters

    def _end_timed(self, at: datetime) -> bool:
        bans, throttles = self._bans.end(at), self._throttles.end(at)
        if bans:
            self._banned = self._banned_names()
        return bans or throttles

    def _banned_names(self) -> frozenset[str]:
        return frozenset(ban.what for ban in self._bans.held if ban.of is BanOf.IDENTITY)

    async def _read_groups(self) -> None:
        self._groups = {str(group.name): group for group in await self._store.groups()}

    def _held(self, name: str) -> Identity | None:
        record = self._records.get(name)
        return None if record is None else self._acting(unpack(record))

    def _acting(self, identity: Identity) -> Identity:
        roles = acting_roles(identity, self._groups, datetime.now(UTC))
        return identity if roles == identity.roles else replace(identity, roles=roles)

    async def _look_again(self) -> bool:
        if self._refreshing.locked():
            async with self._refreshing:
                return True  # another's look is ours as well
        if _now() - self._looked_at < UNKNOWN_INTERVAL_S:
            return False
        async with self._refreshing:
            return await self._look()

    async def _look(self) -> bool:
        self._looked_at = _now()
        return await self._take_over(await self._store.look_for_changes(self.revision))

    async def _take_over(self, delta: Delta) -> bool:
        at = datetime.now(UTC)
        released = self._end_quarantines(at)
        matters = released = self._end_timed(at) or released
        if delta.revision != self.revision:
            matters |= await self._follow(delta)
        elif not released:
            return False
        if matters:
            self.engine_revision = self.revision
            self.changed.set()
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()


def _but_for_hashes(identity: Identity) -> Identity:
    credentials = tuple(
        replace(item, hash="") if isinstance(item, PasswordCredential) else item for item in identity.credentials
    )
    return replace(identity, revision=0, credentials=credentials)


def _unrevoked(identity: Identity) -> frozenset[tuple[bool, str]]:
    """Its credentials, each with whether it is a certificate.

    Certificates that have a fingerprint are the engine's to watch, and an end by time is the connection's.
    """
    kept = ((isinstance(item, CertificateCredential), item) for item in identity.credentials if item.revoked_at is None)
    return frozenset((is_it, item.id) for is_it, item in kept if not getattr(item, "fingerprint_sha256", ""))


def bans_json(bans: Iterable[Ban]) -> bytes:
    """Bans, as the engine takes them."""
    return json.dumps([{"of": ban.of.value, "what": ban.what, "issuer": ban.issuer} for ban in bans]).encode()


def throttles_json(throttles: Iterable[Throttle]) -> bytes:
    """Throttles, as the engine takes them."""
    return json.dumps({each.identity: [each.messages_per_s, each.bytes_per_s] for each in throttles}).encode()


def changed_json(touched: Touched, at: datetime) -> bytes:
    """Identities that changed, as the engine takes them."""
    entries = {
        name: None if record is None else entry_of(record, touched.groups, at)
        for name, record in touched.records.items()
    }
    present = b",".join(entry for entry in entries.values() if entry is not None)
    gone = json.dumps([name for name, entry in entries.items() if entry is None]).encode()
    endings = json.dumps({name: ending.as_dict() for name, ending in touched.endings.items()}).encode()
    return b'{"identities":[' + present + b'],"gone":' + gone + b',"endings":' + endings + b"}"


def enabled_json(snapshot: Snapshot, at: datetime, revoked: Collection[str] = ()) -> bytes:
    """The identities that may connect, as the engine takes them: sorted, so that equal ones give equal bytes.

    `revoked`: fingerprints of certificates that somebody else than the identity store says to be revoked.
    """
    entries: list[bytes | None] = [
        entry_of(record, snapshot.groups, at) for _, record in sorted(snapshot.records.items())
    ]
    if revoked:
        # Of nobody: no name of MQTT holds U+0000 (1.5.4), so that no client is it, or in its namespace.
        nobody: dict[str, object] = {"id": "\0", "roles": [], "attributes": {}, "revoked": sorted(revoked)}
        entries.append(json.dumps(nobody).encode())
    return b"[" + b",".join(entry for entry in entries if entry is not None) + b"]"
