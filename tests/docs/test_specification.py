"""Every promise has a number of its own, and names a test that exists or says `pending`."""

import re

import pytest

from tests.docs.markdown import ROOT

_ROW = re.compile(r"^\| (S\d+\.\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PROMISES = _ROW.findall((ROOT / "SPECIFICATION.md").read_text(encoding="utf-8"))


def test_promises_are_numbered_once() -> None:
    numbers = [number for number, _, _ in PROMISES]
    assert len(numbers) > 40
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(("number", "promise", "kept_by"), PROMISES, ids=[number for number, _, _ in PROMISES])
def test_a_promise_names_a_test_that_exists_or_is_pending(number: str, promise: str, kept_by: str) -> None:
    if kept_by == "pending":
        return
    named = re.findall(r"`([^`]+)`", kept_by)
    assert named, f"{number} names no test: {promise}"
    for name in named:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        source = (ROOT / path).read_text(encoding="utf-8") if test else ""
        assert not test or re.search(rf"\b(def|fn) {re.escape(test)}\b", source), name
