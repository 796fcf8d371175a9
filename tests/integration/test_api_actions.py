"""Revoke, quarantine, release, findings, certificates, the record and events: by the API, as the command line does them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import paho.mqtt.client as mqtt
import pytest

from bartizan.audit.search import records
from bartizan.model.finding import About, Finding
from bartizan.model.response import Outcome, Response
from bartizan.store.findings import FindingStore
from bartizan.store.responses import ResponseStore
from tests.integration.api import ONE_FACTOR, Api, serving
from tests.integration.test_api_resources import TENANTS, connected
from tests.security.party import eventually

LATER = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        yield running


@pytest.fixture(scope="module")
def security(api: Api) -> httpx2.Client:
    return api.as_("security", "operator")


def made(client: httpx2.Client, *names: str, roles: tuple[str, ...] = ()) -> None:
    for name in names:
        assert client.post("/identities", json={"identity": name, "roles": list(roles)}).status_code == 201


def end_of(client: mqtt.Client) -> threading.Event:
    """Set once it is disconnected: paho calls a client connected also after a server's DISCONNECT."""
    ended = threading.Event()

    def note(*_told: object) -> None:
        ended.set()

    client.on_disconnect = note
    return ended


def changes(api: Api) -> list[dict[str, Any]]:
    directory = api.broker._running.data.audit / "changes"
    return [each for each in records(directory) if each["kind"] == "change"]


# ---- actions ----------------------------------------------------------------------------------------


def test_one_that_is_revoked_is_out_at_once_and_what_ended_is_told(api, security):
    client = connected(api, "press-41")
    ended = end_of(client)
    done = security.post("/identities/press-41/revocation", json={"note": "stolen, INC-4711"})
    assert done.status_code == 200
    told = done.json()
    assert (told["before"], told["after"], told["is_in_force"]) == ("enabled", "revoked", True)
    assert [one["client_id"] for one in told["ended"]["sessions"]] == ["press-41"]
    assert len(told["credentials_ended"]) == len(told["serials_blocked"]) == 1
    assert ended.wait(10)
    client.loop_stop()
    assert security.get("/identities/press-41").json()["note"] == "stolen, INC-4711"


def test_quarantine_and_release_are_on_record_as_done_by_who_did_them(api):
    operator = api.operator("operator")
    client, _ = api.login(operator)
    made(client, "robot-41")
    words = {"until": LATER, "reason": "odd topics"}
    assert client.post("/identities/robot-41/quarantine", json=words).json()["after"] == "quarantined"
    assert client.post("/identities/robot-41/release").json()["after"] == "enabled"
    assert client.post("/identities/robot-41/release").status_code == 409, "it is in none"
    found = [each for each in changes(api) if each.get("target") == "identity/robot-41"]
    assert [each["what"] for each in found] == ["identity.add", "identity.set", "identity.set"]
    assert {each["who"] for each in found} == {operator.name}
    assert {each["from"] for each in found} == {"127.0.0.1"}
    assert found[1]["why"] == "odd topics"


def test_who_may_only_work_revokes_nobody_by_no_way(api, security):
    made(security, "robot-42")
    worker = api.as_("operator")
    assert worker.post("/identities/robot-42/revocation", json={}).status_code == 403
    assert worker.post("/revocations", json={"identities": ["robot-42"]}).status_code == 403
    assert worker.patch("/identities/robot-42", json={"state": "revoked"}).status_code == 422
    assert security.post("/identities/robot-42/revocation", json={}).status_code == 200
    assert worker.patch("/identities/robot-42", json={"state": "enabled"}).status_code == 403, "nor undoes it"
    assert worker.get("/identities/robot-42").json()["state"] == "revoked"


def test_what_revokes_asks_for_a_recent_proof_and_is_for_no_token(api):
    operator = api.operator("security", "admin")
    client, session = api.login(operator)
    made(api.as_("operator"), "robot-43")
    api.house.sessions._by_hash.update(
        {key: _proved_long_ago(one) for key, one in api.house.sessions._by_hash.items() if one.id == session.id}
    )
    refused = client.post("/identities/robot-43/revocation", json={})
    assert (refused.status_code, "recent proof" in refused.json()["detail"]) == (403, True)
    token = api.as_("admin").post(f"/operators/{operator.name}/tokens", json={"scopes": ["revoke", "look"]}).json()
    program = api.open(headers={"authorization": f"Bearer {token['token']}"})
    assert program.post("/identities/robot-43/revocation", json={}).status_code == 403


def _proved_long_ago(session: Any) -> Any:
    return replace(session, proved_at=session.proved_at - timedelta(hours=2))


