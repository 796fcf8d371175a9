"""A password that was revoked or replaced ends the connections that it opened, and so does a certificate without print.

The engine does this by itself for identities, and for certificates by their fingerprints. Of passwords it knows
nothing, so the clients of the identity are looked through: whoever may have proved itself by an ended one is
disconnected, and comes back if it has another.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.authn.certificate import METHOD
from bartizan.broker.ports import EnginePort
from bartizan.broker.usage import UsageBook
from bartizan.model.reason import ReasonCode

CLIENTS_PER_LOOK = 1_000

Ended = Mapping[tuple[str, bool], frozenset[str]]
"""Ids of credentials by identity, those that are certificates apart."""


def disconnect_ended(engine: EnginePort, usage: UsageBook, ended: Ended) -> int:
    """Disconnects who is connected by one of these credentials; how many."""
    if not ended:
        return 0
    met = [
        (client["client_id"], client.get("tenant"))
        for client in every_client(engine)
        if _may_rest_on(client, usage.proof_of(client["identity"], client["client_id"]), ended)
    ]
    return sum(engine.disconnect(client_id, int(ReasonCode.NOT_AUTHORIZED), tenant) for client_id, tenant in met)


def _may_rest_on(client: Mapping[str, Any], proof: str | None, ended: Ended) -> bool:
    methods = client["method"].split("+")
    kinds = {method == METHOD for method in methods}
    gone = {one for is_certificate in kinds for one in ended.get((client["identity"], is_certificate), ())}
    # Where several proofs were asked for, one of them is remembered.
    return bool(gone) and (len(methods) > 1 or proof is None or proof in gone)


def every_client(
    engine: EnginePort, *, identity: str | None = None, client_id: str | None = None, after: str = ""
) -> Iterator[Mapping[str, Any]]:
    """Every client that is connected, behind a Client Identifier, in their order; of one identity, or name, alone."""
    while True:
        page = json.loads(engine.clients(after, CLIENTS_PER_LOOK, identity=identity, client_id=client_id))
        yield from page
        if len(page) < CLIENTS_PER_LOOK:
            return
        after = page[-1]["client_id"]
