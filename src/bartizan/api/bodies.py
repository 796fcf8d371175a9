"""What control requests carry, and how errors are told to whoever sent them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bartizan.errors import BartizanError

Handler = Callable[[Request], Awaitable[Response]]


def told(handler: Handler) -> Handler:
    """The same; an error of ours, or a body that is none, is told in words."""

    async def telling(request: Request) -> Response:
        try:
            return await handler(request)
        except BartizanError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"not what is asked for here: {error}"}, HTTPStatus.BAD_REQUEST)

    return telling


async def body_of(request: Request) -> dict[str, Any]:
    """The object that a request carries; `TypeError`, or `ValueError`, for anything else."""
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError("the body is an object")
    return body


def time_of(text: str | None) -> datetime | None:
    """A time that says its zone; None for none."""
    at = None if text is None else datetime.fromisoformat(text)
    if at is not None and at.tzinfo is None:
        raise ValueError("a time says its zone")
    return at
