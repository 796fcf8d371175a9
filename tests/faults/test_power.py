"""Power cuts and kills: the disk as it is at that instant, and what was acknowledged before it."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.disk import disk_in
from tests.faults.schedule import ONE_CORE, Run

STRICT_LISTENER = ("store.durability=os", "listeners.mqtts.durability=fsync", *ONE_CORE)
LAX_LISTENER = ("listeners.mqtts.durability=os", *ONE_CORE)


@pytest.mark.parametrize("settings", [ONE_CORE, STRICT_LISTENER], ids=["fsync", "strict-listener-of-a-lax-store"])
def test_power_cuts_take_nothing_that_was_acknowledged(tmp_path: Path, settings: tuple[str, ...]):
    with disk_in(tmp_path) as disk, closing(Run(disk, tmp_path, seed=11, settings=settings)) as run:
        run.begin()
        for _ in range(2):
            run.cut_power()
        verdict = run.end()
    assert len(run.publisher.acknowledged) > 100
    assert verdict.is_good, verdict


def test_a_power_cut_takes_what_a_lax_listener_acknowledged(tmp_path: Path):
    # That less is promised is the point of the setting; that it is lost shows that the cut is one.
    with disk_in(tmp_path) as disk, closing(Run(disk, tmp_path, seed=11, settings=LAX_LISTENER)) as run:
        run.begin()
        run.cut_power()
        verdict = run.end()
    assert verdict.lost
    assert not verdict.invented


def test_a_seeded_schedule_of_faults_loses_nothing_and_delivers_qos_2_once(tmp_path: Path):
    with disk_in(tmp_path) as disk, closing(Run(disk, tmp_path, seed=5)) as run:
        run.begin()
        for _ in range(3):
            run.one()
            run.drain()
        verdict = run.end()
    assert run.faults.total() == 6
    assert len(run.publisher.acknowledged) > 100
    assert verdict.is_good, verdict
