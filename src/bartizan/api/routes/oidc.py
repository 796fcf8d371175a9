"""Log in at an OpenID Provider: the browser is sent there, and comes back; the command line gets its token."""

from http import HTTPStatus
from typing import Annotated, Any, Self

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from bartizan.api import schemas
from bartizan.api.caller import address_of
from bartizan.api.house import House, Housed
from bartizan.api.oidc import CALLBACK, COOKIE, ENDS_AFTER, PATH, Handover, Pending, Terminal, page
from bartizan.api.permissions import Permission
from bartizan.api.routes.session import opened, telling_refusals
from bartizan.api.routing import Routes
from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.oidc import Answer
from bartizan.authn.operators import LoginRefused
from bartizan.model.operator import OperatorProof

ROUTES = Routes("oidc")

UNPRIVILEGED = 1_024
PORTS = 65_536

Secret = Annotated[str, Field(min_length=22, max_length=128, pattern="^[A-Za-z0-9_-]+$")]


class Asked(BaseModel):
    """A login that begins."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[str, Field(pattern=PATH, description="Where to go on, at this origin.")] = "/api/v1/session"
    fresh: bool = Field(default=False, description="The person has to prove itself to the provider anew.")
    port: int | None = Field(None, ge=UNPRIVILEGED, lt=PORTS, description="Of a command line, on loopback.")
    challenge: Secret | None = Field(None, description="SHA-256 of its secret, base64url.")
    state: Secret | None = Field(None, description="Given back to it.")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if len({word is None for word in (self.port, self.challenge, self.state)}) > 1:
            raise ValueError("port, challenge and state belong together")
        return self

    @property
    def terminal(self) -> Terminal | None:
        """The command line that it is for."""
        if self.port is None or self.challenge is None or self.state is None:
            return None
        return Terminal(self.port, self.challenge, self.state)


class Redeemed(BaseModel):
    """What the command line shows for its login."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(max_length=64, description="As the browser brought it.")]
    verifier: Annotated[SecretStr, Field(max_length=128, description="The secret behind the challenge.")]


@ROUTES.on(
    "GET",
    "/session/oidc",
    Permission.ANYONE,
    status=HTTPStatus.SEE_OTHER,
    response_class=RedirectResponse,
    responses={int(HTTPStatus.SEE_OTHER): {"description": "To the provider."}},
)
async def begin_oidc_login(house: Housed, request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Go to the OpenID Provider to log in. With `port`, `challenge` and `state` it is for a command line."""
    place, browser = await house.oidc.begin(asked.to, asked.terminal, address_of(request), fresh=asked.fresh)
    answer = RedirectResponse(place, HTTPStatus.SEE_OTHER)
    lifetime_s = int(ENDS_AFTER.total_seconds())
    answer.set_cookie(COOKIE, browser, max_age=lifetime_s, path="/", secure=True, httponly=True, samesite="lax")
    return answer


@ROUTES.on(
    "GET",
    CALLBACK,
    Permission.ANYONE,
    response_class=HTMLResponse,
    responses={int(HTTPStatus.SEE_OTHER): {"description": "To the command line, on loopback."}},
)
async def end_oidc_login(
    house: Housed,
    request: Request,
    state: Annotated[str, Query(max_length=64)],
    code: Annotated[str | None, Query(max_length=4_096)] = None,
    iss: Annotated[str | None, Query(max_length=512)] = None,
) -> Response:
    """Come back from the OpenID Provider. A refusal is the same for every reason, also where the provider refused."""
    with telling_refusals(house, "", address_of(request)):
        pending = house.oidc.pending.take(state)
        if pending is None:
            raise LoginRefused("there is no such question to the provider, or it was answered")
        if not pending.is_of(request.cookies.get(COOKIE)):
            raise LoginRefused("the answer comes by another browser than the one that asked")
    if pending.terminal is not None:
        answer = await _to_terminal(house, request, pending, pending.terminal, code, iss)
    else:
        proof = await _proved(house, request, pending, code, iss)
        answer = HTMLResponse(page(pending.to))
        await opened(house, request, answer, proof, "cookie")
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return answer


@ROUTES.on(
    "POST", "/session/oidc/token", Permission.ANYONE, status=HTTPStatus.CREATED, response_model=schemas.ShownLogin
)
async def redeem_oidc_login(house: Housed, request: Request, response: Response, body: Redeemed) -> dict[str, Any]:
    """Get the token of a login that a browser did for the command line. It is to be had once, within a minute."""
    with telling_refusals(house, "", address_of(request)):
        waiting = house.oidc.handovers.take(body.code.get_secret_value())
        if waiting is None or not waiting.is_for(body.verifier.get_secret_value()):
            raise LoginRefused("there is no such login to be had")
    return await opened(house, request, response, waiting.proof, "token")


async def _to_terminal(
    house: House, request: Request, pending: Pending, terminal: Terminal, code: str | None, iss: str | None
) -> Response:
    """The browser goes to the command line, which must not wait where nothing comes."""
    try:
        proof = await _proved(house, request, pending, code, iss)
    except LoginRefused as refused:
        place = terminal.url(error="login-refused" if refused.wait_s is None else "too-soon")
    except ProviderUnavailable:
        place = terminal.url(error="provider-unavailable")
    else:
        place = terminal.url(code=house.oidc.handovers.put(Handover(proof, terminal.challenge), address_of(request)))
    return RedirectResponse(place, HTTPStatus.SEE_OTHER)


async def _proved(house: House, request: Request, pending: Pending, code: str | None, iss: str | None) -> OperatorProof:
    address = address_of(request)
    with telling_refusals(house, "", address):
        if code is None:
            raise LoginRefused("the provider let nobody in")
        answer = Answer(code, iss)
        return await house.login.by_provider(
            house.oidc.client, pending.question, answer, adds=house.oidc.adds, address=address
        )