def test_many_are_meant_as_a_preview_has_shown_them_or_it_is_refused(security):
    made(security, "crane-1", "crane-2", "crane-3", roles=("press",))
    seen = security.get("/actions/preview", params={"action": "quarantine", "match": "crane-*"}).json()
    assert (seen["count"], seen["identities"]) == (3, ["crane-1", "crane-2", "crane-3"])
    words = {"match": "crane-*", "reason": "firmware"}
    assert security.post("/quarantines", json=words).status_code == 409, "no preview was shown"
    made(security, "crane-4", roles=("press",))
    late = security.post("/quarantines", json=words | {"confirm": seen["confirm"]})
    assert late.status_code == 409, "it has shown others"
    assert security.get("/identities/crane-1").json()["state"] == "enabled"
    seen = security.get("/actions/preview", params={"action": "quarantine", "match": "crane-*"}).json()
    other = security.post("/releases", json={"match": "crane-*", "confirm": seen["confirm"]})
    assert other.status_code in {404, 409}, "it was shown for another action"
    done = security.post("/quarantines", json=words | {"confirm": seen["confirm"]}).json()
    assert [one["identity"] for one in done["done"]] == [f"crane-{number}" for number in range(1, 5)]
    # In quarantine they are found by the role that they have outside.
    out = security.get("/actions/preview", params={"action": "release", "role": "press"}).json()
    assert out["identities"] == seen["identities"]
    released = security.post("/releases", json={"role": "press", "confirm": out["confirm"]}).json()
    assert {one["after"] for one in released["done"]} == {"enabled"}


def test_what_cannot_be_done_to_one_is_done_to_the_others(security):
    made(security, "robot-44", "robot-45")
    assert security.patch("/identities/robot-44", json={"state": "disabled"}).status_code == 200
    told = security.post("/quarantines", json={"identities": ["robot-44", "robot-45", "no-one"]}).json()
    assert [one["identity"] for one in told["done"]] == ["robot-45"]
    assert [one["identity"] for one in told["failed"]] == ["robot-44", "no-one"]


@pytest.mark.parametrize("words", [{}, {"identities": []}, {"role": "a", "match": "*"}, {"match": "*", "names": ["a"]}])
def test_who_is_meant_is_said_in_one_way(security, words):
    assert security.post("/quarantines", json=words).status_code == 422


def test_a_tenants_operator_acts_on_its_own_alone():
    with serving(TENANTS, "api.requests_per_s=10000") as api:
        everyone, own = api.as_("security", "operator"), api.as_("security", "operator", tenant="plant-a")
        for name, tenant in (("of-a", "plant-a"), ("of-b", "plant-b")):
            everyone.post("/identities", json={"identity": name, "attributes": {"tenant": tenant}})
        assert own.post("/identities/of-b/revocation", json={}).status_code == 404
        assert own.post("/identities/of-b/quarantine", json={}).status_code == 404
        seen = own.get("/actions/preview", params={"action": "revoke", "match": "*"}).json()
        assert seen["identities"] == ["of-a"]
        assert own.get("/certificates/clients").json()["items"] == []
        told = own.post("/revocations", json={"identities": ["of-a", "of-b"]}).json()
        assert [one["identity"] for one in told["done"]] == ["of-a"]
        assert [one["identity"] for one in told["failed"]] == ["of-b"]
        assert everyone.get("/identities/of-b").json()["state"] == "enabled"


# ---- findings and responses ---------------------------------------------------------------------------


def found(api: Api, name: str, score: int = 70) -> int:
    at = datetime.now(UTC).timestamp()
    store = FindingStore(api.broker._running.data.findings)
    (kept,) = store.put([Finding("reconnects", About.IDENTITY, name, score, f"identity {name} did it", at)])
    return kept.number


def test_findings_are_listed_shown_and_seen_to(api, security):
    numbers = [found(api, "crane-7"), found(api, "crane-8", 10)]
    listed = security.get("/findings", params={"severity": "high", "sort": "number"}).json()["items"]
    assert [one["number"] for one in listed] == numbers[:1]
    assert security.get(f"/findings/{numbers[0]}").json()["name"] == "crane-7"
    assert security.get("/findings/999999").status_code == 404
    gone = security.post("/findings/acknowledgements", json={"numbers": [*numbers, 999_999], "why": "x"})
    assert gone.status_code == 404
    assert security.get(f"/findings/{numbers[0]}").json()["state"] == "open", "all or none"
    done = security.post("/findings/acknowledgements", json={"numbers": numbers, "why": "the integrator"}).json()
    assert {one["state"] for one in done} == {"acknowledged"}
    assert changes(api)[-1]["what"] == "finding.acknowledge"
    assert security.post("/findings/acknowledgements", json={"numbers": numbers, "why": " "}).status_code == 422


