"""Every promise and every invariant has a number of its own, and names a test that exists or says `pending`."""

import re

import pytest

from tests.docs.markdown import ROOT

_ROW = re.compile(r"^\| (S\d+\.\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PROMISES = _ROW.findall((ROOT / "SPECIFICATION.md").read_text(encoding="utf-8"))
INVARIANTS = re.findall(
    r"^\| (I\d+) \| .+? \| (.+?) \|$", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_promises_are_numbered_once() -> None:
    numbers = [number for number, _, _ in PROMISES]
    assert len(numbers) > 40
    assert len(numbers) == len(set(numbers))
    assert [number for number, _ in INVARIANTS] == [f"I{at}" for at in range(1, 13)]


@pytest.mark.parametrize(("number", "promise", "kept_by"), PROMISES, ids=[number for number, _, _ in PROMISES])
def test_a_promise_names_a_test_that_exists_or_is_pending(number: str, promise: str, kept_by: str) -> None:
    if kept_by == "pending":
        return
    named = re.findall(r"`([^`]+)`", kept_by)
    assert named, f"{number} names no test: {promise}"
    for name in named:
        assert exists(name), name


def exists(name: str) -> bool:
    """`path` or `path::name` is in the checkout."""
    path, _, test = name.partition("::")
    if not test:
        return (ROOT / path).exists()
    return re.search(rf"\b(def|fn) {re.escape(test)}\b", (ROOT / path).read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize(("number", "kept_by"), INVARIANTS, ids=[number for number, _ in INVARIANTS])
def test_an_invariant_names_tests_that_exist_or_what_keeps_it(number: str, kept_by: str) -> None:
    named = [name for name in re.findall(r"`([^`]+)`", kept_by) if "/" in name]
    assert named or re.match(r"pending|review", kept_by), number
    assert [name for name in named if not exists(name)] == []
