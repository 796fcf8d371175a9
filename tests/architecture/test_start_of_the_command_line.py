"""What a verb does not need is not loaded for it: that is most of the time that it takes to start.

Each is run by an interpreter of its own, which tells what it imported.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

RUN = """
import gc, sys
from bartizan.cli.app import run
code = run(sys.argv[1:])
assert gc.isenabled(), "a verb that runs for long keeps its garbage"
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""
SERVERS = {"bartizan.broker.app", "bartizan.api.app", "uvicorn", "starlette", "prometheus_client"}
ASKING = {"httpx2", "asyncpg"}
TABLES = {"sqlalchemy"}
TERMINAL = {"textual"}
SETTINGS = {"pydantic", "bartizan.config.schema"}
CRYPTOGRAPHY = {"cryptography", "joserfc", "argon2"}
EVERYTHING = SERVERS | ASKING | TABLES | SETTINGS | CRYPTOGRAPHY


def loaded(*words: str, code: int = 0) -> set[str]:
    """The modules that are loaded after this call."""
    called = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert called.returncode == code, called.stderr
    names = set(called.stderr.splitlines()[-1].split())
    assert "bartizan.cli.app" in names
    return names


@pytest.mark.parametrize("words", [["--help"], ["policy"], ["policy", "--help"], ["--version"]], ids=" ".join)
def test_a_list_of_verbs_imports_none_of_them(words: list[str]) -> None:
    names = loaded(*words)
    assert not names & EVERYTHING
    ours = {name for name in names if name.startswith("bartizan.") and not name.startswith("bartizan.cli")}
    assert ours == {"bartizan.errors"}


def test_a_verb_on_policy_files_loads_no_more_than_the_language() -> None:
    assert not loaded("policy", "check", "examples/policies/plant.toml") & EVERYTHING


@pytest.mark.parametrize(
    "words",
    [
        ["policy", "test", "examples/policies/plant.toml", "--help"],
        ["policy", "explain", "--help"],
        ["store", "--help"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_verb_that_opens_no_database_loads_none(words: list[str]) -> None:
    assert not loaded(*words) & (SERVERS | ASKING | TABLES)


@pytest.mark.parametrize("verb", ["clients", "watch"])
def test_a_verb_that_asks_the_broker_loads_no_server(verb: str) -> None:
    assert not loaded(verb, "--help") & (SERVERS | TABLES | TERMINAL)


def test_identities_are_listed_without_a_broker_or_a_server(tmp_path: Path) -> None:
    """Refused, as no broker was set up there: by then all is loaded but the database."""
    names = loaded("identity", "list", "--data", str(tmp_path), code=2)
    assert not names & (SERVERS | ASKING | TABLES)
