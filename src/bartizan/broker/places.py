"""One certificate in use in two places at once: a copy of its key, or a device that is in two networks.

Known from what passes here anyway: the desk tells which certificate proved a client, the engine's events tell when and
from where each client connects and goes. Told, never acted upon: a device that moves looks the same for a moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from bartizan.authn.base import ConnectRequest
from bartizan.broker.log import Journal
from bartizan.model.network import network_of
from bartizan.model.principal import Factor, Principal

CERTIFICATES_MAX = 100_000
"""Of so many certificates the places are known; of more, those of the ones that came last."""

TELL_AGAIN_S = 300.0
"""The same certificate is told once in this time."""

TELL_MAX_PER_S = 10
"""Certificates told in one second at most."""

IPV4_BITS = 24
"""Addresses of one network are one place."""

TAKEN_OVER = "Session taken over"

Client = tuple[str, str]
"""Identity and Client Identifier."""


@dataclass(slots=True)
class _Uses:
    """Where one certificate is in use: the address of each of its clients."""

    there: dict[Client, str] = field(default_factory=dict)
    told_at: float = float("-inf")


class Places:
    """Where certificates are in use now."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._fingerprints: dict[Client, str] = {}
        self._uses: dict[str, _Uses] = {}
        self._second = 0
        self._told = 0

    def proved(self, request: ConnectRequest, principal: Principal) -> None:
        """A client was let in; perhaps a certificate proved it, alone or with something else."""
        client = (principal.identity, request.client_id)
        self._fingerprints.pop(client, None)
        if request.certificate is None or Factor.CERTIFICATE not in principal.factors or not request.client_id:
            return
        self._fingerprints[client] = request.certificate.fingerprint_sha256
        while len(self._fingerprints) > CERTIFICATES_MAX:
            del self._fingerprints[next(iter(self._fingerprints))]

    def events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """What the engine tells, as far as it is about who comes and goes."""
        for event in events:
            kind = event.get("event")
            if kind == "repeated" and event.get("kind") == "disconnected":
                # Somebody of these has gone, and nobody said who.
                self._uses.clear()
            elif kind in {"connected", "disconnected"}:
                client = (event.get("identity") or "", event.get("client_id") or "")
                fingerprint = self._fingerprints.get(client)
                if fingerprint is not None:
                    came = self._came if kind == "connected" else self._went
                    came(fingerprint, client, event)

    def _came(self, fingerprint: str, client: Client, event: Mapping[str, Any]) -> None:
        uses = self._uses.setdefault(fingerprint, _Uses())
        while len(self._uses) > CERTIFICATES_MAX:
            del self._uses[next(iter(self._uses))]
        address = event.get("address") or ""
        network = network_of(address, IPV4_BITS)
        elsewhere = [(other, at) for other, at in uses.there.items() if network_of(at, IPV4_BITS) != network]
        uses.there[client] = address
        if elsewhere and self._may_tell(uses):
            (_, other_id), other_address = elsewhere[-1]
            self._journal.note(
                "certificate_in_two_places",
                identity=client[0],
                client_id=client[1],
                address=address,
                listener=event.get("listener"),
                other_client_id=other_id,
                other_address=other_address,
                fingerprint_sha256=fingerprint,
            )

    def _went(self, fingerprint: str, client: Client, event: Mapping[str, Any]) -> None:
        # Who is taken over was there when the other one came: that it went is known after that.
        uses = self._uses.get(fingerprint)
        if uses is None or uses.there.get(client) != (event.get("address") or ""):
            return
        if event.get("reason") != TAKEN_OVER:
            del uses.there[client]
            if not uses.there and uses.told_at == float("-inf"):
                del self._uses[fingerprint]

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
