"""What takes two operators and waits for the second one."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bartizan.api import schemas
from bartizan.api.guard import handler_of
from bartizan.api.house import Calling, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes

ROUTES = Routes("approvals")

Id = Annotated[str, Path(max_length=64)]


@ROUTES.on("GET", "/approvals", Permission.OPERATORS_LOOK, response_model=list[schemas.Approval])
async def list_approvals(house: Housed) -> Sequence[dict[str, Any]]:
    """List what waits for a second operator, the oldest first."""
    return [one.as_dict() for one in await house.approvals.everything()]


@ROUTES.on("GET", "/approvals/{id}", Permission.OPERATORS_LOOK, response_model=schemas.ApprovalInFull)
async def show_approval(house: Housed, id: Id) -> dict[str, Any]:  # noqa: A002
    """Show what waits, with what was sent: that is what would be done."""
    return (await house.approvals.find(id)).in_full()


@ROUTES.on("POST", "/approvals/{id}/approval", Permission.APPROVE, response_class=JSONResponse)
async def approve(house: Housed, caller: Calling, request: Request, id: Id) -> Response:  # noqa: A002
    """Agree to what another operator asked for, and have it done. It takes the permission that the request itself takes.

    The answer is that of the request, with what it shows once.
    """
    waiting = await house.approvals.find(id)
    caller.require(waiting.permission, house.settings, house.now())
    asker = await house.operators.operator(waiting.caller.actor.name)
    return await house.approvals.approve(waiting, request, caller, asker, handler_of(request, waiting))


@ROUTES.on("DELETE", "/approvals/{id}", Permission.SELF, status=HTTPStatus.NO_CONTENT)
async def refuse_approval(house: Housed, caller: Calling, id: Id) -> None:  # noqa: A002
    """Withdraw what one asked for, or refuse what another one asks for, which takes the permission `approve`."""
    waiting = await house.approvals.find(id)
    if waiting.caller.actor.name != caller.actor.name:
        caller.require(Permission.APPROVE, house.settings, house.now())
    await house.approvals.refuse(waiting, house.trail)
