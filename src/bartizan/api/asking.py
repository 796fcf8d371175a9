"""Who asks at the control socket: whoever may open it says so, and could do everything by hand as well."""

from starlette.requests import Request

from bartizan.audit.actor import ACTOR_HEADER, Actor

NAME_CHARS_MAX = 128


def actor_of(request: Request) -> Actor:
    """Who a request says it is from."""
    name = request.headers.get(ACTOR_HEADER, "")[:NAME_CHARS_MAX]
    return Actor(name or "unknown", "control socket")
