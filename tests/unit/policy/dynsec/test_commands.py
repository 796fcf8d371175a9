"""Requests of dynamic security -> answers: every command, and every reason to refuse one."""

import json
from typing import Any

import pytest

from bartizan.policy.dynsec.commands import COMMANDS, COMMANDS_MAX, Wanted, carried_out
from bartizan.policy.dynsec.state import Client, State, first_state

EMPTY = State(
    {}, {}, {}, {"publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
)


def ask(*commands: Any, now: State = EMPTY, **addresses: list[str]) -> Wanted:
    payload = json.dumps({"commands": list(commands)}).encode()
    return carried_out(now, payload, addresses, lambda _before, _after: None)


def error_of(name: str, now: State = EMPTY, **fields: Any) -> str | None:
    (response,) = ask({"command": name, **fields}, now=now).responses
    return response.error


def data_of(now: State, name: str, **fields: Any) -> Any:
    (response,) = ask({"command": name, **fields}, now=now).responses
    assert response.error is None, response.error
    return response.data


@pytest.fixture
def plant() -> State:
    done = ask(
        {"command": "createRole", "rolename": "reader", "textname": "Reader"},
        {"command": "createRole", "rolename": "writer"},
        {"command": "addRoleACL", "rolename": "reader", "acltype": "subscribePattern", "topic": "a/#", "allow": True},
        {"command": "createGroup", "groupname": "hall", "roles": [{"rolename": "writer", "priority": 3}]},
        {"command": "createClient", "username": "bob", "password": "secret of bob", "roles": [{"rolename": "reader"}]},
        {"command": "addGroupClient", "groupname": "hall", "username": "bob", "priority": 5},
    )
    assert [response.error for response in done.responses] == [None] * 6
    return done.state


def test_what_is_no_request_is_answered_so():
    for payload, error in (
        (b"{", "Payload not valid JSON"),
        (b"\xff", "Payload not valid JSON"),
        (b'{"commands": NaN}', "Payload not valid JSON"),
        (b"[" * 100_000, "Payload not valid JSON"),
        (b"{}", "Invalid/missing commands"),
        (b"[]", "Invalid/missing commands"),
        (b'{"commands": {}}', "Invalid/missing commands"),
        (b'{"commands": [' + b"{}," * COMMANDS_MAX + b"{}]}", f"More than {COMMANDS_MAX} commands"),
    ):
        wanted = carried_out(EMPTY, payload, {}, lambda _before, _after: None)
        assert json.loads(wanted.payload()) == {"responses": [{"command": "Unknown command", "error": error}]}
        assert not wanted.is_change


def test_every_command_is_answered_whatever_became_of_others():
    wanted = ask(
        "x",
        {},
        {"command": "sing", "correlationData": "1"},
        {"command": "listRoles", "correlationData": 2},
        {"COMMAND": "LISTroles", "correlationdata": "3"},
    )
    assert [response.as_dict() for response in wanted.responses] == [
        {"command": "Unknown command", "error": "Command not an object"},
        {"command": "Unknown command", "error": "Missing command"},
        {"command": "sing", "error": "Unknown command", "correlationData": "1"},
        {"command": "listRoles", "error": "Invalid correlationData data type."},
        {"command": "listRoles", "data": {"totalCount": 0, "roles": []}, "correlationData": "3"},
    ]


def test_of_two_fields_with_one_name_the_first_counts():
    payload = b'{"commands": [{"command": "createRole", "RoleName": "one", "rolename": "two"}]}'
    assert list(carried_out(EMPTY, payload, {}, lambda _before, _after: None).state.roles) == ["one"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_takes_fields_of_wrong_types_or_changes_anything_then(name, plant):
    wrong = dict.fromkeys(("username", "groupname", "rolename", "password", "acltype", "topic", "acls", "roles"), 7)
    (response,) = ask({"command": name, **wrong}, now=plant).responses
    if name.startswith("list") or name in {"getDetails", "getDefaultACLAccess", "getAnonymousGroup"}:
        assert response.error is None
    else:
        assert response.error
        assert not response.is_change


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("createClient", {"username": ""}, "Empty username"),
        ("createClient", {"username": "a\u0001"}, "Username not valid UTF-8"),
        ("createClient", {"username": "bob"}, "Client already exists"),
        ("createClient", {"username": "amy", "password": 1}, "Invalid/missing password"),
        ("createClient", {"username": "amy", "clientid": 1}, "Invalid/missing client id"),
        ("createClient", {"username": "amy", "textname": 1}, "Invalid/missing textname"),
        ("createClient", {"username": "amy", "textdescription": 1}, "Invalid/missing textdescription"),
        ("createClient", {"username": "amy", "roles": [{"rolename": "none"}]}, "Role not found"),
        ("createClient", {"username": "amy", "roles": [7]}, "'roles' not an array or missing/invalid rolename"),
        ("createClient", {"username": "amy", "groups": [{"groupname": "none"}]}, "Group not found"),
        ("createClient", {"username": "amy", "groups": [{"groupname": "hall"}] * 2}, "Internal error"),
        ("deleteClient", {"username": "amy"}, "Client not found"),
        ("setClientPassword", {"username": "bob"}, "Invalid/missing password"),
        ("setClientPassword", {"username": "bob", "password": ""}, "Empty password is not allowed"),
        ("setClientId", {"username": "bob", "clientid": 1}, "Invalid/missing client ID"),
        ("addClientRole", {"username": "bob", "rolename": "none"}, "Role not found"),
        ("addClientRole", {"username": "bob", "rolename": "reader"}, "Internal error"),
        (
            "modifyClient",
            {"username": "bob", "groups": [{"groupname": "none"}]},
            "'groups' contains an object with a 'groupname' that does not exist",
        ),
        ("createGroup", {"groupname": ""}, "Empty groupname"),
        ("createGroup", {"groupname": "hall"}, "Group already exists"),
        ("createGroup", {"groupname": "x", "roles": 1}, "Internal error"),
        ("deleteGroup", {"groupname": "none"}, "Group not found"),
        ("addGroupClient", {"groupname": "hall", "username": "bob"}, "Client is already in this group"),
        ("addGroupClient", {"groupname": "none", "username": "amy"}, "Client not found"),
        ("addGroupRole", {"groupname": "hall", "rolename": "writer"}, "Group is already in this role"),
        (
            "modifyGroup",
            {"groupname": "hall", "clients": [{"username": "amy"}]},
            "'clients' contains an object with a 'username' that does not exist",
        ),
        ("createRole", {"rolename": ""}, "Empty rolename"),
        ("createRole", {"rolename": "reader"}, "Role already exists"),
        ("createRole", {"rolename": "x", "allowwildcardsubs": 1}, "Invalid allowwildcardsubs"),
        ("modifyRole", {"rolename": "none"}, "Role does not exist"),
        ("addRoleACL", {"rolename": "reader", "acltype": "x", "topic": "a"}, "Unknown acltype"),
        ("addRoleACL", {"rolename": "reader", "acltype": "publishClientSend"}, "Invalid/missing topic"),
        ("addRoleACL", {"rolename": "reader", "acltype": "publishClientSend", "topic": "a#"}, "Invalid ACL topic"),
        (
            "addRoleACL",
            {"rolename": "reader", "acltype": "SUBSCRIBEpattern", "topic": "a/#"},
            "ACL with this topic already exists",
        ),
        ("removeRoleACL", {"rolename": "reader", "acltype": "publishClientSend", "topic": "a/#"}, "ACL not found"),
        ("setDefaultACLAccess", {}, "Missing/invalid actions array"),
    ],
)
def test_a_refused_command_says_why_and_changes_nothing(name, fields, error, plant):
    wanted = ask({"command": name, **fields}, now=plant)
    assert [response.error for response in wanted.responses] == [error]
    assert wanted.state == plant
    assert not wanted.passwords


