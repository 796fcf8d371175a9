"""dynamic-security.json -> roles, identities, differences."""

import json
from typing import Any

import pytest

from bartizan.policy import Asked, Request, check
from bartizan.policy.imports import UnreadableLine
from bartizan.policy.imports.dynsec import import_dynsec
from bartizan.policy.imports.dynsec_state import read_state
from bartizan.policy.imports.mosquitto import Around
from bartizan.policy.writer import policy_text


def state(*, clients=(), groups=(), roles=(), **more: Any) -> dict[str, Any]:
    return {"clients": list(clients), "groups": list(groups), "roles": list(roles), **more}


def role(name: str, *acls: tuple[Any, ...], **more: Any) -> dict[str, Any]:
    rules = [
        {"acltype": kind, "topic": topic, "priority": priority[0] if priority else 0, "allow": allow}
        for kind, topic, allow, *priority in acls
    ]
    return {"rolename": name, "acls": rules, **more}


def client(name: str, *roles: str, **more: Any) -> dict[str, Any]:
    named = [{"rolename": each, "priority": len(roles) - at} for at, each in enumerate(roles)]
    return {"username": name, "roles": named, **more}


def imported(content: dict[str, Any], *, anonymous: bool = False):
    text = json.dumps(content, indent=1).encode()
    return import_dynsec(read_state(text, "dynsec.json"), Around(anonymous=anonymous))


def told(whole, name):
    return [each.weight.value for each in whole.differences if each.name == name]


def may(whole, user, action, topic, client_id=None):
    result = check(policy_text(whole.roles), "policy.toml")
    assert result.compiled is not None, [str(error) for error in result.errors]
    mine = {identity.name: identity.roles for identity in whole.identities}[user]
    return result.compiled.decide(Request(action, topic, identity=user, client_id=client_id or user, roles=mine)).allow


def test_roles_decide_by_priority_and_in_them_the_rules():
    whole = imported(
        state(
            clients=[client("bob", "first", "second")],
            roles=[
                role("second", ("publishClientSend", "a/b", False), ("publishClientSend", "#", True)),
                role("first", ("publishClientSend", "a/#", True, 1), ("publishClientSend", "a/x", False, 2)),
            ],
        )
    )
    assert may(whole, "bob", Asked.PUBLISH, "a/b")
    assert not may(whole, "bob", Asked.PUBLISH, "a/x")
    assert may(whole, "bob", Asked.PUBLISH, "c")


def test_groups_come_after_the_own_roles_and_clients_alike_share_a_role():
    groups = [
        {
            "groupname": "g",
            "roles": [{"rolename": "all"}],
            "clients": [{"username": "bob"}, {"username": "amy"}, {"username": "zoe"}],
        }
    ]
    roles = [role("all", ("subscribePattern", "#", True)), role("not-a", ("subscribePattern", "a", False))]
    clients = [client("bob", "not-a"), client("amy"), client("zoe")]
    whole = imported(state(clients=clients, groups=groups, roles=roles))
    assert not may(whole, "bob", Asked.RECEIVE, "a")
    assert may(whole, "amy", Asked.RECEIVE, "a")
    names = {identity.name: identity.roles for identity in whole.identities}
    assert names["amy"] == names["zoe"] == ("roles-all",)


def test_what_is_received_is_what_may_be_subscribed_and_is_delivered():
    acls = [("subscribePattern", "a/#", True), ("publishClientReceive", "a/x", False)]
    whole = imported(state(clients=[client("bob", "r")], roles=[role("r", *acls)]))
    assert may(whole, "bob", Asked.RECEIVE, "a/b")
    assert not may(whole, "bob", Asked.RECEIVE, "a/x")
    assert not may(whole, "bob", Asked.RECEIVE, "b")
    defaults = {"publishClientReceive": False}
    acls[1] = ("publishClientReceive", "+/x/#", True)
    whole = imported(state(clients=[client("bob", "r")], roles=[role("r", *acls)], defaultACLAccess=defaults))
    assert may(whole, "bob", Asked.RECEIVE, "a/x/y")
    assert not may(whole, "bob", Asked.RECEIVE, "a/b")
    assert not may(whole, "bob", Asked.RECEIVE, "b/x")


