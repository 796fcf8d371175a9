"""The ports: what an identity store can do, and the changes of a transaction.

Authenticators get the narrow `IdentityDirectory`: they can look, not write.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from bartizan.model.ids import IdentityName
from bartizan.model.principal import Identity


@dataclass(frozen=True, slots=True)
class Create:
    """Adds an identity; `AlreadyExists` if the name is taken."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Replace:
    """Writes an identity that was read at `identity.revision`; `Conflict` if it changed since."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes an identity; `NotFound` if there is none."""

    name: IdentityName


Change = Create | Replace | Remove


@dataclass(frozen=True, slots=True)
class Delta:
    """Which identities were written or removed after a revision, up to `revision`."""

    revision: int
    written: frozenset[str]
    removed: frozenset[str]


class IdentityDirectory(Protocol):
    """Looks identities up."""

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        ...

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities, enabled or not."""
        ...

    async def changes_since(self, revision: int) -> Delta:
        """What any process changed after `revision`; 0 asks for everything."""
        ...


class IdentityStore(IdentityDirectory, Protocol):
    """Looks up, lists and writes."""

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        ...

    async def commit(self, changes: Sequence[Change]) -> int:
        """All changes or none; the new revision, which is durable when this returns."""
        ...

    async def close(self) -> None:
        """Lets go of files. Calling it twice is no error."""
        ...
