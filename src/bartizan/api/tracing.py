"""Control: packets of one client as they pass, one JSON object a line, for as long as they are read."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bartizan.api.asking import actor_of
from bartizan.api.bodies import body_of, told
from bartizan.api.stream import Streamed
from bartizan.broker.app import Broker, State
from bartizan.broker.tracing import Trace, Wanted
from bartizan.errors import InvalidValue


class TraceStream(Streamed):
    """Packets, for as long as somebody reads."""

    media_type = "application/x-ndjson"


def tracing_routes(broker: Broker) -> list[Route]:
    """The routes."""

    async def trace(request: Request) -> Response:
        body = await body_of(request)
        tenant = body.get("tenant")
        wanted = Wanted(
            str(body["client_id"]),
            float(body["for_s"]),
            None if tenant is None else str(tenant),
            payloads=_is_set(body.get("payloads")),
            octets=_is_set(body.get("octets")),
        )
        begun = await broker.tracing.begin(wanted, actor_of(request).because(str(body.get("why", ""))))
        return streamed(broker, begun)

    return [Route("/v1/trace", told(trace), methods=["POST"])]


def streamed(broker: Broker, trace: Trace) -> TraceStream:
    """A trace as an answer."""

    async def goes_on() -> bool:
        return broker.state is State.READY

    return TraceStream(trace.lines(goes_on), trace.end)


def _is_set(value: object) -> bool:
    if value not in {None, True, False}:
        raise InvalidValue(f"{value!r} is neither true nor false")
    return value is True
