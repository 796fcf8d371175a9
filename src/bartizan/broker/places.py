"""One credential in use in two places at once: a copy of it, or a device that is in two networks.

Known from what passes here anyway: the desk tells which credential proved a client, the engine's events tell when and
from where each client connects and goes. Told, never acted upon: a device that moves looks the same for a moment.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from bartizan.authn.base import ConnectRequest
from bartizan.broker.log import Journal
from bartizan.config.detect import Place
from bartizan.model.network import network_of
from bartizan.model.principal import Factor, Principal

CREDENTIALS_MAX: Final = 100_000
"""Of so many credentials the places are known; of more, those of the ones that came last."""

TELL_AGAIN_S: Final = 300.0
"""The same credential is told once in this time."""

TELL_MAX_PER_S: Final = 10
"""Credentials told in one second at most."""

IPV4_BITS: Final = 24
"""Addresses of one network."""

TAKEN_OVER: Final = "Session taken over"

STORED: Final = (Factor.PASSWORD, Factor.SCRAM)
"""Proofs that are known by the number of their credential."""

Client = tuple[str, str]
"""Identity and Client Identifier."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proved a client."""

    kind: Factor
    id: str
    """What it is known again by; of a token a keyed digest."""
    told: Mapping[str, str] = field(compare=False)
    """What an event says of it; of a token nothing but its kind."""

    @property
    def is_certificate(self) -> bool:
        """Whether it is one device's own."""
        return self.kind is Factor.CERTIFICATE


@dataclass(slots=True)
class _Uses:
    """Where one credential is in use: the address of each of its clients."""

    there: dict[Client, str] = field(default_factory=dict)
    told_at: float = float("-inf")


class Places:
    """Where credentials are in use now. `certificate` and `other`: what is one place, for certificates and for all others."""

    def __init__(
        self,
        journal: Journal,
        clock: Callable[[], float] = monotonic,
        *,
        certificate: Place = "address",
        other: Place = "network",
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._certificate = certificate
        self._other = other
        self._key = secrets.token_bytes(hashlib.blake2b.MAX_KEY_SIZE)
        self._proofs: dict[Client, Proof] = {}
        self._uses: dict[tuple[Factor, str], _Uses] = {}
        self._second = 0
        self._told = 0

    def proved(self, request: ConnectRequest, principal: Principal) -> None:
        """A client was let in, or has proved itself again; what proved it may be one of those that are known again."""
        client = (principal.identity, request.client_id)
        before, proof = self._proofs.pop(client, None), self._proof(request, principal)
        if before is not None and before != proof:
            self._forget(before, client)
        if proof is None or not request.client_id:
            return
        self._proofs[client] = proof
        while len(self._proofs) > CREDENTIALS_MAX:
            del self._proofs[next(iter(self._proofs))]
        if request.again:
            # It is connected already: no event tells that it came.
            self._came(proof, client, request.address, request.listener)

    def events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """What the engine tells, as far as it is about who comes and goes."""
        for event in events:
            kind = event.get("event")
            if kind == "repeated" and event.get("kind") == "disconnected":
                # Somebody of these has gone, and nobody said who.
                self._uses.clear()
            elif kind in {"connected", "disconnected"}:
                client = (event.get("identity") or "", event.get("client_id") or "")
                proof = self._proofs.get(client)
                if proof is None:
                    continue
                address = event.get("address") or ""
                if kind == "connected":
                    self._came(proof, client, address, event.get("listener"))
                else:
                    self._went(proof, client, address, event.get("reason"))

    def _proof(self, request: ConnectRequest, principal: Principal) -> Proof | None:
        """Of several the one that is hardest to copy."""
        factors = principal.factors
        if request.certificate is not None and Factor.CERTIFICATE in factors:
            fingerprint = request.certificate.fingerprint_sha256
            return Proof(Factor.CERTIFICATE, fingerprint, {"fingerprint_sha256": fingerprint})
        token = request.authentication_data or request.password
        if Factor.TOKEN in factors and token:
            digest = hashlib.blake2b(token, key=self._key).hexdigest()
            return Proof(Factor.TOKEN, digest, {"kind": Factor.TOKEN.value})
        stored = next((factor for factor in STORED if factor in factors), None)
        if stored is None or not principal.credential_id:
            return None
        told = {"kind": stored.value, "credential": principal.credential_id}
        return Proof(stored, f"{principal.identity}/{principal.credential_id}", told)

    def _came(self, proof: Proof, client: Client, address: str, listener: str | None) -> None:
        uses = self._uses.setdefault((proof.kind, proof.id), _Uses())
        while len(self._uses) > CREDENTIALS_MAX:
            del self._uses[next(iter(self._uses))]
        place = self._certificate if proof.is_certificate else self._other
        elsewhere = [other for other in uses.there.items() if _is_elsewhere(place, (client, address), other)]
        uses.there[client] = address
        if elsewhere and self._may_tell(uses):
            (_, other_id), other_address = elsewhere[-1]
            self._journal.note(
                "certificate_in_two_places" if proof.is_certificate else "credential_in_two_places",
                identity=client[0],
                client_id=client[1],
                address=address,
                listener=listener,
                other_client_id=other_id,
                other_address=other_address,
                **proof.told,
            )

    def _went(self, proof: Proof, client: Client, address: str, reason: str | None) -> None:
        # Who is taken over was there when the other one came: that it went is known after that.
        uses = self._uses.get((proof.kind, proof.id))
        if uses is not None and uses.there.get(client) == address and reason != TAKEN_OVER:
            self._forget(proof, client)

    def _forget(self, proof: Proof, client: Client) -> None:
        uses = self._uses.get((proof.kind, proof.id))
        if uses is None:
            return
        uses.there.pop(client, None)
        if not uses.there and uses.told_at == float("-inf"):
            del self._uses[proof.kind, proof.id]

    def _may_tell(self, uses: _Uses) -> bool:
        now = self._clock()
        if now - uses.told_at < TELL_AGAIN_S:
            return False
        if int(now) != self._second:
            self._second, self._told = int(now), 0
        if self._told >= TELL_MAX_PER_S:
            return False
        self._told += 1
        uses.told_at = now
        return True


def _is_elsewhere(place: Place, here: tuple[Client, str], there: tuple[Client, str]) -> bool:
    """Whether two uses are of two places. Within a network the same client at another address has moved: an address is
    lent for a time, and its old connection is not over at once."""
    (client, address), (other, other_address) = here, there
    if network_of(address, IPV4_BITS) != network_of(other_address, IPV4_BITS):
        return True
    return place == "address" and client != other and address != other_address
