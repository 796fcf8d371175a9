"""An imported dynamic-security.json decides as the real plugin does, but for the differences that the import names."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import Asked, Request, check
from bartizan.policy.imports.dynsec import import_dynsec
from bartizan.policy.imports.dynsec_state import read_state
from bartizan.policy.imports.mosquitto import Around
from bartizan.policy.writer import policy_text
from tests.integration.real_mosquitto import Client, ask, hashed, mosquitto
from tests.integration.test_import_mosquitto import may_match
from tests.left_out import leave_out, require_program

PLUGINS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib")
NAMES = ("bob", "amy")
CLIENTS = (Client("bob", "bob", "pw"), Client("x", "amy", "pw"))
TOPICS = ("a", "b", "a/b", "a/a", "b/a", "bob", "x", "a/bob", "a/x", "amy", "a/b/c", "/a", "$foo/a", "$SYS/a", "a/{x}")
KINDS = ("publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern", "subscribePattern")
LEVELS = st.sampled_from(["a", "b", "+", "a", "bob", "+", "x"])
"""No variables: the plugin of 2.0 has none, and the import names that."""


@pytest.fixture(scope="module")
def plugin() -> Path:
    require_program("mosquitto", "mosquitto")
    found = [file for directory in PLUGINS if (file := Path(directory) / "mosquitto_dynamic_security.so").exists()]
    if not found:
        leave_out("the dynamic security plugin is not installed", "apt-get install mosquitto")
    return found[0]


@pytest.fixture(scope="module")
def hashes() -> Mapping[str, str]:
    return hashed(NAMES)


@st.composite
def topics(draw: st.DrawFn) -> str:
    levels = draw(st.lists(LEVELS, min_size=1, max_size=2))
    if draw(st.integers(0, 2)) == 0:
        levels.append("#")
    if draw(st.integers(0, 7)) == 0:
        levels = draw(st.sampled_from([["#"], ["$foo", "#"], ["$SYS", "#"], ["a", "{x}"], ["{x}"]]))
    return "/".join(levels)


@st.composite
def roles(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(["one", "two"]))
    acls: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(draw(st.integers(0, 5))):
        kind, topic = draw(st.sampled_from(KINDS)), draw(topics())
        # Of two rules with the same topic the plugin keeps one.
        acls[kind, topic] = {
            "acltype": kind, "topic": topic, "allow": draw(st.booleans()), "priority": len(acls) * draw(st.sampled_from([1, -1])),
        }  # fmt: skip
    return {"rolename": name, "acls": list(acls.values())}


@st.composite
def states(draw: st.DrawFn) -> dict[str, Any]:
    named = {role["rolename"]: role for role in draw(st.lists(roles(), max_size=3))}
    refer = st.lists(st.sampled_from(sorted(named)), unique=True, max_size=2) if named else st.just([])
    give = refer.map(lambda names: [{"rolename": name, "priority": at} for at, name in enumerate(names)])
    members = st.sampled_from([[], [{"username": "bob"}], [{"username": "bob", "priority": 1}, {"username": "amy"}]])
    return {
        "defaultACLAccess": {
            "publishClientSend": draw(st.booleans()),
            "publishClientReceive": draw(st.booleans()),
            "subscribe": draw(st.booleans()),
            "unsubscribe": True,
        },
        "clients": [{"username": name, "roles": draw(give)} for name in NAMES],
        "groups": [{"groupname": "g", "roles": draw(give), "clients": draw(members)}],
        "roles": list(named.values()),
    }


def with_passwords(state: dict[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    clients = []
    for client in state["clients"]:
        _, _, iterations, salt, password = hashes[client["username"]].split("$")
        clients.append({**client, "iterations": int(iterations), "salt": salt, "password": password})
    return {**state, "clients": clients}


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(state=states())
def test_the_imported_policy_and_the_real_plugin_decide_alike(state, plugin, hashes) -> None:
    content = json.dumps(with_passwords(state, hashes), indent=1).encode()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "dynamic-security.json"
        file.write_bytes(content)
        more = [f"plugin {plugin}", f"plugin_opt_config_file {file}"]
        with mosquitto(Path(directory), acl=None, passwords=None, anonymous=False, more=more) as broker:
            answers = ask(broker, CLIENTS, TOPICS, one_by_one=True)
    whole = import_dynsec(read_state(content, "dynsec.json"), Around())
    policy = check(policy_text(whole.roles), "policy.toml").compiled
    assert policy is not None
    known = {identity.name: identity.roles for identity in whole.identities}
    names = {each.name for each in whole.differences}
    named = [each.topics for each in whole.differences if each.topics]
    for client, answer in answers.items():
        assert answer.connected
        who: dict[str, Any] = {
            "identity": client.user_name,
            "client_id": client.client_id,
            "roles": known[str(client.user_name)],
        }
        for action, there, asked in (
            (Asked.PUBLISH, answer.publish, TOPICS),
            (Asked.RECEIVE, answer.receive, sorted(answer.sent)),
        ):
            for topic in asked:
                here = policy.decide(Request(action, topic, **who)).allow
                default = topic.startswith("$") and {"default-access", "dollar-wildcard"} & names
                if here != (topic in there) and not (default and not here):
                    assert any(may_match(each, topic) for each in named), (
                        client,
                        action,
                        topic,
                        here,
                        whole.differences,
                    )
                    assert not here or "literal" in names
