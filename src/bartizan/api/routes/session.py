"""Log in and out; about oneself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.requests import Request

from bartizan.api import schemas
from bartizan.api.caller import COOKIE, Caller, address_of, forbidden, logged_in, require_own_origin
from bartizan.api.house import Calling, House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.api.sessions import Session
from bartizan.authn.operators import LoginRefused
from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.operators import (
    totp_uri,
    with_confirmed_totp,
    with_new_totp,
    with_password,
    with_recovery_codes,
)
from bartizan.model.actor import Actor, Way
from bartizan.model.operator import OperatorProof

ISSUER = "Bartizan"

ROUTES = Routes("session")

Word = Annotated[SecretStr, Field(max_length=1_024)]
Code = Annotated[SecretStr, Field(max_length=64)]


class Proof(BaseModel):
    """What proves an operator."""

    model_config = ConfigDict(extra="forbid")

    password: Word
    code: Code | None = Field(None, description="A one-time code, or a recovery code.")


Keep = Annotated[
    Literal["cookie", "token"],
    Field(description="For browsers a cookie; for programs a token, shown this once, for `Authorization: Bearer`."),
]


class Credentials(Proof):
    """Who logs in, and how."""

    operator: Annotated[str, Field(max_length=64)]
    keep: Keep = "cookie"


class NewPassword(Proof):
    """A password in place of another."""

    new_password: Word


class FirstCode(BaseModel):
    """A code that an authenticator app shows."""

    model_config = ConfigDict(extra="forbid")

    code: Code


@ROUTES.on("POST", "/session", Permission.ANYONE, status=HTTPStatus.CREATED, response_model=schemas.ShownLogin)
async def log_in(house: Housed, request: Request, response: Response, body: Credentials) -> dict[str, Any]:
    """Log in.

    A refusal is the same for every reason, and takes as long; who is refused several times has to wait (429).
    """
    require_own_page(request, body.keep)
    proof = await _proved(house, request, body.operator, body)
    return await opened(house, request, response, proof, body.keep)


@ROUTES.on("GET", "/session", Permission.SELF, response_model=schemas.Me)
async def show_session(caller: Calling) -> dict[str, Any]:
    """Show who calls, and what it may."""
    return me(caller)


@ROUTES.on("DELETE", "/session", Permission.SELF, status=HTTPStatus.NO_CONTENT)
async def log_out(house: Housed, caller: Calling, response: Response) -> None:
    """Log out."""
    house.sessions.close(session_of(caller).id)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


@ROUTES.on("GET", "/session/logins", Permission.SELF, response_model=list[schemas.Login])
async def list_own_logins(house: Housed, caller: Calling) -> Sequence[dict[str, Any]]:
    """List one's own logins, the newest first."""
    return [_login(one) for one in house.sessions.of(session_of(caller).operator)]


@ROUTES.on("DELETE", "/session/logins/{id}", Permission.SELF, status=HTTPStatus.NO_CONTENT)
async def end_own_login(house: Housed, caller: Calling, id: Annotated[str, Path(max_length=64)]) -> None:  # noqa: A002
    """End one of one's own logins."""
    if all(one.id != id for one in house.sessions.of(session_of(caller).operator)):
        raise NotFound("there is no such login")
    house.sessions.close(id)


@ROUTES.on("POST", "/session/proof", Permission.SELF, response_model=schemas.Me)
async def prove_again(house: Housed, caller: Calling, request: Request, body: Proof) -> dict[str, Any]:
    """Show password and code again: what is dangerous asks for a recent proof."""
    session = session_of(caller)
    proof = await _proved(house, request, session.operator, body)
    return me(replace(caller, session=house.sessions.proved(session, proof)))


@ROUTES.on("PUT", "/session/password", Permission.SELF, status=HTTPStatus.NO_CONTENT)
async def change_own_password(house: Housed, caller: Calling, request: Request, body: NewPassword) -> None:
    """Choose another password. All logins end, this one too."""
    session = session_of(caller)
    await _proved(house, request, session.operator, body)
    if body.new_password.get_secret_value() == body.password.get_secret_value():
        raise InvalidValue("that is the password that there is")
    operator = await house.operator(session.operator)
    await house.operators.replace_operator(with_password(operator, body.new_password.get_secret_value()))
    house.sessions.close_all(session.operator)


