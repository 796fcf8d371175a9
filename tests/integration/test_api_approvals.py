"""What takes two operators: it waits, another one agrees, it is done as whoever asked; and every way around it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bartizan.audit.search import records
from bartizan.identity.operators import with_password
from bartizan.model.operator import Operator
from tests.integration.api import Api, serving
from tests.integration.test_api_actions import waits

TWO = 'api.two_person=["revoke", "quarantine-all", "operators"]'
RUNBOOKS = (
    "runbooks.end={steps = [{action = 'disconnect'}, {action = 'revoke'}]}",
    "playbooks.end={action = 'runbook', runbook = 'end', mode = 'confirm'}",
)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000", TWO, *RUNBOOKS) as running:
        yield running


def one(api: Api, *roles: str) -> tuple[Operator, httpx2.Client]:
    operator = api.operator(*roles)
    return operator, api.login(operator)[0]


def made(api: Api, name: str) -> str:
    assert api.as_("operator").post("/identities", json={"identity": name}).status_code == 201
    return name


def state(api: Api, name: str) -> str:
    return api.as_("viewer").get(f"/identities/{name}").json()["state"]


def asked(client: httpx2.Client, name: str, **headers: str) -> dict[str, Any]:
    waiting = client.post(f"/identities/{name}/revocation", json={"note": "INC-7"}, headers=headers)
    assert waiting.status_code == 202
    assert waiting.headers["location"] == f"/api/v1/approvals/{waiting.json()['id']}"
    return waiting.json()


def test_it_is_done_once_another_operator_agrees_and_both_are_on_record(api):
    name = made(api, "dual-1")
    first, client = one(api, "security", "operator")
    second, other = one(api, "security")
    before = {each["id"] for each in other.get("/approvals").json()}
    waiting = asked(client, name)
    assert state(api, name) == "enabled"
    assert {each["id"] for each in other.get("/approvals").json()} == before | {waiting["id"]}
    shown = other.get(f"/approvals/{waiting['id']}").json()
    assert (shown["asked_by"], shown["act"], shown["body"]) == (first.name, "revoke", {"note": "INC-7"})
    assert shown["request"] == "POST /api/v1/identities/dual-1/revocation"
    done = other.post(f"/approvals/{waiting['id']}/approval")
    assert (done.status_code, done.json()["after"]) == (200, "revoked")
    assert state(api, name) == "revoked"
    assert other.post(f"/approvals/{waiting['id']}/approval").status_code == 404, "it is done once"
    changes = [each for each in records(api.broker._running.data.audit / "changes") if each["kind"] == "change"]
    last = [each for each in changes if each.get("target") == f"identity/{name}"][-1]
    assert (last["who"], last["why"]) == (first.name, f"INC-7; approved by {second.name}")


def test_to_remove_one_takes_two_as_well(api):
    name = made(api, "dual-15")
    first, client = one(api, "security")
    waiting = client.delete(f"/identities/{name}")
    assert (waiting.status_code, waiting.json()["act"]) == (202, "revoke")
    assert state(api, name) == "enabled"
    assert client.post(f"/approvals/{waiting.json()['id']}/approval").status_code == 409
    assert one(api, "security")[1].post(f"/approvals/{waiting.json()['id']}/approval").status_code == 204
    assert api.as_("viewer").get(f"/identities/{name}").status_code == 404
    changes = [each for each in records(api.broker._running.data.audit / "changes") if each["kind"] == "change"]
    removed = next(each for each in changes if each["what"] == "identity.remove")
    assert (removed["who"], removed["target"]) == (first.name, f"identity/{name}")


def test_nobody_agrees_with_themselves_not_by_another_login_and_not_by_a_token(api):
    name = made(api, "dual-2")
    first, client = one(api, "security")
    waiting = asked(client, name)
    again, _ = api.login(first)
    for own in (client, again):
        assert own.post(f"/approvals/{waiting['id']}/approval").status_code == 409
    token, _ = one(api, "security", "admin")
    made_ = api.at_socket().post(f"/operators/{token.name}/tokens", json={"scopes": ["approve", "revoke"]}).json()
    program = api.open(headers={"authorization": f"Bearer {made_['token']}"})
    assert program.post(f"/approvals/{waiting['id']}/approval").status_code == 403
    assert api.at_socket().post(f"/approvals/{waiting['id']}/approval").status_code == 403
    assert state(api, name) == "enabled"


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_who_may_not_do_it_may_not_agree_to_it(api, role):
    name = made(api, f"dual-3-{role}")
    _, client = one(api, "security")
    waiting = asked(client, name)
    assert one(api, role)[1].post(f"/approvals/{waiting['id']}/approval").status_code == 403
    assert state(api, name) == "enabled"


@pytest.mark.parametrize("change", ["disabled", "roles", "removed", "password"])
def test_what_its_asker_may_not_do_any_more_is_not_done(api, change):
    name = made(api, f"dual-4-{change}")
    first, client = one(api, "security")
    waiting = asked(client, name)
    store = api.house.operators
    if change == "removed":
        api.run(store.remove_operator(first.name))
    else:
        after = {
            "disabled": replace(first, is_enabled=False),
            "roles": replace(first, roles=first.roles[:0]),
            "password": with_password(first, "another one of theirs"),
        }
        api.run(store.replace_operator(after[change]))
    assert one(api, "security")[1].post(f"/approvals/{waiting['id']}/approval").status_code == 409
    assert state(api, name) == "enabled"


def test_it_is_withdrawn_by_its_asker_and_refused_by_who_could_agree(api):
    _, client = one(api, "security")
    _, stranger = one(api, "operator")
    first, second = (asked(client, made(api, name))["id"] for name in ("dual-5", "dual-6"))
    assert stranger.delete(f"/approvals/{first}").status_code == 403
    assert client.delete(f"/approvals/{first}").status_code == 204
    assert one(api, "admin")[1].delete(f"/approvals/{second}").status_code == 204
    assert one(api, "security")[1].post(f"/approvals/{second}/approval").status_code == 404
    assert state(api, "dual-5") == state(api, "dual-6") == "enabled"


def test_to_name_one_by_a_pattern_is_no_way_around(api):
    name = made(api, "dual-7")
    _, client = one(api, "security")
    assert client.post("/revocations", json={"identities": [name]}).status_code == 202
    seen = client.get("/actions/preview", params={"action": "revoke", "match": name}).json()
    assert client.post("/revocations", json={"match": name, "confirm": seen["confirm"]}).status_code == 202
    assert state(api, name) == "enabled"


def test_what_is_sent_twice_with_a_key_waits_once(api):
    name = made(api, "dual-8")
    _, client = one(api, "security")
    ids = {asked(client, name, **{"idempotency-key": "k-8"})["id"] for _ in range(2)}
    assert len(ids) == 1


def test_what_others_were_meant_by_meanwhile_is_refused_when_it_is_done(api):
    made(api, "herd-1")
    _, client = one(api, "security", "operator")
    seen = client.get("/actions/preview", params={"action": "quarantine", "match": "herd-*"}).json()
    words = {"match": "herd-*", "confirm": seen["confirm"]}
    waiting = client.post("/quarantines", json=words)
    assert waiting.status_code == 202
    made(api, "herd-2")
    assert one(api, "security", "admin")[1].post(f"/approvals/{waiting.json()['id']}/approval").status_code == 409
    assert state(api, "herd-1") == "enabled"


def test_a_new_administrator_takes_two_and_its_password_is_shown_to_who_agrees(api):
    _, client = one(api, "admin")
    waiting = client.post("/operators", json={"operator": "made-by-two", "roles": ["admin"]})
    assert waiting.status_code == 202
    assert client.get("/operators/made-by-two").status_code == 404
    done = one(api, "admin")[1].post(f"/approvals/{waiting.json()['id']}/approval")
    assert done.status_code == 201
    assert done.json()["password"]


def test_what_is_sent_with_the_approval_changes_nothing_of_what_is_done(api):
    name, spared = made(api, "dual-11"), made(api, "dual-12")
    _, client = one(api, "security")
    waiting = asked(client, name)
    done = one(api, "security")[1].post(
        f"/approvals/{waiting['id']}/approval?name={spared}",
        json={"note": "another one", "clear_retained": True, "identities": [spared]},
        headers={"if-match": '"0"', "x-http-method-override": "DELETE"},
    )
    assert (done.status_code, done.json()["identity"]) == (200, name)
    assert api.as_("viewer").get(f"/identities/{name}").json()["note"] == "INC-7"
    assert state(api, spared) == "enabled"


def test_what_takes_two_is_done_by_one_alone_not_by_a_playbook_that_waits(api):
    name = made(api, "dual-13")
    number = waits(api, "revoke", name)
    refused = one(api, "security", "operator")[1].post(f"/responses/{number}/confirmation")
    assert (refused.status_code, "two operators" in refused.json()["detail"]) == (409, True)
    assert state(api, name) == "enabled"


def test_what_takes_two_is_done_by_one_alone_not_by_a_runbook(api):
    name = made(api, "dual-14")
    _, client = one(api, "security", "operator")
    number = waits(api, "runbook", name, playbook="end")
    for path, body in (("/runbooks/end/runs", {"for": name}), (f"/responses/{number}/confirmation", None)):
        refused = client.post(path, json=body)
        assert (refused.status_code, "two operators" in refused.json()["detail"]) == (409, True)
    assert state(api, name) == "enabled"
    assert api.at_socket().post("/runbooks/end/runs", json={"for": name}).json()["failed"] is None
    assert state(api, name) == "revoked"


def test_who_owns_the_data_directory_waits_for_nobody(api):
    name = made(api, "dual-9")
    assert api.at_socket().post(f"/identities/{name}/revocation", json={}).status_code == 200


def test_only_so_much_waits(api):
    _, client = one(api, "security")
    name = made(api, "dual-10")
    answers = [client.post(f"/identities/{name}/revocation", json={}).status_code for _ in range(21)]
    assert answers[-1] == 409
    for waiting in api.run(api.house.approvals.everything()):
        api.run(api.house.approvals.drop(waiting.id))


def test_what_waits_is_done_after_a_restart_as_it_was_asked(tmp_path: Path):
    with serving(None, "api.requests_per_s=10000", TWO, directory=tmp_path) as api:
        name = made(api, "dual-20")
        first, client = one(api, "security")
        waiting = asked(client, name)
        spared = asked(client, made(api, "dual-21"))
    with serving(None, "api.requests_per_s=10000", TWO, directory=tmp_path) as api:
        second, other = one(api, "security")
        assert [each["id"] for each in other.get("/approvals").json()] == [waiting["id"], spared["id"]]
        assert api.login(first)[0].post(f"/approvals/{waiting['id']}/approval").status_code == 409
        done = other.post(f"/approvals/{waiting['id']}/approval")
        assert (done.status_code, done.json()["identity"], done.json()["after"]) == (200, name, "revoked")
        assert api.as_("viewer").get(f"/identities/{name}").json()["note"] == "INC-7"
        changes = [each for each in records(tmp_path / "audit" / "changes") if each.get("target") == f"identity/{name}"]
        assert (changes[-1]["who"], changes[-1]["why"]) == (first.name, f"INC-7; approved by {second.name}")
        assert state(api, "dual-21") == "enabled"
        api.run(api.house.operators.replace_operator(with_password(first, "another one of theirs")))
        assert other.post(f"/approvals/{spared['id']}/approval").status_code == 409
        assert state(api, "dual-21") == "enabled"
