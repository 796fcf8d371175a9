"""Commands of dynamic security answer as the plugin of a real Mosquitto does, but for the differences named here."""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy.dynsec.commands import COMMANDS, carried_out
from bartizan.policy.dynsec.state import Client as DynsecClient
from bartizan.policy.dynsec.state import State
from tests.integration.real_mosquitto import Client, Connection, connected, hashed, mosquitto, subscribe, text
from tests.integration.test_import_dynsec import plugin as plugin  # noqa: PLC0414  the fixture

TOPIC = "$CONTROL/dynamic-security/v1"
ADMIN = Client("admin", "admin", "pw")
DEFAULTS = {"publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
CONTROL_ROLE = {
    "rolename": "control",
    "acls": [
        {"acltype": kind, "topic": "$CONTROL/#", "priority": 0, "allow": True}
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")
    ],
}

ONLY_LATER = frozenset({"connections", "allowwildcardsubs"})

NAMES = st.sampled_from(["bob", "amy", "Zoe ü"])
"""None is empty: in 2.0 a client could have no name."""

GROUPS = st.sampled_from(["g", "Hall 3", "none"])
ROLES = st.sampled_from(["r", "Reader", "none"])
KINDS = st.sampled_from(
    ["publishClientSend", "PUBLISHclientRECEIVE", "subscribeLiteral", "subscribePattern", "unsubscribeLiteral",
     "unsubscribePattern", "sing"]
)  # fmt: skip
TOPICS = st.sampled_from(["a", "a/#", "+/b", "#", "%c/x", "a#", "b/+/c"])
PRIORITIES = st.sampled_from([-1, 0, 1, 7, 100_001, -100_001])


@pytest.fixture(scope="module")
def password_hash() -> str:
    return hashed(["admin"])["admin"]


@contextmanager
def real(directory: Path, plugin: Path, password_hash: str) -> Iterator[Connection]:
    """A connection of the administrator to a Mosquitto that has nobody else yet."""
    _, _, iterations, salt, password = password_hash.split("$")
    admin = {"username": "admin", "roles": [{"rolename": "control"}], "iterations": int(iterations), "salt": salt}
    state = {"defaultACLAccess": DEFAULTS, "clients": [admin | {"password": password}], "groups": []}
    file = directory / "dynamic-security.json"
    file.write_text(json.dumps(state | {"roles": [CONTROL_ROLE]}))
    more = [f"plugin {plugin}", f"plugin_opt_config_file {file}"]
    with (
        mosquitto(directory, acl=None, passwords=None, anonymous=False, more=more) as broker,
        connected(broker.port, ADMIN) as connection,
    ):
        assert connection is not None
        subscribe(connection, [f"{TOPIC}/response"])
        yield connection


def told(connection: Connection, payload: bytes) -> list[dict[str, Any]]:
    """What it answers to this request."""
    connection.send(0x30, text(TOPIC) + b"\x00" + payload)
    body = connection.until(3)
    length = struct.unpack_from(">H", body)[0]
    # No property is sent with it, and it has no Packet Identifier.
    assert body[2 : 2 + length].decode() == f"{TOPIC}/response"
    return json.loads(body[3 + length :])["responses"]


def begun() -> State:
    """The same state here."""
    state = State({}, {}, {}, DEFAULTS)
    payload = json.dumps({"commands": [{"command": "createRole", **CONTROL_ROLE}]}).encode()
    state = carried_out(state, payload, {}, lambda _before, _after: None).state
    return state.with_client(DynsecClient("admin", roles={"control": -1}, is_own=True))


def both(directory: Path, plugin: Path, password_hash: str, requests: Sequence[bytes]) -> Iterator[tuple[Any, Any]]:
    """Answers of both, request by request."""
    now = begun()
    with real(directory, plugin, password_hash) as connection:
        for payload in requests:
            here = carried_out(now, payload, {"admin": ["127.0.0.1"]}, lambda _before, _after: None)
            now = here.state
            yield told(connection, payload), json.loads(here.payload())["responses"]


@st.composite
def named(draw: st.DrawFn, key: str, names: st.SearchStrategy[str]) -> list[dict[str, Any]]:
    entries = [{key: draw(names)} for _ in range(draw(st.integers(0, 2)))]
    return [entry | draw(st.sampled_from([{}, {"priority": draw(PRIORITIES)}])) for entry in entries]


@st.composite
def commands(draw: st.DrawFn) -> dict[str, Any]:
    fields: Mapping[str, st.SearchStrategy[Any]] = {
        "username": NAMES,
        "groupname": GROUPS,
        "rolename": ROLES,
        "password": st.sampled_from(["pw", ""]),
        "clientid": st.sampled_from(["one", "", "two"]),
        "textname": st.sampled_from(["A name", ""]),
        "textdescription": st.sampled_from(["A description", ""]),
        "acltype": KINDS,
        "topic": TOPICS,
        "priority": PRIORITIES,
        "allow": st.booleans(),
        "allowwildcardsubs": st.booleans(),
        "verbose": st.booleans(),
        "count": st.sampled_from([-1, 0, 1, 2]),
        "offset": st.sampled_from([0, 1]),
        "roles": named("rolename", ROLES),
        "groups": named("groupname", GROUPS),
        "clients": named("username", NAMES),
        "correlationData": st.sampled_from(["c", ""]),
    }
    chosen = {key: draw(value) for key, value in fields.items() if draw(st.integers(0, 9))}
    if "acltype" in chosen and draw(st.booleans()):
        entry = {key: chosen[key] for key in ("acltype", "topic", "priority", "allow") if key in chosen}
        # A list with a topic that is no filter: the plugin of 2.0 looks at none in a list.
        chosen["acls"] = [entry] if entry.get("topic") != "a#" else []
    return {"command": draw(st.sampled_from(sorted(COMMANDS.keys() - {"getDetails"}))), **chosen}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(sequence=st.lists(commands(), min_size=5, max_size=40))
def test_any_sequence_of_commands_is_answered_as_by_the_plugin(
    sequence, plugin, password_hash, tmp_path_factory
) -> None:
    requests = [json.dumps({"commands": [command]}).encode() for command in sequence]
    directory = tmp_path_factory.mktemp("real")
    for command, (there, here) in zip(sequence, both(directory, plugin, password_hash, requests), strict=True):
        assert of_both_versions(here) == of_both_versions(there), command


def of_both_versions(answer: Any) -> Any:
    """An answer without what only Mosquitto 2.1 tells: here it is told beside what 2.0 does."""
    if isinstance(answer, dict):
        return {key: of_both_versions(value) for key, value in answer.items() if key not in ONLY_LATER}
    return [of_both_versions(each) for each in answer] if isinstance(answer, list) else answer
