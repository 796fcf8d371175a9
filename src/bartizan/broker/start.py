"""A start, on record and in the log: what is in force from then on."""

from typing import TYPE_CHECKING

from bartizan.audit.record import Entry, Kind
from bartizan.broker.chores import installed_version
from bartizan.config.danger import dangers
from bartizan.policy import CompiledPolicy

if TYPE_CHECKING:
    from bartizan.broker.app import Broker


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


def tell_start(broker: "Broker") -> None:
    """What listens, and which risks are taken."""
    listeners = [f"{bound.name} {bound.address}" for bound in broker.engine.listeners()]
    for danger in dangers(broker.settings):
        broker.journal.note("danger", setting=danger.setting, reason=danger.reason, effect=danger.effect)
    broker.journal.note("started", listeners=listeners, policy=broker.in_force.policy.digest)
