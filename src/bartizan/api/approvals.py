"""What waits for a second operator: the request as it was sent, done as whoever sent it once another one agrees.

It is in the store of the operators, so that it waits over a restart too, and once for all brokers of one PostgreSQL.
No login is kept with it, and nothing that a body of such a request may hold is a secret: what is shown once is made
when it is done. `test_no_request_that_takes_two_has_a_secret_in_it` holds further ones to that.
"""

import asyncio
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from bartizan.api.caller import Caller, forbidden
from bartizan.api.permissions import Permission, permitted
from bartizan.api.sessions import Session
from bartizan.audit.trail import Trail
from bartizan.config.api import Act, ApiSettings
from bartizan.errors import Conflict, NotFound
from bartizan.model.actor import Actor, Way
from bartizan.model.approval import KeptRequest
from bartizan.model.operator import Operator, OperatorFactor, OperatorName, OperatorRole
from bartizan.store.ports import OperatorStore

ASK: Final = "approval.ask"
WITHDRAW: Final = "approval.withdraw"
REFUSE: Final = "approval.refuse"

WAITING_MAX: Final = 100
"""Requests that wait at once; a further one is refused."""

WAITING_OF_ONE_MAX: Final = 20
"""Of one operator: nobody fills the line for the others."""

WAITING_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of all their bodies together."""

KEPT_HEADERS: Final = frozenset({b"content-type", b"if-match"})
"""What of the headers counts again when it is done: no login, no cookie, no key of another request."""

_OCTETS: Final = ("raw_path", "query_string")
_TEXTS: Final = ("method", "path", "root_path")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request that waits."""

    id: str
    act: Act
    permission: Permission
    caller: Caller
    """Who asked for it."""
    asked_at: datetime
    ends_at: datetime
    scope: Mapping[str, Any] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def request(self) -> str:
        """Method and path."""
        return f"{self.scope['method']} {self.scope['path']}"

    def as_dict(self) -> dict[str, Any]:
        """For lists."""
        return {
            "id": self.id,
            "act": self.act.value,
            "request": self.request,
            "query": self.scope["query_string"].decode("ascii", "backslashreplace"),
            "asked_by": self.caller.actor.name,
            "address": self.caller.actor.address,
            "asked_at": self.asked_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
        }

    def in_full(self) -> dict[str, Any]:
        """With what was sent: whoever agrees has to see it."""
        try:
            sent = json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            sent = None
        return self.as_dict() | {"body": sent}

    def kept(self) -> KeptRequest:
        """As the store keeps it."""
        scope = self.scope
        told = {
            "act": self.act.value,
            "permission": self.permission.value,
            "caller": _kept_caller(self.caller),
            **{name: scope.get(name, "") for name in _TEXTS},
            **{name: scope.get(name, b"").decode("latin-1") for name in _OCTETS},
            "headers": [[part.decode("latin-1") for part in header] for header in scope["headers"]],
            "body": b64encode(self.body).decode(),
        }
        return KeptRequest(self.id, self.asked_at, self.ends_at, json.dumps(told))

    @classmethod
    def of(cls, kept: KeptRequest) -> "Waiting":
        """From what the store has kept."""
        told = json.loads(kept.text)
        scope = {name: told[name] for name in _TEXTS} | {name: told[name].encode("latin-1") for name in _OCTETS}
        scope["headers"] = [tuple(part.encode("latin-1") for part in header) for header in told["headers"]]
        caller = _caller_of(told["caller"], kept.asked_at)
        act, permission = Act(told["act"]), Permission(told["permission"])
        return cls(kept.id, act, permission, caller, kept.asked_at, kept.ends_at, scope, b64decode(told["body"]))


