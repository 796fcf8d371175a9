"""Passkeys over the API: one's own, registered and removed; log in and prove again by one.

Each is two requests: the first has the options that a page hands to `navigator.credentials` and the id of the ceremony,
the second brings back the id and what the browser answered. The ceremony itself stays here, for that one answer.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from bartizan.api import schemas
from bartizan.api.caller import Caller, address_of, forbidden, require_fresh
from bartizan.api.house import Calling, House, Housed
from bartizan.api.once import Once
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text
from bartizan.api.routes.operators import require_other
from bartizan.api.routes.session import Keep, me, opened, require_own_page, session_of, telling_refusals
from bartizan.api.routing import Routes
from bartizan.authn.operators import LoginRefused
from bartizan.config.api import Act
from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.operators import with_recovery_codes
from bartizan.identity.passkeys import (
    Ceremony,
    begin_registration,
    claimed_operator,
    end_registration,
    without_passkey,
)
from bartizan.identity.records import operator_record, passkey_records
from bartizan.model.operator import Operator, OperatorProof

ROUTES = Routes("passkeys")

Id = Annotated[str, Path(max_length=2_048, description="In hexadecimal digits, as it is listed.")]


class Answer(BaseModel):
    """What the browser answered."""

    model_config = ConfigDict(extra="forbid")

    ceremony: Annotated[str, Field(max_length=64, description="The id that came with the options.")]
    credential: dict[str, Any] = Field(description="The `PublicKeyCredential`, as its `toJSON()` has it.")


class LoginAnswer(Answer):
    """A login by passkey."""

    keep: Keep = "cookie"


class NewPasskey(Answer):
    """A passkey that the browser made."""

    label: Text = Field("", description="Such as the device that it is on.")


@ROUTES.on("POST", "/session/passkey/options", Permission.ANYONE, response_model=schemas.Ceremony)
async def begin_passkey_login(house: Housed, request: Request) -> dict[str, Any]:
    """Begin a login by passkey. Nobody is named: the key says whose it is."""
    ceremony = house.login.ask_passkey(house.relying_party)
    return _asked(house.asked_at_door, ceremony, request)


@ROUTES.on("POST", "/session/passkey", Permission.ANYONE, status=HTTPStatus.CREATED, response_model=schemas.ShownLogin)
async def log_in_by_passkey(house: Housed, request: Request, response: Response, body: LoginAnswer) -> dict[str, Any]:
    """Log in by passkey: two factors, since it is unlocked by PIN, finger or face.

    A refusal is the same for every reason; who is refused several times has to wait (429).
    """
    require_own_page(request, body.keep)
    proof = await _proved(house, request, house.asked_at_door, body)
    return await opened(house, request, response, proof, body.keep)


@ROUTES.on("POST", "/session/proof/options", Permission.SELF, response_model=schemas.Ceremony)
async def begin_passkey_proof(house: Housed, caller: Calling, request: Request) -> dict[str, Any]:
    """Begin to prove oneself again, by a passkey of one's own."""
    operator = await house.operator(session_of(caller).operator)
    ceremony = house.login.ask_passkey(house.relying_party, operator)
    return _asked(house.asked_inside, ceremony, request)


@ROUTES.on("POST", "/session/proof/passkey", Permission.SELF, response_model=schemas.Me)
async def prove_again_by_passkey(house: Housed, caller: Calling, request: Request, body: Answer) -> dict[str, Any]:
    """Show a passkey again: what is dangerous asks for a recent proof."""
    session = session_of(caller)
    proof = await _proved(house, request, house.asked_inside, body)
    return me(replace(caller, session=house.sessions.proved(session, proof)))


@ROUTES.on("GET", "/session/passkeys", Permission.SELF, response_model=list[schemas.OperatorPasskey])
async def list_own_passkeys(house: Housed, caller: Calling) -> Sequence[dict[str, Any]]:
    """List one's own passkeys."""
    return passkey_records(await house.operator(session_of(caller).operator))


