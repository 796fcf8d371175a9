"""Conditions, included roles and time windows, as the tools tell and try them."""

import json
from datetime import UTC, datetime

import pytest

from bartizan.model.ids import AttributeName, IdentityName, RoleName
from bartizan.model.principal import Identity
from bartizan.policy.advice import advise
from bartizan.policy.asyncapi import asyncapi
from bartizan.policy.compiled import Asked, Circumstances
from bartizan.policy.condition import Strength
from bartizan.policy.diff import Comparison
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.expectations import read_expectations
from bartizan.policy.page import page_of
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.testing import run_expectations
from bartizan.policy.who import identities_that_may, roles_that_may
from tests.unit.policy.plant import explainer, good

POLICY = """\
[topics."data/{site}/t"]
publish   = ["press"]
subscribe = ["dash"]
when      = { payload_bytes_max = 100 }

[topics."commands/{site}/stop"]
publish   = ["operator"]
subscribe = ["press"]
when      = { strength = "mfa", window = "shift" }

[roles.press]
binds = { site = "attr.site" }

[roles.dash]
binds = { site = "attr.site" }

[roles.operator]
includes = ["dash"]
binds    = { site = "attr.site" }
forbid   = [{ action = "publish", filter = "commands/#", when = { address = "192.0.2.0/24" }, reason = "guest net" }]

[windows.shift]
days = "mon-fri"
from = "06:00"
to   = "14:00"
zone = "UTC"
"""
STRONG = Circumstances("mqtts", "10.0.0.1", "certificate+jwt", (Strength.MFA,))
ANNA = Subject("anna", "anna", ("operator",), {"site": "a"}, STRONG, ("shift",))
STOP = Ask(Asked.PUBLISH, "commands/a/stop")


def test_a_condition_that_is_not_met_is_told_and_no_grant_goes_around_it():
    weak = Subject("anna", "anna", ("operator",), {"site": "a"}, Circumstances("mqtts"), ("shift",))
    told = explainer(POLICY).explain(weak, STOP)
    assert told.decision.why == "condition_not_met"
    assert told.advice == "the rule counts only with mfa, in shift: meet that, or change its `when`"
    assert told.grant is None
    assert explainer(POLICY).explain(ANNA, STOP).decision.allow


def test_a_rule_of_an_included_role_is_explained_where_it_stands():
    told = explainer(POLICY).explain(ANNA, Ask.parse("subscribe data/a/t"))
    assert told.rule is not None
    assert told.rule.name == 'roles.dash via topics."data/{site}/t".subscribe'
    assert str(told.excerpt) == "plant.toml:3"


def test_who_may_finds_a_member_for_whom_the_condition_holds():
    assert [access.subject.roles[0] for access in roles_that_may(explainer(POLICY), STOP)] == ["operator"]
    reading = Ask(Asked.SUBSCRIBE, "data/a/t")
    assert [access.subject.roles[0] for access in roles_that_may(explainer(POLICY), reading)] == ["dash", "operator"]


TESTS = """\
[principals.anna]
roles      = ["operator"]
attributes = { site = "a" }
listener   = "mqtts"
address    = "10.0.0.1"
method     = "certificate"
strength   = ["certificate", "mfa"]
windows    = ["shift"]

[principals.guest]
roles      = ["operator"]
attributes = { site = "a" }
address    = "192.0.2.7"
strength   = ["mfa"]
windows    = ["shift"]

[principals.press]
roles      = ["press"]
attributes = { site = "a" }

[tests.stop]
as    = "anna"
allow = ["publish commands/a/stop"]

[tests."not by the guest net"]
as   = "guest"
deny = ["publish commands/a/stop"]

[tests."small messages only"]
as    = "press"
allow = ["publish data/a/t bytes=100"]
deny  = ["publish data/a/t bytes=101"]
"""


