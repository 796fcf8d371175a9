"""What a running broker answers: its words where it refuses, also those of a broker that does not know the question."""

import httpx2
import pytest

from bartizan.cli.control import answered
from bartizan.errors import InvalidValue


def test_what_is_told_is_told() -> None:
    assert answered(httpx2.Response(200, json={"count": 3})) == {"count": 3}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx2.Response(422, json={"error": "there is no runbook 'x'"}), "there is no runbook 'x'"),
        (httpx2.Response(404, text="Not Found"), "the broker refused it (404)"),
        (httpx2.Response(500, json=["no", "object"]), "the broker refused it (500)"),
    ],
)
def test_a_refusal_is_told_in_the_brokers_words(answer: httpx2.Response, says: str) -> None:
    with pytest.raises(InvalidValue) as told:
        answered(answer)
    assert str(told.value) == says