def test_a_client_is_shown_with_its_roles_groups_and_connections(plant):
    payload = b'{"commands": [{"command": "getClient", "username": "bob"}]}'
    wanted = carried_out(plant, payload, {"bob": ["10.0.0.7"]}, lambda _before, _after: None)
    assert wanted.responses[0].data == {
        "client": {
            "username": "bob",
            "roles": [{"rolename": "reader"}],
            "groups": [{"groupname": "hall", "priority": 5}],
            "connections": [{"address": "10.0.0.7"}],
        }
    }


def test_groups_and_roles_are_shown_whole(plant):
    assert data_of(plant, "getGroup", groupname="hall") == {
        "group": {
            "groupname": "hall",
            "clients": [{"username": "bob"}],
            "roles": [{"rolename": "writer", "priority": 3}],
        }
    }
    acls = [{"acltype": "subscribePattern", "topic": "a/#", "priority": 0, "allow": True}]
    assert data_of(plant, "getRole", rolename="reader") == {
        "role": {"rolename": "reader", "textname": "Reader", "allowwildcardsubs": True, "acls": acls}
    }
    assert data_of(plant, "getDetails") == {"clientCount": 1, "groupCount": 1, "roleCount": 2, "changeIndex": 6}


def test_lists_have_pages():
    now = ask(*({"command": "createRole", "rolename": name} for name in "cab")).state
    assert data_of(now, "listRoles") == {"totalCount": 3, "roles": ["a", "b", "c"]}
    assert data_of(now, "listRoles", count=1, offset=1)["roles"] == ["b"]
    assert data_of(now, "listRoles", count=0)["roles"] == ["a"], "as in the plugin"
    assert data_of(now, "listRoles", offset=7)["roles"] == []


