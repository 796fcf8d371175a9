"""A start, on record and in the log: what is in force from then on, and what ended with it."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from bartizan.audit.record import Entry, Kind
from bartizan.broker.chores import installed_version
from bartizan.broker.directory import REVOKED
from bartizan.config.danger import dangers
from bartizan.model.ending import EndedSession
from bartizan.policy import CompiledPolicy

if TYPE_CHECKING:
    from bartizan.broker.app import Broker

SESSION_END = "session.end"


def record_start(broker: "Broker", policy: CompiledPolicy) -> None:
    """What is about to be in force: also what was changed by hand while no broker ran."""
    detail = {
        "version": installed_version(),
        "policy": policy.digest,
        "listeners": {name: listener.bind for name, listener in broker.settings.listeners.items()},
        "dangers": [danger.setting for danger in dangers(broker.settings)],
        "certificates": broker.certificates.shown(),
    }
    broker.trail.record([Entry(Kind.EVENT, "broker.start", broker.trail.actor, detail=detail)])


async def end_revoked(broker: "Broker") -> None:
    """Ends what the store gave back of identities that were revoked while no broker ran: before any CONNECT is answered."""
    ended = await broker.in_force.follow()
    actor = broker.trail.actor
    entries = [
        Entry(Kind.EVENT, SESSION_END, actor, f"session/{each.client_id}", why=REVOKED.why, detail=_told(each))
        for each in ended.sessions
    ]
    if entries:
        await asyncio.to_thread(broker.trail.record, entries)


def _told(session: EndedSession) -> dict[str, object]:
    return {key: value for key, value in asdict(session).items() if key not in {"client_id", "was_connected"}}


def tell_start(broker: "Broker") -> None:
    """What listens, and which risks are taken."""
    listeners = [f"{bound.name} {bound.address}" for bound in broker.engine.listeners()]
    for danger in dangers(broker.settings):
        broker.journal.note("danger", setting=danger.setting, reason=danger.reason, effect=danger.effect)
    broker.journal.note("started", listeners=listeners, policy=broker.in_force.policy.digest)
