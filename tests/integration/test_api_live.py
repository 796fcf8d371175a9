"""Sessions, Retained Messages, topics and traces by the API: real clients, and who may see what."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx2
import pytest

from bartizan.pki.client import new_request
from tests.integration.api import Api, serving
from tests.integration.recorder import Place, Proof, Recorder, Will

POLICY = """
[tenants.acme]
root = "acme"

[roles.crew]
client_id = ["identity-*", "identity"]
permit    = [{ action = "all", filter = "plant/#" }]
forbid    = [{ action = "publish", filter = "plant/secret/#" }]
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(POLICY, "api.requests_per_s=10000") as running:
        yield running


def client(api: Api, name: str, *, client_id: str = "", **more: Any) -> Recorder:
    """A client of an identity of its own; with `client_id` under another name."""
    attributes = {"tenant": more.pop("tenant")} if "tenant" in more else {}
    proof = Proof(name, api.broker.enrol(name, password=True, role="crew", **attributes).password)
    return Recorder(Place(api.broker.port, ca_file=api.broker.ca_file), client_id or name, proof=proof, **more).open()


def on_record(api: Api, what: str) -> list[dict[str, Any]]:
    """What is on record of this, the oldest first."""
    found = api.as_("security").get("/audit/records", params={"what": what}).json()["items"]
    return sorted((one["content"] for one in found), key=lambda content: content["seq"])


# ---- Sessions ---------------------------------------------------------------------------------------


def test_a_client_is_shown_with_its_session_its_rates_and_what_it_was_denied(api):
    viewer = api.as_("viewer")
    will = Will("plant/gone", "bye", 1, retain=True, properties={"WillDelayInterval": 300})
    press = client(api, "press-1", clean=False, will=will, SessionExpiryInterval=600)
    with closing(press):
        press.subscribe(("plant/in", 1), SubscriptionIdentifier=7)
        assert press.publish("plant/secret/x") == 0x87
        plain = viewer.get("/clients/press-1").json()
        assert plain["rates"] is None
        shown = viewer.get("/clients/press-1", params={"over_s": 0.2}).json()
        assert shown["rates"]["over_s"] >= 0.2
        assert shown["rates"]["messages_in_per_s"] == 0
        session = shown["session"]
        assert [(one["filter"], one["qos"], one["id"]) for one in session["subscriptions"]] == [("plant/in", 1, 7)]
        assert (session["is_connected"], session["session_expiry_s"], session["version"]) == (True, 600, "5.0")
        assert (session["will"]["topic"], session["will"]["due_at"]) == ("plant/gone", None)
        assert [(one["topic"], one["why"]) for one in session["denials"]] == [("plant/secret/x", "forbidden")]
        press.drop()
        with closing(client(api, "oven-1")) as oven:
            oven.publish("plant/in", b"x" * 100)
        away = viewer.get("/sessions/press-1").json()
        assert (away["is_connected"], away["queued"]) == (False, 1)
        assert away["will"]["due_at"] < away["ends_at"]
        assert viewer.get("/clients/press-1").status_code == 404
        ended = api.as_("operator").delete("/sessions/press-1")
        assert (ended.json()["queued"], ended.json()["had_will"]) == (1, True)
        assert viewer.get("/sessions/press-1").status_code == 404


def test_an_operator_of_a_tenant_sees_its_sessions_and_no_others(api):
    own = api.as_("operator", tenant="acme")
    with closing(client(api, "robot-1", tenant="acme")), closing(client(api, "robot-2")):
        assert own.get("/sessions/robot-1").json()["tenant"] == "acme"
        assert own.get("/sessions/robot-1", params={"tenant": "acme"}).status_code == 200
        assert own.get("/sessions/robot-2").status_code == 404
        assert own.get("/sessions/robot-1", params={"tenant": "other"}).status_code == 404
        assert own.delete("/sessions/robot-2").status_code == 404
        assert api.as_("viewer").get("/sessions/robot-1").status_code == 404
        assert api.as_("viewer").get("/sessions/robot-1", params={"tenant": "acme"}).status_code == 200
        assert own.delete("/sessions/robot-1").json()["was_connected"] is True


