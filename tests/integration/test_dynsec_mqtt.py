"""Commands of dynamic security by MQTT: `mosquitto_ctrl` prints the same of this broker and of a real Mosquitto."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bartizan.policy import default_policy_text
from bartizan.policy.dynsec.commands import RESPONSE_TOPIC, TOPIC
from tests.integration.conftest import Up, port_of
from tests.integration.real_mosquitto import Client, hashed, may_publish, mosquitto, subscribe
from tests.integration.real_mosquitto import connected as connected_there
from tests.integration.test_dynsec import FIRST_ROLES, PASSWORD, PLAIN, ask, connected, received, rule
from tests.integration.test_dynsec_commands import of_both_versions, told
from tests.integration.test_import_dynsec import plugin as plugin  # noqa: PLC0414  the fixture
from tests.left_out import require_program

PANEL = "panel"
ADMIN = "dynsec-admin"
NEW_PASSWORD = "another-long-one"
DEFAULTS = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}
KINDS = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")
LIST_ROLES = json.dumps({"commands": [{"command": "listRoles"}]}).encode()

TABLE = (
    "listClients",
    "listGroups",
    "listRoles",
    "getDefaultACLAccess",
    "createRole reader",
    "createRole reader",
    "addRoleACL reader subscribePattern hall/# allow 5",
    "addRoleACL reader publishClientReceive hall/# allow 5",
    "addRoleACL reader publishClientSend hall/1 deny",
    "getRole reader",
    "getRole none",
    "createGroup hall",
    "createGroup hall",
    "addGroupRole hall reader 3",
    "addGroupRole hall none",
    "listGroups",
    "getGroup hall",
    f"createClient bob -p {PASSWORD.replace(' ', '-')}",
    f"createClient bob -p {PASSWORD.replace(' ', '-')}",
    "addClientRole bob reader 2",
    "addGroupClient hall bob",
    "getClient bob",
    "getGroup hall",
    "listClients",
    "listClients 1 1",
    "setClientId bob bob-7",
    "getClient bob",
    f"setClientPassword bob {NEW_PASSWORD}",
    "disableClient bob",
    "getClient bob",
    "enableClient bob",
    "createGroup strangers",
    "setAnonymousGroup strangers",
    "getAnonymousGroup",
    "setDefaultACLAccess subscribe deny",
    "getDefaultACLAccess",
    "removeRoleACL reader publishClientSend hall/1",
    "getRole reader",
    "removeClientRole bob reader",
    "removeGroupClient hall bob",
    "removeGroupRole hall reader",
    "getClient bob",
    "deleteGroup hall",
    "deleteGroup hall",
    "deleteRole reader",
    "deleteRole reader",
    "deleteClient bob",
    "deleteClient bob",
    "getClient bob",
)
"""Every command that `mosquitto_ctrl` knows, with some that fail."""


def reads(filter_: str) -> list[dict[str, Any]]:
    return [rule("subscribePattern", filter_), rule("publishClientReceive", filter_)]


REQUESTS: tuple[dict[str, Any], ...] = (
    {"command": "createRole", "rolename": "reader", "acls": reads("hall/#")},
    {"command": "createRole", "rolename": "writer", "acls": [rule("publishClientSend", "hall/#")]},
    {"command": "createClient", "username": "bob", "password": PASSWORD, "textname": "Bob"},
    {"command": "createGroup", "groupname": "hall"},
    {"command": "modifyRole", "rolename": "reader", "textname": "Reads", "acls": reads("line/#")},
    {"command": "getRole", "rolename": "reader"},
    {"command": "modifyRole", "rolename": "reader", "textdescription": "A description", "correlationData": "7"},
    {"command": "getRole", "rolename": "reader"},
    {"command": "modifyRole", "rolename": "none", "textname": "x"},
    {"command": "modifyRole", "textname": "x"},
    {
        "command": "modifyGroup",
        "groupname": "hall",
        "textname": "Hall",
        "roles": [{"rolename": "reader", "priority": 3}],
    },
    {"command": "modifyGroup", "groupname": "hall", "clients": [{"username": "bob", "priority": 2}]},
    {"command": "getGroup", "groupname": "hall"},
    {"command": "getClient", "username": "bob"},
    {"command": "modifyGroup", "groupname": "hall", "roles": [{"rolename": "none"}]},
    {"command": "modifyGroup", "groupname": "none"},
    {"command": "modifyGroup"},
    {"command": "modifyClient", "username": "bob", "textdescription": "Of the night shift", "clientid": "bob-7"},
    {"command": "modifyClient", "username": "bob", "roles": [{"rolename": "writer", "priority": 1}], "groups": []},
    {"command": "getClient", "username": "bob"},
    {"command": "getGroup", "groupname": "hall"},
    {"command": "modifyClient", "username": "bob", "clientid": "", "roles": [], "groups": [{"groupname": "hall"}]},
    {"command": "listClients", "verbose": True},
    {"command": "modifyClient", "username": "bob", "roles": [{"rolename": "none"}]},
    {"command": "modifyClient", "username": "none"},
    {"command": "modifyClient", "password": PASSWORD},
    {"command": "modifyClient", "username": "bob", "password": NEW_PASSWORD},
    {"command": "listGroups", "verbose": True},
)
"""What `mosquitto_ctrl` has no words for, and what shows that it was done."""


@pytest.fixture
def lane(up: Callable[..., Up], tmp_path: Path) -> Callable[[str], Up]:
    """Starts a broker in this mode, where `panel` has a password and may send commands."""

    def start(mode: str) -> Up:
        policy = tmp_path / "policy"
        policy.mkdir()
        (policy / "policy.toml").write_text(default_policy_text())
        words = ("--set", f"policy.file={policy}", "--set", f"listeners.plain={PLAIN}", "--set", f"dynsec.mode={mode}")
        running = up(*words)
        make = {"command": "createClient", "username": PANEL, "password": PASSWORD, "roles": [{"rolename": ADMIN}]}
        assert ask(running, make) == [{"command": "createClient"}]
        return running

    return start


def plain_port(running: Up) -> int:
    return next(port_of(place) for place in running.summary["places"] if place["name"] == "plain")


def ctrl(port: int, nowhere: Path, *words: str) -> tuple[int, str, list[str]]:
    """What `mosquitto_ctrl dynsec` makes of these words: its exit code, what it prints, what it complains about."""
    who = ("-h", "127.0.0.1", "-p", str(port), "-u", PANEL, "-P", PASSWORD, "-i", PANEL)
    environment = os.environ | {"XDG_CONFIG_HOME": str(nowhere), "HOME": str(nowhere)}
    done = subprocess.run(
        ["mosquitto_ctrl", *who, "dynsec", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, [line for line in done.stderr.splitlines() if "error" in line.lower()]


@contextmanager
def real(directory: Path, plugin: Path) -> Iterator[int]:
    """The port of a Mosquitto with the clients and roles that this broker begins with."""
    directory.mkdir()
    _, _, iterations, salt, password = hashed([PANEL], PASSWORD)[PANEL].split("$")
    panel = {"username": PANEL, "roles": [{"rolename": ADMIN}], "iterations": int(iterations), "salt": salt}
    others: list[dict[str, Any]] = [{"username": name} for name in ("admin", "dash-01", "press-01")]
    acls = [{"acltype": kind, "topic": "$CONTROL/dynamic-security/#", "priority": 0, "allow": True} for kind in KINDS]
    state = {
        "defaultACLAccess": DEFAULTS,
        "clients": [*others, panel | {"password": password}],
        "groups": [],
        "roles": [{"rolename": name, "acls": acls if name == ADMIN else []} for name in FIRST_ROLES],
    }
    file = directory / "dynamic-security.json"
    file.write_text(json.dumps(state))
    more = [f"plugin {plugin}", f"plugin_opt_config_file {file}"]
    with mosquitto(directory, acl=None, passwords=None, anonymous=False, more=more) as broker:
        yield broker.port


@pytest.mark.timeout(300)
def test_every_command_of_mosquitto_ctrl_prints_the_same(lane, plugin, tmp_path: Path) -> None:
    require_program("mosquitto_ctrl", "mosquitto")
    running = lane("strict")
    with real(tmp_path / "real", plugin) as there:
        for words in TABLE:
            expected = ctrl(there, tmp_path, *words.split())
            assert ctrl(plain_port(running), tmp_path, *words.split()) == expected, words
    told_of = [event for event in running.log() if event["event"] == "dynsec"]
    assert {"identity": PANEL, "client_id": PANEL}.items() <= told_of[0].items()
    assert ["createClient"] in [event["changed"] for event in told_of]
    for secret in (PASSWORD, PASSWORD.replace(" ", "-"), NEW_PASSWORD):
        assert secret not in running.log_file.read_text()


@pytest.mark.timeout(300)
def test_what_changes_a_whole_client_group_or_role_is_answered_the_same_by_mqtt(lane, plugin, tmp_path: Path) -> None:
    running = lane("strict")
    with (
        real(tmp_path / "real", plugin) as port,
        connected_there(port, Client(PANEL, PANEL, PASSWORD)) as there,
        connected(running, PANEL) as (here, _),
    ):
        assert there is not None
        for connection in (there, here):
            assert subscribe(connection, [RESPONSE_TOPIC])[-1] == 0
        for request in REQUESTS:
            payload = json.dumps({"commands": [request]}).encode()
            assert of_both_versions(told(here, payload)) == of_both_versions(told(there, payload)), request
    assert NEW_PASSWORD not in running.log_file.read_text()


def test_in_strict_mode_the_client_that_asked_is_answered_alone(lane) -> None:
    running = lane("strict")
    with connected(running, PANEL) as (panel, _), connected(running, PANEL, client_id="panel-2") as (other, _):
        for connection in (panel, other):
            assert subscribe(connection, [RESPONSE_TOPIC])[-1] == 0
        (answer,) = told(panel, LIST_ROLES)
        assert answer["data"]["roles"] == FIRST_ROLES
        assert received(other) == []


def test_in_compatible_mode_all_that_are_subscribed_are_answered(lane) -> None:
    running = lane("compatible")
    with connected(running, PANEL) as (panel, _), connected(running, PANEL, client_id="panel-2") as (other, _):
        for connection in (panel, other):
            assert subscribe(connection, [RESPONSE_TOPIC])[-1] == 0
        (answer,) = told(panel, LIST_ROLES)
        assert answer["data"]["roles"] == FIRST_ROLES
        assert b"listRoles" in other.until(3)


def test_a_right_that_a_command_takes_away_is_gone_for_who_sent_it(lane) -> None:
    running = lane("strict")
    with connected(running, PANEL) as (panel, _):
        assert may_publish(panel, [TOPIC]) == {TOPIC}
        subscribe(panel, [RESPONSE_TOPIC])
        remove = {"command": "removeClientRole", "username": PANEL, "rolename": ADMIN}
        payload = json.dumps({"commands": [remove]}).encode()
        panel.send(0x30, len(TOPIC).to_bytes(2, "big") + TOPIC.encode() + b"\x00" + payload)
        running.wait_for("dynsec", changed=["removeClientRole"])
        assert may_publish(panel, [TOPIC]) == frozenset()
        running.wait_for("denied", identity=PANEL, action="publish", topic=TOPIC)
        running.wait_for("subscription_removed", identity=PANEL, filter=RESPONSE_TOPIC)


def test_where_it_is_off_no_command_is_taken(lane) -> None:
    running = lane("off")
    with connected(running, PANEL) as (panel, _):
        assert may_publish(panel, [TOPIC]) == frozenset()
        running.wait_for("denied", identity=PANEL, action="publish", topic=TOPIC, why="server_topic")
    assert [event for event in running.log() if event["event"] == "dynsec"] == []