class Approvals:
    """All that waits."""

    def __init__(self, settings: ApiSettings, now: Callable[[], datetime], store: OperatorStore) -> None:
        # Who may revoke one by itself could name everybody by a pattern else.
        more = {Act.REVOKE_ALL} if Act.REVOKE in settings.two_person else set()
        self._asks_for = frozenset(settings.two_person) | more
        self._kept_for = timedelta(seconds=settings.approval_s)
        self._now = now
        self._store = store
        self._turn = asyncio.Lock()
        """The bounds hold also where several ask at the same time."""

    def holds(self, act: Act | None, caller: Caller) -> bool:
        """Whether this takes a second operator. Who owns the data directory could do all of it by hand."""
        return act in self._asks_for and not caller.is_owner

    async def ask(self, request: Request, act: Act, permission: Permission, trail: Trail) -> Response:
        """Has a request wait, on record: 202, and where it is."""
        caller: Caller = request.state.caller
        body = await request.body()
        async with self._turn:
            there = await self.everything()
            own = sum(one.caller.actor.name == caller.actor.name for one in there)
            is_full = len(there) >= WAITING_MAX or own >= WAITING_OF_ONE_MAX
            if is_full or sum(len(one.body) for one in there) + len(body) > WAITING_BYTES_MAX:
                raise Conflict("too much waits for a second operator already: GET /approvals shows it")
            at = self._now()
            scope = {name: request.scope[name] for name in (*_TEXTS, *_OCTETS) if name in request.scope}
            scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name in KEPT_HEADERS]
            made = Waiting(secrets.token_hex(8), act, permission, caller, at, at + self._kept_for, scope, body)
            # What was sent is in no record: there may be a secret in it.
            told = {"act": act.value, "request": made.request}
            span = await trail.begin(ASK, f"approval/{made.id}", after=told)
            async with trail.settling(span, ASK):
                await self._store.add_approval(made.kept())
        headers = {"location": f"{request.scope.get('root_path', '')}/approvals/{made.id}"}
        return JSONResponse(made.as_dict(), HTTPStatus.ACCEPTED, headers)

    async def everything(self) -> list[Waiting]:
        """What waits, the oldest first. What has waited too long waits no more."""
        at, waiting = self._now(), list[Waiting]()
        for kept in await self._store.approvals():
            if at < kept.ends_at:
                waiting.append(Waiting.of(kept))
            else:
                await self._store.remove_approval(kept.id)
        return waiting

    async def find(self, id_: str) -> Waiting:
        """What waits under this id, or `NotFound`."""
        found = next((one for one in await self.everything() if one.id == id_), None)
        if found is None:
            raise _gone()
        return found

    async def drop(self, id_: str) -> None:
        """Lets it wait no more; `NotFound` if it does not."""
        if not await self._store.remove_approval(id_):
            raise _gone()

    async def refuse(self, waiting: Waiting, trail: Trail) -> None:
        """It is not done, on record: withdrawn by whoever asked for it, or refused by another one."""
        asked_by = waiting.caller.actor.name
        what = WITHDRAW if asked_by == trail.actor.name else REFUSE
        told = {"act": waiting.act.value, "request": waiting.request, "asked_by": asked_by}
        span = await trail.begin(what, f"approval/{waiting.id}", before=told)
        async with trail.settling(span, what):
            await self.drop(waiting.id)

    async def approve(
        self, waiting: Waiting, request: Request, second: Caller, asker: Operator | None, handle: Handler
    ) -> Response:
        """Does what waits, as whoever asked for it, by the handler of its route: once, whatever comes of it."""
        if second.session is None:
            raise forbidden(
                "this takes a login of a second operator: there is none at the control socket, or by a token"
            )
        if second.actor.name == waiting.caller.actor.name:
            raise Conflict("you asked for it: another operator has to agree")
        if self._now() >= waiting.ends_at:
            raise _gone()
        caller = _still(waiting, asker, second)
        # Of two who agree at the same time, one finds it there.
        await self.drop(waiting.id)
        scope = dict(request.scope) | dict(waiting.scope) | {"state": {}}
        doing = Request(scope, _sent(waiting.body))
        doing.state.caller = caller
        return await handle(doing)


def _gone() -> NotFound:
    return NotFound("nothing waits under this id: it may have been done, withdrawn or have waited too long")


def _kept_caller(caller: Caller) -> dict[str, Any]:
    """What is looked at again once a second operator agrees. Of its login, what that rests on; it opens nothing."""
    session = caller.session
    return {
        "name": caller.actor.name,
        "address": caller.actor.address,
        "way": caller.actor.way.value,
        "roles": [role.value for role in caller.roles],
        "tenant": caller.tenant,
        "scopes": None if caller.scopes is None else sorted(scope.value for scope in caller.scopes),
        "login": None
        if session is None
        else {
            "factors": sorted(factor.value for factor in session.factors),
            "mark": session.mark,
            "passkey": session.passkey.hex(),
            "subject": session.subject,
        },
    }


def _caller_of(told: Mapping[str, Any], at: datetime) -> Caller:
    login, session = told["login"], None
    if login is not None:
        session = Session(
            id="",
            operator=OperatorName(told["name"]),
            factors=frozenset(map(OperatorFactor, login["factors"])),
            address=told["address"],
            began_at=at,
            used_at=at,
            proved_at=at,
            mark=login["mark"],
            passkey=bytes.fromhex(login["passkey"]),
            subject=login["subject"],
        )
    return Caller(
        Actor(told["name"], told["address"], Way(told["way"])),
        tuple(map(OperatorRole, told["roles"])),
        told["tenant"],
        session,
        scopes=None if told["scopes"] is None else frozenset(map(Permission, told["scopes"])),
    )


def _still(waiting: Waiting, asker: Operator | None, second: Caller) -> Caller:
    """Who asked, with the roles that it had then and has still; `Conflict` if it may not do it any more."""
    caller = waiting.caller
    roles = tuple(role for role in caller.roles if asker is not None and role in asker.roles)
    is_same = asker is not None and asker.is_enabled and asker.tenant == caller.tenant
    if asker is not None and caller.session is not None:
        # Who has another password, or lost the passkey, may have so because somebody else had it.
        is_same = is_same and caller.session.holds_for(asker)
    if not is_same or not permitted(roles, waiting.permission, tenant=caller.tenant):
        raise Conflict(f"{caller.actor.name} may not do this any more")
    return replace(caller, roles=roles, actor=caller.actor.because(f"approved by {second.actor.name}"))


def _sent(body: bytes) -> Callable[[], Awaitable[Message]]:
    """What was sent, once more."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive
