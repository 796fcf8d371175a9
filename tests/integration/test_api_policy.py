"""A policy by the API: compared, staged, put in force and brought back; as the command line does it, and as safely."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from bartizan.audit.search import records
from bartizan.broker.history import History
from bartizan.policy import default_policy_text
from tests.integration.api import Api, serving
from tests.integration.test_api_resources import connected
from tests.security.party import eventually

READER = default_policy_text() + '\n[roles.reader]\npermit = [{ action = "subscribe", filter = "hall/#" }]\n'
OTHER = default_policy_text() + '\n[roles.walker]\npermit = [{ action = "subscribe", filter = "yard/#" }]\n'
FORBIDS = """
[principals.reader-1]
roles = ["reader"]

[tests."nobody reads hall 1"]
as = "reader-1"
deny = ["subscribe hall/1"]
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        yield running


@pytest.fixture
def security(api: Api) -> httpx2.Client:
    return api.as_("security")


def files(text: str, **more: str) -> dict[str, dict[str, str]]:
    return {"files": {"policy.toml": text} | more}


def roles(client: httpx2.Client) -> list[str]:
    return client.get("/policy").json()["roles"]


def on_disk(api: Api) -> str:
    return api.broker._running.data.policy.read_text(encoding="utf-8")


def test_a_policy_is_compared_and_nothing_is_changed(api, security):
    before = on_disk(api)
    told = api.as_("viewer").post("/policy/diff", json=files(READER)).json()
    assert [one["roles"] for one in told["changes"]["roles"]] == [["reader"]]
    assert told["changes"]["roles"][0]["gains"][0]["filter"] == "hall/#"
    assert told["tests"]["passed"]
    assert on_disk(api) == before
    assert "reader" not in roles(security)
    assert security.post("/policy/diff", json=files("[roles.\n")).status_code == 422


def test_a_policy_is_put_in_force_recorded_and_brought_back(api):
    operator = api.operator("security")
    client, _ = api.login(operator)
    before, etag = on_disk(api), client.get("/policy").headers["etag"]
    done = client.put("/policy", json=files(READER) | {"note": "hall 3"}, headers={"if-match": etag})
    assert done.status_code == 200, done.text
    version = done.json()["version"]
    assert (version["state"], version["who"], version["note"]) == ("in-force", operator.name, "hall 3")
    assert "reader" in roles(client)
    assert on_disk(api) == READER
    late = client.put("/policy", json=files(OTHER), headers={"if-match": etag})
    assert late.status_code == 412, "another one is in force by now"
    again = client.put("/policy", json=files(READER)).json()
    assert (again["version"], "already" in again["outcome"]) == (None, True)
    back = client.post("/policy/rollback", json={"note": "no"}).json()
    assert back["version"]["kind"] == "rollback"
    assert on_disk(api) == before
    assert "reader" not in roles(client)
    found = [each for each in records(api.broker._running.data.audit / "changes") if each["kind"] == "change"]
    mine = [each["what"] for each in found if each.get("who") == operator.name]
    assert {"policy.apply", "policy.rollback", "broker.reload"} <= set(mine)
    applied = next(each for each in found if each["what"] == "policy.apply")
    assert applied["why"] == "hall 3"


