"""Packets of one client as they pass, for whoever asks, as long as it reads; on record."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from bartizan.api import schemas_live as schemas
from bartizan.api.caller import Caller, Door
from bartizan.api.house import Calling, House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.api.stream import Streamed
from bartizan.broker.app import State
from bartizan.broker.tracing import NAME_CHARS_MAX, TRACE_S_MAX, Trace, Wanted
from bartizan.errors import NotFound
from bartizan.model.actor import WHY_CHARS_MAX

ROUTES = Routes("traces")


class TraceStream(Streamed):
    """Packets, for as long as somebody reads."""

    media_type = "application/x-ndjson"


class NewTrace(BaseModel):
    """Whose packets, for how long, and why."""

    model_config = ConfigDict(extra="forbid")

    client_id: Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
    for_s: Annotated[float, Field(gt=0, le=TRACE_S_MAX)] = 60.0
    payloads: bool = Field(
        default=False, description="What the messages say, too: it takes the permission `payloads` as well."
    )
    octets: bool = Field(default=False, description="The packets' octets, too (base64), as far as they are shown.")
    tenant: Annotated[str, Field(max_length=128)] | None = Field(None, description="The tenant whose client it is.")
    why: Annotated[str, Field(max_length=WHY_CHARS_MAX)] = ""


@ROUTES.on("POST", "/traces", Permission.TRACE, response_class=TraceStream)
async def trace_client(request: Request, house: Housed, caller: Calling, body: NewTrace) -> TraceStream:
    """Read the packets of a client as they pass, a JSON object a line, without secrets. Who looked is on record.

    First what is traced, last why it ended: `time` or `stopped`. An empty line every two seconds shows that it goes on.
    """
    needs = [Permission.TRACE, *([Permission.PAYLOADS] if body.payloads else [])]
    for need in needs:
        caller.require(need, house.settings, house.now())
    tenant = body.tenant or caller.tenant or None
    if not caller.sees(tenant):
        raise NotFound(f"no client {body.client_id!r} is yours")
    door: Door = request.app.state.door

    async def goes_on() -> bool:
        now = None if house.broker.state is not State.READY else await door.again(request, caller)
        return now is not None and all(now.may(need) for need in needs)

    wanted = Wanted(body.client_id, body.for_s, tenant, payloads=body.payloads, octets=body.octets)
    trace = await house.broker.tracing.begin(wanted, house.because(body.why).actor)
    return TraceStream(trace.lines(goes_on), trace.end)


@ROUTES.on("GET", "/traces", Permission.TRACE, response_model=list[schemas.TraceUnderWay])
async def list_traces(house: Housed, caller: Calling) -> Sequence[dict[str, Any]]:
    """List the traces under way: of whom, by whom, until when."""
    return [each.as_dict() for each in house.broker.tracing.under_way() if caller.sees(each.wanted.tenant)]


@ROUTES.on("DELETE", "/traces/{number}", Permission.TRACE, status=HTTPStatus.NO_CONTENT)
async def end_trace(house: Housed, caller: Calling, number: Annotated[int, Path(ge=0, le=2**53)]) -> None:
    """End a trace. Whoever reads it is told that it was stopped."""
    _found(house, caller, number).end()


def _found(house: House, caller: Caller, number: int) -> Trace:
    found = house.broker.tracing.find(number)
    if not caller.sees(found.wanted.tenant):
        raise NotFound(f"no trace has the number {number}: it may be over")
    return found
