"""What the routes do, on a running broker with real clients: the same as the command line, by the same functions."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import paho.mqtt.client as mqtt
import pytest

from bartizan.api import house
from bartizan.audit.search import Wanted, records
from bartizan.audit.stores import RecordedStore
from bartizan.identity.register import Register
from tests.integration.api import Api, serving
from tests.security.party import eventually

NOT_AUTHORIZED = 0x87

TENANTS = """
[tenants.plant-a]
root = "a"

[tenants.plant-b]
root = "b"

[roles.press]
permit = [{ action = "all", filter = "presses/#" }]
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        yield running


@pytest.fixture(scope="module")
def security(api: Api):
    return api.as_("security", "operator")


def connected(api: Api, name: str) -> mqtt.Client:
    bundle = api.broker.enrol(name, role="press", site="chicago")
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, reconnect_on_failure=False
    )
    client.tls_set(bundle.ca_file, bundle.certificate_file, bundle.key_file)
    client.username_pw_set(name)
    client.connect(api.broker.host, api.broker.port)
    client.loop_start()
    eventually(client.is_connected)
    return client


def published(client: mqtt.Client, topic: str) -> int:
    """The Reason Code of the PUBACK."""
    told: list[int] = []

    def note(*answer: Any) -> None:
        told.append(answer[3].value)

    client.on_publish = note
    client.publish(topic, b"x", qos=1)
    eventually(lambda: told)
    return told[0]


def test_clients_are_listed_found_shown_and_disconnected(api, security):
    names = ["press-01", "press-02", "press-03"]
    clients = [connected(api, name) for name in names]
    gone: list[int] = []

    def ended(*told: Any) -> None:
        gone.append(told[3].value)

    clients[1].on_disconnect = ended
    listed = security.get("/clients", params={"match": "press-*", "limit": 2}).json()
    assert [one["client_id"] for one in listed["items"]] == names[:2]
    rest = security.get("/clients", params={"match": "press-*", "limit": 2, "after": listed["next"]}).json()
    assert [one["client_id"] for one in rest["items"]] == names[2:]
    assert rest["next"] is None
    down = security.get("/clients", params={"match": "press-*", "sort": "-client_id"}).json()
    assert [one["client_id"] for one in down["items"]] == names[::-1]
    assert security.get("/clients", params={"role": "dashboard"}).json()["items"] == []
    shown = security.get("/clients/press-02").json()
    assert shown["identity"] == "press-02"
    assert shown["version"] == "5.0"
    assert security.delete("/clients/press-02", params={"reason": 0x80}).status_code == 422
    assert security.delete("/clients/press-02").status_code == 204
    eventually(lambda: gone)
    assert gone == [0x98]
    assert security.get("/clients/press-02").status_code == 404
    assert clients[0].is_connected()
    for client in clients:
        client.disconnect()
        client.loop_stop()


