"""All identities in memory, kept level with the store.

A CONNECT costs no query, a reconnect storm none at all. Another process (`bartizan enrol`) writes the
store too: its revision is looked at every `POLL_INTERVAL_S`, and at once when a name is unknown.
"""

import asyncio
import json
from collections.abc import Collection, Iterable, Sequence

from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.ports import Delta, IdentityDirectory, IdentityStore

POLL_INTERVAL_S = 0.5
"""Time after which a change by another process is seen at the latest."""

PAGE_IDENTITIES = 1_000
UNKNOWN_INTERVAL_S = 0.05
"""Unknown names cause at most one query per this time, however many of them come."""


class LiveDirectory(IdentityDirectory):
    """`IdentityDirectory` from memory. `revision` says which state of the store it shows."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._identities: dict[str, Identity] = {}
        self._refreshing = asyncio.Lock()
        self._looked_at = float("-inf")
        self.revision = 0
        self.changed = asyncio.Event()
        """Set whenever identities changed; who acts on it clears it."""

    async def load(self) -> None:
        """Reads every identity."""
        delta = await self._store.changes_since(0)
        identities: dict[str, Identity] = {}
        after = ""
        while page := await self._store.page(after, PAGE_IDENTITIES):
            identities.update((identity.name, identity) for identity in page)
            after = page[-1].name
        self._identities, self.revision = identities, delta.revision

    async def refresh(self) -> bool:
        """Takes over what changed in the store; whether anything did."""
        async with self._refreshing:
            self._looked_at = asyncio.get_running_loop().time()
            delta = await self._store.changes_since(self.revision)
            if delta.revision == self.revision:
                return False
            written = {name: await self._store.get(name) for name in delta.written}
            for name in delta.removed:
                self._identities.pop(name, None)
            for name, identity in written.items():
                if identity is None:
                    self._identities.pop(name, None)
                else:
                    self._identities[name] = identity
            self.revision = delta.revision
            self.changed.set()
            return True

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        found = self._identities.get(name)
        if found is None and await self._look_again():
            found = self._identities.get(name)
        return found

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        return frozenset(name for name in names if name in self._identities)

    async def changes_since(self, revision: int) -> Delta:
        """What the store says."""
        return await self._store.changes_since(revision)

    def snapshot(self) -> tuple[Sequence[Identity], int]:
        """All identities as they are now, and the revision they are of."""
        return tuple(self._identities.values()), self.revision

    def certificates(self) -> Iterable[CertificateCredential]:
        """Every certificate on record, revoked ones too."""
        for identity in self._identities.values():
            yield from (item for item in identity.credentials if isinstance(item, CertificateCredential))

    def __len__(self) -> int:
        return len(self._identities)

    async def _look_again(self) -> bool:
        if self._refreshing.locked():
            async with self._refreshing:
                return True  # another's look is ours as well
        if asyncio.get_running_loop().time() - self._looked_at < UNKNOWN_INTERVAL_S:
            return False
        return await self.refresh()


def enabled_json(identities: Iterable[Identity]) -> bytes:
    """The enabled identities as the engine takes them: sorted, so that equal ones give equal bytes."""
    listed = [
        {
            "id": identity.name,
            "roles": list(identity.roles),
            "attributes": dict(identity.attributes),
            "revoked": _revoked(identity),
        }
        for identity in sorted(identities, key=lambda identity: identity.name)
        if identity.state is IdentityState.ENABLED
    ]
    return json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()


def _revoked(identity: Identity) -> list[str]:
    """Fingerprints of its revoked certificates: connections that one of them opened end."""
    return sorted(
        item.fingerprint_sha256
        for item in identity.credentials
        if isinstance(item, CertificateCredential) and item.revoked_at is not None
    )