def test_a_mute_holds_until_it_is_ended(api, security):
    words = {"detector": "reconnects", "about": "identity", "name": "crane-9", "until": LATER, "why": "new antenna"}
    made_ = security.post("/mutes", json=words)
    assert made_.status_code == 201
    assert [one["name"] for one in security.get("/mutes").json()] == ["crane-9"]
    assert security.post("/mutes", json=words | {"name": ""}).status_code == 422
    assert security.post("/mutes", json=words | {"about": None}).status_code == 422
    assert security.delete(f"/mutes/{made_.json()['number']}").status_code == 204
    assert security.delete(f"/mutes/{made_.json()['number']}").status_code == 404
    assert security.get("/mutes").json() == []


def waits(api: Api, action: str, name: str, playbook: str = "isolate") -> int:
    store = ResponseStore(api.broker._running.data.findings)
    at = datetime.now(UTC)
    return store.put(Response(0, 1, playbook, action, About.IDENTITY, name, Outcome.WAITING, "", at)).number


def test_what_a_playbook_waits_to_do_is_dismissed_or_confirmed_once(api):
    operator = api.operator("operator")
    client, _ = api.login(operator)
    number = waits(api, "quarantine", "press-01")
    assert client.get("/responses", params={"outcome": "waiting"}).json()["items"][0]["number"] == number
    told = client.post(f"/responses/{number}/dismissal").json()
    assert (told["outcome"], told["by"]) == ("dismissed", operator.name)
    assert client.post(f"/responses/{number}/dismissal").status_code == 404
    assert [each["what"] for each in changes(api)][-1] == "response.dismiss"
    # There is no such playbook any more, so that it fails, and says so.
    confirmed = client.post(f"/responses/{waits(api, 'quarantine', 'press-01')}/confirmation").json()
    assert (confirmed["outcome"], "no playbook" in confirmed["text"]) == ("failed", True)


def test_to_confirm_a_revocation_takes_the_right_to_revoke(api, security):
    number = waits(api, "revoke", "press-01")
    assert api.as_("operator").post(f"/responses/{number}/confirmation").status_code == 403
    assert security.post(f"/responses/{number}/confirmation").status_code == 200


# ---- certificates -----------------------------------------------------------------------------------


def test_certificates_are_listed_without_a_key(api, security):
    own = security.get("/certificates")
    assert {"ca", "api", "listener mqtt"} <= {one["of"] for one in own.json()}
    assert "PRIVATE" not in own.text
    api.broker.enrol("press-51", role="press")
    listed = security.get("/certificates/clients", params={"live": True}).json()["items"]
    mine = next(one for one in listed if one["identity"] == "press-51")
    by_serial = security.get("/certificates/clients", params={"serial_hex": mine["serial_hex"]}).json()["items"]
    assert [one["identity"] for one in by_serial] == ["press-51"]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert security.get("/certificates/clients", params={"ends_before": soon}).json()["items"] == []


# ---- the record -------------------------------------------------------------------------------------


