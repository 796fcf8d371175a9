"""Every error that is raised on purpose has a status, and no answer repeats what was sent."""

import inspect

import pytest
from fastapi.exceptions import RequestValidationError

from bartizan import errors
from bartizan.api.problems import STATUS, _of_ours, _of_validation, kind_of
from bartizan.errors import BartizanError

OURS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BartizanError)]


def test_every_error_has_a_status_of_its_own():
    assert len(OURS) > 8
    assert {kind for kind in OURS if kind is not BartizanError} <= STATUS.keys()


@pytest.mark.parametrize("kind", sorted(STATUS, key=str), ids=lambda kind: kind.__name__)
def test_an_error_is_told_in_words(kind):
    error = kind("what", "where", "fix") if kind is errors.ConfigurationError else kind("what went wrong")
    answer = _of_ours(None, error)  # pyrefly: ignore[bad-argument-type]
    assert answer.status_code == STATUS[kind]
    assert answer.media_type == "application/problem+json"
    assert kind_of(kind) == "".join(f"-{char.lower()}" if char.isupper() else char for char in kind.__name__)[1:]


def test_what_was_sent_is_not_repeated():

    wrong = {"loc": ("body", "password"), "msg": "too long", "input": "hunter2", "ctx": {"given": "hunter2"}}
    answer = _of_validation(None, RequestValidationError([wrong]))  # pyrefly: ignore[bad-argument-type]
    assert b"hunter2" not in bytes(answer.body)
    assert b"too long" in bytes(answer.body)
