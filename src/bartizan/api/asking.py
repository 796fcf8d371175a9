"""Who asks at the control socket. Which user it is the system says; behind sudo, root says for whom it asks."""

import pwd

from starlette.requests import Request

from bartizan.model.actor import ACTOR_HEADER, Actor, Way

SOCKET_USER = "uid:"
"""What `serve` writes in the place of an address for who opened the control socket."""

NAME_CHARS_MAX = 128


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
    if uid == 0 and told:
        return Actor(told[:NAME_CHARS_MAX], way=Way.SOCKET, uid=uid)
    try:
        return Actor(pwd.getpwuid(uid).pw_name, way=Way.SOCKET, uid=uid)
    except KeyError:
        return Actor(user, way=Way.SOCKET, uid=uid)
