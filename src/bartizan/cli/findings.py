"""`bartizan findings`: what detectors found, and what people make of it. A running broker follows within seconds."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from bartizan.audit.trail import Trail
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Flag, Json, print_json, show_record, show_table
from bartizan.cli.observed import seconds_text, since
from bartizan.cli.opening import DEFAULT_DATA, existing, settings_of, trail_of
from bartizan.errors import InvalidValue
from bartizan.model.finding import About, Kept, Mute, Severity, State
from bartizan.model.ids import parse_remark
from bartizan.store.findings import FindingStore

app = App(name="findings", help="Show what detectors found; acknowledge it, or mute it for a while.")

SHOWN_MAX = 200
MUTE_DEFAULT = "7d"

_COLUMNS = {
    "number": "no.",
    "last": "last",
    "severity": "severity",
    "count": "times",
    "detector": "detector",
    "text": "finding",
    "state": "state",
}
_SHOW = {
    "number": "number",
    "detector": "detector",
    "about": "about",
    "name": "name",
    "severity": "severity",
    "score": "score",
    "technique": "ATT&CK ICS",
    "count": "times",
    "first": "first",
    "last": "last",
    "state": "state",
    "by": "by",
    "why": "why",
    "text": "finding",
}
_MUTES = {"number": "no.", "detector": "detector", "of": "of", "until": "until", "by": "by", "why": "why"}

Why = Annotated[str, Parameter(show_default=False, help="The reason, for whoever asks later.")]


@app.command(name="list")
def list_(
    *,
    all_: Annotated[Flag, Parameter(name="--all", help="Those acknowledged or muted as well.")] = False,
    since_: Annotated[str | None, Parameter(name="--since", help="Not longer ago than this: 15m, 24h, 7d.")] = None,
    severity: Annotated[Severity, Parameter(help="Of this severity, or worse.")] = Severity.LOW,
    data: Data = DEFAULT_DATA,
    json_output: Json = False,
) -> int:
    """List findings that nobody has seen to, the last ones at the end.

    For example:

        bartizan findings list --since 24h --severity high
    """
    states = tuple(State) if all_ else (State.OPEN,)
    least = list(Severity).index(severity)
    kept = _store(data).findings(states, since(None if since_ is None else parse_duration(since_)))
    found = [each for each in kept if list(Severity).index(each.finding.severity) >= least]
    if json_output:
        print_json([record(each) for each in found])
        return 0
    shown = found[-SHOWN_MAX:]
    more = f", the last {SHOWN_MAX} shown (--json shows all)" if len(found) > SHOWN_MAX else ""
    columns = {key: head for key, head in _COLUMNS.items() if all_ or key != "state"}
    show_table([_row(each) for each in shown], columns, f"{len(found)} findings{more}")
    return 0


@app.command
def show(number: int, /, *, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
    """Show a finding and what became of it.

    For example:

        bartizan findings show 7

    Parameters
    ----------
    number
        Its number in `bartizan findings list`.
    """
    found = _store(data).finding(number)
    if json_output:
        print_json(record(found))
    else:
        show_record(_row(found) | {key: value for key, value in record(found).items() if key not in _TIMES}, _SHOW)
    return 0


@app.command
def ack(numbers: Annotated[list[int], Parameter(negative=())], /, *, why: Why, data: Data = DEFAULT_DATA) -> int:
    """Acknowledge findings: somebody has seen to them. One that gets much worse is open again.

    For example:

        bartizan findings ack 7 8 --why "the integrator's laptop, gone since"

    Parameters
    ----------
    numbers
        Their numbers in `bartizan findings list`.
    """
    trail, reason = _trail(data), _reason(why)
    with trail.changing("finding.acknowledge", f"finding/{','.join(map(str, numbers))}", why=reason):
        acknowledged = _store(data).acknowledge(numbers, trail.actor.name, reason)
    for kept in acknowledged:
        print(f"finding {kept.number} is acknowledged: {kept.finding.text}")
    return 0


@app.command
def mute(
    detector: str,
    /,
    *,
    why: Why,
    of: Annotated[
        str | None, Parameter(show_default=False, help="What about: identity:NAME or network:ADDRESS.")
    ] = None,
    for_: Annotated[str, Parameter(name="--for", help="How long: 8h, 7d.")] = MUTE_DEFAULT,
    data: Data = DEFAULT_DATA,
) -> int:
    """Have nobody told of such findings for a while. They are kept as muted; open ones become so.

    For example:

        bartizan findings mute reconnects --of identity:crane-04 --for 2d --why "new antenna on Monday"

    Parameters
    ----------
    detector
        The detector, as in `bartizan findings list`.
    """
    about, name = (None, "") if of is None else _subject(of)
    now = datetime.now(UTC)
    trail, until = _trail(data), now + parse_duration(for_)
    wanted = Mute(0, _detector(detector), about, name, _reason(why), trail.actor.name, now, until)
    after = {"of": of or "", "until": until.isoformat()}
    with trail.changing("detector.mute", f"detector/{detector}", after=after, why=wanted.why):
        made = _store(data).mute(wanted)
    print(f"mute {made.number}: {_of(made)} until {seconds_text(made.until)} UTC")
    return 0


@app.command
def mutes(*, data: Data = DEFAULT_DATA, json_output: Json = False) -> int:
    """List what is muted, until when, by whom and why.

    For example:

        bartizan findings mutes
    """
    found = _store(data).mutes(datetime.now(UTC))
    if json_output:
        print_json([mute_record(each) for each in found])
    else:
        rows = [{**mute_record(each), "of": _of(each), "until": seconds_text(each.until)} for each in found]
        show_table(rows, _MUTES, f"{len(found)} mutes")
    return 0


@app.command
def unmute(number: int, /, *, data: Data = DEFAULT_DATA) -> int:
    """End a mute. What is found from then on is told.

    For example:

        bartizan findings unmute 2

    Parameters
    ----------
    number
        Its number in `bartizan findings mutes`.
    """
    with _trail(data).changing("detector.unmute", f"mute/{number}"):
        ended = _store(data).unmute(number)
    print(f"mute {ended.number} is over: {_of(ended)}")
    return 0


_TIMES = frozenset({"first_at", "last_at"})


def record(kept: Kept) -> dict[str, object]:
    """A finding as JSON."""
    found = kept.finding
    return {
        "number": kept.number,
        "detector": found.detector,
        "about": str(found.about),
        "name": found.name,
        "severity": str(found.severity),
        "score": found.score,
        "technique": found.technique,
        "text": found.text,
        "count": kept.count,
        "first_at": kept.first_at,
        "last_at": kept.last_at,
        "state": str(kept.state),
        "by": kept.by,
        "why": kept.why,
    }


def mute_record(muted: Mute) -> dict[str, object]:
    """A mute as JSON."""
    return {
        "number": muted.number,
        "detector": muted.detector,
        "about": None if muted.about is None else str(muted.about),
        "name": muted.name,
        "why": muted.why,
        "by": muted.by,
        "since": muted.since,
        "until": muted.until,
    }


def _row(kept: Kept) -> dict[str, object]:
    return record(kept) | {"first": seconds_text(kept.first_at), "last": seconds_text(kept.last_at)}


def _of(muted: Mute) -> str:
    return muted.detector if muted.about is None else f"{muted.detector} of {muted.about} {muted.name}"


def _trail(data: Path) -> Trail:
    directory = existing(Path.cwd() / data)
    return trail_of(directory, settings_of(directory, None))


def _store(data: Path) -> FindingStore:
    return FindingStore(existing(Path.cwd() / data).findings)


def _subject(text: str) -> tuple[About, str]:
    about, _, name = text.partition(":")
    if about not in {str(each) for each in About} or bool(name) is (about == About.BROKER):
        raise InvalidValue(f"--of {text!r}: write identity:NAME, target:NAME, network:ADDRESS or broker")
    return About(about), name


def _detector(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name.islower():
        raise InvalidValue(f"{name!r} is no detector's name: `bartizan findings list` shows them")
    return name


def _reason(why: str) -> str:
    if not why.strip():
        raise InvalidValue("--why: give a reason")
    return parse_remark(why)
