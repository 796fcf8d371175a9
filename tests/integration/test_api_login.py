"""Operators at the door: what opens, what ends a login, what a page of another origin gets."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from bartizan.api.caller import COOKIE
from bartizan.identity.operators import with_recovery_codes
from tests.integration.api import HASHED, ONE_FACTOR, PASSWORD, Api, serving


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        yield running


def said(operator, code=None, keep="token", password=PASSWORD):
    return {"operator": operator.name, "password": password, "keep": keep} | ({"code": code} if code else {})


def test_password_and_code_open_and_the_token_is_good_until_it_is_given_back(api):
    operator, codes = api.with_codes("security")
    client = api.open()
    opened = client.post("/session", json=said(operator, codes.now()))
    assert opened.status_code == 201
    me = opened.json()
    assert me["roles"] == ["security"]
    assert me["session"]["factors"] == ["password", "totp"]
    assert "set-cookie" not in opened.headers
    client.headers["authorization"] = f"Bearer {me['token']}"
    assert client.get("/session").json()["session"]["id"] == me["session"]["id"]
    assert client.delete("/session").status_code == 204
    assert client.get("/session").status_code == 401


def test_a_code_opens_once_and_a_recovery_code_in_its_place(api):
    operator, maker = api.with_codes("viewer")
    code = maker.now()
    assert api.open().post("/session", json=said(operator, code)).status_code == 201
    assert api.open().post("/session", json=said(operator, code)).status_code == 401
    stored = api.run(api.house.operators.operator(operator.name))
    recoverable, codes = with_recovery_codes(stored)
    api.run(api.house.operators.replace_operator(recoverable))
    assert api.open().post("/session", json=said(operator, codes[0])).status_code == 201


def test_every_refusal_is_the_same_and_guessing_has_to_wait(api):
    operator, _ = api.with_codes("viewer")
    client = api.open()
    nobody = replace(operator, name="nobody")
    told = [
        client.post("/session", json=said(operator, password="wrong horse battery")),
        client.post("/session", json=said(operator)),
        client.post("/session", json=said(operator, "000000")),
        client.post("/session", json=said(nobody)),
    ]
    assert {(one.status_code, one.text) for one in told[:3]} == {(401, told[0].text)}
    assert told[3].text == told[0].text
    # Each further one waits twice as long, so that even where a hash takes its time one of them comes too soon.
    guesses = (client.post("/session", json=said(operator, password="wrong horse battery")) for _ in range(8))
    waiting = next(one for one in guesses if one.status_code != 401)
    assert waiting.status_code == 429
    assert int(waiting.headers["retry-after"]) >= 1


def test_a_cookie_is_for_this_host_over_tls_and_for_no_script(api):
    operator = api.operator("viewer")
    client = api.open()
    opened = client.post("/session", json=said(operator, keep="cookie"))
    assert opened.json()["token"] is None
    cookie = opened.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=bzs_")
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert client.get("/session").json()["actor"] == operator.name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "{own}"}, 403),
        ({"sec-fetch-site": "same-origin"}, 204),
        ({"origin": "{own}"}, 204),
    ],
)
def test_with_a_cookie_only_this_origin_changes_anything(api, headers, status):
    _, session = api.login(api.operator("viewer"))
    client = api.open()
    api.open()
    operator = api.operator("viewer")
    client.post("/session", json=said(operator, keep="cookie"))
    own = api.url.removesuffix("/api/v1")
    sent = {name: value.replace("{own}", own) for name, value in headers.items()}
    assert client.get("/session", headers=sent).status_code == 200, "what only reads is no danger"
    assert client.delete("/session", headers=sent).status_code == status
    assert session.operator


def test_another_page_cannot_log_somebody_in(api):
    operator = api.operator("viewer")
    words = said(operator, keep="cookie")
    assert api.open().post("/session", json=words, headers={"origin": "https://evil.example"}).status_code == 403
    form = api.open().post("/session", data=words)
    assert form.status_code == 422, "a form is no JSON, so it needs a question before it is sent"


@pytest.mark.parametrize("change", ["disabled", "password", "removed"])
def test_who_is_disabled_or_gets_another_password_is_out_at_once(api, change):
    operator = api.operator("viewer")
    client, _ = api.login(operator)
    assert client.get("/session").status_code == 200
    store = api.house.operators
    if change == "removed":
        api.run(store.remove_operator(operator.name))
    else:
        after = {"disabled": replace(operator, is_enabled=False), "password": replace(operator, password_hash="$x")}
        api.run(store.replace_operator(after[change]))
    assert client.get("/session").status_code == 401


def test_roles_that_are_taken_away_do_not_outlive_it(api):
    operator = api.operator("admin")
    client, _ = api.login(operator)
    assert client.get("/operators").status_code == 200
    api.run(api.house.operators.replace_operator(replace(operator, roles=operator.roles[:0])))
    assert client.get("/operators").status_code == 403


def test_what_is_dangerous_asks_for_a_recent_proof(api):
    operator, maker = api.with_codes("admin")
    client, session = api.login(operator)
    assert client.post("/operators", json={"operator": "fresh"}).status_code == 201
    old = replace(session, proved_at=datetime.now(UTC) - timedelta(seconds=api.house.settings.proof_s + 1))

    async def age() -> None:
        (key,) = [key for key, one in api.house.sessions._by_hash.items() if one.id == session.id]
        api.house.sessions._by_hash[key] = old

    api.run(age())
    refused = client.post("/operators", json={"operator": "later"})
    assert refused.status_code == 403
    assert "proof" in refused.json()["detail"]
    assert client.get("/operators").status_code == 200, "to look is not dangerous"
    assert client.post("/session/proof", json={"password": PASSWORD, "code": maker.now()}).status_code == 200
    assert client.post("/operators", json={"operator": "later"}).status_code == 201


def test_a_password_that_was_made_for_somebody_opens_nothing_but_the_way_to_another(api):
    admin = api.as_("admin")
    made = admin.post("/operators", json={"operator": "newcomer", "roles": ["viewer"]}).json()
    words = {"operator": "newcomer", "password": made["password"], "keep": "token"}
    client = api.open()
    client.headers["authorization"] = f"Bearer {client.post('/session', json=words).json()['token']}"
    refused = client.get("/clients")
    assert refused.status_code == 403
    assert "choose one of your own" in refused.json()["detail"]
    same = {"password": made["password"], "new_password": made["password"]}
    assert client.put("/session/password", json=same).status_code == 422
    assert client.put("/session/password", json=same | {"new_password": "short"}).status_code == 422
    assert client.put("/session/password", json=same | {"new_password": PASSWORD}).status_code == 204
    assert client.get("/session").status_code == 401, "a new password ends every login"
    again = api.open().post("/session", json=words | {"password": PASSWORD})
    assert again.json()["must_change_password"] is False


def test_codes_are_enrolled_by_oneself_but_not_where_a_role_waits_for_them(api):
    operator = api.operator("viewer")
    client, _ = api.login(operator, ONE_FACTOR)
    uri = client.post("/session/totp", json={"password": PASSWORD}).json()["uri"]
    assert client.put("/session/totp", json={"code": "000000"}).status_code == 422
    codes = client.put(
        "/session/totp", json={"code": pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0]).now()}
    ).json()["recovery_codes"]
    assert len(codes) == 10
    assert api.open().post("/session", json=said(operator)).status_code == 401, "the password alone is not enough now"
    admin, _ = api.login(api.operator("admin"), ONE_FACTOR)
    assert admin.post("/session/totp", json={"password": PASSWORD}).status_code == 403


def test_nobody_changes_disables_or_removes_themselves(api):
    operator = api.operator("admin")
    client, _ = api.login(operator)
    assert client.patch(f"/operators/{operator.name}", json={"roles": ["admin", "security"]}).status_code == 409
    assert client.delete(f"/operators/{operator.name}").status_code == 409


def test_one_ends_ones_own_logins_and_no_others(api):
    operator = api.operator("viewer")
    client, first = api.login(operator)
    _, second = api.login(operator)
    other, stranger = api.login(api.operator("viewer"))
    assert [one["id"] for one in client.get("/session/logins").json()] == [second.id, first.id]
    assert client.delete(f"/session/logins/{stranger.id}").status_code == 404
    assert client.delete(f"/session/logins/{second.id}").status_code == 204
    assert [one["id"] for one in client.get("/session/logins").json()] == [first.id]
    assert other.get("/session").status_code == 200


def test_no_secret_is_in_any_answer_but_the_one_that_shows_it(api):
    operator, _ = api.with_codes("admin", "security")
    stored = api.run(api.house.operators.operator(operator.name))
    client, _ = api.login(operator)
    shown = "".join(
        client.get(path).text
        for path in ("/operators", f"/operators/{operator.name}", "/session", "/session/logins", "/config", "/status")
    )
    assert HASHED not in shown
    assert stored.totp.secret not in shown
    assert "bzs_" not in shown


def test_a_token_that_is_over_opens_nothing(api):
    operator = api.operator("operator")
    made = api.as_("admin").post(f"/operators/{operator.name}/tokens", json={"scopes": ["look"]}).json()
    program = api.open(headers={"authorization": f"Bearer {made['token']}"})
    assert program.get("/clients").status_code == 200
    store = api.house.operators
    (token,) = api.run(store.tokens(operator.name))

    def ends(at: datetime) -> None:
        api.run(store.remove_token(operator.name, token.id))
        api.run(store.add_token(replace(token, expires_at=at)))

    ends(datetime.now(UTC) - timedelta(seconds=1))
    refused = program.get("/clients")
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:bartizan:problem:login-needed")
    ends(datetime.now(UTC) + timedelta(hours=1))
    assert program.get("/clients").status_code == 200


def test_a_token_does_what_it_is_for_and_ends_at_once(api):
    admin = api.as_("admin")
    operator = api.operator("operator", "admin")
    words = {"scopes": ["look", "operators", "settings"], "label": "night shift"}
    made = admin.post(f"/operators/{operator.name}/tokens", json=words).json()
    program = api.open(headers={"authorization": f"Bearer {made['token']}"})
    assert program.get("/clients").status_code == 200
    assert program.get("/config").status_code == 200
    assert program.get("/policy").status_code == 403, "its operator may, it may not"
    assert program.delete("/clients/nobody").status_code == 403
    assert program.post("/operators", json={"operator": "by-a-program"}).status_code == 403, "no recent proof"
    assert program.get("/session").json()["way"] == "token"
    listed = admin.get(f"/operators/{operator.name}/tokens")
    assert made["token"] not in listed.text
    assert listed.json()[0]["last_used_at"] is not None
    stored = api.run(api.house.operators.operator(operator.name))
    api.run(api.house.operators.replace_operator(replace(stored, is_enabled=False)))
    assert program.get("/clients").status_code == 401
    disabled = api.run(api.house.operators.operator(operator.name))
    api.run(api.house.operators.replace_operator(replace(disabled, is_enabled=True)))
    assert program.get("/clients").status_code == 200
    assert admin.delete(f"/operators/{operator.name}/tokens/{made['id']}").status_code == 204
    assert program.get("/clients").status_code == 401