@ROUTES.on("POST", "/session/totp", Permission.SELF, response_model=schemas.ShownTotp)
async def enrol_own_totp(house: Housed, caller: Calling, request: Request, body: Proof) -> dict[str, Any]:
    """Enrol one-time codes: a secret for an authenticator app, shown this once."""
    session = session_of(caller)
    if caller.withheld:
        # Else who has guessed the password could make itself the second factor that is asked for.
        raise forbidden("roles of yours wait for one-time codes: an administrator has to enrol them for you")
    await _proved(house, request, session.operator, body)
    operator = await house.operator(session.operator)
    made = await house.operators.replace_operator(with_new_totp(operator, at=house.now()))
    return {"uri": totp_uri(made, ISSUER)}


@ROUTES.on("PUT", "/session/totp", Permission.SELF, response_model=schemas.ShownRecoveryCodes)
async def confirm_own_totp(house: Housed, caller: Calling, body: FirstCode) -> dict[str, Any]:
    """Confirm one-time codes by a first one. They count from then on; recovery codes are shown this once."""
    operator = await house.operator(session_of(caller).operator)
    confirmed = with_confirmed_totp(operator, body.code.get_secret_value(), at=house.now())
    if confirmed is None:
        raise InvalidValue("that is not the code of this moment: look at the app, and at its clock")
    made, codes = with_recovery_codes(confirmed)
    await house.operators.replace_operator(made)
    return {"recovery_codes": codes}


def require_own_page(request: Request, keep: Keep) -> None:
    """Raises 403 where a page of another origin would log somebody in as somebody else."""
    if keep == "cookie" and {"origin", "sec-fetch-site"} & set(request.headers):
        require_own_origin(request)


async def opened(
    house: House, request: Request, response: Response, proof: OperatorProof, keep: Keep
) -> dict[str, Any]:
    """A new login of whoever has proved itself: told, kept as it asked for, and shown."""
    operator = await house.operator(proof.operator)
    address = address_of(request)
    secret, session = house.sessions.open(proof, operator, address)
    factors = sorted(factor.value for factor in proof.factors)
    house.tell("operator_logged_in", Actor(proof.operator, address, Way.SESSION), factors=factors)
    if keep == "cookie":
        response.set_cookie(
            COOKIE, secret, max_age=house.settings.session_s, path="/", secure=True, httponly=True, samesite="strict"
        )
    caller = logged_in(operator, session, address, house.settings)
    return me(caller) | {"token": secret if keep == "token" else None}


async def _proved(house: House, request: Request, operator: str, shown: Proof) -> OperatorProof:
    address = address_of(request)
    code = None if shown.code is None else shown.code.get_secret_value()
    with telling_refusals(house, operator, address):
        return await house.login.by_password(operator, shown.password.get_secret_value(), code, address=address)


@contextmanager
def telling_refusals(house: House, operator: str, address: str) -> Iterator[None]:
    """What is refused within is told, as of the name that was given."""
    try:
        yield
    except LoginRefused as refused:
        house.tell("operator_refused", Actor(operator, address, Way.SESSION), reason=refused.why)
        raise


def session_of(caller: Caller) -> Session:
    """The login of who calls; raises 403 where it has none."""
    if caller.session is None:
        raise forbidden("this is about a login, and there is none: this is a token, or the control socket")
    return caller.session


def me(caller: Caller) -> dict[str, Any]:
    """Who calls, as it is shown."""
    return {
        "actor": caller.actor.name,
        "way": caller.actor.way.value,
        "roles": [role.value for role in caller.roles],
        "withheld_roles": [role.value for role in caller.withheld],
        "tenant": caller.tenant,
        "must_change_password": caller.must_change,
        "session": None if caller.session is None else _login(caller.session),
    }


def _login(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "operator": str(session.operator),
        "factors": sorted(factor.value for factor in session.factors),
        "address": session.address,
        "began_at": session.began_at,
        "used_at": session.used_at,
        "proved_at": session.proved_at,
    }
