"""Expectations: read with places, run against the policy, told as a difference and as JUnit XML."""

from xml.etree import ElementTree as ET

import pytest

from bartizan.policy.expectations import read_expectations
from bartizan.policy.testing import junit, report, run_expectations
from tests.unit.policy.plant import explainer

TESTS = """\
[principals.press-01]
roles      = ["press"]
attributes = { site = "chicago" }

[principals.other]
identity  = "press-02"
client_id = "press-02-b"
roles     = ["press"]

[tests."a press writes its own topics only"]
as    = "press-01"
allow = ["publish data/chicago/press-01/temperature qos=1 retain"]
deny  = [
  "publish data/chicago/press-02/temperature",
  "subscribe #",
]

[tests."a press of no site may nothing"]
as   = ["other", { identity = "x", roles = ["press"] }]
deny = ["publish data/chicago/press-02-b/status"]
"""
ROLES = ("press", "dash", "admin")


def test_expectations_are_read_with_their_places():
    read = read_expectations(TESTS, "p.test.toml", ROLES)
    assert read.problems == ()
    assert [(each.subject.identity, each.subject.client_id, each.allow, each.at.line) for each in read.expected] == [
        ("press-01", "press-01", True, 12),
        ("press-01", "press-01", False, 14),
        ("press-01", "press-01", False, 15),
        ("press-02", "press-02-b", False, 20),
        ("x", "x", False, 20),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = = 1", 1, "Invalid value"),
        ("test = 1", 1, "unknown key test"),
        ("[principals.p]\nrole = []", 2, "unknown key role"),
        ('[principals.p]\nroles = ["pres"]', 2, "the policy has no role pres"),
        ('[tests.t]\nallow = ["publish a"]', 1, "as is missing"),
        ('[tests.t]\nas = "p"\nallow = ["publish a"]', 2, "there is no principal p"),
        ('[principals.p]\n[tests.t]\nas = "p"', 2, "this test expects nothing"),
        ('[principals.p]\n[tests.t]\nas = "p"\nallow = ["publish"]', 4, "'publish': write it as"),
        ('[principals.p]\n[tests.t]\nas = "p"\nallow = ["publish a/+"]', 4, "'a/+' is no Topic Name"),
        ('[principals.p]\n[tests.t]\nas = "p"\ndeny = [1]', 4, "an expectation is a text"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_nothing_is_run(text, line, message):
    read = read_expectations(text, "p.test.toml", ROLES)
    assert read.expected == ()
    assert [(problem.line, problem.message[: len(message)]) for problem in read.problems] == [(line, message)]


def test_a_policy_that_does_what_is_expected_passes():
    outcomes = run_expectations(explainer(), read_expectations(TESTS, "p.test.toml", ROLES).expected)
    assert all(outcome.passed for outcome in outcomes)
    assert list(report(explainer(), outcomes)) == ["2 tests, 5 expectations, 0 failed"]


FAILING = TESTS.replace("qos=1 retain", "qos=2").replace("subscribe #", "publish data/chicago/press-01/status")


def test_a_failure_is_told_as_a_difference():
    outcomes = run_expectations(explainer(), read_expectations(FAILING, "p.test.toml", ROLES).expected)
    assert list(report(explainer(), outcomes)) == [
        "FAILED p.test.toml:12  a press writes its own topics only",
        "  as press-01 (roles press; site=chicago)",
        "- allow  publish data/chicago/press-01/temperature qos=2",
        (
            '+ deny   a rule permits it only with a lower QoS (roles.press via topics."data/{site}/{asset}/temperature"'
            ".publish), plant.toml:6"
        ),
        "",
        "FAILED p.test.toml:15  a press writes its own topics only",
        "  as press-01 (roles press; site=chicago)",
        "- deny   publish data/chicago/press-01/status",
        '+ allow  a rule permits it (roles.press via topics."data/{site}/{asset}/status".publish), plant.toml:11',
        "",
        "2 tests, 5 expectations, 2 failed",
    ]


def test_junit_has_a_case_for_each_expectation_and_its_failure():
    outcomes = run_expectations(explainer(), read_expectations(FAILING, "p.test.toml", ROLES).expected)
    root = ET.fromstring(junit(explainer(), outcomes))
    assert (root.tag, root.attrib["tests"], root.attrib["failures"]) == ("testsuites", "5", "2")
    cases = root.findall("testsuite/testcase")
    assert len(cases) == 5
    assert [case.attrib["line"] for case in cases if case.find("failure") is not None] == ["12", "15"]
    assert cases[0].attrib["name"] == "press-01: allow publish data/chicago/press-01/temperature qos=2"


def test_junit_is_xml_whatever_a_topic_holds():
    text = '[principals.p]\n[tests."<&>\\u0001"]\nas = "p"\ndeny = ["publish <a>&b"]'
    outcomes = run_expectations(explainer(), read_expectations(text, "p.test.toml", ROLES).expected)
    assert ET.fromstring(junit(explainer(), outcomes)).find("testsuite/testcase") is not None
