"""Which events are recorded, and where the record goes: wired to the journal."""

from collections.abc import Callable, Sequence

from bartizan.audit.carriers import carriers_of
from bartizan.audit.events import EVENTS, EventBook
from bartizan.audit.retention import Awaited
from bartizan.audit.sinks import Carrier
from bartizan.broker.figures import Figures
from bartizan.broker.log import LEVELS, RANK, Journal
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings

CONNECTIONS = frozenset({"connected", "disconnected"})
ALWAYS = frozenset({"operator_logged_in"})
"""Who was let in is as much part of the record as who was not."""


def wanted_of(settings: Settings) -> Callable[[str], str | None]:
    """The severity of a kind of event that is to be recorded; None of any other."""
    also = ALWAYS | (CONNECTIONS if settings.audit.events == "connections" else frozenset())

    def wanted(kind: str) -> str | None:
        level = LEVELS.get(kind, "info")
        return level if RANK[level] >= RANK["warning"] or kind in also else None

    return wanted


def events_recorded(settings: Settings, data: DataDirectory, journal: Journal, figures: Figures) -> EventBook | None:
    """The book of events, which is told all that the journal is told; None where none are recorded."""
    if settings.audit.events == "off":
        return None
    book = EventBook.of(data.audit, settings.audit, wanted_of(settings), figures.syncs_of(EVENTS))
    journal.watch(book.take)
    book.start()
    return book


def carriers_started(settings: Settings, data: DataDirectory, journal: Journal) -> list[Carrier]:
    """The carriers of all sinks. One that cannot deliver is told once, and told again when it can; so is what it missed."""

    def tell(sink: str, wrong: str | None) -> None:
        if wrong is None:
            journal.note("audit_sink_available", sink=sink)
        else:
            journal.note("audit_sink_unavailable", sink=sink, reason=wrong)

    def missed(sink: str, log: str, first: int, last: int) -> None:
        journal.note("audit_sink_missed", sink=sink, log=log, first=first, last=last, count=last - first + 1)

    carriers = carriers_of(data.audit, settings.audit.sinks, tell, missed)
    for carrier in carriers:
        carrier.start()
    return carriers


def awaited_by(carriers: Sequence[Carrier], log: str, settings: Settings) -> Awaited | None:
    """What is kept of a log for the sake of its sinks."""
    had = [seq for carrier in carriers if (seq := carrier.has_had(log)) is not None]
    return Awaited(min(had), settings.audit.undelivered_bytes_max) if had else None
