"""`bartizan audit`: the record of changes and events. It is read where it lies, also while a broker runs, or from a copy."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.audit.cursor import near_end, read_on
from bartizan.audit.keys import PublicKey, public_key
from bartizan.audit.search import record
from bartizan.audit.segments import CHANGES, EVENTS, LOGS
from bartizan.audit.verify import Verified, verify_all
from bartizan.cli.audit_export import export
from bartizan.cli.audit_filter import NO_FILTER, Copy, Filter, directory_of
from bartizan.cli.audit_lines import line_text, record_text, reference
from bartizan.cli.listing import Data, Flag, Json, print_json
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.config.files import read_file
from bartizan.errors import InvalidValue, NotFound

app = App(
    name="audit",
    help="Show, search, follow, export and verify the record of changes and events.",
)
app.command(export)

FOLLOW_INTERVAL_S = 0.5
OPEN_SHOWN_MAX = 10


@app.command(name="verify")
def verify_(
    *,
    from_: Copy = None,
    key: Annotated[Path | None, Parameter(show_default=False)] = None,
    expect: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    data: Data = DEFAULT_DATA,
    json_output: Json = False,
) -> int:
    """Verify the record: name what was altered, removed, reordered, cut off or forged. Exit code 1 if anything was.

    For example:

        bartizan audit verify

        bartizan audit verify --from /mnt/copy/audit --key plant-1.pub --expect c4711:9c0e...

    Parameters
    ----------
    key
        The public key (PEM) that must have signed it, as `bartizan audit key` showed it. Default: the one beside it.
    expect
        A record and its hash that somebody kept elsewhere, such as c4711:9c0e...; may be given several times.
    """
    directory = directory_of(from_, data)
    signer = PublicKey(read_file(key, "the public key")) if key else None
    expected: dict[str, dict[int, str]] = {name: {} for name in LOGS}
    for text in expect:
        name, seq, digest = _expected(text)
        expected[name][seq] = digest
    found = verify_all(directory, signer, expected)
    is_whole = all(each.is_whole for each in found.values())
    if json_output:
        print_json({"whole": is_whole, "logs": {name: each.as_dict() for name, each in found.items()}})
    else:
        print("\n".join(line for name, each in found.items() for line in _lines(name, each)))
    return 0 if is_whole else 1


@app.command
def search(
    text: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    wanted: Filter = NO_FILTER,
    json_output: Json = False,
) -> int:
    """Search the record. `*` and `?` stand for any characters.

    For example:

        bartizan audit search --target press-01 --since 7d

        bartizan audit search --what 'credential.*' --who alice --json

    Parameters
    ----------
    text
        Somewhere in a record, whatever the case of its letters.
    """
    _print(wanted.found(text), as_json=json_output)
    return 0


@app.command
def tail(
    *,
    lines: Annotated[int, Parameter(name=("--lines", "-n"))] = 20,
    follow: Annotated[Flag, Parameter(name=("--follow", "-f"))] = False,
    data: Data = DEFAULT_DATA,
    json_output: Json = False,
) -> int:
    """Show the last records, and with --follow those that come, until Ctrl-C.

    For example:

        bartizan audit tail --follow

    Parameters
    ----------
    lines
        So many records of those that are there.
    follow
        Wait for more.
    """
    directory = directory_of(None, data)
    cursors = {name: near_end(directory / name, max(lines, 0)) for name in LOGS}
    kept: int | None = max(lines, 0)
    while True:
        new: list[dict[str, Any]] = []
        for name in LOGS:
            for each, reached in read_on(directory / name, cursors[name]):
                cursors[name] = reached
                new.append(each)
        new.sort(key=lambda each: each["at"])
        _print(new if kept is None else new[len(new) - min(kept, len(new)) :], as_json=json_output)
        if not follow:
            return 0
        kept = None
        sys.stdout.flush()
        time.sleep(FOLLOW_INTERVAL_S)


@app.command(name="show")
def show_(which: str, /, *, from_: Copy = None, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
    """Show one record whole: what was before, and what after.

    For example:

        bartizan audit show c17

    Parameters
    ----------
    which
        Its number: c17 is the 17th of the changes, e17 of the events.
    """
    name, seq = _reference(which)
    found = record(directory_of(from_, data) / name, seq)
    if found is None:
        raise NotFound(f"there is no record {which}, or it is not as it was written: `bartizan audit verify` tells")
    if json_output:
        print_json(found)
    else:
        print("\n".join(record_text(found)))
    return 0


@app.command(name="key")
def key_(*, from_: Copy = None, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
    """Show the public key that verifies the record. Keep it on another machine: who can write here could make both anew.

    For example:

        bartizan audit key > plant-1.pub
    """
    found = public_key(directory_of(from_, data))
    if found is None:
        raise NotFound("nothing was recorded yet: the first record makes the key")
    if json_output:
        print_json({"name": found.name, "pem": found.pem})
    else:
        print(found.pem, end="")
        print(f"SHA-256 {found.name}", file=sys.stderr)
    return 0


def _reference(text: str) -> tuple[str, int]:
    """`c17` or `17` of the changes, `e17` of the events."""
    name = EVENTS if text[:1] == "e" else CHANGES
    digits = text[1:] if text[:1] in {"c", "e"} else text
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidValue(f"{text!r} is no record: c17 is the 17th of the changes, e17 of the events")
    return name, int(digits)


def _expected(text: str) -> tuple[str, int, str]:
    which, colon, digest = text.partition(":")
    if not colon or not digest.strip():
        raise InvalidValue(f"{text!r} is no record with its hash, such as c4711:9c0e...")
    return *_reference(which), digest.strip().lower()


def _print(found: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """One a line, so that any number of them can be printed: as JSON, each line is an object."""
    for each in found:
        print(json.dumps(each) if as_json else line_text(each))


def _lines(name: str, found: Verified) -> Iterable[str]:
    yield from (f"problem in {name}: {problem}" for problem in found.problems)
    yield from (f"note on {name}: {note}" for note in found.notes)
    for seq, what in list(found.open_changes.items())[:OPEN_SHOWN_MAX]:
        yield f"note on {name}: record {seq} ({what}) has no outcome: it is being done, or the process ended meanwhile"
    if len(found.open_changes) > OPEN_SHOWN_MAX:
        yield f"note on {name}: nor have {len(found.open_changes) - OPEN_SHOWN_MAX} more (--json tells all)"
    signed = f"{found.checkpoints} checkpoints of key {found.key[:16]}" if found.key else "no key to hold them against"
    files = f"{found.segments} file{'' if found.segments == 1 else 's'}"
    state = "whole" if found.is_whole else "NOT AS WRITTEN"
    yield f"{name}: {found.records} records ({found.first_seq} to {found.last_seq}) in {files}, {signed}: {state}"
    if found.records:
        yield f"last record {reference(name, found.last_seq)}:{found.last_hash}"
