"""`bartizan dynsec` beside a broker that runs: what it answers holds for clients that are there, and for Sessions of others."""

import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bartizan.policy import default_policy_text
from tests.integration.conftest import COMMAND, Up, port_of, run
from tests.integration.real_mosquitto import Connection, may_publish, subscribe, text
from tests.integration.test_identity_commands import publish, reading

PLAIN = '{bind = "127.0.0.1:0", loopback_only = true, danger_plaintext = "a test on loopback"}'
PASSWORD = "long enough for bob"
EXPIRY_S = 600
FIRST_ROLES = ["broker-admin", "client", "dynsec-admin", "super-admin", "sys-notify", "sys-observe", "topic-observe"]


@pytest.fixture
def plant(up: Callable[..., Up], tmp_path: Path) -> Up:
    """A broker whose policy is a directory: the first-run policy, and room for `dynsec.toml`."""
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.toml").write_text(default_policy_text())
    return up("--set", f"policy.file={policy}", "--set", f"listeners.plain={PLAIN}")


def ask(running: Up, *commands: dict[str, Any], compatible: bool = False, code: int = 0) -> list[dict[str, Any]]:
    """The answers to these commands."""
    words = [*COMMAND, "dynsec", "--data", running.data, *(["--compatible"] if compatible else [])]
    payload = json.dumps({"commands": commands})
    done = subprocess.run(
        [str(word) for word in words], input=payload, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["responses"]


def rule(kind: str, topic: str, *, allow: bool = True, priority: int = 0) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


READER = [rule("subscribePattern", "hall/#"), rule("publishClientReceive", "hall/#")]
MAKE_BOB = (
    {"command": "createRole", "rolename": "reader", "acls": READER},
    {"command": "createRole", "rolename": "writer", "acls": [rule("publishClientSend", "hall/#")]},
    {
        "command": "createClient",
        "username": "bob",
        "password": PASSWORD,
        "roles": [{"rolename": "reader"}, {"rolename": "writer"}],
    },
)


@contextmanager
def connected(running: Up, name: str, *, clean: bool = True, client_id: str = "") -> Iterator[tuple[Connection, bool]]:
    """A connection with a password whose Session outlives it, and whether there was a Session; fails if it is refused."""
    port = next(port_of(place) for place in running.summary["places"] if place["name"] == "plain")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        connection = Connection(plain)
        properties = bytes([5, 0x11]) + struct.pack(">I", EXPIRY_S)
        body = text("MQTT") + bytes([5, 0xC0 | (2 if clean else 0)]) + struct.pack(">H", 60) + properties
        connection.send(0x10, body + text(client_id or name) + text(name) + text(PASSWORD))
        answer = connection.until(2)
        assert answer[1] == 0, f"refused: {answer[1]:#04x}"
        yield connection, bool(answer[0] & 1)
        connection.send(0xE0, b"")


def received(connection: Connection) -> list[str]:
    """The topics of what it was sent until now."""
    connection.send(0xC0, b"")
    connection.until(13)
    topics, connection.topics = connection.topics, []
    return topics


def test_what_commands_give_and_take_holds_for_clients_that_are_there(plant: Up) -> None:
    assert ask(plant, *MAKE_BOB) == [{"command": name["command"]} for name in MAKE_BOB]
    with connected(plant, "bob") as (bob, _), connected(plant, "bob", client_id="bob-2") as (writer, _):
        assert subscribe(bob, ["hall/#", "other"])[-2:] == b"\x00\x87"
        assert may_publish(writer, ["hall/1", "other"]) == {"hall/1"}
        assert received(bob) == ["hall/1"]
        ask(plant, {"command": "removeClientRole", "username": "bob", "rolename": "reader"})
        assert may_publish(writer, ["hall/2"]) == {"hall/2"}
        assert received(bob) == []
        acl = {"rolename": "writer", "acltype": "publishClientSend", "topic": "hall/#"}
        ask(plant, {"command": "removeRoleACL", **acl})
        assert may_publish(writer, ["hall/3"]) == set()


def test_what_is_taken_away_is_gone_from_a_session_that_is_resumed(plant: Up) -> None:
    ask(plant, *MAKE_BOB)
    with connected(plant, "bob") as (bob, _):
        subscribe(bob, ["hall/#"])
    with connected(plant, "bob", client_id="bob-2") as (writer, _):
        assert may_publish(writer, ["hall/queued"]) == {"hall/queued"}
        ask(plant, {"command": "removeClientRole", "username": "bob", "rolename": "reader"})
        with connected(plant, "bob", clean=False) as (bob, there):
            assert there
            assert may_publish(writer, ["hall/later"]) == {"hall/later"}
            assert received(bob) == [], "neither what was queued for it nor what came later"


def test_disable_and_client_id_hold_for_an_identity_with_a_certificate(plant: Up, mosquitto_pub, mosquitto_sub) -> None:
    dash = plant.data / "demo/dash-01"
    with reading(plant, dash):
        plant.wait_for("connected", identity="dash-01")
        shown = ask(plant, {"command": "getClient", "username": "dash-01"})[0]["data"]["client"]
        assert shown["connections"] == [{"address": "127.0.0.1"}]
        assert shown["roles"] == []
        ask(plant, {"command": "disableClient", "username": "dash-01"})
        plant.wait_for("disconnected", identity="dash-01", by="server")
    assert "not authori" in publish(plant, dash, topic="x").lower()
    ask(plant, {"command": "enableClient", "username": "dash-01"})
    with reading(plant, dash):
        ask(plant, {"command": "setClientId", "username": "dash-01", "clientid": "screen 7"})
        plant.wait_for("disconnected", identity="dash-01", reason="Administrative action")
    assert "not authori" in publish(plant, dash, topic="x").lower()
    press = plant.data / "demo/press-01"
    ask(plant, {"command": "setClientId", "username": "press-01", "clientid": "machine 7"})
    assert "not authori" in publish(plant, press).lower()
    assert publish(plant, press, "-i", "machine 7", topic="data/chicago/hall-2/machine 7/temperature") == ""


def test_the_policy_says_what_the_commands_said_and_goes_back_with_them(plant: Up, tmp_path: Path) -> None:
    ask(plant, *MAKE_BOB)
    listed = json.loads(run("policy", "history", "--data", plant.data, "--json").stdout)["versions"]
    assert listed[0]["note"] == "dynamic security: createRole, createClient"
    assert (listed[0]["state"], listed[-1]["kind"]) == ("in-force", "found")
    config = tmp_path / "config.toml"
    config.write_text(f'[policy]\nfile = "{tmp_path / "policy"}"\n')
    asked = ("policy", "explain", "--as", "bob", "publish", "hall/1")
    explained = run(*asked, "--data", plant.data, "--config", config)
    assert "role 'writer', publishClientSend hall/#" in explained.stdout, explained.stdout + explained.stderr
    assert run("policy", "rollback", "--data", plant.data, "--yes").returncode == 0
    (answer,) = ask(plant, {"command": "listRoles"})
    assert answer["data"]["roles"] == FIRST_ROLES
    assert ask(plant, {"command": "getClient", "username": "bob"})[0]["data"]["client"]["roles"] == []


def test_after_a_rollback_clients_have_the_rights_that_the_older_state_says(plant: Up) -> None:
    amy = {"command": "createClient", "username": "amy", "roles": [{"rolename": "writer"}]}
    bob = MAKE_BOB[2] | {"roles": [{"rolename": "reader"}]}
    ask(plant, MAKE_BOB[0], MAKE_BOB[1], amy, bob)
    ask(plant, {"command": "modifyClient", "username": "bob", "roles": [{"rolename": "writer"}]})
    with connected(plant, "bob") as (client, _):
        assert may_publish(client, ["hall/1"]) == {"hall/1"}
        assert subscribe(client, ["hall/#"])[-1] == 0x87
        assert run("policy", "rollback", "--data", plant.data, "--yes").returncode == 0
        plant.wait_for("dynsec_settled", identities=1)
        shown = json.loads(run("identity", "show", "bob", "--data", plant.data, "--json").stdout)
        assert shown["roles"] == ["dynsec_roles-reader"]
        give_up = time.monotonic() + 20
        while may_publish(client, ["hall/2"]):
            assert time.monotonic() < give_up, "what the older state does not say is still allowed"
        assert subscribe(client, ["hall/#"])[-1] == 0


def test_what_cannot_be_exact_is_refused_unless_it_may_be_less(plant: Up) -> None:
    acls = [rule("subscribePattern", "a/#"), rule("subscribeLiteral", "a/+", allow=False)]
    make = {"command": "createRole", "rolename": "r", "acls": acls}
    bob = {"command": "createClient", "username": "bob", "roles": [{"rolename": "r"}]}
    made, refused = ask(plant, make, bob, code=1)
    assert "error" not in made
    assert refused["error"].startswith("Not exactly possible here (literal, role 'r', subscribeLiteral a/+)")
    assert ask(plant, {"command": "listClients"})[0]["data"]["clients"] == ["admin", "dash-01", "press-01"]
    assert "error" not in ask(plant, bob, compatible=True)[0]


def test_what_the_policy_does_not_take_changes_nothing(plant: Up, tmp_path: Path) -> None:
    who = '[principals.x]\nroles = ["dashboard"]\n'
    (tmp_path / "policy" / "rules.test.toml").write_text(
        f'{who}[tests."nobody writes"]\nas = "x"\nallow = ["publish x"]\n'
    )
    before = {file.name: file.read_bytes() for file in (tmp_path / "policy").iterdir()}
    make = [dict(MAKE_BOB[1]), MAKE_BOB[2] | {"roles": [{"rolename": "writer"}]}]
    answers = ask(plant, *make, {"command": "listRoles"}, code=1)
    assert [answer.get("error") for answer in answers][:2] == [
        "Not possible here: the test 'nobody writes' of the policy expects otherwise"
    ] * 2
    assert {file.name: file.read_bytes() for file in (tmp_path / "policy").iterdir()} == before
    assert "bob" not in ask(plant, {"command": "listClients"})[0]["data"]["clients"]


def test_a_policy_changed_by_hand_is_not_written_over(plant: Up, tmp_path: Path) -> None:
    ask(plant, MAKE_BOB[0])
    file = tmp_path / "policy" / "dynsec.toml"
    file.write_text(file.read_text().replace("hall/#", "#"))
    (answer,) = ask(plant, MAKE_BOB[1], code=1)
    assert "changed by hand" in answer["error"]


def test_without_room_for_its_file_it_says_what_to_do(up: Callable[..., Up]) -> None:
    running = up()
    (answer,) = ask(running, MAKE_BOB[0], code=1)
    assert "set [policy] file to a directory" in answer["error"]


def test_no_secret_is_in_what_it_writes(plant: Up, tmp_path: Path) -> None:
    ask(plant, *MAKE_BOB)
    for root in (tmp_path / "policy", plant.data / "policy-history"):
        for file in root.rglob("*"):
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes()
    assert PASSWORD not in plant.log_file.read_text()
