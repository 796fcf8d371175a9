"""A state as a file of the policy, and back."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.errors import InvalidValue
from bartizan.policy import Asked, Request, check
from bartizan.policy.dynsec.commands import carried_out
from bartizan.policy.dynsec.memory import joined, remembered, written
from bartizan.policy.dynsec.state import Acl, Client, Group, Role, State, first_state
from bartizan.policy.dynsec.translation import CLIENT_ID, PREFIX, translated, why_not

NAMES = st.sampled_from(["a", "b c", 'quote"d', "ü\u2028", "#", "{x}"])
TEXTS = st.none() | st.text(max_size=8).filter(lambda text: text.isprintable())
PRIORITIES = st.dictionaries(NAMES, st.integers(-100_000, 100_000), max_size=3)
ACLS = st.lists(
    st.builds(Acl, st.sampled_from(["a/#", "+/b", "x"]), st.integers(-3, 3), st.booleans()),
    unique_by=lambda acl: acl.topic,
)


@st.composite
def states(draw: st.DrawFn) -> State:
    roles = {
        name: Role(
            name,
            draw(TEXTS),
            draw(TEXTS),
            draw(st.booleans()),
            {"publishClientSend": acls} if (acls := tuple(sorted(draw(ACLS), key=lambda acl: -acl.priority))) else {},
        )
        for name in draw(st.sets(NAMES))
    }
    clients = {
        name: Client(name, draw(TEXTS), draw(TEXTS), draw(TEXTS), roles=_of(draw(PRIORITIES), roles), is_own=True)
        for name in draw(st.sets(NAMES))
    }
    groups = {
        name: Group(name, draw(TEXTS), draw(TEXTS), _of(draw(PRIORITIES), roles), _of(draw(PRIORITIES), clients))
        for name in draw(st.sets(NAMES))
    }
    anonymous = draw(st.none() | st.sampled_from(sorted(groups))) if groups else None
    defaults = dict.fromkeys(
        ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), draw(st.booleans())
    )
    return State(clients, groups, roles, defaults, anonymous, draw(st.integers(0, 9)))


def _of(priorities, there):
    return {name: at for name, at in priorities.items() if name in there}


@given(state=states())
def test_what_is_written_is_remembered_and_is_a_policy(state):
    text, _ = written(state)
    assert remembered(text) == state
    assert check(text, "dynsec.toml").ok


def test_what_others_wrote_into_the_comments_is_refused():
    for line in ('# {"sing": {}}', '# {"role": 7}', '# {"role"'):
        with pytest.raises(InvalidValue, match="by hand"):
            remembered(line)


def test_identities_are_clients_and_only_they_are():
    state = State({"gone": Client("gone", is_own=True)}, {"g": Group("g", clients={"gone": 1, "bob": 2})}, {}, {})
    now = joined(state, {"bob": True, "amy": False})
    assert now.clients == {"bob": Client("bob", disabled=True), "amy": Client("amy")}
    assert now.groups["g"].clients == {"bob": 2}
    assert now.remembered == {"bob"}


def carried(state, *commands):
    payload = json.dumps({"commands": commands}).encode()
    wanted = carried_out(state, payload, {}, lambda before, after: why_not(before, after, strict=True))
    return wanted.state, [response.error for response in wanted.responses]


def rule(kind, topic, allow=True, priority=0):
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def test_the_policy_decides_as_the_rules_say():
    acls = [
        rule("publishClientSend", "a/x", False, 1),
        rule("publishClientSend", "a/#"),
        rule("subscribePattern", "b/#"),
    ]
    state, errors = carried(
        first_state(receive=True),
        {"command": "createRole", "rolename": "r", "acls": acls},
        {"command": "createClient", "username": "bob", "clientid": "Bob's own", "roles": [{"rolename": "r"}]},
    )
    assert errors == [None, None]
    text, policy = written(state)
    compiled = check(text, "dynsec.toml").compiled
    assert compiled is not None

    def may(action, topic):
        return compiled.decide(Request(action, topic, identity="bob", client_id="x", roles=policy.given["bob"])).allow

    assert may(Asked.PUBLISH, "a/y")
    assert not may(Asked.PUBLISH, "a/x")
    assert may(Asked.RECEIVE, "b/c")
    assert not may(Asked.RECEIVE, "a/y")
    assert CLIENT_ID in policy.given["bob"]
    assert compiled.client_ids(policy.given["bob"]) == (f"{{attr.{CLIENT_ID}}}",)
    assert all(role.startswith(PREFIX) for role in policy.given["bob"])


def test_an_identity_that_no_command_made_gets_nothing_by_default():
    defaults = {"publishClientSend": True, "publishClientReceive": True, "subscribe": True, "unsubscribe": True}
    state = State({"press": Client("press"), "bob": Client("bob", is_own=True)}, {}, {}, defaults)
    assert set(translated(state).given) == {"bob"}


@pytest.mark.parametrize(
    ("acls", "why"),
    [
        ([rule("publishClientSend", "dev-%u/a")], "partial-variable, role 'r', publishClientSend dev-%u/a"),
        ([rule("publishClientSend", "$SYS/x")], "dollar-publish, role 'r', publishClientSend \\$SYS/x"),
        ([rule("subscribePattern", "a/#"), rule("subscribeLiteral", "a/+", False)], "literal, role 'r'"),
        (
            [rule("publishClientSend", "a/x", priority=1), rule("publishClientSend", "a/#", False), rule("publishClientSend", "#", priority=-1)],
            "order, role 'r', publishClientSend a/#\\): role 'r', publishClientSend a/x lets",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused_by_name_where_it_is_strict(acls, why):
    make = {"command": "createRole", "rolename": "r", "acls": acls}
    state, errors = carried(first_state(receive=True), make, {"command": "createClient", "username": "bob"})
    assert errors == [None, None], "nobody has it yet"
    give = {"command": "addClientRole", "username": "bob", "rolename": "r"}
    after, (error,) = carried(state, give)
    assert error is not None
    assert re.search(why, error), error
    assert after == state
    payload = json.dumps({"commands": [give]}).encode()
    wanted = carried_out(state, payload, {}, lambda before, after: why_not(before, after, strict=False))
    assert wanted.responses[0].error is None


@pytest.mark.parametrize(
    "command",
    [
        {"command": "createClient", "username": "a/b"},
        {"command": "createClient", "username": "anonymous"},
        {"command": "createClient", "username": "bob", "clientid": "a/b"},
        {"command": "createClient", "username": "bob", "clientid": "x" * 257},
    ],
)
def test_names_that_nobody_can_have_here_are_refused(command):
    state, (error,) = carried(first_state(receive=True), command)
    assert error is not None
    assert error.startswith("Not possible here: ")
    assert state.clients == {}
