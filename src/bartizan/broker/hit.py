"""Who would be hit by what is not done yet: for previews. The engine itself decides who is."""

import asyncio
from typing import TYPE_CHECKING, Final

from bartizan.broker.ended import every_client
from bartizan.model.ban import Ban, BanOf, meets, parse_banned
from bartizan.model.credential import CertificateCredential

if TYPE_CHECKING:
    from bartizan.broker.app import Broker


SHOWN: Final = ("client_id", "identity", "address")


async def hit_by(broker: "Broker", ban: Ban) -> list[dict[str, str]]:
    """The clients that a ban would cut: Client Identifier, identity, address."""
    serials: dict[str, frozenset[str]] = {}
    if ban.of is BanOf.SERIAL:
        async for identity in broker.directory.everyone():
            kept = [item for item in identity.credentials if isinstance(item, CertificateCredential)]
            found = frozenset(parse_banned(BanOf.SERIAL, item.serial_hex) for item in kept if item.serial_hex)
            if ban.what in found:
                serials[str(identity.name)] = found
    of = {BanOf.IDENTITY: {"identity": ban.what}, BanOf.CLIENT_ID: {"client_id": ban.what}}.get(ban.of, {})

    def met() -> list[dict[str, str]]:
        clients = (client for client in every_client(broker.engine, **of) if meets(ban, client, serials))
        return [{name: client[name] for name in SHOWN} for client in clients]

    return await asyncio.to_thread(met)
