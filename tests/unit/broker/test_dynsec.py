"""Commands of dynamic security become files of the policy and identities: both, or neither."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.trail import Trail
from bartizan.broker.change import take_over
from bartizan.broker.dynsec import Asking, Connections, DynamicSecurity
from bartizan.broker.history import History, Kind
from bartizan.broker.place import Place
from bartizan.config.audit import AuditSettings
from bartizan.errors import AlreadyExists, Conflict, InvalidValue
from bartizan.identity.passwords import verify_password
from bartizan.identity.register import Register, new_identity
from bartizan.model.actor import Actor
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Identity, IdentityState
from bartizan.policy.dynsec.memory import FILE
from bartizan.policy.dynsec.plugin_file import read_plugin_file
from bartizan.policy.dynsec.translation import CLIENT_ID
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Create

AT = datetime(2026, 1, 1, tzinfo=UTC)
ASKING = Asking("tester")
WRITER = {
    "command": "createRole",
    "rolename": "writer",
    "acls": [{"acltype": "publishClientSend", "topic": "a/#", "allow": True}],
}


class Room:
    """A directory with a policy, its history, and identities."""

    def __init__(self, root: Path) -> None:
        self.policy = root / "policy"
        self.policy.mkdir()
        (self.policy / "own.toml").write_text('[roles.press]\npermit = [{ action = "publish", filter = "own" }]\n')
        self.store = MemoryIdentityStore()
        self.history = History(root / "history")
        self.connections = Connected()
        self.place = place = Place((self.policy,))
        self.trail = trail = Trail.of(root / "audit", AuditSettings(), Actor("tester"))
        register = Register(self.store)
        self.service = DynamicSecurity(place, self.history, register, trail, connections=self.connections)

    async def ask(self, *commands: Mapping[str, Any], asking: Asking = ASKING) -> list[str | None]:
        wanted = await self.service.answer(json.dumps({"commands": commands}).encode(), asking)
        return [response.error for response in wanted.responses]

    def take_over(self) -> None:
        """What lies there is on record."""
        with self.history.changing():
            take_over(self.place, self.history, self.trail, who="tester", at=AT, allowed=True)

    async def identity(self, name: str) -> Identity:
        found = await self.store.get(name)
        assert found is not None
        return found

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.policy.iterdir()}


class Connected(Connections):
    """Clients that are said to be connected."""

    def __init__(self) -> None:
        self.there: list[dict[str, Any]] = []
        self.ended: list[str] = []

    def clients(self) -> Iterable[Mapping[str, Any]]:
        return self.there

    def disconnect(self, client_id: str, tenant: str | None) -> None:
        assert tenant is None
        self.ended.append(client_id)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_a_client_is_an_identity_and_its_rules_are_a_file_of_the_policy_on_record(room: Room) -> None:
    bob = {"command": "createClient", "username": "bob", "password": "hush", "textname": "Bob  the\tfirst"}
    assert await room.ask(WRITER, bob | {"roles": [{"rolename": "writer"}]}) == [None, None]
    identity = await room.identity("bob")
    assert identity.roles == ("dynsec_roles-writer",)
    assert identity.note == "Bob the first"
    (credential,) = identity.credentials
    assert isinstance(credential, PasswordCredential)
    assert verify_password(credential.hash, b"hush")
    assert b"roles.dynsec_roles-writer" in room.files()[FILE]
    found, version = room.history.versions()
    assert (found.kind, version.kind) == (Kind.FOUND, Kind.APPLY)
    assert (version.who, version.note) == ("tester", "dynamic security: createRole, createClient")


async def test_what_only_asks_writes_nothing(room: Room) -> None:
    before = room.files()
    assert await room.ask({"command": "listRoles"}, {"command": "getClient", "username": "x"}) == [
        None,
        "Client not found",
    ]
    assert room.files() == before
    assert not room.history.versions()


async def test_passwords_and_states_make_no_version_of_the_policy(room: Room) -> None:
    await room.store.commit([Create(new_identity("press", at=AT))])
    password = {"command": "setClientPassword", "username": "press", "password": "hush"}
    assert await room.ask(password, {"command": "disableClient", "username": "press"}) == [None, None]
    press = await room.identity("press")
    assert (press.state, len(press.credentials)) == (IdentityState.DISABLED, 1)
    assert FILE not in room.files()
    await room.ask(WRITER)
    before = room.files()
    assert await room.ask(password, {"command": "enableClient", "username": "press"}) == [None, None]
    assert room.files() == before


async def test_roles_of_the_own_policy_and_other_attributes_stay(room: Room) -> None:
    press = new_identity("press", at=AT, roles=["press"], attributes={"site": "x"}, note="in hall 3")
    await room.store.commit([Create(press)])
    give = {"command": "addClientRole", "username": "press", "rolename": "writer"}
    await room.ask(WRITER, give, {"command": "setClientId", "username": "press", "clientid": "machine"})
    now = await room.identity("press")
    assert now.roles == ("press", "dynsec_roles-writer", CLIENT_ID)
    assert dict(now.attributes) == {"site": "x", CLIENT_ID: "machine"}
    await room.ask(
        {"command": "removeClientRole", "username": "press", "rolename": "writer"},
        {"command": "setClientId", "username": "press"},
    )
    now = await room.identity("press")
    assert (now.roles, dict(now.attributes), now.note) == (("press",), {"site": "x"}, "in hall 3")


async def test_a_client_identifier_that_is_another_ends_the_connections_by_others(room: Room) -> None:
    await room.ask({"command": "createClient", "username": "bob"})
    client = {"identity": "bob", "address": "10.0.0.7:1"}
    room.connections.there = [client | {"client_id": name} for name in ("bob", "machine")]
    room.connections.there.append({"identity": "amy", "client_id": "amy", "address": "10.0.0.8:1"})
    await room.ask({"command": "setClientId", "username": "bob", "clientid": "machine"})
    assert room.connections.ended == ["bob"]
    await room.ask({"command": "disableClient", "username": "bob"})
    assert room.connections.ended == ["bob"]


async def test_a_client_made_again_keeps_nothing_of_the_one_before(room: Room) -> None:
    await room.ask({"command": "createClient", "username": "bob", "password": "old", "clientid": "machine"})
    again = [{"command": "deleteClient", "username": "bob"}, {"command": "createClient", "username": "bob"}]
    assert await room.ask(*again) == [None, None]
    bob = await room.identity("bob")
    assert (bob.credentials, bob.roles, bob.attributes) == ((), (), ())
    assert await room.ask(again[0]) == [None]
    assert await room.store.get("bob") is None


async def test_who_is_revoked_or_in_quarantine_is_shown_as_disabled_and_not_enabled(room: Room) -> None:
    for state in (IdentityState.REVOKED, IdentityState.QUARANTINED):
        lost = replace(new_identity(state.value, at=AT), state=state)
        await room.store.commit([Create(lost)])
        (error,) = await room.ask({"command": "enableClient", "username": state.value})
        assert error == f"Not possible here: the identity is {state.value}"
        assert await room.ask({"command": "disableClient", "username": state.value}) == [None]
        assert (await room.identity(state.value)).state is state


async def test_where_the_identities_cannot_be_written_the_policy_is_as_before(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise Conflict("someone else wrote it")

    await room.ask(WRITER)
    before = room.files()
    monkeypatch.setattr(room.store, "commit", refuse)
    give = {"command": "createClient", "username": "bob", "roles": [{"rolename": "writer"}]}
    assert await room.ask(give, {"command": "listClients"}) == ["someone else wrote it", None]
    assert room.files() == before


async def test_where_the_policy_comes_back_clients_get_the_roles_that_it_says(room: Room) -> None:
    reader = WRITER | {"rolename": "reader"}
    await room.ask(WRITER, reader, {"command": "createClient", "username": "amy", "roles": [{"rolename": "writer"}]})
    await room.ask({"command": "createClient", "username": "bob", "roles": [{"rolename": "reader"}]})
    before = room.history.current()
    assert before is not None
    give = {"command": "modifyClient", "username": "bob", "roles": [{"rolename": "writer"}]}
    assert await room.ask(give, {"command": "setClientPassword", "username": "bob", "password": "hush"}) == [None, None]
    with room.history.changing():
        assert await room.service.settle(ASKING) == (), "nobody waits where there is nothing to do"
    (room.policy / FILE).write_bytes(room.history.read(before.number)[FILE])
    with room.history.changing(), pytest.raises(Conflict):
        await room.service.settle(ASKING)
    # The role of this name is amy's in the older state too: it must not stay bob's.
    assert await room.service.settle(ASKING) == ()
    assert (await room.identity("bob")).roles == ("dynsec_roles-writer",), "changed by hand: not looked at"
    room.take_over()
    assert await room.service.settle(ASKING) == ["bob"]
    bob = await room.identity("bob")
    assert (bob.roles, len(bob.credentials)) == (("dynsec_roles-reader",), 1)
    assert (await room.identity("amy")).roles == ("dynsec_roles-writer",)


async def test_while_somebody_else_changes_the_policy_nothing_is_changed(room: Room) -> None:
    with room.history.changing():
        (error,) = await room.ask(WRITER)
    assert error is not None
    assert "is being changed already" in error
    assert FILE not in room.files()


async def test_a_name_that_the_own_policy_uses_is_not_taken(room: Room) -> None:
    (room.policy / "more.toml").write_text("[roles.dynsec_roles-writer]\n")
    (error,) = (
        await room.ask(WRITER, {"command": "createClient", "username": "bob", "roles": [{"rolename": "writer"}]})
    )[1:]
    assert error is not None
    assert error.startswith("Not possible here: ")
    assert await room.store.get("bob") is None


async def test_a_password_that_is_too_long_is_refused(room: Room) -> None:
    (error,) = await room.ask({"command": "createClient", "username": "bob", "password": "x" * 1025})
    assert error is not None
    assert "at most 1024 bytes" in error
    assert await room.store.get("bob") is None


HASH = "$7$101$c2FsdA==$aGFzaA=="
PLUGIN = {
    "defaultACLAccess": {"publishClientReceive": True, "subscribe": False},
    "clients": [
        {"username": "bob", "encoded_password": HASH, "clientid": "machine", "roles": [{"rolename": "writer"}]},
        {"username": "amy", "disabled": True, "iterations": 101, "salt": "c2FsdA==", "password": "aGFzaA=="},
        {"username": ""},
        7,
    ],
    "groups": [{"groupname": "g", "roles": [{"rolename": "gone"}], "clients": [{"username": "amy", "priority": 4}]}],
    "roles": [{"rolename": "writer", "acls": WRITER["acls"]}],
    "anonymousGroup": "g",
}


async def test_the_plugins_own_file_is_taken_over_with_its_passwords(room: Room) -> None:
    assert await room.service.take_over(read_plugin_file(json.dumps(PLUGIN).encode()), ASKING) == []
    bob, amy = await room.identity("bob"), await room.identity("amy")
    assert bob.roles == ("dynsec_roles-writer", CLIENT_ID)
    assert amy.state is IdentityState.DISABLED
    for (credential,) in (bob.credentials, amy.credentials):
        assert isinstance(credential, PasswordCredential)
        assert credential.hash == HASH
    payload = json.dumps({"commands": [{"command": "listClients", "verbose": True}]}).encode()
    (answer,) = (await room.service.answer(payload, ASKING)).responses
    assert answer.data is not None
    assert answer.data["clients"] == [
        {"username": "amy", "disabled": True, "roles": [], "groups": [{"groupname": "g", "priority": 4}], "connections": []},
        {"username": "bob", "clientid": "machine", "roles": [{"rolename": "writer"}], "groups": [], "connections": []},
    ]  # fmt: skip
    with pytest.raises(AlreadyExists, match="already"):
        await room.service.take_over(read_plugin_file(b"{}"), ASKING)


async def test_what_of_the_plugins_file_cannot_be_exact_is_all_told(room: Room) -> None:
    acls = [{"acltype": "publishClientSend", "topic": topic, "allow": True} for topic in ("$SYS/#", "x-%u")]
    told = {"clients": [{"username": "bob", "roles": [{"rolename": "r"}]}], "roles": [{"rolename": "r", "acls": acls}]}
    file = read_plugin_file(json.dumps(told).encode())
    with pytest.raises(InvalidValue, match=r"(?s)dollar-publish.*\n.*partial-variable"):
        await room.service.take_over(file, ASKING)
    assert await room.store.get("bob") is None
    assert len(await room.service.take_over(file, Asking("tester", strict=False))) == 2
    assert await room.store.get("bob") is not None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"roles": [{"acls": [{"acltype": "publishClientSend", "topic": "a#"}]}]}']
)
def test_what_is_no_file_of_the_plugin_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidValue):
        read_plugin_file(content)


async def test_a_name_that_nobody_can_have_stops_it_in_any_manner(room: Room) -> None:
    file = read_plugin_file(b'{"clients": [{"username": "a/b"}]}')
    with pytest.raises(InvalidValue, match="Not possible here"):
        await room.service.take_over(file, Asking("tester", strict=False))
