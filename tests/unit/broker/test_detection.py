"""What detectors are shown of a broker's life, and what becomes of what they find."""

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from bartizan.authn import ConnectRequest
from bartizan.broker import detection
from bartizan.broker.detection import Detection
from bartizan.broker.log import Journal
from bartizan.config.detect import DetectSettings
from bartizan.config.schema import LogSettings
from bartizan.detect.activity import Activity
from bartizan.errors import ConfigurationError
from bartizan.model.finding import About, Mute, Severity, State
from bartizan.store.findings import FindingStore

SETTINGS = DetectSettings(decoy_identities=("backup-admin",), failed_logins_per_10min_max=3)
NOW_MS = int(datetime.now(UTC).timestamp() * 1000)
ELSEWHERE = "198.51.100.7"


class Plant:
    """A `Detection` with a journal, a store and two identities."""

    def __init__(self, directory: Path) -> None:
        self.log = StringIO()
        self.journal = Journal(self.log, LogSettings(format="json"))
        self.store = FindingStore(directory / "findings.sqlite")

    async def known(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(names) & {"alice", "press-01"}

    async def detection(self, settings: DetectSettings = SETTINGS) -> Detection:
        made = Detection(settings, self.store, self.journal, self)
        await made.begin()
        return made

    def tell(self, kind: str, count: int = 1, **fields: Any) -> None:
        event = {"event": kind, "at_ms": NOW_MS, "identity": "press-01", "client_id": "press-01", **fields}
        self.journal.events([event] * count)

    def told(self) -> list[dict[str, Any]]:
        self.journal.close()
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] not in {"denied", "connected"}]


def files_with(text: bytes, directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if text in path.read_bytes()]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.journal.close()


async def test_what_is_found_is_kept_told_and_counted(plant: Plant) -> None:
    watching = await plant.detection()
    plant.tell("denied", 70, action="publish", topic="cmd/stop")
    await watching.look()
    await watching.look()
    (kept,) = plant.store.findings()
    assert (kept.finding.detector, kept.finding.about, kept.finding.name) == (
        "denial_burst",
        About.IDENTITY,
        "press-01",
    )
    (told,) = plant.told()
    assert told | {"at": ""} == {
        "at": "",
        "level": "warning",
        "event": "finding",
        "number": 1,
        "detector": "denial_burst",
        "about": "identity",
        "name": "press-01",
        "score": 50,
        "severity": "medium",
        "technique": "T0855",
        "count": 1,
        "text": "identity press-01: was denied 61 times in 1 minute, more than 60",
    }
    assert (watching.told, watching.open[Severity.MEDIUM]) == (1, 1)


async def test_a_name_that_is_no_identitys_is_written_nowhere(plant: Plant, tmp_path: Path) -> None:
    watching = await plant.detection()
    for name in ("hunter2-secret", "alice"):
        for _ in range(5):
            watching.refused(ConnectRequest("c", "mqtts", ELSEWHERE, user_name=name, password=b"pw-secret"))
    await watching.end()
    found = {(each.finding.about, each.finding.name) for each in plant.store.findings()}
    assert found == {(About.NETWORK, ELSEWHERE), (About.TARGET, "alice")}
    assert "secret" not in plant.log.getvalue()
    assert files_with(b"secret", tmp_path) == []


async def test_a_decoy_is_known_by_its_name_though_it_is_no_identity(plant: Plant) -> None:
    watching = await plant.detection()
    watching.refused(ConnectRequest("c", "mqtts", ELSEWHERE, user_name="backup-admin", password=b"x"))
    await watching.look()
    (told,) = plant.told()
    assert (told["detector"], told["severity"], told["name"]) == ("decoy", "critical", ELSEWHERE)


async def test_a_muted_finding_is_kept_and_not_told(plant: Plant) -> None:
    now = datetime.now(UTC)
    plant.store.mute(Mute(0, "denial_burst", None, "", "why", "ann", now, now.replace(year=now.year + 1)))
    watching = await plant.detection()
    plant.tell("denied", 70, action="publish", topic="cmd/stop")
    await watching.look()
    assert [each.state for each in plant.store.findings()] == [State.MUTED]
    assert plant.told() == []


