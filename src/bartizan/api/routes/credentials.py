"""What proves identities, of all of them: what ends soon, and who still uses the old one."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AwareDatetime

from bartizan.api import schemas
from bartizan.api.house import Calling, Housed
from bartizan.api.paging import LOOKED_AT_MAX, ORDERS, ByIdentity, Page, Parted, next_behind, place_of
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.identity.ages import AgeLimits, endings
from bartizan.identity.records import credential_record
from bartizan.identity.rotation import Held, held
from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage

ROUTES = Routes("identities")

Kind = Literal["password", "certificate", "scram"]


@ROUTES.on("GET", "/credentials", Permission.LOOK, response_model=Page[schemas.HeldCredential])
async def list_credentials(  # noqa: PLR0913  one for each filter
    house: Housed,
    caller: Calling,
    part: Parted,
    *,
    of: Annotated[str | None, Query(alias="identity", max_length=128, description="Of this identity alone.")] = None,
    kind: Kind | None = None,
    live: Annotated[bool | None, Query(description="Those that prove somebody now, or those that do not.")] = None,
    stale: Annotated[
        bool | None, Query(description="Those with a successor that their holder does not use yet.")
    ] = None,
    ends_before: Annotated[AwareDatetime | None, Query(description="Those that end before then.")] = None,
    expiring: Annotated[
        bool | None, Query(description="Those that end within 30 days, or are too old, and have no successor.")
    ] = None,
    sort: ByIdentity = "identity",
) -> Mapping[str, Any]:
    """List credentials. No secret is shown. A page may be short, or empty, and have a next one."""
    at, order = house.now(), ORDERS[sort]
    behind = place_of(part, order)
    limits = AgeLimits(house.broker.settings.credentials.days_max, house.broker.in_force.policy.credential_days_max)

    def fits(one: Held) -> bool:
        not_after = one.credential.not_after if isinstance(one.credential, CertificateCredential) else None
        ends = [end for end in (one.credential.expires_at, not_after) if end is not None]
        return (
            kind in {None, one.credential.kind}
            and live in {None, one.credential.is_live(at)}
            and stale in {None, one.is_stale}
            and (
                expiring is None
                or expiring is any(each.credential is one.credential for each in endings(one.identity, limits, at=at))
            )
            and (ends_before is None or any(end < ends_before for end in ends))
        )

    # Uses decide who is stale alone: without that filter, those of the page will do.
    used = dict[str, list[Usage]]()
    for use in [] if stale is None else await house.register.store.usage():
        used.setdefault(str(use.name), []).append(use)
    found = list[Identity]()
    count, looked_at, more = 0, 0, False
    everyone = house.register.in_order(order, behind) if of is None else _one(await house.identity(caller, of))
    async for identity in everyone:
        if more := count >= part.limit or looked_at == LOOKED_AT_MAX:
            break
        looked_at, behind = looked_at + 1, order.place(identity)
        if caller.sees(house.tenant_of(identity)):
            own = sum(fits(one) for one in held([identity], used.get(str(identity.name), []), at=at))
            count += own
            found += [identity] if own else []
    uses = await house.register.store.usage([one.name for one in found])
    items = [_told(one, at) for one in held(found, uses, at=at) if fits(one)]
    return {"items": items, "next": next_behind(behind if more else None)}


def _told(one: Held, at: datetime) -> dict[str, Any]:
    return {
        **credential_record(one.credential),
        "identity": str(one.identity.name),
        "live": one.credential.is_live(at),
        "last_used_at": one.last_used_at,
        "successor": None if one.successor is None else one.successor.id,
        "stale": one.is_stale,
    }


async def _one(identity: Identity) -> AsyncIterator[Identity]:
    yield identity
