"""Runs expectations against a policy: what it decides beside what was expected, as a report and as JUnit XML."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from bartizan.policy.compiled import Decision
from bartizan.policy.expectations import Expectation
from bartizan.policy.explain import Explainer
from bartizan.policy.places import Granted


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation and what the policy decides."""

    expected: Expectation
    decision: Decision
    rule: Granted | None

    @property
    def passed(self) -> bool:
        """True if it is as expected."""
        return self.decision.allow is self.expected.allow


def run_expectations(explainer: Explainer, expected: Sequence[Expectation]) -> list[Outcome]:
    """Every expectation, decided."""
    return [Outcome(each, *explainer.decide(each.subject, each.ask)) for each in expected]


def report(explainer: Explainer, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The failures, each as a difference between what was expected and what is; then the count."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        expected = outcome.expected
        yield f"FAILED {expected.file}:{expected.at.line}  {expected.test}"
        yield f"  as {expected.subject}"
        yield f"- {'allow' if expected.allow else 'deny '}  {expected.ask}"
        yield f"+ {_found(explainer, outcome)}"
        yield ""
    tests = len({(outcome.expected.file, outcome.expected.test) for outcome in outcomes})
    yield f"{tests} tests, {len(outcomes)} expectations, {len(failed)} failed"


def outcomes_dict(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The outcomes as JSON has them."""
    cases = [
        {
            "file": each.expected.file,
            "line": each.expected.at.line,
            "test": each.expected.test,
            "identity": each.expected.subject.identity,
            "request": str(each.expected.ask),
            "expected": "allow" if each.expected.allow else "deny",
            "decided": "allow" if each.decision.allow else "deny",
            "why": each.decision.why,
            "rule": each.decision.rule,
        }
        for each in outcomes
    ]
    return {"passed": all(each.passed for each in outcomes), "expectations": cases}


def _found(explainer: Explainer, outcome: Outcome) -> str:
    decision = outcome.decision
    where = f", {explainer.places.excerpt(outcome.rule)}" if outcome.rule else ""
    word = "allow" if decision.allow else "deny "
    return f"{word}  {str(decision).partition(': ')[2]}{where}"


def junit(explainer: Explainer, outcomes: Sequence[Outcome]) -> str:
    """The outcomes in JUnit's XML: a suite for each file, a case for each expectation."""
    suites = ET.Element("testsuites", _counts(outcomes))
    for file in dict.fromkeys(outcome.expected.file for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.expected.file == file]
        suite = ET.SubElement(suites, "testsuite", {"name": _clean(file), **_counts(own)})
        for outcome in own:
            expected = outcome.expected
            word = "allow" if expected.allow else "deny"
            case = {
                "classname": _clean(expected.test),
                "name": _clean(f"{expected.subject.identity}: {word} {expected.ask}"),
                "file": _clean(file),
                "line": str(expected.at.line),
            }
            element = ET.SubElement(suite, "testcase", case)
            if not outcome.passed:
                found = _clean(_found(explainer, outcome))
                ET.SubElement(element, "failure", {"message": found}).text = _clean(f"as {expected.subject}\n{found}")
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    failed = sum(not outcome.passed for outcome in outcomes)
    return {"tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "skipped": "0"}


def _clean(text: str) -> str:
    # XML 1.0 has no word for control characters, not even escaped.
    return "".join(char if char >= " " or char in "\n\t" else "\ufffd" for char in text)