def test_clients_are_paged_in_their_order_also_where_tenants_have_one_name(api):
    names = [("page-1", {}), ("page-2", {"tenant": "acme"}), ("page-2", {}), ("page-3", {})]
    opened = []
    try:
        for client_id, more in names:
            opened.append(client(api, "page" if more else client_id, client_id=client_id, **more))
        for asked in ({}, {"sort": "-client_id"}, {"match": "page-*", "identity": "page*"}):
            seen: list[tuple[str, str | None]] = []
            after = ""
            while after is not None:
                wanted = {"match": "page-*", "limit": 1, "after": after, **asked}
                page = api.as_("viewer").get("/clients", params=wanted).json()
                seen += [(one["client_id"], one["tenant"]) for one in page["items"]]
                after = page["next"]
            expected = [(name, more.get("tenant")) for name, more in names]
            assert sorted(seen, key=str) == sorted(expected, key=str)
        found = api.as_("viewer").get("/clients", params={"identity": "page-2"}).json()["items"]
        assert [(one["client_id"], one["tenant"]) for one in found] == [("page-2", None)]
        found = api.as_("viewer").get("/clients", params={"identity": "page-[12]"}).json()["items"]
        assert [one["client_id"] for one in found] == ["page-1", "page-2"]
    finally:
        for each in opened:
            each.close()


# ---- Subscriptions ----------------------------------------------------------------------------------


def test_subscriptions_are_listed_of_all_sessions_or_those_that_a_topic_reaches(api):
    viewer, own = api.as_("viewer"), api.as_("viewer", tenant="acme")
    with closing(client(api, "dash-1")) as first, closing(client(api, "dash-2", tenant="acme")) as second:
        first.subscribe(("plant/subs/+/x", 1), "$share/line/plant/subs/#", "plant/" + "\u4e00" * 300)
        second.subscribe("plant/subs/#")
        seen, after = [], ""
        while after is not None:
            page = viewer.get("/subscriptions", params={"identity": "dash-1", "limit": 1, "after": after}).json()
            seen += [one["filter"] for one in page["items"]]
            after = page["next"]
        assert seen == ["$share/line/plant/subs/#", "plant/subs/+/x", "plant/" + "\u4e00" * 300]
        reached = viewer.get("/subscriptions", params={"topic": "plant/subs/a/x", "sort": "-filter"}).json()["items"]
        assert [(one["client_id"], one["filter"], one["qos"]) for one in reached] == [
            ("dash-1", "plant/subs/+/x", 1),
            ("dash-1", "$share/line/plant/subs/#", 2),
        ]
        reached = own.get("/subscriptions", params={"topic": "acme/plant/subs/a/x"}).json()["items"]
        assert [(one["client_id"], one["tenant"], one["is_connected"]) for one in reached] == [("dash-2", "acme", True)]
        assert own.get("/subscriptions", params={"identity": "dash-1"}).json()["items"] == []
        assert own.get("/subscriptions").json()["items"] == reached
    assert viewer.get("/subscriptions", params={"topic": "a/#"}).status_code == 422


# ---- Retained Messages ------------------------------------------------------------------------------


def test_retained_messages_are_listed_read_and_removed_and_that_is_on_record(api):
    viewer, security = api.as_("viewer"), api.as_("security")
    reads, clears = (len(on_record(api, what)) for what in ("retained.read", "retained.clear"))
    with closing(client(api, "oven-2")) as oven:
        for number in range(7):
            oven.publish(f"plant/old/{number}", str(number), retain=True)
        oven.publish("plant/../keep", b"\xff", retain=True, UserProperty=[("line", "4")])
    seen: list[str] = []
    after = ""
    while after is not None:
        page = viewer.get("/retained", params={"filter": "plant/#", "limit": 3, "after": after}).json()
        assert len(page["items"]) <= 3
        seen += [one["topic"] for one in page["items"]]
        assert all("payload" not in one and one["identity"] == "oven-2" for one in page["items"])
        after = page["next"]
    assert seen == ["plant/../keep", *(f"plant/old/{number}" for number in range(7))]
    whole = security.get("/retained/message", params={"topic": "plant/../keep", "why": "INC-1"}).json()
    assert (whole["payload_base64"], whole["properties"]) == ("/w==", {"user_properties": [["line", "4"]]})
    assert security.get("/retained/message", params={"topic": "plant/old/3"}).json()["payload"] == "3"
    assert security.get("/retained/message", params={"topic": "plant/none"}).status_code == 404
    assert security.get("/retained/message", params={"topic": "plant/#"}).status_code == 422
    read = [
        (one["kind"], one.get("target"), str(one.get("why", ""))) for one in on_record(api, "retained.read")[reads:]
    ]
    assert read[:2] == [("change", "topic/plant/../keep", "INC-1"), ("outcome", None, "INC-1")]
    assert "no message is retained" in read[-1][2]
    assert security.delete("/retained").status_code == 422
    assert security.delete("/retained", params={"filter": "a/#/b"}).status_code == 422
    gone = security.delete("/retained", params={"filter": "plant/old/+", "why": "INC-2"})
    assert gone.json() == {"count": 7}
    assert [one["topic"] for one in viewer.get("/retained", params={"filter": "plant/#"}).json()["items"]] == [
        "plant/../keep"
    ]
    begun, ended = on_record(api, "retained.clear")[clears:]
    assert (begun["target"], begun["why"], ended["why"]) == ("topic/plant/old/+", "INC-2", "7 messages removed")


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_what_messages_say_and_their_end_is_for_the_role_security(api, role):
    asked = api.as_(role)
    with closing(client(api, f"oven-{role}")) as oven:
        oven.publish(f"plant/kept/{role}", "21.5", retain=True)
    before = len(on_record(api, "retained.read"))
    assert asked.get("/retained/message", params={"topic": f"plant/kept/{role}"}).status_code == 403
    assert asked.delete("/retained", params={"filter": "#"}).status_code == 403
    assert len(on_record(api, "retained.read")) == before
    assert asked.get("/retained", params={"filter": f"plant/kept/{role}"}).json()["items"][0]["payload_bytes"] == 4
    api.as_("security").delete("/retained", params={"filter": f"plant/kept/{role}"})


