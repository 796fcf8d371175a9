"""`bartizan policy apply` and `rollback`: another policy in force, after a look at what it changes."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.change import undo_interrupted
from bartizan.broker.history import Kind, Version
from bartizan.broker.log import escaped
from bartizan.broker.place import is_expectations
from bartizan.broker.preflight import Ground, Preflight, brought_back, is_there, put, refuse_by_hand
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.files import Flag, Json
from bartizan.cli.policy.preflight import Site, preflight
from bartizan.cli.policy.there import Way, agreed, apply_there, rollback_there
from bartizan.cli.remote import Server
from bartizan.errors import ConfigurationError

Tests = Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Manner:
    """How a policy is put in force."""

    note: str = ""
    """Why, for the history."""
    dry_run: Flag = False
    """Only look: nothing is recorded, written or loaded."""
    yes: Flag = False
    """Do not ask. Needed where nobody can be asked, and with --json."""
    take_over: Flag = False
    """Also if the files were changed by hand since the last version: that state is recorded first."""
    data: Path = DEFAULT_DATA
    """The broker's data directory."""
    config: Path | None = None
    """The configuration file. Default: bartizan.toml of the data directory."""
    server: Server = None
    """A broker elsewhere, such as https://mqtt.example.com:8444, after `bartizan login`. Default: that of --data."""
    json_output: Json = False
    """Print one JSON object."""

    def way(self, server: str) -> Way:
        """The same, there."""
        return Way(server, self.note, self.take_over, self.dry_run, self.yes, self.json_output)


_PLAIN = Manner()


def apply(*new: Path, tests: Tests = (), strict: Flag = False, manner: Manner = _PLAIN) -> int:
    """Put a policy in force: check, lint, test and compare it, record it, write it, have the broker load it.

    The tests that were run go with it: they are on record, and lie beside it from then on. If the broker does not take it, all is as before. Without a running broker it is only written. Exit code 1 if it
    was not put in force, 2 if it is no policy.

    For example:

        bartizan policy apply new.toml --dry-run

        bartizan policy apply policy/ --note "presses of hall 3" --yes

    Parameters
    ----------
    new
        The new policy: files or directories of them, which together are one. Default: the files that are there.
    tests
        A file of expectations; several times. Default: every *.test.toml beside the new policy, else beside the old.
    strict
        Exit code 1, with nothing changed, if lint finds something.
    """
    if manner.server is not None:
        return apply_there(manner.way(manner.server), new, tests, strict=strict)
    site = Site.of(manner.data, manner.config)
    ground = site.ground
    with ground.history.changing():
        _undo_interrupted(ground, manner)
        _refuse_by_hand(ground, manner)
        named = new or tuple(path for name, path in ground.place.files().items() if not is_expectations(name))
        if not named:
            raise ConfigurationError("there is no policy yet", str(ground.place.named[0]), "name the new one")
        found = preflight(site, named, tests)
        if found is None:
            return 2
        if not found.tests_pass or (strict and found.findings):
            return _told(found, None, manner, "not put in force: see above", code=1)
        return _put(ground, found, manner, Kind.APPLY)


def rollback(number: int | None = None, /, *, manner: Manner = _PLAIN) -> int:
    """Put an earlier policy in force again; that is a version of its own in the history.

    For example:

        bartizan policy rollback --dry-run

        bartizan policy rollback 3 --note "the new presses cannot report" --yes

    Parameters
    ----------
    number
        The version, as `bartizan policy history` numbers it. Default: the policy before the one in force.
    """
    if manner.server is not None:
        return rollback_there(manner.way(manner.server), number)
    ground = Site.of(manner.data, manner.config).ground
    with ground.history.changing():
        _undo_interrupted(ground, manner)
        _refuse_by_hand(ground, manner)
        found, version = brought_back(ground, number)
        return _put(ground, found, manner, Kind.ROLLBACK, of=version.number)


def _put(ground: Ground, found: Preflight, manner: Manner, kind: Kind, of: int | None = None) -> int:
    if is_there(ground, found):
        return _told(found, None, manner, f"policy {found.digest[:12]} is there already", code=0)
    if manner.dry_run:
        return _told(found, None, manner, f"policy {found.digest[:12]} could be put in force", code=0)
    if not manner.json_output:
        print("\n".join(map(escaped, found.lines())))
    if not agreed(f"Put policy {found.digest[:12]} in force", yes=manner.yes, as_json=manner.json_output):
        return 1
    at = datetime.now(UTC)
    version = put(ground, found, kind, at=at, note=manner.note, takes_over=manner.take_over, of=of)
    no_broker = "" if ground.running else "; no broker runs here: its next start loads it"
    outcome = f"version {version.number}, policy {version.digest[:12]}, is {version.state.replace('-', ' ')}{no_broker}"
    return _told(found, version, manner, outcome, code=0, shown=True)


def _told(
    found: Preflight, version: Version | None, manner: Manner, outcome: str, *, code: int, shown: bool = False
) -> int:
    if manner.json_output:
        told = {"version": version and version.as_dict(), "outcome": outcome}
        print(json.dumps(found.as_dict() | told))
    else:
        print("\n".join(map(escaped, [*([] if shown else found.lines()), outcome])))
    return code


def _undo_interrupted(ground: Ground, manner: Manner) -> None:
    if manner.dry_run:
        return
    undone = undo_interrupted(ground.place, ground.history, ground.running, ground.trail)
    if undone is not None:
        print(f"version {undone.number} was interrupted and is undone", file=sys.stderr)


def _refuse_by_hand(ground: Ground, manner: Manner) -> None:
    if not manner.take_over:
        refuse_by_hand(ground, "--take-over puts that on record and goes on")