async def test_what_is_usual_outlives_a_restart(plant: Plant) -> None:
    day_ms = 86_400_000
    fields = {"method": "certificate", "version": "5.0", "transport": "mqtts", "keep_alive_s": 60}
    first = await plant.detection()
    for day in range(20):
        plant.tell("connected", at_ms=NOW_MS - (30 - day) * day_ms, address="10.0.3.4", **fields)
    await first.end()
    second = await plant.detection()
    plant.tell("connected", at_ms=NOW_MS, address=ELSEWHERE, **fields)
    await second.look()
    (kept,) = plant.store.findings()
    assert kept.finding.detector == "novelty"


async def test_after_its_end_it_sees_nothing(plant: Plant) -> None:
    watching = await plant.detection()
    await watching.end()
    plant.tell("denied", 70, action="publish", topic="cmd/stop")
    await watching.look()
    assert plant.store.findings() == []


async def test_detection_that_is_off_looks_at_nothing(plant: Plant) -> None:
    watching = await plant.detection(DetectSettings(enabled=False))
    plant.tell("denied", 70, action="publish", topic="cmd/stop")
    watching.refused(ConnectRequest("c", "mqtts", ELSEWHERE, user_name="alice", password=b"x"))
    await watching.end()
    assert plant.store.findings() == []


async def test_what_there_is_no_room_for_is_counted_and_told(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "WAITING_MAX", 100)
    watching = await plant.detection()
    plant.tell("connected", 150)
    await watching.look()
    assert watching.skipped == 50
    assert [told["passed_over"] for told in plant.told() if told["event"] == "detection_behind"] == [50]


async def test_a_decoy_that_is_no_topic_filter_is_a_mistake_in_the_configuration(plant: Plant) -> None:
    with pytest.raises(ConfigurationError, match="decoy_topics"):
        await plant.detection(DetectSettings(decoy_topics=("a/#/b",)))


class Engine:
    """One shard that has counted this, once."""

    def __init__(self, *windows: list[Any], lost: int = 0) -> None:
        self._windows = list(windows)
        self._lost = lost
        self.asked = 0

    def take_activity(self) -> Activity:
        self.asked += 1
        windows, self._windows = self._windows, []
        lost, self._lost = self._lost, 0
        figures = [{"roles": [], "lost": {"windows": lost, "fresh": 0}}]
        return Activity(figures, [], [json.dumps(windows).encode()] if windows else [])


def pings(count: int) -> list[Any]:
    return ["press-01", *[0] * 10, count, 0]


async def test_what_identities_do_is_taken_from_the_engine(plant: Plant) -> None:
    watching = await plant.detection()
    await watching.take(Engine(pings(700)))
    await watching.look()
    (kept,) = plant.store.findings()
    assert (kept.finding.detector, kept.finding.name) == ("ping_flood", "press-01")


async def test_while_the_last_of_it_waits_the_engine_counts_on(plant: Plant) -> None:
    watching = await plant.detection()
    engine = Engine(pings(400))
    await watching.take(engine)
    await watching.take(engine)
    assert engine.asked == 1
    await watching.look()
    await watching.take(engine)
    assert engine.asked == 2
    assert plant.store.findings() == []


async def test_what_the_engine_had_no_room_for_is_counted_and_told(plant: Plant) -> None:
    watching = await plant.detection()
    await watching.take(Engine(lost=7))
    await watching.look()
    assert watching.skipped == 7
    assert [told["passed_over"] for told in plant.told() if told["event"] == "detection_behind"] == [7]


async def test_detection_that_is_off_has_nothing_counted(plant: Plant) -> None:
    watching = await plant.detection(DetectSettings(enabled=False))
    engine = Engine(pings(700))
    await watching.take(engine)
    assert engine.asked == 0
