"""Who would be hit by what is not done yet: for previews. The engine itself decides who is."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bartizan.broker.ended import every_client
from bartizan.model.ban import Ban, BanOf, meets, parse_banned
from bartizan.model.credential import CertificateCredential

if TYPE_CHECKING:
    from bartizan.broker.app import Broker


async def hit_by(broker: "Broker", ban: Ban) -> list[Mapping[str, Any]]:
    """The clients that a ban would cut, as the engine lists them."""
    serials: dict[str, frozenset[str]] = {}
    if ban.of is BanOf.SERIAL:
        async for identity in broker.directory.everyone():
            kept = [item for item in identity.credentials if isinstance(item, CertificateCredential)]
            found = frozenset(parse_banned(BanOf.SERIAL, item.serial_hex) for item in kept if item.serial_hex)
            if ban.what in found:
                serials[str(identity.name)] = found
    return await asyncio.to_thread(
        lambda: [client for client in every_client(broker.engine) if meets(ban, client, serials)]
    )