def test_a_principal_says_how_it_is_connected_and_a_request_how_long_it_is():
    read = read_expectations(TESTS, "p.test.toml", ("press", "operator"), ("shift",))
    assert read.problems == ()
    outcomes = run_expectations(explainer(POLICY), read.expected)
    assert [outcome.passed for outcome in outcomes] == [True] * 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('address = "10.0.0"', "'10.0.0' does not appear to be an IPv4 or IPv6 address"),
        ('strength = ["mfaa"]', "strength has no mfaa"),
        ('windows = ["night"]', "windows has no night"),
    ],
)
def test_a_principal_that_cannot_be_is_told(line, message):
    read = read_expectations(f"[principals.p]\n{line}", "p.test.toml", (), ("shift",))
    assert [(problem.line, problem.message) for problem in read.problems] == [(2, message)]


def changes(new: str) -> dict[str, list[str]]:
    comparison = Comparison(explainer(POLICY, "old.toml"), explainer(new, "new.toml"))
    return {each.subject.roles[0]: [f"{one.sign} {one.example}" for one in each.changes] for each in comparison.roles()}


def test_diff_tells_a_condition_that_comes_or_goes():
    assert changes(POLICY.replace('when      = { strength = "mfa", window = "shift" }\n', "")) == {
        "operator": ["+ publish commands/site-1/stop"],
        "press": ["+ subscribe commands/site-1/stop"],
    }
    assert changes(POLICY.replace("payload_bytes_max = 100", "payload_bytes_max = 200")) == {
        "press": ["+ publish data/site-1/t bytes=101"]
    }
    assert changes(POLICY.replace('includes = ["dash"]\n', "")) == {"operator": ["- subscribe data/site-1/t"]}


def test_diff_knows_a_session_by_how_it_is_connected():
    new = POLICY.replace('strength = "mfa"', 'listener = "wss"')
    comparison = Comparison(explainer(POLICY, "old.toml"), explainer(new, "new.toml"))
    (changed,) = comparison.subjects([ANNA])
    assert [f"{one.sign} {one.example}" for one in changed.changes] == ["- publish commands/a/stop"]


def test_lint_lets_a_condition_be_a_reason():
    text = """[roles.x]
permit = [
  { action = "publish", filter = "a/#", when = { listener = "wss" } },
  { action = "publish", filter = "a/b" },
  { action = "publish", filter = "a/c", when = { listener = "wss" } },
]
forbid = [{ action = "publish", filter = "a/#", when = { address = "192.0.2.0/24" } }]
[roles.y]
includes = ["x"]
[roles.quarantine]
"""
    assert [(each.code, each.line) for each in advise(good(text))] == [("shadowed-permit", 5)]


def test_the_pages_tell_conditions_included_roles_and_hours():
    page = page_of(explainer(POLICY), "Plant", "")
    shown = markdown(page)
    assert "- May write: **operator** with mfa, in shift, of its own `{site}`" in shown
    assert "- May write: **press** with at most 100 octets, of its own `{site}` (attribute site)" in shown
    assert "- May read: **dash** of its own `{site}` (attribute site); **operator** of its own `{site}`" in shown
    assert "- Includes: dash" in shown
    assert "- Forbidden to publish `commands/#` from 192.0.2.0/24: guest net" in shown
    assert "- shift: mon, tue, wed, thu, fri from 06:00 to 14:00, UTC" in shown
    assert "Time windows" in html(page)
    assert "operator, with mfa, in shift" in json.dumps(json.loads(asyncapi(page)))


def test_who_tries_the_client_identifiers_that_a_role_lets_it_use():
    text = '[roles.x]\nbinds = { id = "client_id" }\nclient_id = "line-{attr.line}-*"\n'
    text += 'permit = [{ action = "publish", filter = "a/{id}" }]'
    line = (AttributeName("line"), "7")
    identity = Identity(IdentityName("gateway"), datetime.now(UTC), (RoleName("x"),), (line,))

    def found(topic: str) -> list[str]:
        told = identities_that_may(explainer(text), [identity], Ask(Asked.PUBLISH, topic))
        return [access.subject.client_id for access in told]

    assert found("a/line-7-b") == ["line-7-b"]
    assert found("a/line-8-b") == found("a/gateway") == []