def test_the_record_is_read_page_by_page_searched_exported_and_verified(api):
    operator = api.operator("security", "operator")
    client, _ = api.login(operator)
    made(client, "seen-71", "seen-72", "seen-73")
    words = {"who": operator.name, "what": "identity.add", "kind": "change"}
    first = client.get("/audit/records", params=words | {"limit": 2}).json()
    rest = client.get("/audit/records", params=words | {"limit": 2, "after": first["next"]}).json()
    targets = [one["content"]["target"] for one in (*first["items"], *rest["items"])]
    assert targets == ["identity/seen-71", "identity/seen-72", "identity/seen-73"]
    assert rest["next"] is None
    reference = first["items"][0]["record"]
    assert client.get(f"/audit/records/{reference}").json() == first["items"][0]
    assert client.get("/audit/records/c999999").status_code == 404
    assert client.get("/audit/records", params={"after": "WyJ4Il0="}).status_code == 422, "a cursor of another list"
    newest = client.get("/audit/records", params=words | {"limit": 2, "sort": "-at"}).json()
    made(client, "seen-74")
    oldest = client.get("/audit/records", params=words | {"sort": "-at", "after": newest["next"]}).json()
    assert [one["content"]["target"] for one in (*newest["items"], *oldest["items"])] == targets[::-1]
    targets.append("identity/seen-74")
    lines = client.get("/audit/export", params=words).text.splitlines()
    assert [json.loads(line)["target"] for line in lines] == targets
    table = client.get("/audit/export", params=words | {"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 1 + len(targets)
    told = client.post("/audit/verification").json()
    assert told["whole"]
    assert told["logs"]["changes"]["problems"] == []
    assert client.get("/audit/key").json()["pem"].startswith("-----BEGIN PUBLIC KEY")


def test_a_record_whose_public_key_is_gone_is_not_whole(api):
    key = api.broker._running.data.audit / "checkpoint.pub"
    away = key.rename(key.with_name("away"))
    try:
        told = api.as_("security").post("/audit/verification").json()
    finally:
        away.rename(key)
    assert not told["whole"]
    assert [log["problems"][0]["segment"] for log in told["logs"].values()] == ["checkpoint.pub"] * 2


def test_who_only_works_reads_no_record(api):
    for path in ("/audit/records", "/audit/export", "/audit/key", "/audit/records/c1"):
        assert api.as_("operator", "viewer").get(path).status_code == 403


def test_a_token_and_a_disconnection_are_on_record_without_the_secret(api):
    admin, operator = api.as_("admin"), api.operator("operator")
    token = admin.post(f"/operators/{operator.name}/tokens", json={"scopes": ["look"]}).json()
    assert admin.delete(f"/operators/{operator.name}/tokens/{token['id']}").status_code == 204
    mine = [each for each in changes(api) if each.get("target") == f"operator/{operator.name}"]
    assert [each["what"] for each in mine] == ["operator.add", "operator.token-add", "operator.token-remove"]
    assert mine[1]["after"]["scopes"] == ["look"]
    text = b"".join(file.read_bytes() for file in (api.broker._running.data.audit / "changes").iterdir())
    assert token["token"].encode() not in text
    client = connected(api, "press-52")
    ended = end_of(client)
    assert api.as_("operator").delete("/clients/press-52").status_code == 204
    assert ended.wait(10)
    client.loop_stop()
    assert changes(api)[-1]["what"] == "client.disconnect"


# ---- events -----------------------------------------------------------------------------------------


class Reading:
    """Reads events in a thread, until it is told to end."""

    def __init__(self, client: httpx2.Client, **params: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.names: list[str] = []
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(client, params), daemon=True)
        self._thread.start()
        assert self._begun.wait(10)

    def _read(self, client: httpx2.Client, params: dict[str, str]) -> None:
        with client.stream("GET", "/events", params=params) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            self._begun.set()
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    self.names.append(line.removeprefix("event: "))
                elif line.startswith("data: ") and line != "data: {}":
                    self.events.append(json.loads(line.removeprefix("data: ")))
                if self._ended.is_set():
                    return
        self._ended.set()

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    def end(self) -> None:
        self._ended.set()

    def has(self, kind: str, **fields: object) -> bool:
        return any(
            each["event"] == kind and all(each.get(name) == value for name, value in fields.items())
            for each in self.events
        )


def test_events_are_told_as_they_happen_to_whoever_may_hear_them(api, security):
    all_, few = Reading(security), Reading(api.as_("viewer"))
    made(security, "robot-61")
    client = connected(api, "press-61")
    eventually(lambda: few.has("connected", identity="press-61"))
    eventually(lambda: all_.has("operator_acted", outcome="201"))
    assert not few.has("operator_acted"), "who looks at no operators hears nothing of them"
    client.disconnect()
    client.loop_stop()
    all_.end()
    few.end()
    api.broker._running.broker.journal.note("policy_staged", policy="", until="")


def test_a_stream_ends_soon_after_its_login(api):
    operator = api.operator("viewer")
    client, session = api.login(operator)
    reading = Reading(client)
    api.run(_closed(api, session.id))
    eventually(lambda: reading.is_over, within_s=15)
    assert reading.names == ["end"]


async def _closed(api: Api, id_: str) -> None:
    api.house.sessions.close(id_)


def nothing(_event: object) -> bool:
    return False


def test_only_so_many_read_at_once(api):
    readers = [api.house.readers.open(nothing) for _ in range(16 - api.house.readers.count)]
    try:
        assert api.as_("viewer").get("/events").status_code == 503
    finally:
        for _, end in readers:
            end()


def test_events_take_a_login_with_the_right_to_look(api):
    assert api.open().get("/events").status_code == 401
    weak = api.as_("admin", factors=ONE_FACTOR)
    assert weak.get("/events").status_code == 403