def test_an_identity_lives_from_its_making_to_its_end(security):
    made = security.post("/identities", json={"identity": "robot-1", "roles": ["press"], "note": "hall 2"})
    assert made.status_code == 201
    assert made.json()["credentials"] == []
    again = security.post("/identities", json={"identity": "robot-1"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:bartizan:problem:already-exists")
    changed = security.patch("/identities/robot-1", json={"note": "hall 3", "attributes": {"site": "berlin"}})
    assert changed.json()["attributes"] == {"site": "berlin"}
    assert changed.json()["note"] == "hall 3"
    secret = security.post("/identities/robot-1/credentials", json={}).json()["password"]
    shown = security.get("/identities/robot-1")
    assert [one["kind"] for one in shown.json()["credentials"]] == ["password"]
    assert secret not in shown.text
    assert "hash" not in shown.text
    credential = shown.json()["credentials"][0]["id"]
    assert security.delete(f"/identities/robot-1/credentials/{credential}").status_code == 204
    assert security.get("/identities/robot-1").json()["credentials"][0]["live"] is False
    assert security.delete("/identities/robot-1/credentials/none").status_code == 404
    assert security.delete("/identities/robot-1").status_code == 204
    assert security.get("/identities/robot-1").status_code == 404


def test_credentials_of_all_are_listed_by_what_they_are_and_who_still_uses_the_old_one(security):
    for name in ("cred-1", "cred-2", "cred-3"):
        assert security.post("/identities", json={"identity": name}).status_code == 201
        assert security.post(f"/identities/{name}/credentials", json={}).status_code == 201
    rotated = security.post("/identities/cred-2/credentials", json={"overlap_s": 3_600})
    assert rotated.status_code == 201

    def named(**params: Any) -> list[str]:
        items = security.get("/credentials", params=params).json()["items"]
        return [one["identity"] for one in items if one["identity"].startswith("cred-")]

    assert named(kind="password") == ["cred-1", "cred-2", "cred-2", "cred-3"]
    assert named(kind="certificate") == []
    assert named(stale=True) == ["cred-2"]
    assert named(stale=False) == ["cred-1", "cred-2", "cred-3"]
    assert named(ends_before="2099-01-01T00:00:00Z") == ["cred-2"]
    assert named(live=False) == []
    shown = security.get("/credentials", params={"stale": True})
    (old,) = [one for one in shown.json()["items"] if one["identity"] == "cred-2"]
    assert old["successor"] not in {None, old["id"]}
    assert rotated.json()["password"] not in shown.text
    first = security.get("/credentials", params={"kind": "password", "limit": 1}).json()
    rest = security.get("/credentials", params={"kind": "password", "after": first["next"]}).json()
    assert not {one["id"] for one in first["items"]} & {one["id"] for one in rest["items"]}


ROLE = {"identities": ["press-71"]}
WAYS: dict[str, tuple[tuple[str, str, Any], tuple[str, str, Any]]] = {
    "by itself": (
        ("PATCH", "/identities/press-71", {"remove_roles": ["press"]}),
        ("PATCH", "/identities/press-71", {"add_roles": ["press"]}),
    ),
    "by its role": (("POST", "/roles/press/revocations", ROLE), ("POST", "/roles/press/grants", ROLE)),
    "by its group": (
        ("PATCH", "/groups/hall-71", {"remove_members": ["press-71"]}),
        ("PATCH", "/groups/hall-71", {"add_members": ["press-71"]}),
    ),
}


@pytest.fixture(scope="module")
def unattended() -> Iterator[Api]:
    """A broker that does nothing in the background: it would take a change over in a moment, too."""
    with serving(None, "api.requests_per_s=10000") as running:
        running.run(running.broker._running.broker.chores.stop())
        yield running


def test_a_change_holds_for_the_very_next_packet_once_the_answer_is_there(unattended):
    security, client = unattended.as_("security", "operator"), connected(unattended, "press-71")
    topic = "data/chicago/hall-7/press-71/status"
    assert security.post("/groups", json={"group": "hall-71", "roles": ["press"]}).status_code == 201
    for take, give in WAYS.values():
        if give[1] == "/groups/hall-71":
            assert security.request(give[0], give[1], json=give[2]).is_success
            assert security.patch("/identities/press-71", json={"remove_roles": ["press"]}).is_success
        assert security.request(take[0], take[1], json=take[2]).is_success
        assert published(client, topic) == NOT_AUTHORIZED
        assert security.request(give[0], give[1], json=give[2]).is_success
        assert published(client, topic) in {0x00, 0x10}
    # Its connection is ended, too: no PUBLISH is answered any more.
    assert security.delete("/identities/press-71").status_code == 204
    assert security.get("/clients", params={"match": "press-71"}).json()["items"] == []
    client.loop_stop()
    assert security.delete("/groups/hall-71").status_code == 204


def test_a_password_that_has_ended_has_no_connection_once_the_answer_is_there(unattended):
    security, broker = unattended.as_("security", "operator"), unattended.broker
    assert security.post("/identities", json={"identity": "press-72", "roles": ["press"]}).status_code == 201
    secret = security.post("/identities/press-72/credentials", json={}).json()["password"]
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="press-72", reconnect_on_failure=False)
    client.tls_set(broker.ca_file)
    client.username_pw_set("press-72", secret)
    client.connect(broker.host, broker.port)
    client.loop_start()
    eventually(client.is_connected)
    assert security.delete("/identities/press-72/credentials").status_code == 204
    assert security.get("/clients", params={"match": "press-72"}).json()["items"] == []
    client.loop_stop()


def test_what_the_engine_does_not_take_over_in_time_is_said_to_be_stored_alone(api, security, monkeypatch):
    assert security.post("/identities", json={"identity": "robot-73"}).status_code == 201
    monkeypatch.setattr(house, "IN_FORCE_WITHIN_S", 0.05)
    turn = api.broker._running.broker.in_force._turn
    api.run(turn.acquire())
    try:
        late = security.patch("/identities/robot-73", json={"note": "stored"})
    finally:
        api.run(released(turn))
    assert (late.status_code, late.json()["type"]) == (503, "urn:bartizan:problem:not-in-force")
    assert "stored" in late.json()["detail"]
    monkeypatch.undo()
    assert security.get("/identities/robot-73").json()["note"] == "stored"
    assert security.patch("/identities/robot-73", json={"note": "in force"}).status_code == 200


async def released(turn: asyncio.Lock) -> None:
    turn.release()


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(security):
    etag = security.post("/identities", json={"identity": "robot-2"}).headers["etag"]
    assert security.patch("/identities/robot-2", json={"note": "one"}, headers={"if-match": etag}).status_code == 200
    late = security.patch("/identities/robot-2", json={"note": "two"}, headers={"if-match": etag})
    assert (late.status_code, late.json()["type"]) == (412, "urn:bartizan:problem:changed-meanwhile")
    assert security.get("/identities/robot-2").json()["note"] == "one"
    assert security.delete("/identities/robot-2", headers={"if-match": etag}).status_code == 412


def test_a_group_that_somebody_else_changed_is_not_overwritten_not_in_between_either(api, security, monkeypatch):
    etag = security.post("/groups", json={"group": "hall-8", "note": "one"}).headers["etag"]
    moved = security.patch("/groups/hall-8", json={"note": "two"}, headers={"if-match": etag})
    assert moved.status_code == 200
    late = {"headers": {"if-match": etag}}
    assert security.patch("/groups/hall-8", json={"note": "three"}, **late).status_code == 412
    assert security.delete("/groups/hall-8", **late).status_code == 412
    # Who slips in between look and write is noticed by the store.
    register = Register(api.house.store)
    commit = RecordedStore.commit

    async def late_commit(store: RecordedStore, changes: Any) -> int:
        monkeypatch.undo()
        await register.change_group("hall-8", lambda group: replace(group, note="slipped in"))
        return await commit(store, changes)

    assert security.post("/identities", json={"identity": "robot-8"}).status_code == 201
    words = {"json": {"add_members": ["robot-8"]}, "headers": {"if-match": moved.headers["etag"]}}
    monkeypatch.setattr(RecordedStore, "commit", late_commit)
    assert security.patch("/groups/hall-8", **words).status_code == 409
    shown = security.get("/groups/hall-8")
    assert (shown.json()["note"], shown.json()["members"]) == ("slipped in", [])
    assert security.delete("/groups/hall-8", headers={"if-match": shown.headers["etag"]}).status_code == 204


def test_an_operator_that_somebody_else_changed_is_not_overwritten(api):
    admin, name = api.as_("admin"), api.operator("viewer").name
    late = {"headers": {"if-match": admin.get(f"/operators/{name}").headers["etag"]}}
    assert admin.patch(f"/operators/{name}", json={"note": "one"}, **late).status_code == 200
    assert admin.patch(f"/operators/{name}", json={"note": "two"}, **late).status_code == 412
    assert admin.delete(f"/operators/{name}", **late).status_code == 412
    assert admin.get(f"/operators/{name}").json()["note"] == "one"


def test_a_throttle_that_somebody_else_changed_is_not_overwritten(security):
    assert security.post("/identities", json={"identity": "robot-9"}).status_code == 201
    path, until_ = "/identities/robot-9/throttle", "2099-01-01T00:00:00Z"
    assert security.get(path).status_code == 404
    first = security.put(path, json={"messages_per_s": 5, "until": until_})
    seen = security.get(path)
    assert (seen.json()["messages_per_s"], seen.headers["etag"]) == (5, first.headers["etag"])
    early = {"headers": {"if-match": seen.headers["etag"]}}
    assert security.put(path, json={"messages_per_s": 6, "until": until_}, **early).status_code == 200
    assert security.put(path, json={"messages_per_s": 7, "until": until_}, **early).status_code == 412
    assert security.delete(path, **early).status_code == 412
    assert security.get(path).json()["messages_per_s"] == 6
    assert security.delete(path, headers={"if-match": security.get(path).headers["etag"]}).status_code == 204
    assert security.put(path, json={"messages_per_s": 7, "until": until_}, **early).status_code == 412


def test_lists_are_of_those_whose_names_fit(api, security):
    for name in ("fits-1", "fits-2", "other-1"):
        assert security.post("/identities", json={"identity": name}).status_code == 201
        assert security.post("/groups", json={"group": name}).status_code == 201
        words = {"messages_per_s": 5, "until": "2099-01-01T00:00:00Z"}
        assert security.put(f"/identities/{name}/throttle", json=words).status_code == 200
    operator = api.operator("viewer")

    def listed(path: str, name: str, **words: str) -> list[str]:
        return [one[name] for one in api.as_("admin").get(path, params=words).json()["items"]]

    assert listed("/groups", "group", match="fits-?") == ["fits-1", "fits-2"]
    assert listed("/throttles", "identity", match="fits-*", sort="-identity") == ["fits-2", "fits-1"]
    assert listed("/roles", "role", match="dash*") == ["dashboard"]
    assert listed("/operators", "operator", match=f"{operator.name[:-1]}?") == [operator.name]
    assert listed("/groups", "group", match="nobody") == []
    for name in ("fits-1", "fits-2", "other-1"):
        assert security.delete(f"/groups/{name}").status_code == 204


def test_a_change_that_is_sent_twice_is_done_once(api, security):
    headers = {"idempotency-key": "8c1f"}
    first = security.post("/identities", json={"identity": "robot-3"}, headers=headers)
    again = security.post("/identities", json={"identity": "robot-3"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = security.post("/identities", json={"identity": "robot-4"}, headers=headers)
    assert other.status_code == 422
    asked_otherwise = security.post(
        "/identities", params={"with": "a query"}, json={"identity": "robot-3"}, headers=headers
    )
    assert asked_otherwise.status_code == 422, "the query is of the request: of another tenant's client, say"
    stranger = api.as_("security").post("/identities", json={"identity": "robot-3"}, headers=headers)
    assert stranger.status_code == 409, "a key is its operator's own"


def test_an_operator_enrols_and_quarantines_but_gives_no_role(api):
    operator = api.operator("operator")
    client, _ = api.login(operator)
    assert client.post("/identities", json={"identity": "robot-5"}).status_code == 201
    until_ = "2099-01-01T00:00:00Z"
    words = {"state": "quarantined", "quarantined_until": until_, "quarantine_reason": "odd topics"}
    told = client.patch("/identities/robot-5", json=words | {"quarantine_ticket": "INC-7"}).json()
    assert (told["state"], told["quarantine_ticket"]) == ("quarantined", "INC-7")
    assert told["quarantined_by"] == operator.name
    wrong = client.patch("/identities/robot-5", json={"state": "enabled", "quarantine_ticket": "INC-7"})
    assert wrong.status_code == 422
    for more in ({"roles": ["admin"]}, {"groups": ["line"]}, {"attributes": {"site": "x"}}):
        assert client.post("/identities", json={"identity": "robot-55", **more}).status_code == 403
    assert client.get("/identities/robot-55").status_code == 404
    for more in ({"add_roles": ["press"]}, {"add_groups": ["line"]}, {"attributes": {"site": "x"}}):
        assert client.patch("/identities/robot-5", json=more).status_code == 403
    assert client.post("/identities/robot-5/credentials", json={}).status_code == 403
    assert client.delete("/identities/robot-5").status_code == 403


def walked(client: httpx2.Client, path: str, **words: str) -> list[Any]:
    """All items, by pages of two."""
    items: list[Any] = []
    after = ""
    while after is not None:
        page = client.get(path, params=words | {"limit": 2, "after": after}).json()
        items += page["items"]
        after = page["next"]
    return items


def test_identities_come_page_by_page_in_the_order_that_is_asked_for(security):
    # Not in the order of their names, each with a credential.
    made = [f"page-{number}" for number in (3, 0, 4, 1, 2)]
    for name in made:
        assert security.post("/identities", json={"identity": name}).status_code == 201
        assert security.post(f"/identities/{name}/credentials", json={}).status_code == 201
    expected = {"name": sorted(made), "-name": sorted(made)[::-1], "created_at": made, "-created_at": made[::-1]}
    for sort, names in expected.items():
        found = walked(security, "/identities", match="page-*", sort=sort)
        assert [one["identity"] for one in found] == names
        everyone = [one["identity"] for one in walked(security, "/identities", sort=sort)]
        assert [name for name in everyone if name in made] == names
        assert len(everyone) == len(set(everyone)) > len(made)
    for sort, names in {"identity": sorted(made), "-identity": sorted(made)[::-1]}.items():
        held = [one["identity"] for one in walked(security, "/credentials", kind="password", sort=sort)]
        assert [name for name in held if name in made] == names
        certified = [one["identity"] for one in walked(security, "/certificates/clients", sort=sort)]
        assert certified == sorted(certified, reverse=sort.startswith("-"))
    assert security.get("/identities", params={"after": "no cursor"}).status_code == 422
    by_name = security.get("/identities", params={"limit": 1}).json()["next"]
    assert security.get("/identities", params={"sort": "created_at", "after": by_name}).status_code == 422
    assert security.get("/identities", params={"sort": "owner"}).status_code == 422


def test_groups_and_roles_as_the_command_line_has_them(security):
    for name in ("member-1", "member-2"):
        security.post("/identities", json={"identity": name})
    made = security.post("/groups", json={"group": "line-3", "roles": ["press"]})
    assert made.status_code == 201
    changed = security.patch(
        "/groups/line-3",
        json={"add_members": ["member-1", "member-2"]},
        headers={"if-match": made.headers["etag"]},
    )
    assert changed.json()["members"] == ["member-1", "member-2"]
    assert security.get("/groups").json()["items"][0]["member_count"] == 2
    holders = {one["identity"]: one["through"] for one in security.get("/roles/press").json()["holders"]}
    assert holders["member-1"] == ["group line-3"]
    assert security.post("/roles/press/grants", json={"identities": ["member-1"]}).status_code == 204
    assert security.get("/identities/member-1").json()["roles"] == ["press"]
    assert security.post("/roles/press/revocations", json={"identities": ["member-1"]}).status_code == 204
    assert security.post("/roles/nothing/grants", json={"identities": ["member-1"]}).status_code == 404
    assert security.delete("/groups/line-3").status_code == 409, "somebody is in it"
    assert security.delete("/groups/line-3", params={"with_members": True}).status_code == 204


def test_the_policy_is_shown_checked_and_what_it_refused_listed(api, security):
    in_force = security.get("/policy").json()
    assert "press" in in_force["roles"]
    good = {"files": {"plant.toml": '[roles.a]\npermit = [{ action = "publish", filter = "a" }]\n'}}
    assert security.post("/policy/check", json=good).json()["ok"] is True
    bad = security.post("/policy/check", json={"files": {"plant.toml": "[roles.\n"}}).json()
    assert bad["ok"] is False
    assert bad["errors"][0]["line"] == 1
    assert security.post("/policy/check", json={"files": {"../plant.toml": ""}}).status_code == 422
    client = connected(api, "press-09")
    client.publish("nothing/of/its/own", b"x", qos=1)
    eventually(lambda: security.get("/denials", params={"identity": "press-09"}).json()["items"])
    denied = security.get("/denials", params={"identity": "press-09"}).json()["items"][0]
    assert denied["topic"] == "nothing/of/its/own"
    client.disconnect()
    client.loop_stop()


def test_the_broker_says_what_it_is(api):
    admin = api.as_("admin")
    assert admin.get("/status").json()["state"] == "ready"
    assert admin.get("/listeners").json()[0]["tls"] is True
    assert admin.get("/dangers").json() == []
    assert admin.get("/config").json()["api"]["mfa_roles"] == ["security", "admin"]
    assert "bartizan_identities" in admin.get("/metrics").text
    assert api.open().get("/health").text == "ready\n"
    assert admin.post("/reload").json()["refused"] == []


def test_a_tenants_operator_sees_and_changes_its_own_alone():
    with serving(TENANTS, "api.requests_per_s=10000") as api:
        everyone, own = api.as_("security"), api.as_("security", "operator", tenant="plant-a")
        for name, tenant in (("of-a", "plant-a"), ("of-b", "plant-b")):
            words = {"identity": name, "attributes": {"tenant": tenant}, "roles": ["press"]}
            assert everyone.post("/identities", json=words).status_code == 201
        assert [one["identity"] for one in own.get("/identities").json()["items"]] == ["of-a"]
        assert own.get("/identities/of-b").status_code == 404
        assert own.patch("/identities/of-b", json={"state": "disabled"}).status_code == 404
        assert own.delete("/identities/of-b").status_code == 404
        assert own.post("/identities/of-b/credentials", json={}).status_code == 404
        assert own.delete("/identities/of-b/credentials").status_code == 404
        assert own.patch("/identities/of-a", json={"attributes": {"tenant": "plant-b"}}).status_code == 403
        assert own.patch("/identities/of-a", json={"remove_attributes": ["tenant"]}).status_code == 403
        assert own.post("/identities", json={"identity": "new", "attributes": {"tenant": "plant-b"}}).status_code == 403
        assert own.post("/identities", json={"identity": "new"}).json()["attributes"] == {"tenant": "plant-a"}


def test_every_change_is_told_with_who_and_from_where(monkeypatch):
    with serving(None) as api:
        told: list[tuple[str, dict[str, object]]] = []

        def note(kind: str, /, **fields: object) -> None:
            told.append((kind, fields))

        monkeypatch.setattr(api.broker._running.broker.journal, "note", note)
        operator = api.operator("security")
        client, _ = api.login(operator)
        client.post("/identities", json={"identity": "seen-1"})
        client.delete("/identities/nobody-here")
        api.at_socket().post("/identities", json={"identity": "seen-2"})
        acted = [fields for kind, fields in told if kind == "operator_acted"]
        assert [(one["operator"], one["outcome"], one["way"]) for one in acted[:2]] == [
            (operator.name, "201", "session"),
            (operator.name, "404", "session"),
        ]
        assert acted[0]["request"] == "POST /api/v1/identities"
        assert acted[0]["address"] == "127.0.0.1"
        assert acted[2]["way"] == "socket"


def test_what_an_operator_changes_is_on_record_in_its_name(api, security):
    me = security.get("/session").json()["actor"]
    assert security.post("/identities", json={"identity": "press-77", "roles": ["press"]}).status_code == 201
    assert api.at_socket().post("/groups", json={"group": "line-77"}).status_code == 201
    changes = list(records(api.broker._running.data.audit / "changes", Wanted(kind="change")))
    by_target = {each.get("target"): each for each in changes}
    made = by_target["identity/press-77"]
    assert (made["what"], made["who"], made["from"]) == ("identity.add", me, "127.0.0.1")
    made = by_target["group/line-77"]
    assert (made["what"], made["uid"], made["from"]) == ("group.add", os.geteuid(), "socket")
