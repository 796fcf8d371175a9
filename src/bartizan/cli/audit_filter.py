"""Which records `audit search` and `audit export` are about, as the command line says it."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bartizan.audit.events import EVENTS
from bartizan.audit.search import Wanted, records
from bartizan.audit.trail import CHANGES
from bartizan.cli.duration import parse_duration
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.remote import Server, remote
from bartizan.errors import InvalidValue

Copy = Annotated[Path | None, Parameter(name="--from", show_default=False, help="A copy of its directory.")]
_Text = Annotated[str | None, Parameter(show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Filter:
    """Which records."""

    who: _Text = None
    """Who did it."""
    what: _Text = None
    """What was done or happened, such as identity.set or denied."""
    target: _Text = None
    """To what, such as press-01 or group/line-3."""
    kind: Annotated[Literal["change", "outcome", "event", "checkpoint"] | None, Parameter(show_default=False)] = None
    """change, outcome, event or checkpoint."""
    outcome: Annotated[Literal["done", "failed"] | None, Parameter(show_default=False)] = None
    """Outcomes of this kind: done or failed."""
    since: _Text = None
    """Not before: 2026-11-21, 2026-11-21T14:00, or so long ago, such as 7d."""
    until: _Text = None
    """Before this."""
    log: Annotated[Literal["changes", "events"] | None, Parameter(show_default=False)] = None
    """Only of this log: changes or events."""
    from_: Copy = None
    """A copy of its directory."""
    data: Path = DEFAULT_DATA
    """The broker's data directory."""
    server: Server = None
    """A broker elsewhere, such as https://mqtt.example.com:8444, after `bartizan login`. Default: that of --data."""

    def found(self, text: str | None) -> Iterator[dict[str, Any]]:
        """The records, of both logs in order of time."""
        since, until = _time(self.since), _time(self.until)
        if self.server is not None:
            return self._there(self.server, text, since, until)
        directory = directory_of(self.from_, self.data)
        wanted = Wanted(self.who, self.what, self.target, self.kind, self.outcome, since, until, text)
        logs = (CHANGES, EVENTS) if self.log is None else (self.log,)
        return heapq.merge(*(records(directory / name, wanted) for name in logs), key=lambda each: each["at"])

    def _there(
        self, server: str, text: str | None, since: datetime | None, until: datetime | None
    ) -> Iterator[dict[str, Any]]:
        if self.from_ is not None:
            raise InvalidValue("--from is a copy that is here, --server a broker elsewhere: one of the two")
        with remote(server) as there:
            pages = there.pages(
                "/audit/records",
                who=self.who,
                what=self.what,
                target=self.target,
                kind=self.kind,
                outcome=self.outcome,
                since=None if since is None else since.isoformat(),
                until=None if until is None else until.isoformat(),
                text=text,
                log=self.log,
            )
            yield from (each["content"] for page in pages for each in page)


NO_FILTER = Filter()


def directory_of(copy: Path | None, data: Path) -> Path:
    """The directory of the audit: a copy of it, or that of a data directory."""
    if copy is None:
        return existing(Path.cwd() / data).audit
    if not (copy / CHANGES).is_dir():
        raise InvalidValue(f"{copy} is no copy of an audit directory: there is no {CHANGES} in it")
    return copy


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) - parse_duration(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
