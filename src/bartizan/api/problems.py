"""Errors as problem+json (RFC 9457): one answer for each error that is raised on purpose, and one for all others.

What is told never repeats what was sent: it may have been a password.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.operators import LoginRefused
from bartizan.errors import (
    AlreadyExists,
    BartizanError,
    CertificateUnusable,
    ChangeRefused,
    ConfigurationError,
    Conflict,
    EngineUnavailable,
    InvalidValue,
    NotFound,
    NotInForce,
    StartRefused,
    StoreUnavailable,
)

MEDIA_TYPE: Final = "application/problem+json"
SPACE: Final = "urn:bartizan:problem:"

STATUS: Mapping[type[BartizanError], HTTPStatus] = {
    InvalidValue: HTTPStatus.UNPROCESSABLE_ENTITY,
    ConfigurationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CertificateUnusable: HTTPStatus.UNPROCESSABLE_ENTITY,
    AlreadyExists: HTTPStatus.CONFLICT,
    Conflict: HTTPStatus.CONFLICT,
    ChangeRefused: HTTPStatus.CONFLICT,
    NotFound: HTTPStatus.NOT_FOUND,
    LoginRefused: HTTPStatus.UNAUTHORIZED,
    StartRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotInForce: HTTPStatus.SERVICE_UNAVAILABLE,
    ProviderUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""One status for each error of `errors`; a test keeps it complete."""


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: list[str | int] = Field(description="Such as `body`, `roles`, `0`.")
    what: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="Names the kind of problem: `urn:bartizan:problem:...`; stable.")
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] | None = None


def problem(
    status: int,
    kind: str,
    detail: str = "",
    *,
    faults: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer."""
    told = Problem(type=SPACE + kind, title=HTTPStatus(status).phrase, status=status, detail=detail, errors=faults)
    return JSONResponse(told.model_dump(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE)


def kind_of(error: type[BartizanError]) -> str:
    """`AlreadyExists` is `already-exists`."""
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in error.__name__).lstrip("-")


def install(app: FastAPI) -> None:
    """Has the app answer every error so."""
    app.add_exception_handler(BartizanError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _unexpected)


def _of_ours(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, LoginRefused):
        return _refused(error)
    if not isinstance(error, BartizanError):
        return _unexpected(_request, error)
    return problem(status_of(error), kind_of(type(error)), " ".join(str(error).split()))


def status_of(error: BartizanError) -> HTTPStatus:
    """The status of an error of ours."""
    known = next((kind for kind in type(error).__mro__ if kind in STATUS), None)
    return HTTPStatus.INTERNAL_SERVER_ERROR if known is None else STATUS[known]


def _refused(error: LoginRefused) -> JSONResponse:
    if error.wait_s is None:
        return problem(HTTPStatus.UNAUTHORIZED, "login-refused", str(error))
    headers = {"retry-after": str(max(1, round(error.wait_s + 0.5)))}
    return problem(HTTPStatus.TOO_MANY_REQUESTS, "too-soon", "wait before the next try", headers=headers)


def _of_validation(_request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    # Pydantic repeats the input, and where it is no JSON quotes it: neither is told.
    faults = [Fault(where=list(each["loc"]), what=str(each["msg"])) for each in found]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "the request is not as described", faults=faults)


_KINDS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "login-needed",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.PRECONDITION_FAILED: "changed-meanwhile",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.TOO_MANY_REQUESTS: "too-many-requests",
}


def _of_http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return _unexpected(_request, error)
    kind = _KINDS.get(error.status_code, "refused")
    return problem(error.status_code, kind, str(error.detail), headers=error.headers)


def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    # What went wrong inside is for the log.
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an error that nobody expected; it is in the log")
