"""`bartizan findings`: what detectors found, and what people make of it. A running broker follows within seconds."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.audit.trail import Trail
from bartizan.broker import seen_to
from bartizan.broker.log import escaped
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Flag, Json, print_json, print_rows, second, show_record, show_table
from bartizan.cli.observed import since
from bartizan.cli.opening import DEFAULT_DATA, existing, settings_of, trail_of
from bartizan.cli.remote import Server, remote
from bartizan.errors import InvalidValue
from bartizan.model.finding import About, Mute, Severity, State
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
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List findings that nobody has seen to, the last ones at the end.

    For example:

        bartizan findings list --since 24h --severity high
    """
    began = since(None if since_ is None else parse_duration(since_))
    if server is None:
        kept = _store(data).findings(tuple(State) if all_ else (State.OPEN,), began)
        found = [each.as_dict() for each in kept if each.finding.severity.rank >= severity.rank]
    else:
        state = "any" if all_ else "open"
        text = None if began is None else began.isoformat()
        with remote(server) as there:
            found = there.every("/findings", state=state, severity=severity.value, since=text, sort="last_at")
    if json_output:
        print_json(found)
        return 0
    shown = found[-SHOWN_MAX:]
    more = f", the last {SHOWN_MAX} shown (--json shows all)" if len(found) > SHOWN_MAX else ""
    columns = {key: head for key, head in _COLUMNS.items() if all_ or key != "state"}
    show_table([_row(each) for each in shown], columns, f"{len(found)} findings{more}")
    return 0


@app.command
def show(number: int, /, *, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """Show a finding and what became of it.

    For example:

        bartizan findings show 7

    Parameters
    ----------
    number
        Its number in `bartizan findings list`.
    """
    if server is None:
        found = _store(data).finding(number).as_dict()
    else:
        with remote(server) as there:
            found = there.get(f"/findings/{number}")
    if json_output:
        print_json(found)
    else:
        show_record({key: value for key, value in _row(found).items() if key not in _TIMES}, _SHOW)
    return 0


@app.command
def ack(
    numbers: Annotated[list[int], Parameter(negative=())],
    /,
    *,
    why: Why,
    data: Data = DEFAULT_DATA,
    server: Server = None,
) -> int:
    """Acknowledge findings: somebody has seen to them. One that gets much worse is open again.

    For example:

        bartizan findings ack 7 8 --why "the integrator's laptop, gone since"

    Parameters
    ----------
    numbers
        Their numbers in `bartizan findings list`.
    """
    if server is None:
        kept = seen_to.acknowledge(_store(data), _trail(data), numbers, _reason(why))
        acknowledged = [each.as_dict() for each in kept]
    else:
        with remote(server) as there:
            acknowledged = there.post("/findings/acknowledgements", {"numbers": numbers, "why": _reason(why)})
    for each in acknowledged:
        print(f"finding {each['number']} is acknowledged: {escaped(each['text'])}")
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
    server: Server = None,
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
    until = now + parse_duration(for_)
    if server is None:
        trail = _trail(data)
        wanted = Mute(0, _detector(detector), about, name, _reason(why), trail.actor.name, now, until)
        made = seen_to.mute(_store(data), trail, wanted).as_dict()
    else:
        body = {"detector": _detector(detector), "name": name, "until": until.isoformat(), "why": _reason(why)}
        with remote(server) as there:
            made = there.post("/mutes", body | ({} if about is None else {"about": about.value}))
    print(f"mute {made['number']}: {_of(made)} until {second(made['until'])} UTC")
    return 0


@app.command
def mutes(*, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """List what is muted, until when, by whom and why.

    For example:

        bartizan findings mutes
    """
    if server is None:
        found = [each.as_dict() for each in _store(data).mutes(datetime.now(UTC))]
    else:
        with remote(server) as there:
            found = there.get("/mutes")
    rows = [{**each, "of": _of(each), "until": second(each["until"])} for each in found]
    print_rows(found, _MUTES, "mutes", as_json=json_output, shown=rows)
    return 0


@app.command
def unmute(number: int, /, *, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """End a mute. What is found from then on is told.

    For example:

        bartizan findings unmute 2

    Parameters
    ----------
    number
        Its number in `bartizan findings mutes`.
    """
    if server is None:
        ended = seen_to.unmute(_store(data), _trail(data), number)
        print(f"mute {ended.number} is over: {_of(ended.as_dict())}")
    else:
        with remote(server) as there:
            there.delete(f"/mutes/{number}")
        print(f"mute {number} is over")
    return 0


_TIMES = frozenset({"first_at", "last_at"})


def _row(found: Mapping[str, Any]) -> dict[str, object]:
    return {**found, "first": second(found["first_at"]), "last": second(found["last_at"])}


def _of(muted: Mapping[str, Any]) -> str:
    about = "" if muted["about"] is None else f" of {muted['about']} {muted['name']}"
    return escaped(f"{muted['detector']}{about}")


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
