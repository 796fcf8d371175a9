"""Fixtures for every suite, and the closing words about what a run had to leave out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres as postgresql
from tests.left_out import LEFT_OUT, require_directory, require_program

ROOT = Path(__file__).resolve().parent.parent

# The same examples in every run of CI: a failure there can be repeated anywhere.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.Server]:
    """A real PostgreSQL, started once for each process of tests that asks for it."""
    with postgresql.started() as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto_pub() -> Path:
    """Mosquitto's publishing client."""
    return require_program("mosquitto_pub", "mosquitto-clients")


@pytest.fixture(scope="session")
def mosquitto_sub() -> Path:
    """Mosquitto's subscribing client."""
    return require_program("mosquitto_sub", "mosquitto-clients")


@pytest.fixture(scope="session")
def node() -> Path:
    """Node.js with MQTT.js installed beside tests/integration/node."""
    require_directory(ROOT / "tests/integration/node/node_modules/mqtt", "install npm, then make test")
    return require_program("node", "nodejs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly which tests did not run because something is not installed."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    left_out = sorted({reason.removeprefix("Skipped: ") for reason in reasons if LEFT_OUT in reason})
    if not left_out:
        return
    terminalreporter.section("TESTS WERE LEFT OUT", sep="!", red=True, bold=True)
    for reason in left_out:
        terminalreporter.line(f"{reason} ({sum(reason in each for each in reasons)} tests)")
