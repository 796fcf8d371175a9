"""Identities in memory: nothing survives the process. For tests and throw-away brokers."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.principal import Identity
from bartizan.store.ports import Change, Create, Delta, Remove


class MemoryIdentityStore:
    """`IdentityStore` on a dict."""

    def __init__(self) -> None:
        self._identities: dict[str, Identity] = {}
        self._removed: dict[str, int] = {}
        self._revision = 0

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        return self._identities.get(name)

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities."""
        return frozenset(name for name in names if name in self._identities)

    async def changes_since(self, revision: int) -> Delta:
        """What changed after `revision`."""
        return Delta(
            revision=self._revision,
            written=frozenset(name for name, identity in self._identities.items() if identity.revision > revision),
            removed=frozenset(name for name, at in self._removed.items() if at > revision),
        )

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        names = sorted(name for name in self._identities if name > after)
        return [self._identities[name] for name in names[:limit]]

    async def commit(self, changes: Sequence[Change]) -> int:
        """All changes or none."""
        identities, removed = dict(self._identities), dict(self._removed)
        revision = self._revision + 1
        for change in changes:
            if isinstance(change, Remove):
                if identities.pop(change.name, None) is None:
                    raise NotFound(f"there is no identity {change.name!r}")
                removed[change.name] = revision
                continue
            name = change.identity.name
            before = identities.get(name)
            if isinstance(change, Create):
                if before is not None:
                    raise AlreadyExists(f"an identity {name!r} exists already")
                removed.pop(name, None)
            elif before is None:
                raise NotFound(f"there is no identity {name!r}")
            elif before.revision != change.identity.revision:
                raise Conflict(f"identity {name!r} was changed in between")
            identities[name] = replace(change.identity, revision=revision)
        self._identities, self._removed, self._revision = identities, removed, revision
        return revision

    async def close(self) -> None:
        """Nothing to let go of."""
