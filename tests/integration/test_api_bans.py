"""Bans, Sessions and runbooks by the API: who may do what, what is told, what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.integration.api import Api, serving
from tests.integration.test_api_actions import changes, made, waits
from tests.integration.test_api_resources import TENANTS, connected

RUNBOOKS = (
    "runbooks.hold={steps = [{action = 'quarantine', hours = 1}, {action = 'ban'}]}",
    "runbooks.out={about = 'address', steps = [{action = 'ban', hours = 1}]}",
    "runbooks.end={steps = [{action = 'revoke'}]}",
    "playbooks.end={action = 'runbook', runbook = 'end', mode = 'confirm'}",
    "playbooks.hold={action = 'runbook', runbook = 'hold', mode = 'confirm'}",
)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000", *RUNBOOKS) as running:
        yield running


@pytest.fixture(scope="module")
def security(api: Api) -> httpx2.Client:
    return api.as_("security", "operator")


def test_a_ban_is_previewed_made_shown_and_ended_and_is_on_record(api, security):
    def banned(of: str) -> set[str]:
        return {each["id"] for each in security.get("/bans", params={"of": of}).json()["items"]}

    identities, addresses = banned("identity"), banned("address")
    client = connected(api, "press-61")
    words = {"of": "identity", "what": "press-61"}
    seen = security.get("/bans/preview", params=words).json()
    assert (seen["count"], seen["clients"][0]["identity"]) == (1, "press-61")
    assert client.is_connected()
    until_ = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    done = security.post("/bans", json=words | {"until": until_, "reason": "INC-61"})
    assert done.status_code == 201
    ban = done.json()
    assert (ban["is_in_force"], [one["client_id"] for one in ban["cut"]]) == (True, ["press-61"])
    assert security.get("/clients/press-61").status_code == 404
    client.loop_stop()
    held = security.get(f"/bans/{ban['id']}").json()
    assert (held["what"], held["reason"]) == ("press-61", "INC-61")
    assert (banned("identity"), banned("address")) == (identities | {ban["id"]}, addresses)
    assert security.delete(f"/bans/{ban['id']}").status_code == 204
    assert security.get(f"/bans/{ban['id']}").status_code == 404
    assert security.delete(f"/bans/{ban['id']}").status_code == 404
    found = [each for each in changes(api) if each.get("target") == "ban/identity/press-61"]
    assert [(each["what"], each["who"]) for each in found] == [("ban.add", held["by"]), ("ban.remove", held["by"])]


def test_bans_come_by_pages_in_the_order_that_is_asked_for(security):
    ids = [
        security.post("/bans", json={"of": "address", "what": f"198.51.100.{number}"}).json()["id"]
        for number in (3, 1, 2)
    ]
    first = security.get("/bans", params={"of": "address", "sort": "what", "limit": 2}).json()
    rest = security.get("/bans", params={"of": "address", "sort": "what", "limit": 2, "after": first["next"]}).json()
    assert [one["what"] for one in first["items"] + rest["items"]] == [f"198.51.100.{number}" for number in (1, 2, 3)]
    assert rest["next"] is None
    for id_ in ids:
        security.delete(f"/bans/{id_}")


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"of": "name", "what": "x"},
        {"of": "address", "what": "198.51.100.1/8"},
        {"of": "serial", "what": "xyz"},
        {"of": "identity", "what": "a", "issuer": "CN=x"},
        {"of": "identity", "what": "a", "until": "2020-01-01T00:00:00Z"},
        {"of": "identity", "what": "a", "until": "2099-01-01T00:00:00"},
        {"of": "identity", "what": "a", "more": 1},
    ],
)
def test_what_is_no_ban_is_refused(security, words):
    assert security.post("/bans", json=words).status_code == 422


def test_who_bans_has_the_permission_and_sees_the_whole_broker(api):
    words = {"of": "address", "what": "198.51.100.9"}
    for roles in (("viewer",), ("operator",), ("admin",)):
        assert api.as_(*roles).post("/bans", json=words).status_code == 403
    with serving(TENANTS, "api.requests_per_s=10000") as tenants:
        own = tenants.as_("security", "operator", tenant="plant-a")
        assert own.post("/bans", json=words).status_code == 403
        assert own.get("/bans").status_code == 403
        assert own.delete("/sessions/press-01").status_code == 404, "as if it were not there"


def test_a_session_is_discarded(api, security):
    client = connected(api, "press-62")
    ended = security.delete("/sessions/press-62")
    client.loop_stop()
    assert (ended.status_code, ended.json()["was_connected"]) == (200, True)
    assert security.delete("/sessions/nobody").status_code == 404
    assert api.as_("viewer").delete("/sessions/press-62").status_code == 403


def test_a_quarantine_has_its_ticket_and_by_whom(api):
    operator = api.operator("operator")
    client, _ = api.login(operator)
    made(client, "robot-61")
    assert client.post("/identities/robot-61/quarantine", json={"ticket": "INC-4711"}).status_code == 200
    shown = client.get("/identities/robot-61").json()
    assert (shown["quarantine_ticket"], shown["quarantined_by"]) == ("INC-4711", operator.name)
    client.post("/identities/robot-61/release")
    shown = client.get("/identities/robot-61").json()
    assert (shown["quarantine_ticket"], shown["quarantined_by"]) == ("", "")


def test_a_runbook_is_previewed_and_run_by_who_may_do_each_of_its_steps(api, security):
    made(security, "robot-62")
    assert [each["name"] for each in security.get("/runbooks").json()] == ["end", "hold", "out"]
    assert [each["action"] for each in security.get("/runbooks/hold").json()["steps"]] == ["quarantine", "ban"]
    hit = security.get("/runbooks/hold/preview", params={"for": "robot-62"}).json()
    assert (hit["state"], hit["clients"]) == ("enabled", [])
    worker = api.as_("operator")
    assert worker.post("/runbooks/hold/runs", json={"for": "robot-62"}).status_code == 403, "it may not ban"
    assert worker.post("/runbooks/end/runs", json={"for": "robot-62"}).status_code == 403, "nor revoke"
    assert security.get("/identities/robot-62").json()["state"] == "enabled"
    done = security.post("/runbooks/hold/runs", json={"for": "robot-62", "reason": "INC-62"}).json()
    assert (done["failed"], [step["action"] for step in done["done"]]) == (None, ["quarantine", "ban"])
    again = security.post("/runbooks/hold/runs", json={"for": "nobody"}).json()
    assert (again["done"], again["failed"]["action"], again["left"]) == ([], "quarantine", ["ban"])
    assert security.post("/runbooks/nothing/runs", json={"for": "robot-62"}).status_code == 404
    assert security.post("/runbooks/out/runs", json={"for": "no address"}).status_code == 422


def test_a_runbook_that_a_playbook_waits_to_run_is_confirmed_by_who_may_do_each_of_its_steps(api, security):
    made(security, "robot-63", "robot-64")
    worker = api.as_("operator")
    hold = waits(api, "runbook", "robot-63", playbook="hold")
    end = waits(api, "runbook", "robot-64", playbook="end")
    assert worker.post(f"/responses/{hold}/confirmation").status_code == 403, "it may not ban"
    assert worker.post(f"/responses/{end}/confirmation").status_code == 403, "nor revoke"
    assert security.get("/identities/robot-63").json()["state"] == "enabled"
    assert security.get("/identities/robot-64").json()["state"] == "enabled"
    assert security.post(f"/responses/{end}/confirmation").json()["outcome"] == "done"
    assert security.get("/identities/robot-64").json()["state"] == "revoked"
    assert worker.post(f"/responses/{hold}/dismissal").json()["outcome"] == "dismissed"