# ---- topics -----------------------------------------------------------------------------------------


def test_the_tree_of_topics_is_told_level_by_level(api):
    viewer = api.as_("viewer")
    with closing(client(api, "oven-3")) as oven:
        oven.subscribe("plant/tree/+/temp")
        for topic in ("plant/tree/a/temp", "plant/tree/b"):
            oven.publish(topic, "1234", retain=True)
        told = viewer.get("/topics", params={"prefix": "plant/tree", "depth": 2}).json()
        counted = {topic: (what["retained"], what["subscriptions"]) for topic, what in told["topics"].items()}
        assert counted["plant/tree/a/temp"] == (1, 0)
        assert counted["plant/tree/+/temp"] == (0, 1)
        assert counted["plant/tree/b"] == (1, 0)
        assert set(told["left_out"].values()) == {0}
        top = viewer.get("/topics", params={"prefix": "plant"}).json()["topics"]
        assert top["plant/tree"]["retained_bytes"] == 8
        api.as_("security").delete("/retained", params={"filter": "plant/tree/#"})
    assert viewer.get("/topics", params={"depth": 0}).status_code == 422
    assert viewer.get("/topics", params={"prefix": "a/#"}).status_code == 422
    assert api.as_("viewer", tenant="acme").get("/topics").status_code == 403


# ---- traces -----------------------------------------------------------------------------------------


