"""Who calls, by which of the two doors: what is shown there becomes a `Caller`, or nothing.

socket  the control socket: the system says which user has opened it. Nothing is shown.
tls     the port: the secret of a login, as a cookie or as a bearer token. A cookie is sent by browsers on behalf of any
        page, so with one a request that changes something has to say that it comes from a page of this very origin.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bartizan.api.asking import SOCKET_USER, actor_of, is_owner
from bartizan.api.permissions import DANGEROUS, Permission, permitted
from bartizan.api.sessions import Session, Sessions
from bartizan.config.api import ApiSettings
from bartizan.identity.tokens import PREFIX as TOKEN
from bartizan.identity.tokens import hash_of
from bartizan.model.actor import Actor, Way
from bartizan.model.operator import Operator, OperatorFactor, OperatorRole
from bartizan.store.ports import OperatorStore

COOKIE: Final = "__Host-bartizan"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
NOTED_EVERY: Final = timedelta(minutes=1)
"""So often the last use of a token is written."""

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
    scopes: frozenset[Permission] | None = None
    """What a token is held to; None: whatever the roles give."""

    def require(self, permission: Permission, settings: ApiSettings, now: datetime) -> None:
        """Returns if it may; else raises 403, saying what would help."""
        if permission in {Permission.ANYONE, Permission.SELF}:
            return
        if self.scopes is not None and (permission not in self.scopes or permission in DANGEROUS):
            raise forbidden(f"this token is not for that ({permission.value})")
        if self.must_change:
            raise forbidden("the password was made for you: choose one of your own first (PUT /session/password)")
        if not permitted(self.roles, permission, tenant=self.tenant):
            if permitted((*self.roles, *self.withheld), permission, tenant=self.tenant):
                raise forbidden("this takes a login with a second factor: log in with a one-time code")
            raise forbidden(f"your roles do not permit this ({permission.value})")
        if self.session is not None and permission in DANGEROUS:
            require_fresh(self.session, settings, now)

    def may(self, permission: Permission) -> bool:
        """Whether its roles, and of a token its scopes, have it. `require` asks for more: a proof, where it wants one."""
        in_scope = self.scopes is None or permission in self.scopes
        return in_scope and permitted(self.roles, permission, tenant=self.tenant)

    def sees(self, tenant: str | None) -> bool:
        """Whether what belongs to this tenant, or to none, is shown to it."""
        return not self.tenant or self.tenant == tenant

    @property
    def is_owner(self) -> bool:
        """Whether it owns the data directory, or is root: at the control socket."""
        return self.actor.way is Way.SOCKET


def require_fresh(session: Session, settings: ApiSettings, now: datetime) -> None:
    """Returns if its proof is recent enough for what is dangerous; else raises 403."""
    if now - session.proved_at > timedelta(seconds=settings.proof_s):
        raise forbidden("this takes a recent proof: show password and code again (POST /session/proof), or a passkey")


class Door(Protocol):
    """Finds out who calls."""

    async def caller(self, request: Request) -> Caller | None:
        """Who calls; None if nothing that was shown proves anybody."""
        ...

    async def again(self, request: Request, caller: Caller) -> Caller | None:
        """Who called, as it stands now; None if its login is over. Of something that goes on; it is no use of a login."""
        ...


class SocketDoor(Door):
    """The control socket: who may open it, root or the owner of the data directory, may everything."""

    async def caller(self, request: Request) -> Caller | None:
        """See `Door`."""
        if request.client is None or not is_owner(request.client.host):
            return None
        return Caller(actor_of(request), EVERY_ROLE)

    async def again(self, request: Request, caller: Caller) -> Caller | None:  # noqa: ARG002
        """See `Door`."""
        return caller


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
            shown = bearer.strip()
            return await (self._of_token if shown.startswith(TOKEN) else self._of_session)(shown, request)
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            return None
        caller = await self._of_session(cookie, request)
        if caller is not None and request.method not in SAFE_METHODS:
            require_own_origin(request)
        return caller

    async def _of_token(self, secret: str, request: Request) -> Caller | None:
        token = await self._operators.token_of(hash_of(secret))
        now = datetime.now(UTC)
        if token is None or now >= token.expires_at:
            return None
        operator = await self._operators.operator(token.operator)
        if operator is None or not operator.is_enabled or operator.must_change:
            return None
        if token.last_used_at is None or now - token.last_used_at >= NOTED_EVERY:
            await self._operators.note_token_use(token.id, now)
        scopes = frozenset(one for one in Permission if one.value in token.scopes)
        actor = Actor(str(operator.name), address_of(request), Way.TOKEN)
        return Caller(actor, operator.roles, operator.tenant, scopes=scopes)

    async def again(self, request: Request, caller: Caller) -> Caller | None:
        """See `Door`."""
        if caller.session is None:
            return await self.caller(request)
        session = self._sessions.look(caller.session.id)
        return None if session is None else await self._as_operator(session, request)

    async def _of_session(self, secret: str, request: Request) -> Caller | None:
        session = self._sessions.find(secret)
        return None if session is None else await self._as_operator(session, request)

    async def _as_operator(self, session: Session, request: Request) -> Caller | None:
        operator = await self._operators.operator(session.operator)
        # Asked each time: who is disabled, has another password, or lost the passkey, is out at once.
        if operator is None or not session.holds_for(operator):
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
        # Who came without the password need not choose another one.
        operator.must_change and OperatorFactor.PASSWORD in session.factors,
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


def shows_something(request: Request) -> bool:
    """Whether a request comes with something that is to prove who calls."""
    return bool(request.headers.get("authorization")) or COOKIE in request.cookies


def unproved(request: Request) -> Actor:
    """Who calls, where nothing is proved: at the port no name, and the way that was tried."""
    address = address_of(request)
    if not address:
        return actor_of(request)
    shown = request.headers.get("authorization", "").partition(" ")[2].strip()
    return Actor("", address, Way.TOKEN if shown.startswith(TOKEN) else Way.SESSION)


def forbidden(why: str) -> HTTPException:
    """403, and why."""
    return HTTPException(HTTPStatus.FORBIDDEN, why)