def test_what_decides_otherwise_than_expected_is_not_put_in_force(api, security):
    before = on_disk(api)
    body = files(READER, **{"reader.test.toml": FORBIDS})
    assert security.post("/policy/diff", json=body).json()["tests"]["passed"] is False
    refused = security.put("/policy", json=body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:bartizan:problem:change-refused")
    assert security.put("/policy", json=files("[roles.\n")).status_code == 422
    assert security.put("/policy", json=files(READER, **{"../x.toml": ""})).status_code == 422
    assert on_disk(api) == before


def test_what_was_changed_by_hand_is_not_lost(api, security):
    assert security.put("/policy", json=files(READER)).status_code == 200
    place = api.broker._running.data.policy
    place.write_text(READER + "# by hand\n", encoding="utf-8")
    assert security.put("/policy", json=files(OTHER)).status_code == 409
    assert on_disk(api).endswith("# by hand\n")
    assert security.put("/policy", json=files(OTHER) | {"takes_over": True}).status_code == 200
    kinds = [one["kind"] for one in security.get("/policy/versions", params={"sort": "number"}).json()["items"]]
    assert kinds[-2:] == ["take-over", "apply"]


def test_a_staged_policy_is_watched_promoted_or_ended(api, security):
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    staged = security.put("/policy/staged", json=files(READER) | {"until": ends})
    assert staged.status_code == 200
    assert security.get("/policy/staged").json()["staged"]["digest"] == staged.json()["digest"]
    other = security.post("/policy/staged/promotion", json={"digest": "0" * 64})
    assert (other.status_code, "another policy" in other.json()["detail"]) == (409, True)
    this = {"digest": staged.json()["digest"]}
    done = security.post("/policy/staged/promotion", json=this | {"note": "a week without a difference"})
    assert done.json()["version"]["state"] == "in-force"
    assert "reader" in roles(security)
    assert security.get("/policy/staged").json()["staged"] is None
    assert security.delete("/policy/staged").json() == {"was_staged": False}
    assert security.post("/policy/staged/promotion", json=this).status_code == 404


def test_what_somebody_else_staged_meanwhile_is_not_replaced(api, security):
    none = security.get("/policy/staged").headers["etag"]
    staged = security.put("/policy/staged", json=files(READER), headers={"if-match": none})
    assert (staged.status_code, security.get("/policy/staged").headers["etag"]) == (200, staged.headers["etag"])
    assert security.put("/policy/staged", json=files(OTHER), headers={"if-match": none}).status_code == 412
    assert security.delete("/policy/staged", headers={"if-match": none}).status_code == 412
    # The same once more is another one: what it would have decided is counted anew.
    again = security.put("/policy/staged", json=files(READER), headers={"if-match": staged.headers["etag"]})
    assert again.status_code == 200
    late = {"headers": {"if-match": staged.headers["etag"]}}
    assert security.put("/policy/staged", json=files(OTHER), **late).status_code == 412
    assert security.get("/policy/staged").json()["staged"]["digest"] == again.json()["digest"]
    assert security.delete("/policy/staged", headers={"if-match": again.headers["etag"]}).json() == {"was_staged": True}


def test_what_decides_by_now_is_not_overwritten_by_who_read_another_policy(api, security):
    late = {"headers": {"if-match": security.get("/policy").headers["etag"]}}
    assert security.put("/policy", json=files(READER), **late).status_code == 200
    assert security.put("/policy", json=files(OTHER), **late).status_code == 412
    assert security.post("/policy/rollback", json={}, **late).status_code == 412
    assert "reader" in roles(security)
    (applied,) = security.get("/policy/versions", params={"kind": "apply", "limit": 1}).json()["items"]
    assert security.get("/policy/versions", params={"who": "nobody-*"}).json()["items"] == []
    by_who = {"who": applied["who"], "since": applied["at"]}
    assert security.get("/policy/versions", params=by_who).json()["items"][0]["number"] == applied["number"]
    assert security.get("/policy/versions", params=by_who | {"since": "2099-01-01T00:00:00Z"}).json()["items"] == []


def test_what_would_have_decided_otherwise_is_not_promoted_unless_it_is_said(api, security):
    nothing = '[roles.press]\npermit = [{ action = "publish", filter = "nowhere" }]\n'
    this = {"digest": security.put("/policy/staged", json=files(nothing)).json()["digest"]}
    client = connected(api, "press-71")
    client.publish("data/chicago/hall-2/press-71/temperature", b"1", qos=1)
    eventually(lambda: security.get("/policy/staged").json()["differences"])
    (seen,) = security.get("/policy/staged").json()["differences"]
    assert (seen["identity"], seen["why"]) == ("press-71", "permitted")
    assert security.post("/policy/staged/promotion", json=this).status_code == 409
    assert "dashboard" in roles(security)
    assert security.post("/policy/staged/promotion", json=this | {"despite_differences": True}).status_code == 200
    assert "dashboard" not in roles(security)
    client.disconnect()
    client.loop_stop()


def test_who_may_not_decide_puts_no_policy_in_force(api):
    for other in ("viewer", "operator", "admin"):
        client = api.as_(other)
        for method, path, body in (
            ("PUT", "/policy", files(READER)),
            ("POST", "/policy/rollback", {}),
            ("PUT", "/policy/staged", files(READER)),
            ("DELETE", "/policy/staged", None),
            ("POST", "/policy/staged/promotion", {}),
        ):
            assert client.request(method, path, json=body).status_code == 403


def test_it_takes_two_where_the_settings_say_so():
    with serving(None, "api.requests_per_s=10000", 'api.two_person=["policy-apply"]') as api:
        first, second = api.as_("security"), api.as_("security")
        waiting = first.put("/policy", json=files(READER))
        assert waiting.status_code == 202
        assert "reader" not in roles(first)
        shown = second.get(f"/approvals/{waiting.json()['id']}").json()
        assert shown["body"]["files"]["policy.toml"] == READER
        assert second.post(f"/approvals/{waiting.json()['id']}/approval").json()["version"]["state"] == "in-force"
        assert "reader" in roles(first)


def test_two_changes_at_once_do_not_mix(api, security):
    history = api.broker._running.data.policy_history
    # Held as another process would hold it.

    with History(history).changing():
        assert security.put("/policy", json=files(READER)).status_code == 409
    eventually(lambda: security.put("/policy", json=files(READER)).status_code == 200)


def test_a_policy_that_was_staged_meanwhile_is_not_what_was_agreed_to():
    with serving(None, "api.requests_per_s=10000", 'api.two_person=["policy-apply"]') as api:
        first, second = api.as_("security"), api.as_("security")
        staged = first.put("/policy/staged", json=files(READER)).json()
        waiting = first.post("/policy/staged/promotion", json={"digest": staged["digest"]})
        assert waiting.status_code == 202
        # To stage takes one: so what is staged is no part of what another one has agreed to.
        assert first.put("/policy/staged", json=files(OTHER)).status_code == 200
        refused = second.post(f"/approvals/{waiting.json()['id']}/approval")
        assert (refused.status_code, "another policy" in refused.json()["detail"]) == (409, True)
        assert "dashboard" in roles(first)


def test_what_was_changed_by_hand_since_is_told(api, security):
    assert security.put("/policy", json=files(READER)).status_code == 200
    assert security.get("/policy").json()["changed_by_hand"] == []
    file = api.broker._running.data.policy
    file.write_text(OTHER, encoding="utf-8")
    assert security.get("/policy").json()["changed_by_hand"] == ["policy.toml"]
    file.unlink()
    told = security.get("/policy")
    assert (told.status_code, told.json()["changed_by_hand"]) == (200, ["policy.toml"])
    assert "reader" in told.json()["roles"]
