"""Fixtures of the security suite: a plant whose policy is `party.PLANT`."""

from collections.abc import Iterator

import pytest

from tests.security.party import Party, party


@pytest.fixture(scope="module")
def _plant() -> Iterator[Party]:
    with party() as running:
        running.enrol("press-01", "press")
        running.enrol("press-02", "press")
        running.enrol("dash", "dashboard")
        running.enrol("dash-pw", "dashboard", password=True)
        running.enrol("nobody")
        running.enrol("monitor", "monitor")
        running.enrol("auditor", "auditor")
        running.enrol("historian", "historian")
        yield running


@pytest.fixture
def plant(_plant: Party) -> Party:
    """One broker for a module, with these identities; a test that changes identities or policy makes its own."""
    return _plant
