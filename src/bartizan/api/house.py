"""What the routes work on: the broker, who runs it, and the logins. One for both doors.

A route has one that serves its caller: whatever it writes is on record as that one's, without its doing.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from bartizan.api.approvals import Approvals
from bartizan.api.caller import Caller
from bartizan.api.oidc import OidcLogins
from bartizan.api.once import Once
from bartizan.api.refusals import Refusals
from bartizan.api.sessions import Sessions
from bartizan.api.stream import Readers
from bartizan.audit.trail import Trail
from bartizan.authn.operators import OperatorLogin
from bartizan.broker.app import Broker
from bartizan.broker.hands import Hands, hands_of
from bartizan.config.api import ApiSettings
from bartizan.errors import BartizanError, ConfigurationError, NotFound, NotInForce
from bartizan.identity.passkeys import ENDS_AFTER, Ceremony, RelyingParty
from bartizan.identity.register import Register
from bartizan.model.actor import BROKER, Actor
from bartizan.model.operator import Operator
from bartizan.model.principal import Identity
from bartizan.policy.tenants import tenant_of
from bartizan.store.ports import OperatorStore

IN_FORCE_WITHIN_S = 30.0
"""A group of a million identities takes seconds; whoever waits longer is told that it is stored."""


class House:
    """The broker, as the routes see it."""

    def __init__(self, broker: Broker, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.broker = broker
        self.store = broker.store
        """Identities and operators. What is changed there is on record, as done by whoever is served."""
        self.actor = BROKER
        """Who is served."""
        self.now = now
        self.sessions = Sessions(self.settings, now)
        self.login = OperatorLogin(self.store, broker.settings.passwords, now=now)
        self.asked_at_door: Once[Ceremony] = Once(now, ENDS_AFTER)
        """Questions to passkeys of whoever wants to log in. Apart: whatever comes there, those inside get answered."""
        self.asked_inside: Once[Ceremony] = Once(now, ENDS_AFTER)
        self.oidc = OidcLogins(broker, now)
        self.approvals = Approvals(self.settings, now, self.store)
        self.readers = Readers(broker.journal)
        self.refusals = Refusals(broker.journal)
        self.verifying = asyncio.Lock()
        """The record of changes is read whole by one at a time."""

    def serving(self, actor: Actor) -> "House":
        """The same house, whose changes are on record as made by this actor."""
        served = copy(self)
        served.actor = actor
        served.store = self.store.acting_as(actor)
        return served

    def because(self, why: str) -> "House":
        """The same, for this reason beside the one that holds already."""
        return self.serving(self.actor.because("; ".join(filter(None, (why, self.actor.why)))))

    @property
    def settings(self) -> ApiSettings:
        """`[api]`."""
        return self.broker.settings.api

    @property
    def relying_party(self) -> RelyingParty:
        """Where operators log in by passkey; `ConfigurationError` if that is nowhere."""
        place = self.settings.passkey_place
        if place is None:
            raise ConfigurationError(
                "a passkey is made for a host name, and there is none", "[api.passkeys]", "set its host"
            )
        return RelyingParty(place.host, "Bartizan", place.origins)

    @property
    def register(self) -> Register:
        """The identities."""
        return Register(self.store)

    @property
    def operators(self) -> OperatorStore:
        """The people who run the broker."""
        return self.store

    @property
    def trail(self) -> Trail:
        """The record of changes."""
        return self.broker.trail.acting_as(self.actor)

    @property
    def hands(self) -> Hands:
        """What acts on clients and identities at once."""
        return hands_of(self.broker, self.actor)

    async def changed(self) -> None:
        """Identities were written: returns once the broker holds to that; `NotInForce` if it does not in time."""
        following = asyncio.ensure_future(self._follow())
        following.add_done_callback(_passed_over)
        # Not broken off where it takes longer: half of it would be in force.
        done, _ = await asyncio.wait({following}, timeout=IN_FORCE_WITHIN_S)
        if not done:
            raise _not_in_force(f"the engine took longer than {IN_FORCE_WITHIN_S:g} s")
        try:
            await following
        except BartizanError as error:
            raise _not_in_force(str(error)) from None

    async def _follow(self) -> None:
        await self.broker.directory.refresh()
        await self.broker.follow_identities()

    def tell(self, what: str, actor: Actor, **fields: object) -> None:
        """An event: who, from where, and what."""
        self.broker.journal.note(what, operator=actor.name, address=actor.address, way=actor.way.value, **fields)

    def tenant_of(self, identity: Identity) -> str | None:
        """Whose client it is, by the policy in force."""
        return tenant_of(dict(identity.attributes), self.broker.in_force.policy.tenants)

    async def identity(self, caller: Caller, name: str) -> Identity:
        """The identity, if the caller sees it; else `NotFound`, as if there were none."""
        found = await self.register.get(name)
        if not caller.sees(self.tenant_of(found)):
            raise NotFound(f"there is no identity {name!r}")
        return found

    async def operator(self, name: str) -> Operator:
        """The operator, or `NotFound`."""
        found = await self.operators.operator(name)
        if found is None:
            raise NotFound(f"there is no operator {name!r}")
        return found


def _not_in_force(why: str) -> NotInForce:
    return NotInForce(f"the change is stored and on record, and not in force yet: {why}")


def _passed_over(following: asyncio.Future[None]) -> None:
    """Nobody may wait for it any more; the broker's own turn tells what keeps failing."""
    if not following.cancelled():
        following.exception()


def _house(request: Request) -> House:
    house: House = request.app.state.house
    # Set by the guard of the route, where it asks who calls.
    caller: Caller | None = getattr(request.state, "caller", None)
    return house if caller is None else house.serving(caller.actor)


def _caller(request: Request) -> Caller:
    # Set by the guard of the route before anything else is looked at.
    return request.state.caller


Housed = Annotated[House, Depends(_house)]
Calling = Annotated[Caller, Depends(_caller)]
