"""What an operator was refused, and what is no change of an identity, is on record too."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from bartizan.audit.search import Wanted, records
from tests.integration.api import Api, serving
from tests.integration.test_api_approvals import one
from tests.security.party import eventually


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000", 'api.two_person=["revoke"]') as running:
        yield running


def denied(api: Api, **words: Any) -> list[dict[str, Any]]:
    """What is on record as denied."""
    directory = api.broker._running.data.audit / "events"
    return [
        each
        for each in records(directory, Wanted(what="operator_denied"))
        if all(each.get(name) == value for name, value in words.items())
    ]


def refused(api: Api, path: str, **headers: str) -> list[dict[str, Any]]:
    """What is on record of a request that proves nothing. What is alike within a second is one record, that of
    the first: so it is sent again until it was one."""
    assert api.open().get(path, headers=headers).status_code == 401
    return [each for each in denied(api, who="unknown") if each["detail"]["request"].endswith(path)]


def changes(api: Api, what: str) -> list[dict[str, Any]]:
    return list(records(api.broker._running.data.audit / "changes", Wanted(what=what, kind="change")))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/audit/records", None),
        ("POST", "/identities", {"identity": "made-by-a-viewer"}),
        ("DELETE", "/operators/nobody/logins", None),
    ],
)
def test_what_an_operator_may_not_do_is_on_record_as_done_by_it(api, method, path, body):
    operator, client = one(api, "viewer")
    answer = client.request(method, path, json=body)
    assert answer.status_code == 403
    eventually(lambda: bool(denied(api, who=operator.name)))
    (found,) = denied(api, who=operator.name)
    assert found["from"] == "127.0.0.1"
    assert found["detail"]["request"] == f"{method} /api/v1{path}"
    assert (found["detail"]["outcome"], found["detail"]["severity"]) == ("403", "warning")


@pytest.mark.parametrize("header", ["authorization", "cookie"])
def test_what_proves_nothing_is_on_record_without_what_was_shown(api, header):
    shown = f"bzs_{secrets.token_urlsafe(32)}"
    path = f"/identities/of-{header}"
    value = f"Bearer {shown}" if header == "authorization" else f"__Host-bartizan={shown}"
    eventually(lambda: bool(refused(api, path, **{header: value})))
    found = refused(api, path, **{header: value})
    assert found[0]["detail"]["outcome"] == "401"
    assert shown not in str(found)


def test_who_shows_nothing_has_only_not_logged_in(api):
    path = "/identities/asked-by-nobody"
    assert api.open().get(path).status_code == 401
    # Behind it, so that it would be there if it came.
    eventually(lambda: bool(refused(api, "/identities/last", authorization="Bearer bzs_x")))
    assert not any(path in each["detail"]["request"] for each in denied(api))


def test_a_page_of_another_origin_is_on_record(api):
    operator = api.operator("security")
    secret = api.login(operator)[0].headers["authorization"].removeprefix("Bearer ")
    client = api.open(headers={"cookie": f"__Host-bartizan={secret}", "sec-fetch-site": "cross-site"})
    assert client.post("/identities", json={"identity": "forged"}).status_code == 403
    eventually(lambda: any("another origin" in each["detail"]["reason"] for each in denied(api)))


def test_asking_for_a_second_operator_withdrawing_and_refusing_are_changes_on_record(api):
    first, client = one(api, "security", "operator")
    second, other = one(api, "security")
    client.post("/identities", json={"identity": "dual-1"})
    ids = [
        client.post("/identities/dual-1/revocation", json={"note": "secret-note-91bc"}).json()["id"] for _ in range(2)
    ]
    asked = changes(api, "approval.ask")
    assert [(each["who"], each["target"]) for each in asked] == [(first.name, f"approval/{id_}") for id_ in ids]
    assert asked[0]["after"] == {"act": "revoke", "request": "POST /api/v1/identities/dual-1/revocation"}
    assert "secret-note-91bc" not in str(asked)
    assert client.delete(f"/approvals/{ids[0]}").status_code == 204
    assert other.delete(f"/approvals/{ids[1]}").status_code == 204
    ((withdrawn,), (refused,)) = changes(api, "approval.withdraw"), changes(api, "approval.refuse")
    assert (withdrawn["who"], withdrawn["target"]) == (first.name, f"approval/{ids[0]}")
    assert (refused["who"], refused["target"]) == (second.name, f"approval/{ids[1]}")
    assert refused["before"]["asked_by"] == first.name


def test_that_logins_are_ended_is_a_change_on_record(api):
    operator, client = one(api, "viewer")
    admin, other = one(api, "admin")
    assert other.delete(f"/operators/{operator.name}/logins").status_code == 204
    assert client.get("/session").status_code == 401
    (found,) = changes(api, "operator.end-logins")
    assert (found["who"], found["target"], found["before"]) == (admin.name, f"operator/{operator.name}", {"logins": 1})
