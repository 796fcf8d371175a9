"""`Idempotency-Key`: a change that is sent again, because its answer was lost, is done once and answered as before.

Kept in memory for a while, for whoever did it: an answer may hold a secret that is shown once.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bartizan.model.actor import Actor

HEADER: Final = "idempotency-key"
REPLAYED: Final = "idempotency-replayed"
KEPT_FOR: Final = timedelta(minutes=10)
ANSWERS_MAX: Final = 1_000
KEY_CHARS_MAX: Final = 128

_Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Answer:
    asked: str
    """Hash of what was sent: query and body."""
    at: datetime
    answer: Response | None = field(default=None, repr=False)
    """None while it is being done."""


class Repeats:
    """What was done under which key. Use it from one thread."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._known: OrderedDict[_Key, _Answer] = OrderedDict()

    async def once(self, request: Request, actor: Actor, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Handles the request, or gives the answer that it had before."""
        word = request.headers.get(HEADER)
        if word is None:
            return await handle(request)
        if not 1 <= len(word) <= KEY_CHARS_MAX or not word.isascii() or not word.isprintable():
            raise HTTPException(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"an Idempotency-Key has 1 to {KEY_CHARS_MAX} characters"
            )
        asked = hashlib.sha256(request.url.query.encode() + b"\0" + await request.body()).hexdigest()
        key = (actor.name, request.method, request.url.path, word)
        self._forget()
        if (before := self._known.get(key)) is not None:
            return _again(before, asked)
        self._known[key] = _Answer(asked, self._now())
        try:
            answer = await handle(request)
        except BaseException:
            # What failed may be tried again.
            self._known.pop(key, None)
            raise
        if isinstance(answer, StreamingResponse):
            # What goes on cannot be told again: it is under way as long as the key is known.
            return answer
        self._known[key] = _Answer(asked, self._now(), answer)
        return answer

    def _forget(self) -> None:
        at = self._now()
        while self._known:
            key, oldest = next(iter(self._known.items()))
            if len(self._known) < ANSWERS_MAX and at - oldest.at < KEPT_FOR:
                return
            del self._known[key]


def _again(before: _Answer, asked: str) -> Response:
    if before.asked != asked:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "this Idempotency-Key was used for another request")
    if before.answer is None:
        raise HTTPException(HTTPStatus.CONFLICT, "the first request with this Idempotency-Key is still under way")
    headers = dict(before.answer.headers) | {REPLAYED: "true"}
    return Response(before.answer.body, before.answer.status_code, headers)