@ROUTES.on("POST", "/session/passkeys/options", Permission.SELF, response_model=schemas.Ceremony)
async def begin_passkey(house: Housed, caller: Calling, request: Request) -> dict[str, Any]:
    """Begin to register a passkey. It takes a recent proof."""
    operator = await _registrant(house, caller)
    ceremony = begin_registration(operator, house.relying_party, at=house.now())
    return _asked(house.asked_inside, ceremony, request)


@ROUTES.on(
    "POST",
    "/session/passkeys",
    Permission.SELF,
    status=HTTPStatus.CREATED,
    response_model=schemas.ShownPasskey,
)
async def add_own_passkey(house: Housed, caller: Calling, body: NewPasskey) -> dict[str, Any]:
    """Register the passkey. With the first second factor come recovery codes, shown this once."""
    operator = await _registrant(house, caller)
    ceremony = house.asked_inside.take(body.ceremony)
    if ceremony is None:
        raise InvalidValue("there is no such registration any more: begin again")
    answer = json.dumps(body.credential)
    made = end_registration(operator, answer, ceremony, house.relying_party, at=house.now(), label=body.label)
    codes: list[str] = []
    if not operator.has_second_factor:
        made, codes = with_recovery_codes(made)
    await house.operators.replace_operator(made)
    return passkey_records(made)[-1] | {"recovery_codes": codes}


@ROUTES.on("DELETE", "/session/passkeys/{id}", Permission.SELF, status=HTTPStatus.NO_CONTENT)
async def remove_own_passkey(house: Housed, caller: Calling, id: Id) -> None:  # noqa: A002
    """Remove one of one's own passkeys. Logins that it opened end. It takes a recent proof."""
    operator = await _oneself(house, caller)
    await house.operators.replace_operator(without_passkey(operator, _octets(id)))


@ROUTES.on(
    "DELETE",
    "/operators/{name}/passkeys/{id}",
    Permission.OPERATORS,
    act=Act.OPERATORS,
    response_model=schemas.Operator,
)
async def remove_operator_passkey(
    house: Housed,
    caller: Calling,
    name: Annotated[str, Path(max_length=64)],
    id: Id,  # noqa: A002
) -> dict[str, Any]:
    """Take a passkey from an operator who has lost it. Logins that it opened end."""
    require_other(caller, name)
    left = without_passkey(await house.operator(name), _octets(id))
    return operator_record(await house.operators.replace_operator(left))


def _asked(pool: Once[Ceremony], ceremony: Ceremony, request: Request) -> dict[str, Any]:
    id_ = pool.put(ceremony, address_of(request))
    return {"ceremony": id_, "ends_at": ceremony.ends_at, "options": json.loads(ceremony.options)}


async def _proved(house: House, request: Request, pool: Once[Ceremony], shown: Answer) -> OperatorProof:
    answer, address, party = json.dumps(shown.credential), address_of(request), house.relying_party
    with telling_refusals(house, claimed_operator(answer), address):
        ceremony = pool.take(shown.ceremony)
        if ceremony is None:
            raise LoginRefused("there is no such question, or it was answered")
        return await house.login.by_passkey(ceremony, answer, party, address=address)


async def _registrant(house: House, caller: Caller) -> Operator:
    """The operator who calls, and may register a passkey."""
    operator = await _oneself(house, caller)
    if operator.subject and house.oidc.adds:
        # Else it would be in still when the provider knows it no longer.
        raise forbidden("the OpenID Provider has brought you, and it alone proves you")
    return operator


async def _oneself(house: House, caller: Caller) -> Operator:
    """The operator who calls, and may change what proves it."""
    session = session_of(caller)
    if caller.must_change:
        raise forbidden("the password was made for you: choose one of your own first (PUT /session/password)")
    if caller.withheld:
        # Else who has guessed the password could make itself the second factor that is asked for.
        raise forbidden(
            "roles of yours wait for a second factor: log in with one-time codes, which an administrator enrols"
        )
    require_fresh(session, house.settings, house.now())
    return await house.operator(session.operator)


def _octets(id_: str) -> bytes:
    try:
        return bytes.fromhex(id_)
    except ValueError:
        raise NotFound("there is no such passkey") from None