@contextmanager
def tracing(asking: httpx2.Client, **asked: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """A trace under way, line by line; the first line is read."""
    with asking.stream("POST", "/traces", json=asked) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        assert next(lines)["client_id"] == asked["client_id"]
        yield lines


def until(lines: Iterator[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Lines up to the first packet of this type."""
    found = []
    for line in lines:
        found.append(line)
        if line.get("type") == kind:
            return found
    raise AssertionError(found)


def test_packets_are_read_as_they_pass_by_whoever_may_and_it_is_on_record(api):
    operator = api.operator("operator")
    asking, _ = api.login(operator)
    with closing(client(api, "lathe-1")) as lathe, tracing(asking, client_id="lathe-1", why="INC-3") as lines:
        (under_way,) = api.as_("operator").get("/traces").json()
        assert (under_way["client_id"], under_way["by"], under_way["payloads"]) == ("lathe-1", operator.name, False)
        lathe.publish("plant/out", "21.5")
        (sent, answered) = until(lines, "PUBACK")
        assert (sent["topic"], sent["payload_bytes"], "payload" in sent) == ("plant/out", 4, False)
        assert answered["direction"] == "out"
        ended = api.as_("operator").delete(f"/traces/{under_way['trace']}")
        assert ended.status_code == 204
        assert list(lines) == [{"ended": "stopped"}]
    assert api.as_("operator").get("/traces").json() == []
    begun = next(one for one in on_record(api, "client.trace") if one["who"] == operator.name)
    assert (begun["target"], begun["why"], begun["after"]["payloads"]) == ("client/lathe-1", "INC-3", False)


def test_a_trace_ends_by_its_time(api):
    with tracing(api.as_("operator"), client_id="nobody-yet", for_s=0.2) as lines:
        assert list(lines) == [{"ended": "time"}]


def test_what_messages_say_is_traced_for_the_role_security_alone(api):
    asked = {"client_id": "lathe-2", "payloads": True}
    refused = api.as_("operator").post("/traces", json=asked)
    assert (refused.status_code, "payloads" in refused.json()["detail"]) == (403, True)
    assert api.as_("viewer").post("/traces", json={"client_id": "lathe-2"}).status_code == 403
    assert api.as_("viewer").get("/traces").status_code == 403
    with (
        closing(client(api, "lathe-2")) as lathe,
        tracing(api.as_("security"), **asked, octets=True) as lines,
    ):
        lathe.publish("plant/out", "21.5")
        sent = until(lines, "PUBACK")[0]
        assert (sent["payload"], "octets" in sent) == ("21.5", True)


def test_a_trace_ends_with_the_login(api):
    operator = api.operator("operator")
    asking, _ = api.login(operator)
    with tracing(asking, client_id="lathe-3") as lines:
        assert api.as_("admin").delete(f"/operators/{operator.name}/logins").status_code == 204
        assert list(lines) == [{"ended": "stopped"}]


def test_an_operator_of_a_tenant_traces_its_clients_and_no_others(api):
    own = api.as_("operator", "security", tenant="acme")
    assert own.post("/traces", json={"client_id": "x", "tenant": "other"}).status_code == 404
    assert own.post("/traces", json={"client_id": "x", "payloads": True}).status_code == 403
    with tracing(api.as_("operator"), client_id="robot-9") as other:
        assert own.get("/traces").json() == []
        number = api.as_("operator").get("/traces").json()[0]["trace"]
        assert own.delete(f"/traces/{number}").status_code == 404
        with closing(client(api, "robot-9", tenant="acme")) as robot, tracing(own, client_id="robot-9") as lines:
            robot.publish("plant/out", "1")
            assert until(lines, "PUBACK")[0]["topic"] == "plant/out"
        assert api.as_("operator").delete(f"/traces/{number}").status_code == 204
        # Whose client it is nobody knows before it is proved.
        *attempt, last = other
        assert {one["type"] for one in attempt} <= {"CONNECT"}
        assert last == {"ended": "stopped"}


def test_so_many_traces_run_at_once_and_no_more(api):
    asking = api.as_("operator")
    with ExitStack() as open_ones:
        traces = [open_ones.enter_context(tracing(asking, client_id=f"lathe-{number}")) for number in range(8)]
        refused = asking.post("/traces", json={"client_id": "lathe-9"})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:bartizan:problem:change-refused")
        for each in asking.get("/traces").json():
            assert asking.delete(f"/traces/{each['trace']}").status_code == 204
        assert [list(lines) for lines in traces] == [[{"ended": "stopped"}]] * 8
    assert asking.post("/traces", json={"client_id": "lathe-9", "for_s": 0.1}).status_code == 200


def test_a_key_begins_one_trace_not_two(api):
    asking = api.as_("operator")
    key = {"idempotency-key": "trace-1"}
    asked = {"client_id": "lathe-4", "for_s": 0.1}
    assert asking.post("/traces", json=asked, headers=key).status_code == 200
    assert asking.post("/traces", json=asked, headers=key).status_code == 409


def test_a_key_is_of_one_query_too(api):
    security, key = api.as_("security"), {"idempotency-key": "clear-1"}
    assert security.delete("/retained", params={"filter": "plant/none"}, headers=key).json() == {"count": 0}
    again = security.delete("/retained", params={"filter": "plant/none"}, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert security.delete("/retained", params={"filter": "plant/other"}, headers=key).status_code == 422


# ---- certificates -----------------------------------------------------------------------------------


def test_a_certificate_is_made_for_ones_own_identities_and_is_on_record(api):
    for name, attributes in (("tool-1", {"tenant": "acme"}), ("tool-2", {})):
        body = {"identity": name, "roles": ["crew"], "attributes": attributes}
        assert api.at_socket().post("/identities", json=body).status_code == 201
    own = api.as_("security", tenant="acme")
    asked = {"csr": new_request("anybody")[1], "note": "INC-4"}
    made = own.post("/identities/tool-1/certificates", json=asked)
    assert made.status_code == 201
    assert "PRIVATE" not in made.text
    shown = own.get("/identities/tool-1").json()["credentials"]
    assert [(one["id"], one["note"]) for one in shown] == [(made.json()["id"], "INC-4")]
    assert own.post("/identities/tool-2/certificates", json=asked).status_code == 404
    assert api.as_("operator", "admin").post("/identities/tool-2/certificates", json=asked).status_code == 403
    wrong = api.as_("security").post("/identities/tool-2/certificates", json={"csr": made.json()["certificate"]})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:bartizan:problem:certificate-unusable")
    assert api.as_("security").get("/identities/tool-2").json()["credentials"] == []
    changed = [one for one in on_record(api, "credential.add") if one.get("target") == "identity/tool-1"]
    assert [list(one["after"]["credentials"]) for one in changed] == [[made.json()["id"]]]
