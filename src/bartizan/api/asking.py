"""Who asks at the control socket. Which user it is the system says (SO_PEERCRED); behind sudo, root says for whom it asks.

Root's word for whom it asks is taken, and marked: on record it is `alice (sudo)` with the uid 0, which no operator and
no user is called. Of everybody else no word is taken.
"""

import os
import pwd
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bartizan.api.refusals import Refusals
from bartizan.model.actor import ACTOR_HEADER, Actor, Way

SOCKET_USER = "uid:"
"""What `serve` writes in the place of an address for who opened the control socket."""

NAME_CHARS_MAX = 128


SUDO = " (sudo)"


class OwnersOnly:
    """Answers root and the owner of the broker, whatever the mode of the socket's file has become."""

    def __init__(self, app: ASGIApp, refusals: Refusals) -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        client = scope.get("client")
        if scope["type"] != "http" or (client is not None and is_owner(client[0])):
            await self._app(scope, receive, send)
            return
        why = "the control socket is for root and for the user that the broker runs as"
        user = "" if client is None else client[0]
        self._refusals.tell(socket_actor(user), f"{scope['method']} {scope['path']}", HTTPStatus.FORBIDDEN, why)
        await JSONResponse({"error": why}, HTTPStatus.FORBIDDEN)(scope, receive, send)


def is_owner(user: str) -> bool:
    """Whether who opened the control socket is root, or the user that the broker runs as."""
    return user in {f"{SOCKET_USER}0", f"{SOCKET_USER}{os.geteuid()}"}


def actor_of(request: Request) -> Actor:
    """Who a request is from."""
    user = request.client.host if request.client is not None else ""
    return socket_actor(user, request.headers.get(ACTOR_HEADER, ""))


def socket_actor(user: str, told: str = "") -> Actor:
    """Who opened the control socket; only of root it counts what is told."""
    digits = user.removeprefix(SOCKET_USER)
    if not (digits.isascii() and digits.isdigit()):
        return Actor("unknown", way=Way.SOCKET)
    uid = int(digits)
    try:
        own = pwd.getpwuid(uid).pw_name
    except KeyError:
        own = user
    asks_for = told.removesuffix(SUDO)[:NAME_CHARS_MAX]
    if uid == 0 and asks_for and asks_for != own:
        return Actor(f"{asks_for}{SUDO}", way=Way.SOCKET, uid=uid)
    return Actor(own, way=Way.SOCKET, uid=uid)