def test_rules_are_tried_by_priority_and_then_as_they_came(plant):
    rules = [("c", 1), ("a", 0), ("b", 1), ("d", 200_000)]
    acls = [{"acltype": "publishclientsend", "topic": topic, "priority": at, "allow": True} for topic, at in rules]
    now = ask({"command": "modifyRole", "rolename": "writer", "acls": acls}, now=plant).state
    shown = data_of(now, "getRole", rolename="writer")["role"]["acls"]
    assert [(acl["topic"], acl["priority"]) for acl in shown] == [("d", 100_000), ("c", 1), ("b", 1), ("a", 0)]


def test_what_is_deleted_is_nowhere_any_more(plant):
    now = ask(
        {"command": "deleteRole", "rolename": "writer"}, {"command": "deleteRole", "rolename": "reader"}, now=plant
    )
    assert data_of(now.state, "getGroup", groupname="hall")["group"]["roles"] == []
    assert data_of(now.state, "getClient", username="bob")["client"]["roles"] == []
    gone = ask({"command": "deleteClient", "username": "bob"}, now=plant)
    assert gone.removed == {"bob"}
    assert data_of(gone.state, "getGroup", groupname="hall")["group"]["clients"] == []


def test_the_anonymous_group_stays():
    now = ask({"command": "createGroup", "groupname": "g"}, {"command": "setAnonymousGroup", "groupname": "g"}).state
    assert data_of(now, "getAnonymousGroup") == {"group": {"groupname": "g"}}
    assert error_of("deleteGroup", now, groupname="g") == "Deleting the anonymous group is forbidden"
    assert data_of(EMPTY, "getAnonymousGroup") == {"group": {"groupname": ""}}


def test_a_password_goes_to_who_carries_it_out_and_nowhere_else(plant):
    wanted = ask({"command": "setClientPassword", "username": "bob", "password": "hush"}, now=plant)
    assert wanted.passwords == {"bob": "hush"}
    assert "hush" not in repr(wanted)
    assert b"hush" not in wanted.payload()
    assert wanted.is_change


def test_a_client_removed_and_made_again_has_only_its_new_password(plant):
    wanted = ask(
        {"command": "setClientPassword", "username": "bob", "password": "old"},
        {"command": "deleteClient", "username": "bob"},
        {"command": "createClient", "username": "bob"},
        now=plant,
    )
    assert wanted.removed == {"bob"}
    assert wanted.passwords == {}
    assert wanted.state.clients["bob"] == Client("bob", is_own=True)


def test_defaults_are_set_by_kind():
    acls = [{"acltype": "SUBSCRIBE", "allow": True}, {"acltype": "sing", "allow": True}, {"acltype": "subscribe"}, 1]
    now = ask({"command": "setDefaultACLAccess", "acls": acls}).state
    shown = {each["acltype"]: each["allow"] for each in data_of(now, "getDefaultACLAccess")["acls"]}
    assert shown == {"publishClientSend": False, "publishClientReceive": True, "subscribe": True, "unsubscribe": True}


def test_where_nothing_could_be_changed_every_change_says_so(plant):
    wanted = ask({"command": "createRole", "rolename": "x"}, {"command": "listRoles"}, now=plant).failed(
        "the disk is full"
    )
    assert [response.error for response in wanted.responses] == ["the disk is full", None]


def test_the_first_state_denies_deliveries_by_default_where_it_is_strict():
    assert not first_state(receive=False).defaults["publishClientReceive"]
    assert first_state(receive=True).defaults["publishClientReceive"]
