"""When each identity was last seen, and by which credential: gathered here, written every few seconds.

The desk tells which credential proved an identity; the engine's events tell of clients that it lets in again
by itself (`success_remembered_s`), and of connections that end. A broker that is killed forgets the last few
seconds. What is told is bounded: under a storm some uses are not told, and the next one is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bartizan.authn.base import ConnectRequest
from bartizan.errors import StoreUnavailable
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Principal
from bartizan.model.usage import Usage
from bartizan.store.ports import IdentityStore

WRITE_INTERVAL_S = 5.0
USES_MAX = 100_000
"""Uses that wait to be written; further ones are passed over."""

PROOFS_MAX = 100_000
"""Clients of which it is remembered by what they proved themselves; beyond it, the oldest are forgotten."""

SEEN = frozenset({"connected", "disconnected"})


class UsageBook:
    """The uses since the last write."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store
        self._uses: dict[tuple[str, str], Usage] = {}
        self._proofs: dict[tuple[str, str], str] = {}

    def proved(self, request: ConnectRequest, principal: Principal) -> None:
        """An authenticator found a credential good."""
        key = (principal.identity, request.client_id)
        self._proofs.pop(key, None)
        if principal.credential_id:
            while len(self._proofs) >= PROOFS_MAX:
                del self._proofs[next(iter(self._proofs))]
            self._proofs[key] = principal.credential_id
        self._note(principal.identity, principal.credential_id, request.address, datetime.now(UTC))

    def events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """What the engine tells, as far as it is about who is there."""
        for event in events:
            identity = event.get("identity")
            if event.get("event") in SEEN and identity:
                credential = self._proofs.get((identity, event.get("client_id") or ""), "")
                at = datetime.fromtimestamp(event.get("at_ms", 0) / 1000, UTC)
                self._note(identity, credential, event.get("address") or "", at)

    def proof_of(self, identity: str, client_id: str) -> str | None:
        """The credential by which a client last proved itself, as far as that is remembered."""
        return self._proofs.get((identity, client_id))

    async def write(self) -> None:
        """Writes what is new. Where that fails, it is tried again with the next."""
        uses = self._uses
        self._uses = dict[tuple[str, str], Usage]()
        try:
            await self._store.note_usage(list(uses.values()))
        except StoreUnavailable:
            self._uses = uses | self._uses
            raise

    def _note(self, name: str, credential_id: str, address: str, at: datetime) -> None:
        key = (name, credential_id)
        if key in self._uses or len(self._uses) < USES_MAX:
            self._uses[key] = Usage(IdentityName(name), at, credential_id, address)
