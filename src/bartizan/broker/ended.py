"""A password that was revoked or replaced ends the connections that it opened.

The engine does this by itself for identities and certificates. Of passwords it knows nothing, so the clients
of the identity are looked through: whoever may have proved itself by an ended one is disconnected, and
comes back if it has another.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.broker.ports import EnginePort
from bartizan.broker.usage import UsageBook
from bartizan.model.reason import ReasonCode

CLIENTS_PER_LOOK = 1_000


def disconnect_ended(engine: EnginePort, usage: UsageBook, ended: Mapping[str, frozenset[str]]) -> int:
    """Disconnects who is connected by one of these credentials (ids by identity); how many."""
    if not ended:
        return 0
    met = [
        (client["client_id"], client.get("tenant"))
        for client in _clients(engine)
        if client["identity"] in ended
        and client["method"] != "certificate"
        and usage.proof_of(client["identity"], client["client_id"]) in {None, *ended[client["identity"]]}
    ]
    return sum(engine.disconnect(client_id, int(ReasonCode.NOT_AUTHORIZED), tenant) for client_id, tenant in met)


def _clients(engine: EnginePort) -> Iterator[Mapping[str, Any]]:
    after = ""
    while True:
        page = json.loads(engine.clients(after, CLIENTS_PER_LOOK))
        yield from page
        if len(page) < CLIENTS_PER_LOOK:
            return
        after = page[-1]["client_id"]
