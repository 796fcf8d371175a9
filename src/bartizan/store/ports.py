"""The ports: what an identity store can do, and the changes of a transaction.

Authenticators get the narrow `IdentityDirectory`: they can look, not write.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from bartizan.model.approval import KeptRequest
from bartizan.model.ban import Ban
from bartizan.model.credential import CertificateCredential
from bartizan.model.group import Group
from bartizan.model.ids import GroupName, IdentityName
from bartizan.model.operator import ApiToken, Operator
from bartizan.model.principal import Identity
from bartizan.model.throttle import Throttle
from bartizan.model.usage import Usage


@dataclass(frozen=True, slots=True)
class Create:
    """Adds an identity; `AlreadyExists` if the name is taken, `NotFound` if a group of it does not exist."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Replace:
    """Writes an identity that was read at `identity.revision`; `Conflict` if it changed since."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes an identity and its usage; `NotFound` if there is none."""

    name: IdentityName


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Adds a group; `AlreadyExists` if the name is taken."""

    group: Group


@dataclass(frozen=True, slots=True)
class ReplaceGroup:
    """Writes a group that was read at `group.revision`; `Conflict` if it changed since."""

    group: Group


@dataclass(frozen=True, slots=True)
class RemoveGroup:
    """Removes a group; `NotFound` if there is none, `Conflict` while an identity is in it."""

    name: GroupName


@dataclass(frozen=True, slots=True)
class PutBan:
    """Bans something; what was banned already is banned as this says. Bans that are over go."""

    ban: Ban


@dataclass(frozen=True, slots=True)
class RemoveBan:
    """Ends a ban; `NotFound` if there is none of this id."""

    id: str
    is_over: bool = False
    """It has ended by itself: on record as that."""


@dataclass(frozen=True, slots=True)
class PutThrottle:
    """Throttles an identity, in place of the throttle that it has."""

    throttle: Throttle


@dataclass(frozen=True, slots=True)
class RemoveThrottle:
    """Ends a throttle; `NotFound` if the identity has none."""

    identity: str
    is_over: bool = False
    """As of a ban."""


OfThrottle = PutThrottle | RemoveThrottle
Change = Create | Replace | Remove | CreateGroup | ReplaceGroup | RemoveGroup | PutBan | RemoveBan | OfThrottle

DECOY_KEY_BYTES = 32

FUTURE = 2**62
"""`changes_since(FUTURE)` tells the revision, and no name."""

Told = Callable[[int], None]
"""Is told, while a transaction is made, how many changes are done."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Which identities were written or removed after a revision, up to `revision`."""

    revision: int
    written: frozenset[str]
    removed: frozenset[str]
    groups_changed: bool = False
    """Whether any group was written or removed: read them all again."""
    bans_changed: bool = False
    """The same of bans."""
    throttles_changed: bool = False
    """And of throttles."""


class IdentityDirectory(Protocol):
    """Looks identities up."""

    async def get(self, name: str) -> Identity | None:
        """The identity of exactly this name."""
        ...

    async def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are identities, enabled or not."""
        ...

    async def held(self, name: str) -> Identity | None:
        """The identity of exactly this name, without a look at what another process may just have written."""
        ...

    async def renewed(self, name: str, identity: Identity | None) -> Identity | None:
        """The identity of this name if it is not, or not any more, as `identity` is; None if nothing has changed.

        For whoever is about to refuse: a password is good from the moment that `bartizan credential rotate` shows it.
        Takes as long for a name that is not there. Where the store cannot be asked, nothing has changed.
        """
        ...

    async def decoy_key(self) -> bytes:
        """A secret of this store, always the same: what is told about names that are not there is derived from it,
        so that it does not change with a restart either, nor from broker to broker. Proves nothing.
        """
        ...


class OperatorStore(Protocol):
    """Keeps the people who run the broker, beside the identities and apart from them: no identity's revision moves."""

    async def operators(self) -> Sequence[Operator]:
        """Every operator, in order of name."""
        ...

    async def operator(self, name: str) -> Operator | None:
        """The operator of exactly this name."""
        ...

    async def add_operator(self, operator: Operator) -> Operator:
        """Adds one, durable when this returns; `AlreadyExists` if the name is taken."""
        ...

    async def replace_operator(self, operator: Operator) -> Operator:
        """Writes one that was read at `operator.revision`; `Conflict` if it changed since, `NotFound` if it is gone."""
        ...

    async def remove_operator(self, name: str) -> None:
        """Removes one, and its tokens; `NotFound` if there is none."""
        ...

    async def tokens(self, operator: str) -> Sequence[ApiToken]:
        """The tokens of an operator, the oldest first."""
        ...

    async def token_of(self, hash_: str) -> ApiToken | None:
        """The token whose secret has this hash."""
        ...

    async def add_token(self, token: ApiToken) -> None:
        """Adds one, durable when this returns; `NotFound` if there is no such operator."""
        ...

    async def remove_token(self, operator: str, id_: str) -> None:
        """Removes one; `NotFound` if the operator has none of this id."""
        ...

    async def note_token_use(self, id_: str, at: datetime) -> None:
        """Keeps when it was used last; a token that is gone is passed over."""
        ...

    async def approvals(self) -> Sequence[KeptRequest]:
        """What waits for a second operator, the oldest first; also what has waited too long and is still there."""
        ...

    async def add_approval(self, request: KeptRequest) -> None:
        """Adds one, durable when this returns."""
        ...

    async def remove_approval(self, id_: str) -> bool:
        """Removes one; whether it was there: of several callers one is told so."""
        ...


