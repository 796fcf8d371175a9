"""Every route of the API: what it asks for, and who gets it. What is not in the table, nobody gets."""

import json
import os
import pwd
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bartizan.api.permissions import ROLES, WHOLE, Permission
from bartizan.api.rest import describe
from bartizan.model.operator import OperatorRole
from tests.integration.api import ONE_FACTOR, Api, serving

ANYONE = {
    ("post", "/session"),
    ("post", "/session/passkey"),
    ("post", "/session/passkey/options"),
    ("get", "/session/oidc"),
    ("get", "/session/oidc/callback"),
    ("post", "/session/oidc/token"),
    ("get", "/health"),
}
"""All that is answered without a login."""

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS: list[tuple[str, str, Permission]] = [
    (method, path, Permission(told["x-permission"]))
    for path, methods in describe()["paths"].items()
    for method, told in methods.items()
]
REFUSED = {401, 403}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        yield running


def filled(path: str) -> str:
    """A path about what is not there."""
    return (
        path.replace("{number}", "999999")
        .replace("{name}", "nobody")
        .replace("{client_id}", "nobody")
        .replace("{id}", "none")
    )


def ask(client: httpx2.Client, method: str, path: str) -> httpx2.Response:
    """A request that changes nothing, wherever it is let in: its body is none, or it is about nobody."""
    body: Any = [] if method in {"post", "put", "patch"} else None
    with client.stream(method, filled(path), json=body) as answer:
        # One of them never ends.
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
    return answer


def test_every_operation_names_a_permission_and_every_permission_is_in_the_table():
    assert len(OPERATIONS) > 80
    assert {permission for _, _, permission in OPERATIONS} == set(Permission)
    assert set(ROLES) == set(Permission) - {Permission.ANYONE, Permission.SELF}
    assert {(method, path) for method, path, permission in OPERATIONS if permission is Permission.ANYONE} == ANYONE


@pytest.mark.parametrize(("method", "path", "permission"), OPERATIONS, ids=str)
def test_without_a_login_nothing_is_answered_but_what_anyone_may_ask(api, method, path, permission):
    answer = ask(api.open(), method, path)
    assert (answer.status_code != 401) == (permission is Permission.ANYONE)
    if permission is not Permission.ANYONE:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", OperatorRole)
def test_a_role_gets_what_the_table_gives_it_and_nothing_else(api, role):
    client = api.as_(role.value)
    got: dict[tuple[str, str], bool] = {}
    for method, path, _ in OPERATIONS:
        if (method, path) == ("delete", "/session"):
            continue  # it would end the login
        got[method, path] = ask(client, method, path).status_code not in REFUSED
    may = {
        (method, path): permission in {Permission.ANYONE, Permission.SELF} or role in ROLES[permission]
        for method, path, permission in OPERATIONS
        if (method, path) != ("delete", "/session")
    }
    del got["post", "/session"], may["post", "/session"]
    assert got == may


def test_a_role_that_asks_for_two_factors_does_not_count_after_one(api):
    client = api.as_("viewer", "admin", factors=ONE_FACTOR)
    assert client.get("/session").json()["withheld_roles"] == ["admin"]
    assert client.get("/clients").status_code == 200
    refused = client.get("/operators")
    assert refused.status_code == 403
    assert "second factor" in refused.json()["detail"]


def test_an_operator_of_one_tenant_gets_nothing_of_the_broker_as_a_whole(api):
    client = api.as_("security", "admin", tenant="plant-a")
    whole = [(method, path) for method, path, asked in OPERATIONS if asked in WHOLE]
    assert len(whole) > 10
    assert {ask(client, method, path).status_code for method, path in whole} == {403}


def test_who_opens_the_control_socket_needs_no_login(api):
    client = api.at_socket()
    me = client.get("/session").json()
    assert me["way"] == "socket"
    assert me["actor"] == pwd.getpwuid(os.geteuid()).pw_name
    refused = {
        (method, path)
        for method, path, permission in OPERATIONS
        if permission is not Permission.SELF and ask(client, method, path).status_code in REFUSED
    }
    assert refused == set()


def test_what_is_not_there_is_a_problem_too(api):
    for path in ("/nothing", "/clients/", "/../metrics"):
        answer = api.open().get(path)
        assert answer.status_code in {401, 404}
    wrong = api.open().put("/health")
    assert wrong.status_code == 405
    assert wrong.json()["type"] == "urn:bartizan:problem:method-not-allowed"


def test_the_served_description_is_the_committed_one(api, root):
    committed = json.loads((root / "docs/reference/openapi.json").read_text(encoding="utf-8"))
    assert committed == describe()
    assert api.open().get("/openapi.json").json() == committed
    assert committed["openapi"].startswith("3.1")
