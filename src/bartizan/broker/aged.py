"""A policy that shortens how old credentials may become: connections that were let in before it end by it too.

The engine ends a connection when its credential becomes too old by the policy of its login. After a change of the
policy the clients are looked through once; whose end has come nearer is remembered, and disconnected then.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bartizan.broker.directory import REFRESH_IDENTITIES, SLICE_PAUSE_S, LiveDirectory
from bartizan.broker.ended import every_client
from bartizan.broker.ports import EnginePort
from bartizan.broker.usage import UsageBook
from bartizan.identity.ages import AgeLimits
from bartizan.model.credential import Credential
from bartizan.model.principal import Identity
from bartizan.model.reason import ReasonCode
from bartizan.policy import CompiledPolicy

DUE_INTERVAL_S = 1.0
"""How often it is looked whose end has come."""

DUE_MAX = 100_000
"""Clients whose nearer end is remembered; further ones are disconnected at once, and come back with the right one."""

Client = tuple[str, str | None]
"""Client Identifier and tenant."""


@dataclass(frozen=True, slots=True)
class _Due:
    """When a client is to be disconnected, if it has not proved itself anew by then."""

    at: datetime
    identity: str
    proof: str | None


class AgedOut:
    """Ends connections whose credentials have become too old since their login."""

    def __init__(
        self,
        engine: EnginePort,
        directory: LiveDirectory,
        usage: UsageBook,
        usual: Mapping[str, int],
        *,
        enforced: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._engine = engine
        self._directory = directory
        self._usage = usage
        self._usual = usual
        self._enforced = enforced
        self._due: dict[Client, _Due] = {}
        self._before: CompiledPolicy | None = None
        """The policy that clients were let in by, where another one is in force now."""

    def changed(self, before: CompiledPolicy) -> None:
        """Another policy has come in the place of this one."""
        if self._enforced and self._before is None:
            self._before = before

    async def look(self, policy: CompiledPolicy) -> None:
        """Ends what is due; after a change, looks first at who is connected. `policy`: the one in force."""
        before, self._before = self._before, None
        if before is not None and before.digest != policy.digest:
            try:
                await self._look_at_all(self._limits(before), self._limits(policy))
            except BaseException:
                # Whoever it came by is looked at again.
                self._before = before
                raise
        now = self._now()
        over = {client: due for client, due in self._due.items() if due.at <= now}
        if over:
            await asyncio.to_thread(self._disconnect, over)

    def _limits(self, policy: CompiledPolicy) -> AgeLimits:
        return AgeLimits(self._usual, policy.credential_days_max)

    async def _look_at_all(self, before: AgeLimits, now: AgeLimits) -> None:
        due = dict[Client, _Due]()
        clients = await asyncio.to_thread(lambda: [_seen(client) for client in every_client(self._engine)])
        today = self._now()
        for at, (client, name, method) in enumerate(clients, 1):
            if at % REFRESH_IDENTITIES == 0:
                await asyncio.sleep(SLICE_PAUSE_S)
            identity = await self._directory.held(name)
            if identity is None:
                continue
            proof = self._usage.proof_of(name, client[0])
            # Of those that are remembered already the end was nearer once: the limits of now say how near it is.
            is_remembered = client in self._due
            ends = [
                end
                for item in _possible(identity, proof, method, today)
                if (end := now.end(item, identity.roles)) is not None
                and (is_remembered or _is_nearer(end, before.end(item, identity.roles)))
            ]
            if ends:
                end = min(ends) if len(due) < DUE_MAX else datetime.min.replace(tzinfo=UTC)
                due[client] = _Due(end, name, proof)
        self._due = due

    def _disconnect(self, over: Mapping[Client, _Due]) -> None:
        for (client_id, tenant), due in over.items():
            # Whoever came back by another credential has the end of that one.
            if self._usage.proof_of(due.identity, client_id) == due.proof:
                self._engine.disconnect(client_id, int(ReasonCode.MAXIMUM_CONNECT_TIME), tenant)
            # Not before: whom the engine did not reach is due at the next look as well.
            del self._due[client_id, tenant]


def _seen(client: Mapping[str, Any]) -> tuple[Client, str, str]:
    return (client["client_id"], client.get("tenant")), client["identity"], client["method"]


def _is_nearer(end: datetime, before: datetime | None) -> bool:
    return before is None or end < before


def _possible(identity: Identity, proof: str | None, method: str, at: datetime) -> Iterator[Credential]:
    """The credentials by which a client proved itself; those that it may have been, where that is not remembered.

    A method that is no kind of credential (a token, somebody outside) rests on none that could grow old here.
    """
    methods = method.split("+")
    # Where several proofs were asked for, one of them is remembered: it says nothing about the others.
    others = set(methods) if proof is None or len(methods) > 1 else set[str]()
    others -= {item.kind for item in identity.credentials if item.id == proof}
    for item in identity.credentials:
        if item.id == proof or (item.kind in others and item.is_live(at)):
            yield item
