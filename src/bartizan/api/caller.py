"""Who calls, by which of the two doors: what is shown there becomes a `Caller`, or nothing.

socket  the control socket: the system says which user has opened it. Nothing is shown.
tls     the port: the secret of a login, as a cookie or as a bearer token. A cookie is sent by browsers on behalf of any
        page, so with one a request that changes something has to say that it comes from a page of this very origin.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bartizan.api.asking import SOCKET_USER, socket_actor
from bartizan.api.permissions import DANGEROUS, Permission, permitted
from bartizan.api.sessions import Session, Sessions, password_mark
from bartizan.config.api import ApiSettings
from bartizan.model.actor import ACTOR_HEADER, Actor, Way
from bartizan.model.operator import Operator, OperatorRole
from bartizan.store.ports import OperatorStore

COOKIE: Final = "__Host-bartizan"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
EVERY_ROLE: Final = tuple(OperatorRole)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what it may."""

    actor: Actor
    roles: tuple[OperatorRole, ...]
    """Those that count now."""
    tenant: str = ""
    """The only tenant that it sees; empty: all."""
    session: Session | None = None
    withheld: tuple[OperatorRole, ...] = ()
    """Roles that would count after a login with two factors."""
    must_change: bool = False

    def require(self, permission: Permission, settings: ApiSettings, now: datetime) -> None:
        """Returns if it may; else raises 403, saying what would help."""
        if permission in {Permission.ANYONE, Permission.SELF}:
            return
        if self.must_change:
            raise forbidden("the password was made for you: choose one of your own first (PUT /session/password)")
        if not permitted(self.roles, permission, tenant=self.tenant):
            if permitted((*self.roles, *self.withheld), permission, tenant=self.tenant):
                raise forbidden("this takes a login with a second factor: log in with a one-time code")
            raise forbidden(f"your roles do not permit this ({permission.value})")
        if self.session is not None and permission in DANGEROUS and not is_fresh(self.session, settings, now):
            raise forbidden("this takes a recent proof: show password and code again (POST /session/proof)")

    def sees(self, tenant: str | None) -> bool:
        """Whether what belongs to this tenant, or to none, is shown to it."""
        return not self.tenant or self.tenant == tenant


def is_fresh(session: Session, settings: ApiSettings, now: datetime) -> bool:
    """Whether its proof is recent enough for what is dangerous."""
    return now - session.proved_at <= timedelta(seconds=settings.proof_s)


class Door(Protocol):
    """Finds out who calls."""

    async def caller(self, request: Request) -> Caller | None:
        """Who calls; None if nothing that was shown proves anybody."""
        ...


class SocketDoor(Door):
    """The control socket: who may open it, root or the owner of the data directory, may everything."""

    async def caller(self, request: Request) -> Caller | None:
        """See `Door`."""
        user = request.client.host if request.client is not None else ""
        if user not in {f"{SOCKET_USER}0", f"{SOCKET_USER}{os.geteuid()}"}:
            return None
        return Caller(socket_actor(user, request.headers.get(ACTOR_HEADER, "")), EVERY_ROLE)


class TlsDoor(Door):
    """The port: logins of operators."""

    def __init__(self, operators: OperatorStore, sessions: Sessions, settings: ApiSettings) -> None:
        self._operators = operators
        self._sessions = sessions
        self._settings = settings

    async def caller(self, request: Request) -> Caller | None:
        """See `Door`."""
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._of_session(bearer.strip(), request)
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            return None
        caller = await self._of_session(cookie, request)
        if caller is not None and request.method not in SAFE_METHODS:
            require_own_origin(request)
        return caller

    async def _of_session(self, secret: str, request: Request) -> Caller | None:
        session = self._sessions.find(secret)
        if session is None:
            return None
        operator = await self._operators.operator(session.operator)
        # Asked each time: who is disabled, or has another password, is out at once.
        if operator is None or not operator.is_enabled or password_mark(operator) != session.mark:
            self._sessions.close(session.id)
            return None
        return logged_in(operator, session, address_of(request), self._settings)


def logged_in(operator: Operator, session: Session, address: str, settings: ApiSettings) -> Caller:
    """Who calls by this login: some roles count only where two factors were shown."""
    withheld = () if session.is_mfa else tuple(role for role in operator.roles if role in settings.mfa_roles)
    return Caller(
        Actor(str(operator.name), address, Way.SESSION),
        tuple(role for role in operator.roles if role not in withheld),
        operator.tenant,
        session,
        withheld,
        operator.must_change,
    )


def require_own_origin(request: Request) -> None:
    """Raises 403 unless the browser says that a page of this very origin, or its user, asks (OWASP: CSRF)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in {"same-origin", "none"}:
            return
        raise forbidden("this request comes from a page of another origin")
    # An older browser sends no Sec-Fetch-Site, but always an Origin with what changes something.
    if request.headers.get("origin") != f"https://{request.headers.get('host', '')}":
        raise forbidden("with a cookie, say where the request comes from: Origin or Sec-Fetch-Site of this origin")


def address_of(request: Request) -> str:
    """Where a request comes from; empty for the control socket."""
    host = request.client.host if request.client is not None else ""
    return "" if host.startswith(SOCKET_USER) else host


def forbidden(why: str) -> HTTPException:
    """403, and why."""
    return HTTPException(HTTPStatus.FORBIDDEN, why)
