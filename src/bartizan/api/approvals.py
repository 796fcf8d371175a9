"""What waits for a second operator: the request as it was sent, done as whoever sent it once another one agrees.

In memory: a restart forgets what waits, and it is asked for again.
"""

import json
import secrets
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
from bartizan.config.api import Act, ApiSettings
from bartizan.errors import Conflict, NotFound
from bartizan.model.operator import Operator

WAITING_MAX: Final = 100
"""Requests that wait at once; a further one is refused."""

WAITING_OF_ONE_MAX: Final = 20
"""Of one operator: nobody fills the line for the others."""

WAITING_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of all their bodies together."""

KEPT_HEADERS: Final = frozenset({b"content-type", b"if-match"})
"""What of the headers counts again when it is done: no login, no cookie, no key of another request."""

KEPT_OF_SCOPE: Final = ("method", "path", "raw_path", "query_string", "path_params", "root_path")

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
    handle: Handler = field(repr=False)

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


class Approvals:
    """All that waits. Use it from one thread."""

    def __init__(self, settings: ApiSettings, now: Callable[[], datetime]) -> None:
        # Who may revoke one by itself could name everybody by a pattern else.
        more = {Act.REVOKE_ALL} if Act.REVOKE in settings.two_person else set()
        self._asks_for = frozenset(settings.two_person) | more
        self._kept_for = timedelta(seconds=settings.approval_s)
        self._now = now
        self._waiting: dict[str, Waiting] = {}

    def holds(self, act: Act | None, caller: Caller) -> bool:
        """Whether this takes a second operator. Who owns the data directory could do all of it by hand."""
        return act in self._asks_for and not caller.is_owner

    async def ask(self, request: Request, act: Act, permission: Permission, handle: Handler) -> Response:
        """Has a request wait: 202, and where it is."""
        caller: Caller = request.state.caller
        body = await request.body()
        self._forget()
        own = sum(one.caller.actor.name == caller.actor.name for one in self._waiting.values())
        is_full = len(self._waiting) >= WAITING_MAX or own >= WAITING_OF_ONE_MAX
        if is_full or self._bytes() + len(body) > WAITING_BYTES_MAX:
            raise Conflict("too much waits for a second operator already: GET /approvals shows it")
        at = self._now()
        scope = {name: request.scope[name] for name in KEPT_OF_SCOPE if name in request.scope}
        scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name in KEPT_HEADERS]
        made = Waiting(secrets.token_hex(8), act, permission, caller, at, at + self._kept_for, scope, body, handle)
        self._waiting[made.id] = made
        headers = {"location": f"{request.scope.get('root_path', '')}/approvals/{made.id}"}
        return JSONResponse(made.as_dict(), HTTPStatus.ACCEPTED, headers)

    def everything(self) -> list[Waiting]:
        """What waits, the oldest first."""
        self._forget()
        return list(self._waiting.values())

    def find(self, id_: str) -> Waiting:
        """What waits under this id, or `NotFound`."""
        self._forget()
        found = self._waiting.get(id_)
        if found is None:
            raise NotFound("nothing waits under this id: it may have been done, withdrawn or have waited too long")
        return found

    def drop(self, id_: str) -> Waiting:
        """Lets it wait no more."""
        found = self.find(id_)
        del self._waiting[id_]
        return found

    async def approve(self, waiting: Waiting, request: Request, second: Caller, asker: Operator | None) -> Response:
        """Does what waits, as whoever asked for it: once, whatever comes of it."""
        if second.session is None:
            raise forbidden(
                "this takes a login of a second operator: there is none at the control socket, or by a token"
            )
        if second.actor.name == waiting.caller.actor.name:
            raise Conflict("you asked for it: another operator has to agree")
        caller = _still(waiting, asker, second)
        self.drop(waiting.id)
        scope = dict(request.scope) | dict(waiting.scope) | {"state": {}}
        doing = Request(scope, _sent(waiting.body))
        doing.state.caller = caller
        return await waiting.handle(doing)

    def _bytes(self) -> int:
        return sum(len(one.body) for one in self._waiting.values())

    def _forget(self) -> None:
        at = self._now()
        self._waiting = {id_: one for id_, one in self._waiting.items() if at < one.ends_at}


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
