"""The compiled policy decides, names the rule and says why."""

import hashlib
import json

import pytest

from bartizan.errors import InvalidValue
from bartizan.policy import Asked, CompiledPolicy, Decision, Request, check, default_policy_text
from bartizan.policy.compile import digest

PRESS = {"identity": "press-01", "client_id": "press-01", "roles": ("press",), "attributes": {"site": "chicago"}}
OWN = "data/chicago/hall-2/press-01/temperature"


@pytest.fixture(scope="module")
def policy() -> CompiledPolicy:
    compiled = check(default_policy_text(), "default").compiled
    assert compiled is not None
    return compiled


def test_a_press_publishes_its_own_temperature_by_the_rule_of_the_topic(policy):
    decision = policy.decide(Request(Asked.PUBLISH, OWN, **PRESS))
    rule = 'roles.press via topics."data/{site}/{area}/{asset}/temperature".publish'
    assert decision == Decision(allow=True, per_delivery=False, rule=rule, why="permitted")
    assert str(decision) == f"allow: a rule permits it ({rule})"


@pytest.mark.parametrize(
    ("change", "topic", "why"),
    [
        ({}, "data/detroit/hall-2/press-01/temperature", "no_permit"),
        ({}, "data/chicago/hall-2/press-02/temperature", "no_permit"),
        ({}, "data/chicago/hall-2/press-01", "no_permit"),
        ({"client_id": "+"}, OWN, "no_permit"),
        ({"attributes": {}}, OWN, "no_permit"),
        ({"attributes": {"site": "+"}}, OWN, "no_permit"),
        ({"roles": ()}, OWN, "no_permit"),
        ({"roles": ("anonymous",)}, OWN, "no_permit"),
        ({"qos": 2}, OWN, "qos_above_max"),
        ({}, "$SYS/broker/uptime", "server_topic"),
        ({"roles": ("admin", "press")}, "actuators/1", "forbidden"),
    ],
)
def test_everything_else_is_denied_and_says_why(policy, change, topic, why):
    decision = policy.decide(Request(Asked.PUBLISH, topic, **(PRESS | change)))
    assert (decision.allow, decision.why) == (False, why)


def test_a_command_is_not_retained(policy):
    dash = Request(
        Asked.PUBLISH, "commands/chicago/h/p/stop", roles=("dashboard",), attributes={"site": "chicago"}, retain=True
    )
    assert policy.decide(dash).why == "retain_not_allowed"


@pytest.mark.parametrize(
    ("role", "asked", "allow"),
    [
        ("dashboard", "data/chicago/+/+/temperature", True),
        ("dashboard", "data/+/+/+/temperature", False),
        ("dashboard", "#", False),
        ("monitor", "$SYS/#", True),
        ("monitor", "#", False),
        ("admin", "#", True),
        ("admin", "$SYS/#", False),
    ],
)
def test_a_subscription_is_granted_where_it_is_covered(policy, role, asked, allow):
    request = Request(Asked.SUBSCRIBE, asked, identity="x", roles=(role,), attributes={"site": "chicago"})
    assert policy.decide(request).allow is allow


def test_a_filter_with_a_forbidden_part_is_decided_at_each_delivery():
    text = """[roles.x]
permit = [{ action = "subscribe", filter = "a/#" }]
forbid = [{ action = "subscribe", filter = "a/+/secret" }]"""
    policy = check(text, "p").compiled
    assert policy is not None
    assert policy.decide(Request(Asked.SUBSCRIBE, "a/#", roles=("x",))).per_delivery
    assert not policy.decide(Request(Asked.SUBSCRIBE, "a/b", roles=("x",))).per_delivery
    assert not policy.decide(Request(Asked.RECEIVE, "a/b/secret", roles=("x",))).allow


def test_who_lacks_a_value_does_not_escape_a_forbid():
    text = """[roles.x]
binds = { site = "attr.site" }
permit = [{ action = "publish", filter = "#" }]
forbid = [{ action = "publish", filter = "{site}/stop" }]"""
    policy = check(text, "p").compiled
    assert policy is not None
    own, other = {"site": "a"}, "b/stop"
    assert policy.decide(Request(Asked.PUBLISH, other, roles=("x",), attributes=own)).allow
    nothing: dict[str, str] = {}
    for lacking in (nothing, {"site": ""}, {"site": "+"}, {"site": "b/c"}):
        assert not policy.decide(Request(Asked.PUBLISH, other, roles=("x",), attributes=lacking)).allow


@pytest.mark.parametrize(
    "request_",
    [
        Request(Asked.PUBLISH, "a/+"),
        Request(Asked.SUBSCRIBE, "a#"),
        Request(Asked.PUBLISH, ""),
        Request(Asked.PUBLISH, "a", qos=3),
    ],
)
def test_what_is_no_request_is_refused(policy, request_):
    with pytest.raises(InvalidValue):
        policy.decide(request_)


def test_a_policy_is_named_by_the_digest_of_its_image(policy):
    assert policy.digest == hashlib.sha256(policy.image).hexdigest() == digest(policy.image)
    assert repr(policy) == f"<CompiledPolicy {policy.digest}>"
    assert CompiledPolicy(policy.image) == policy


@pytest.mark.parametrize("image", [b"", b"{}", b"[]", b'{"format":1,"roles":[]}', b"\xff"])
def test_bytes_that_are_no_image_are_refused(image):
    with pytest.raises(InvalidValue):
        CompiledPolicy(image)


def test_an_image_is_canonical_json(policy):
    text = json.dumps(json.loads(policy.image), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert text.encode() == policy.image


def test_limits_travel_in_the_image(policy):
    roles = {role["name"]: role for role in json.loads(policy.image)["roles"]}
    assert roles["press"]["limits"] == {"publish_rate_per_s": 100, "subscriptions_max": 16}


@pytest.mark.parametrize(("source", "own"), [("client_id", "c"), ("identity", "i"), ("attr.b", "vb"), ("attr.z", None)])
def test_a_variable_takes_the_value_of_its_own_source(source, own):
    text = f"""[roles.x]
binds = {{ v = "{source}" }}
permit = [{{ action = "publish", filter = "t/{{v}}" }}]"""
    policy = check(text, "p").compiled
    assert policy is not None
    who = {"identity": "i", "client_id": "c", "roles": ("x",), "attributes": {"a": "va", "b": "vb"}}
    for value in ("c", "i", "va", "vb"):
        assert policy.decide(Request(Asked.PUBLISH, f"t/{value}", **who)).allow is (value == own), value