Place = tuple[str, ...]
"""Where an identity stands in a list: what the list is sorted by, then the name."""


class Order(StrEnum):
    """What a list of identities is sorted by; `-` is backwards."""

    NAME = "name"
    NAME_DOWN = "-name"
    CREATED_AT = "created_at"
    CREATED_AT_DOWN = "-created_at"

    @property
    def is_down(self) -> bool:
        """Whether what is greatest comes first."""
        return self in {Order.NAME_DOWN, Order.CREATED_AT_DOWN}

    @property
    def is_by_name(self) -> bool:
        """Whether the name alone decides."""
        return self in {Order.NAME, Order.NAME_DOWN}

    def place(self, identity: Identity) -> Place:
        """Where it stands."""
        name = str(identity.name)
        return (name,) if self.is_by_name else (identity.created_at.astimezone(UTC).isoformat(), name)


class IdentityStore(IdentityDirectory, Protocol):
    """Looks up, lists and writes."""

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Identity]:
        """Identities in order of name, beginning behind `after`."""
        ...

    async def in_order(self, order: Order, behind: Place | None = None, limit: int = 100) -> Sequence[Identity]:
        """Identities in this order, beginning behind a place in it, or with the first."""
        ...

    async def get_many(self, names: Collection[str]) -> Sequence[Identity]:
        """The identities of these names, as far as there are any, in order of name."""
        ...

    async def changes_since(self, revision: int) -> Delta:
        """What any process changed after `revision`; 0 asks for everything. What another process has just written a
        store that is told of changes may say a moment later.
        """
        ...

    async def look_for_changes(self, revision: int) -> Delta:
        """`changes_since`, asked of what is stored, also where the store would be told of a change: that may be late."""
        ...

    async def revoked_certificates(self) -> Sequence[CertificateCredential]:
        """Every certificate on record that was revoked."""
        ...

    async def groups(self) -> Sequence[Group]:
        """Every group, in order of name."""
        ...

    async def bans(self) -> Sequence[Ban]:
        """Every ban, the oldest first; also those that are over and still there."""
        ...

    async def throttles(self) -> Sequence[Throttle]:
        """Every throttle, in order of identity; also those that are over and still there."""
        ...

    async def commit(self, changes: Sequence[Change], told: Told | None = None) -> int:
        """All changes or none; the new revision, which is durable when this returns."""
        ...

    async def note_usage(self, usages: Sequence[Usage]) -> None:
        """Keeps the last use of each credential of identities that are stored. Raises no revision; an older use
        never replaces a newer one.
        """
        ...

    async def usage(self, names: Collection[str] | None = None) -> Sequence[Usage]:
        """What is kept of these identities, or of all: by name, the newest first."""
        ...

    async def close(self) -> None:
        """Lets go of files and connections. Calling it twice is no error."""
        ...


class WholeStore(IdentityStore, OperatorStore, Protocol):
    """Identities, and the people who run the broker, in one place."""
