"""`bartizan policy apply` and `rollback`: another policy in force, after a look at what it changes."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.change import Change, by_hand, put_in_force, take_over, undo_interrupted
from bartizan.broker.history import Kind, Version
from bartizan.broker.place import is_expectations, texts_of
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.files import Flag, Json
from bartizan.cli.policy.preflight import Preflight, Site, looked_at, preflight
from bartizan.errors import ConfigurationError, Conflict, InvalidValue
from bartizan.policy import check_all

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
    json_output: Json = False
    """Print one JSON object."""


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
    site = Site.of(manner.data, manner.config)
    with site.history.changing():
        _undo_interrupted(site, manner)
        _refuse_by_hand(site, manner)
        named = new or tuple(path for name, path in site.place.files().items() if not is_expectations(name))
        if not named:
            raise ConfigurationError("there is no policy yet", str(site.place.named[0]), "name the new one")
        found = preflight(site, named, tests)
        if found is None:
            return 2
        if not found.tests_pass or (strict and found.findings):
            return _told(found, None, manner, "not put in force: see above", code=1)
        return _put(site, found, manner, Kind.APPLY)


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
    site = Site.of(manner.data, manner.config)
    with site.history.changing():
        _undo_interrupted(site, manner)
        _refuse_by_hand(site, manner)
        version = _earlier(site, number)
        contents = site.history.read(version.number)
        result = check_all(texts_of(contents, f"version {version.number}/"))
        if not result.ok:
            raise InvalidValue(f"version {version.number} is no policy (any more): {result.errors[0]}")
        found = looked_at(site, result, list(contents.items()))
        return _put(site, found, manner, Kind.ROLLBACK, of=version.number)


def _earlier(site: Site, number: int | None) -> Version:
    if number is not None:
        return site.history.version(number)
    current = site.history.current()
    if current is None:
        raise Conflict("no policy is on record yet: `bartizan policy apply` begins the history")
    # What was changed by hand is undone by the version that it was changed from.
    return current if by_hand(site.place, site.history) else site.history.before(current)


def _put(site: Site, found: Preflight, manner: Manner, kind: Kind, of: int | None = None) -> int:
    is_loaded = site.running is None or site.running.digest() == found.digest
    recorded = site.history.current() is not None and not by_hand(site.place, site.history)
    if not found.is_other and is_loaded and recorded:
        return _told(found, None, manner, f"policy {found.digest[:12]} is there already", code=0)
    if manner.dry_run:
        return _told(found, None, manner, f"policy {found.digest[:12]} could be put in force", code=0)
    if not manner.json_output:
        print("\n".join(found.lines()))
    if not _agreed(found, manner):
        print("not put in force: say --yes", file=sys.stderr)
        return 1
    at, who = datetime.now(UTC), site.trail.actor.name
    if found.is_other:
        take_over(site.place, site.history, site.trail, who=who, at=at, allowed=manner.take_over)
    elif not recorded:
        kind = Kind.TAKE_OVER if site.history.current() else Kind.FOUND
    change = Change(found.contents, found.digest, who, at, manner.note, kind, of)
    version = put_in_force(change, site.place, site.history, site.running, site.trail)
    no_broker = "" if site.running else "; no broker runs here: its next start loads it"
    outcome = f"version {version.number}, policy {version.digest[:12]}, is {version.state.replace('-', ' ')}{no_broker}"
    return _told(found, version, manner, outcome, code=0, shown=True)


def _told(
    found: Preflight, version: Version | None, manner: Manner, outcome: str, *, code: int, shown: bool = False
) -> int:
    if manner.json_output:
        told = {"version": version and version.as_dict(), "outcome": outcome}
        print(json.dumps(found.as_dict() | told))
    else:
        print("\n".join([*([] if shown else found.lines()), outcome]))
    return code


def _agreed(found: Preflight, manner: Manner) -> bool:
    """Whether the operator wants it: `--yes`, or an answer at a terminal."""
    if manner.yes:
        return True
    if manner.json_output or not sys.stdin.isatty():
        return False
    print(f"Put policy {found.digest[:12]} in force? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _undo_interrupted(site: Site, manner: Manner) -> None:
    if manner.dry_run:
        return
    undone = undo_interrupted(site.place, site.history, site.running, site.trail)
    if undone is not None:
        print(f"version {undone.number} was interrupted and is undone", file=sys.stderr)


def _refuse_by_hand(site: Site, manner: Manner) -> None:
    changed = by_hand(site.place, site.history)
    if changed and not manner.take_over:
        raise Conflict(
            f"changed by hand since the last version: {', '.join(changed)}. --take-over puts that on record and goes on"
        )
