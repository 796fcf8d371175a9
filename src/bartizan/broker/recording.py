"""Which events are recorded, and where the record goes: wired to the journal."""

from collections.abc import Callable

from bartizan.audit.carriers import carriers_of
from bartizan.audit.events import EVENTS, EventBook
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
    """The carriers of all sinks. One that cannot deliver is told once, and told again when it can."""

    def tell(sink: str, wrong: str | None) -> None:
        if wrong is None:
            journal.note("audit_sink_available", sink=sink)
        else:
            journal.note("audit_sink_unavailable", sink=sink, reason=wrong)

    carriers = carriers_of(data.audit, settings.audit.sinks, tell)
    for carrier in carriers:
        carrier.start()
    return carriers
