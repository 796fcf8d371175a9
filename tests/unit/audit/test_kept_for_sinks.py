"""What a sink has not had is kept beyond its time, within a bound; what has to go all the same is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.audit.keys import SigningKey
from bartizan.audit.log import Keep, Log
from bartizan.audit.retention import Awaited
from bartizan.audit.segments import segments
from bartizan.audit.sinks import Carrier, NotDelivered
from bartizan.audit.trail import Trail
from bartizan.config.audit import AuditSettings
from bartizan.model.actor import Actor
from tests.unit.audit.test_sinks import Kept, all_of, carrier, change


def retiring(tmp_path: Path, bytes_max: int | None = None) -> tuple[Trail, Log]:
    """A log of some segments, and the same one as it is 31 days later."""
    settings = AuditSettings(segment_bytes_max=65_536, keep_days=30)
    later = Log(
        tmp_path / "audit/changes",
        SigningKey(tmp_path / "audit"),
        settings,
        Keep(30, bytes_max),
        now=lambda: datetime.now(UTC) + timedelta(days=31),
    )
    return Trail.of(tmp_path / "audit", settings, Actor("anna")), later


def test_what_a_sink_has_not_had_is_kept_beyond_its_time(tmp_path):
    trail, later = retiring(tmp_path)
    sink = Kept()
    carrying = carrier(trail, sink)
    change(trail, 150)
    while carrying.lag() > 100:
        carrying.carry()
    had = carrying.has_had("changes")
    assert had is not None
    gone = later.retire(Awaited(had, 2**30))
    left = segments(trail.log.directory)
    assert gone != ()
    assert int(left[0].stem) <= had + 1, "the first that it has not had whole is there"
    while carrying.carry():
        pass
    assert carrying.missed == 0
    assert sink.got == list(range(1, len(sink.got) + 1))
    assert later.retire(Awaited(carrying.has_had("changes") or 0, 2**30)) != ()


@pytest.mark.parametrize("bytes_max", [None, 65_536])
def test_what_has_to_go_before_a_sink_had_it_is_told_once_and_counted(tmp_path, bytes_max):
    trail, later = retiring(tmp_path, bytes_max)
    told: list[tuple[str, str, int, int]] = []
    sink = Kept()

    def note(sink: str, log: str, first: int, last: int) -> None:
        told.append((sink, log, first, last))

    def begin() -> Carrier:
        directory = trail.log.directory.parent
        return Carrier("kept", sink, directory, ["changes"], 10, lambda *_: None, missed=note)

    carrying = begin()
    change(trail, 1)
    carrying.carry()
    had = carrying.has_had("changes") or 0
    change(trail, 150)
    assert later.retire(Awaited(had, 1_048_576)) == ()
    assert later.retire(Awaited(had, 65_536)) != ()
    first = int(segments(trail.log.directory)[0].stem)
    sink.fails = 1
    with pytest.raises(NotDelivered):
        carrying.carry()
    while carrying.carry():
        pass
    assert told == [("kept", "changes", had + 1, first - 1)]
    assert carrying.missed == first - 1 - had
    assert sink.got == [*range(1, had + 1), *range(first, sink.got[-1] + 1)]
    again = begin()
    again.carry()
    assert (len(told), again.missed) == (1, 0)


def test_a_new_sink_has_missed_nothing_of_what_was_removed_before(tmp_path):
    trail, later = retiring(tmp_path)
    change(trail, 150)
    assert later.retire() != ()
    sink = Kept()
    carrying = carrier(trail, sink)
    while carrying.carry():
        pass
    assert carrying.missed == 0
    assert sink.got == all_of(trail)
