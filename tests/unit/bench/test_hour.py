"""The report of an hour: what was wrong is counted, what drifted is seen."""

import xml.etree.ElementTree as ET

import pytest

from bench.hour import Coming, Slice, graphs, report
from bench.lines import Graph, Line, draw
from bench.process import Door

MIB = 1 << 20


def one(minute: float, qos: int, p99_us: int, *, lost: int = 0, mib: int = 40, error: str | None = None) -> Slice:
    line = {"latency_us": {"p50": 200, "p99": p99_us}, "total_delivered": 1_000, "lost": lost}
    return Slice(minute, qos, {} if error else line, mib * MIB, error)


def test_the_report_compares_the_first_third_with_the_last():
    slices = [one(at, at % 3, 500 + 100 * at, mib=40 + at) for at in range(9)]
    said = report(slices, {0: 100.0, 1: 50.0, 2: 25.0}, Coming(Door(1)), {"processor": "one"})
    assert "| QoS 0, p99 | 0.50 ms | 1.10 ms |" in said
    assert "| resident memory | 41.0 MiB | 47.0 MiB |" in said
    assert "9,000 messages delivered in 9 slices; lost 0" in said


def test_what_was_lost_is_in_the_report():
    slices = [one(0, 0, 500), one(1, 1, 500, lost=3), one(2, 2, 500, error="the broker closed connection 1")]
    coming = Coming(Door(1), come=40, failures=["client 7 was refused"])
    said = report(slices, {0: 1.0, 1: 1.0, 2: 1.0}, coming, {})
    assert "lost 3" in said
    assert "40 clients came and went beside them, 1 of them not as they should" in said
    assert sum(each.faults() for each in slices) == 3


def test_a_slice_that_failed_is_not_drawn():
    drawn = graphs([one(0, 0, 500), one(1, 1, 900, error="gone")])
    assert [len(line.points) for line in drawn[1].lines] == [1, 0, 0]


@pytest.mark.parametrize(("highest", "top"), [(0.9, 1.0), (1.1, 2.0), (3.0, 5.0), (60.0, 100.0), (0.0, 1.0)])
def test_a_scale_ends_at_a_round_number_above_everything(highest: float, top: float):
    assert Graph("a", "ms", (Line("b", ((0.0, highest),)),)).top == pytest.approx(top)


def test_the_picture_is_well_formed_and_names_its_lines():
    picture = ET.fromstring(draw("An hour & <more>", "pairs", graphs([one(0, 0, 500), one(1, 0, 700), one(2, 1, 9)])))
    words = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert {"An hour & <more>", "Latency, 99th percentile, ms", "QoS 1", "broker"} <= set(words)
    assert len([element for element in picture.iter() if "of0" in (element.get("class") or "").split()]) >= 3
