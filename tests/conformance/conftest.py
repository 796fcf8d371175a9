"""Fixtures of the conformance suite: the broker, a test's `lab`, and one open `wire`."""

from collections.abc import Iterator

import pytest

from tests.conformance.lab import Lab, Target, target
from tests.conformance.wire import Wire


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(*ids, v): the normative statements a test proves")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The broker under test, started once."""
    with target(tmp_path_factory.mktemp("broker") / "data") as where:
        yield where


@pytest.fixture
def lab(broker: Target) -> Iterator[Lab]:
    """Connections and names of one test."""
    one = Lab(broker)
    yield one
    one.close()


@pytest.fixture
def wire(lab: Lab) -> Wire:
    """An MQTT 5 connection on which nothing has been said."""
    return lab.dial()
