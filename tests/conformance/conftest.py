"""Fixtures of the conformance suite: the broker, a test's `lab`, and one open `wire`."""

import os
from collections.abc import Iterator

import pytest

from bartizan.testing import Broker
from tests.conformance.challenge import DEADLINE_S, challenging
from tests.conformance.lab import TARGET, Lab, Target, target
from tests.conformance.steps import forget
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


@pytest.fixture
def topic(lab: Lab) -> Iterator[str]:
    """A topic whose Retained Message is removed at the end."""
    name = lab.topic("kept")
    yield name
    forget(lab.client("z"), name)


@pytest.fixture
def publisher(lab: Lab) -> Wire:
    """Who causes what the other client sees."""
    return lab.client("p")


@pytest.fixture(scope="session")
def challenging_broker() -> Iterator[tuple[Target, Broker]]:
    """Our own broker with an Authentication Method, started once."""
    if os.environ.get(TARGET):
        pytest.skip("no foreign broker speaks our test's Authentication Method")
    with challenging() as running:
        yield running


@pytest.fixture
def method_lab(challenging_broker: tuple[Target, Broker]) -> Iterator[Lab]:
    """Connections and names of one test at the broker that has an Authentication Method."""
    one = Lab(challenging_broker[0])
    yield one
    one.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Lab]:
    """A broker that gives an authentication little time."""
    with challenging(f"listeners.mqtt.limits.connect_timeout_s={DEADLINE_S}") as (where, _):
        one = Lab(where)
        yield one
        one.close()