def test_defaults_come_last():
    defaults = {"publishClientSend": True, "subscribe": True}
    acls = [("publishClientSend", "a", False)]
    whole = imported(state(clients=[client("bob", "r")], roles=[role("r", *acls)], defaultACLAccess=defaults))
    assert not may(whole, "bob", Asked.PUBLISH, "a")
    assert may(whole, "bob", Asked.PUBLISH, "b")
    assert may(whole, "bob", Asked.RECEIVE, "$SYS/a")


@pytest.mark.parametrize(
    ("change", "name", "weight"),
    [
        (
            {"roles": [role("r", ("subscribePattern", "#", True), allowwildcardsubs=False)]},
            "no-wildcard-subscriptions",
            "lost",
        ),
        ({"roles": [role("r", ("publishClientSend", "$CONTROL/#", True))]}, "dollar-publish", "lost"),
        ({"roles": [role("r", ("subscribeLiteral", "a/#", True))]}, "literal", "changed"),
        ({"roles": [role("r", ("subscribeLiteral", "#", False))]}, "literal", "lost"),
        ({"roles": [role("r", ("publishClientSend", "x-%u", True))]}, "partial-variable", "lost"),
        ({"roles": [role("r", ("unsubscribePattern", "#", False))]}, "unsubscribe", "changed"),
        ({"roles": [role("r"), role("unused")]}, "unused-role", "noted"),
        ({"clients": [client("a/b", "r")]}, "user-name", "lost"),
        ({"clients": [client("bob", clientid="other")]}, "client-id", "lost"),
        ({"clients": [client("bob", clientid="bob-1")]}, "client-id", "changed"),
        ({"anonymousGroup": "g"}, "anonymous-group", "noted"),
    ],
)
def test_what_is_different_has_its_name(change, name, weight):
    whole = imported({**state(clients=[client("bob", "r")], roles=[role("r")]), **change})
    assert told(whole, name) == [weight]


def test_the_anonymous_group_is_the_anonymous_role_where_such_clients_are_let_in():
    groups = [{"groupname": "g", "roles": [{"rolename": "r"}], "clients": []}]
    content = state(groups=groups, roles=[role("r", ("subscribePattern", "a", True))], anonymousGroup="g")
    assert [made.name for made in imported(content, anonymous=True).roles] == ["anonymous"]


def test_passwords_are_kept_as_a_password_file_has_them():
    clients = [
        client("bob", password="aGFzaA==", salt="c2FsdA==", iterations=101, textname="Bob  B", disabled=True),
        client("amy", encoded_password="$7$1000$c2FsdA==$aGFzaA=="),
        client("zoe"),
    ]
    whole = imported(state(clients=clients))
    found = {each.name: (each.password_hash, each.enabled, each.note) for each in whole.identities}
    assert found == {
        "bob": ("$7$101$c2FsdA==$aGFzaA==", False, "Bob B"),
        "amy": ("$7$1000$c2FsdA==$aGFzaA==", True, ""),
        "zoe": ("", True, ""),
    }


def test_differences_say_the_line():
    content = (
        b'{"clients": [{"username": "bob",\n "roles": [{"rolename": "r"}]}],\n"roles": [{"rolename": "r",\n"acls": [\n'
    )
    content += b'{"acltype": "publishClientSend", "topic": "a{}/\\"", "allow": true}]}]}'
    whole = import_dynsec(read_state(content, "dynsec.json"), Around())
    assert [str(each).split(": ")[0] for each in whole.differences if each.name == "braces"] == ["dynsec.json:5"]
    assert whole.identities[0].place == "dynsec.json:1"


@pytest.mark.parametrize(
    "bad",
    [
        "", "[]", "{", '{"clients": 1}', '{"clients": [1]}', '{"clients": [{}]}', '{"roles": [{"rolename": ""}]}',
        '{"roles": [{"rolename": "r", "acls": [{"acltype": "x", "topic": "a"}]}]}', "[" * 100_000,
        '{"roles": [{"rolename": "r", "acls": [{"acltype": "publishClientSend", "topic": "a#"}]}]}',
        '{"clients": [{"username": "a", "roles": [{"rolename": "r", "priority": "high"}]}]}', "\xff",
    ],
)  # fmt: skip
def test_what_is_no_state_is_refused_with_its_place(bad):
    with pytest.raises(UnreadableLine, match=r"dynsec\.json:"):
        read_state(bad.encode("latin-1"), "dynsec.json")
