"""Passkeys over the API, with an authenticator in software: registered, used, removed; and what attacks get."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bartizan.api.caller import COOKIE
from bartizan.api.once import PER_PLACE_MAX
from bartizan.model.operator import Operator
from tests.authenticator import Authenticator
from tests.integration.api import ONE_FACTOR, PASSWORD, Api, serving

HOST = "broker.example"
ORIGIN = f"https://{HOST}:8444"
SETTINGS = (f"api.passkeys.host={HOST}", f'api.passkeys.origins=["{ORIGIN}"]')
GENEROUS = ("api.requests_per_s=10000", "passwords.free_failures=100", "passwords.free_failures_per_network=1000")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, *SETTINGS, *GENEROUS) as running:
        yield running


def new_key(**more: bool) -> Authenticator:
    return Authenticator(HOST, ORIGIN, **more)


def asked(client: httpx2.Client, path: str) -> dict[str, Any]:
    answer = client.post(f"{path}/options")
    assert answer.status_code == 200, answer.text
    return answer.json()


def created(key: Authenticator, question: dict[str, Any]) -> dict[str, Any]:
    return {"ceremony": question["ceremony"], "credential": json.loads(key.create(json.dumps(question["options"])))}


def shown(key: Authenticator, question: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = json.loads(key.get(json.dumps(question["options"]), **more))
    return {"ceremony": question["ceremony"], "credential": answer}


def registered(api: Api, *roles: str, key: Authenticator | None = None) -> tuple[Operator, Authenticator]:
    operator, key = api.operator(*(roles or ("viewer",))), key or new_key()
    client, _ = api.login(operator)
    made = client.post("/session/passkeys", json=created(key, asked(client, "/session/passkeys")) | {"label": "laptop"})
    assert made.status_code == 201, made.text
    return operator, key


def log_in(api: Api, key: Authenticator, **more: Any) -> httpx2.Response:
    client = api.open()
    question = asked(client, "/session/passkey")
    return client.post("/session/passkey", json=shown(key, question, **more) | {"keep": "token"})


def inside(api: Api, key: Authenticator) -> httpx2.Client:
    return api.open(headers={"authorization": f"Bearer {log_in(api, key).json()['token']}"})


def age(api: Api, session_id: str) -> None:
    """The proof of a login becomes too old for what is dangerous."""

    async def aged() -> None:
        known = api.house.sessions._by_hash
        (mark,) = [mark for mark, one in known.items() if one.id == session_id]
        old = datetime.now(UTC) - timedelta(seconds=api.house.settings.proof_s + 1)
        known[mark] = replace(known[mark], proved_at=old)

    api.run(aged())


def test_a_passkey_is_registered_and_opens_with_every_role(api):
    operator, key = registered(api, "admin", "security")
    opened = log_in(api, key)
    assert opened.status_code == 201
    me = opened.json()
    assert me["actor"] == operator.name
    assert me["roles"] == ["security", "admin"]
    assert me["withheld_roles"] == []
    assert me["session"]["factors"] == ["passkey"]
    client = api.open(headers={"authorization": f"Bearer {me['token']}"})
    (listed,) = client.get("/session/passkeys").json()
    assert (listed["id"], listed["label"]) == (key.id.hex(), "laptop")
    assert listed["last_used_at"] is not None
    assert client.post("/operators", json={"operator": f"x{operator.name}"}).status_code == 201, "a recent proof"


def test_a_browser_gets_what_it_takes_and_a_cookie(api):
    operator, key = registered(api)
    client = api.open()
    question = asked(client, "/session/passkey")
    assert question["options"]["rpId"] == HOST
    assert question["options"]["userVerification"] == "required"
    assert question["options"]["allowCredentials"] == []
    opened = client.post("/session/passkey", json=shown(key, question))
    assert opened.json()["token"] is None
    assert opened.headers["set-cookie"].startswith(f"{COOKIE}=bzs_")
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(opened.headers["set-cookie"].split("; "))
    assert client.get("/session").json()["actor"] == operator.name
    login, _ = api.login(operator)
    made = asked(login, "/session/passkeys")["options"]
    assert made["rp"] == {"id": HOST, "name": "Bartizan"}
    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert made["authenticatorSelection"]["residentKey"] == "required"
    assert len(made["excludeCredentials"]) == 1


def test_with_the_first_second_factor_come_recovery_codes_and_the_password_alone_opens_no_more(api):
    operator = api.operator("viewer")
    client, _ = api.login(operator, ONE_FACTOR)
    made = client.post("/session/passkeys", json=created(new_key(), asked(client, "/session/passkeys"))).json()
    assert len(made["recovery_codes"]) == 10
    again = client.post("/session/passkeys", json=created(new_key(), asked(client, "/session/passkeys"))).json()
    assert again["recovery_codes"] == []
    words = {"operator": operator.name, "password": PASSWORD, "keep": "token"}
    assert api.open().post("/session", json=words).status_code == 401
    assert api.open().post("/session", json=words | {"code": made["recovery_codes"][0]}).status_code == 201


def test_who_is_logged_in_proves_again_by_a_key_of_its_own(api):
    _, key = registered(api, "admin")
    client = inside(api, key)
    session = client.get("/session").json()["session"]
    age(api, session["id"])
    assert client.post("/operators", json={"operator": "x-later"}).status_code == 403
    question = asked(client, "/session/proof")
    assert [one["id"] for one in question["options"]["allowCredentials"]] == [key_id(key)]
    assert client.post("/session/proof/passkey", json=shown(key, question)).status_code == 200
    assert client.post("/operators", json={"operator": "x-later"}).status_code == 201


def key_id(key: Authenticator) -> str:
    return json.loads(key.get('{"challenge": ""}'))["id"]


# ---- who may register and remove --------------------------------------------------------------------


def test_to_register_or_remove_takes_a_recent_proof(api):
    operator, key = registered(api)
    client, session = api.login(operator)
    question = asked(client, "/session/passkeys")
    age(api, session.id)
    for refused in (
        client.post("/session/passkeys/options"),
        client.post("/session/passkeys", json=created(new_key(), question)),
        client.delete(f"/session/passkeys/{key.id.hex()}"),
    ):
        assert refused.status_code == 403
        assert "recent proof" in refused.json()["detail"]


def test_a_guessed_password_makes_itself_no_second_factor(api):
    waiting, _ = api.login(api.operator("admin"), ONE_FACTOR)
    assert waiting.post("/session/passkeys/options").status_code == 403
    made_for_it, _ = api.login(api.operator("viewer", must_change=True))
    assert made_for_it.post("/session/passkeys/options").status_code == 403


def test_a_token_and_the_control_socket_have_no_passkeys(api):
    operator = api.operator("admin")
    words = {"scopes": ["operators"], "label": ""}
    made = api.as_("admin").post(f"/operators/{operator.name}/tokens", json=words).json()
    program = api.open(headers={"authorization": f"Bearer {made['token']}"})
    for client in (program, api.at_socket()):
        assert client.post("/session/passkeys/options").status_code == 403
        assert client.get("/session/passkeys").status_code == 403


def test_logins_end_with_the_key_that_opened_them_and_others_go_on(api):
    operator, lost = registered(api)
    kept = new_key()
    client, _ = api.login(operator)
    client.post("/session/passkeys", json=created(kept, asked(client, "/session/passkeys")))
    by_lost, by_kept = inside(api, lost), inside(api, kept)
    assert by_lost.get("/session").status_code == 200
    assert by_kept.delete(f"/session/passkeys/{lost.id.hex()}").status_code == 204
    assert by_lost.get("/session").status_code == 401
    assert by_kept.get("/session").status_code == 200
    assert client.get("/session").status_code == 200
    assert log_in(api, lost).status_code == 401
    assert by_kept.delete(f"/session/passkeys/{lost.id.hex()}").status_code == 404
    assert by_kept.delete("/session/passkeys/zz").status_code == 404


def test_an_administrator_takes_a_key_away_but_not_its_own(api):
    operator, key = registered(api, "admin")
    admin, own = api.as_("admin"), inside(api, key)
    path = f"/operators/{operator.name}/passkeys/{key.id.hex()}"
    assert own.delete(path).status_code == 409
    assert api.as_("security").delete(path).status_code == 403
    left = admin.delete(path)
    assert (left.status_code, left.json()["passkeys"]) == (200, [])
    assert own.get("/session").status_code == 401
    assert admin.delete(path).status_code == 404


def test_who_is_disabled_does_not_get_in_by_passkey(api):
    operator, key = registered(api)
    stored = api.run(api.house.operators.operator(operator.name))
    api.run(api.house.operators.replace_operator(replace(stored, is_enabled=False)))
    assert log_in(api, key).status_code == 401


# ---- attacks ----------------------------------------------------------------------------------------


def refused_alike(answer: httpx2.Response) -> None:
    """As a wrong password is: nothing is told."""
    told = answer.json()
    assert (told.pop("type"), told.pop("detail")) == ("urn:bartizan:problem:login-refused", "the login was refused")
    assert told == {"title": "Unauthorized", "status": 401}


def test_an_answer_counts_once_whether_it_was_right_or_wrong(api):
    _, key = registered(api)
    client = api.open()
    answer = shown(key, asked(client, "/session/passkey")) | {"keep": "token"}
    assert client.post("/session/passkey", json=answer).status_code == 201
    refused_alike(client.post("/session/passkey", json=answer))
    question = asked(client, "/session/passkey")
    right = shown(key, question)
    wrong = right | {"credential": right["credential"] | {"id": "AAAA", "rawId": "AAAA"}}
    refused_alike(client.post("/session/passkey", json=wrong | {"keep": "token"}))
    refused_alike(client.post("/session/passkey", json=right | {"keep": "token"}))


def test_a_registration_counts_once(api):
    client, _ = api.login(api.operator("viewer"))
    answer = created(new_key(), asked(client, "/session/passkeys"))
    assert client.post("/session/passkeys", json=answer).status_code == 201
    assert client.post("/session/passkeys", json=answer).status_code == 422


@pytest.mark.parametrize(
    ("rp_id", "origin"),
    [
        (HOST, "https://evil.example"),
        (HOST, f"https://{HOST}"),
        (HOST, f"http://{HOST}:8444"),
        (HOST, f"https://evil.{HOST}:8444"),
        ("evil.example", ORIGIN),
        ("127.0.0.1", "https://127.0.0.1:8444"),
    ],
)
def test_a_page_of_another_origin_gets_nothing_out_of_a_key(api, rp_id, origin):
    _, key = registered(api)
    key.rp_id, key.origin = rp_id, origin
    refused_alike(log_in(api, key))
    client, _ = api.login(api.operator("viewer"))
    elsewhere = Authenticator(rp_id, origin)
    refused = client.post("/session/passkeys", json=created(elsewhere, asked(client, "/session/passkeys")))
    assert refused.status_code == 422
    assert client.get("/session/passkeys").json() == []


def test_a_ceremony_of_another_operator_or_for_something_else_is_worth_nothing(api):
    operator, key = registered(api, "admin")
    mine, _ = api.login(operator)
    other, _ = api.login(api.operator("viewer"))
    # Another operator's registration: neither with his key nor with mine.
    assert other.post("/session/passkeys", json=created(new_key(), asked(mine, "/session/passkeys"))).status_code == 422
    # Another operator's proof: the stolen login of one is not renewed by the key of somebody else.
    _, stranger = registered(api)
    assert mine.post("/session/proof/passkey", json=shown(stranger, asked(mine, "/session/proof"))).status_code == 401
    assert other.post("/session/proof/passkey", json=shown(key, asked(mine, "/session/proof"))).status_code in {
        401,
        404,
    }
    assert other.get("/session").json()["session"]["factors"] != ["passkey"]
    # A question inside opens no login, and that of a login proves nothing inside and registers nothing.
    for path in ("/session/proof", "/session/passkeys"):
        refused_alike(api.open().post("/session/passkey", json=shown(key, asked(mine, path)) | {"keep": "token"}))
    at_door = asked(api.open(), "/session/passkey")
    assert mine.post("/session/proof/passkey", json=shown(key, at_door)).status_code == 401
    registration = asked(mine, "/session/passkeys")
    assert mine.post("/session/proof/passkey", json=shown(key, registration)).status_code == 401


def test_a_key_under_the_name_of_another_opens_nothing(api):
    _, key = registered(api)
    victim = api.operator("admin")
    for user in (victim.name.encode(), b"nobody", b"", b"\xff\xfe", b"x" * 5_000):
        refused_alike(log_in(api, key, user=user))


def test_a_count_that_goes_back_is_a_copy(api):
    _, key = registered(api)
    key.count = 9
    assert log_in(api, key).status_code == 201
    key.count = 8
    assert log_in(api, key).status_code == 401, "the count of the login before"
    key.count = 3
    assert log_in(api, key).status_code == 401


def test_a_key_whose_user_was_not_verified_is_refused(api):
    client, _ = api.login(api.operator("viewer"))
    careless = new_key(verifies=False)
    refused = client.post("/session/passkeys", json=created(careless, asked(client, "/session/passkeys")))
    assert refused.status_code == 422
    _, key = registered(api)
    key._flags = 0x01
    refused_alike(log_in(api, key))


def test_a_flood_of_begun_logins_is_bounded_and_keeps_nobody_out_who_is_inside(api):
    _, key = registered(api, "admin")
    client = inside(api, key)
    inside_question = asked(client, "/session/proof")
    flooding = api.open()
    first, *_, last = (asked(flooding, "/session/passkey") for _ in range(PER_PLACE_MAX + 20))
    assert len(api.house.asked_at_door) <= PER_PLACE_MAX
    refused_alike(flooding.post("/session/passkey", json=shown(key, first) | {"keep": "token"}))
    assert flooding.post("/session/passkey", json=shown(key, last) | {"keep": "token"}).status_code == 201
    assert client.post("/session/proof/passkey", json=shown(key, inside_question)).status_code == 200


def test_another_page_cannot_log_somebody_in_as_somebody_else(api):
    _, key = registered(api)
    client = api.open()
    answer = shown(key, asked(client, "/session/passkey"))
    assert client.post("/session/passkey", json=answer, headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": 1},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}},
        {"response": {"userHandle": {"a": 1}}},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": dict.fromkeys(
            ("clientDataJSON", "attestationObject", "authenticatorData", "signature"), "AAAA")},
        {"deep": json.loads("[" * 500 + "]" * 500)},
        {"x": "y" * 70_000},
    ],
    ids=lambda credential: str(credential)[:40],
)  # fmt: skip
def test_what_is_no_answer_is_refused_and_breaks_nothing(api, credential):
    client = api.open()
    question = asked(client, "/session/passkey")
    words = {"ceremony": question["ceremony"], "credential": credential, "keep": "token"}
    refused_alike(client.post("/session/passkey", json=words))
    login, _ = api.login(api.operator("viewer"))
    begun = asked(login, "/session/passkeys")
    words = {"ceremony": begun["ceremony"], "credential": credential}
    assert login.post("/session/passkeys", json=words).status_code == 422


def test_guessing_with_keys_has_to_wait_as_with_passwords():
    with serving(None, *SETTINGS, "api.requests_per_s=10000") as api:
        _, key = registered(api)
        key._flags = 0x01
        answers = [log_in(api, key).status_code for _ in range(8)]
        assert answers[0] == 401
        assert answers[-1] == 429


def test_without_a_host_there_are_no_passkeys():
    with serving(None) as api:  # bound to port 0: the origin is not known beforehand
        refused = api.open().post("/session/passkey/options")
        assert refused.status_code == 422
        assert "[api.passkeys]" in refused.json()["detail"]


def test_logins_and_refusals_are_told_and_the_record_has_the_key(api):
    seen: list[tuple[str, dict[str, Any]]] = []
    real = api.house.tell

    def tell(what: str, actor: Any, **fields: object) -> None:
        seen.append((what, {"operator": actor.name, **fields}))
        real(what, actor, **fields)

    api.house.tell = tell
    try:
        operator, key = registered(api)
        log_in(api, key)
        key._flags = 0x01
        log_in(api, key)
    finally:
        del api.house.tell
    assert ("operator_logged_in", {"operator": operator.name, "factors": ["passkey"]}) in seen
    assert ("operator_refused", {"operator": operator.name, "reason": "the passkey proves nothing"}) in seen
    records = api.as_("security").get("/audit/records", params={"what": "operator.set"}).json()["items"]
    contents = [one["content"] for one in records]
    mine = [one for one in contents if one.get("target") == f"operator/{operator.name}"]
    assert any(key.id.hex() in one["after"]["passkeys"] and one["who"] == operator.name for one in mine)
