"""The page: medians, demands, flaws and gaps, the bad beside the good."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.plan import load_scenarios
from bench.records import Record, Results
from bench.report import Report, one_line, write_report
from tests.unit.bench.measured import results

NAME = "p1_q0_16"


def run(broker: str, repetition: int, value: float, **faults: int) -> Record:
    return Record(
        scenario=NAME, broker=broker, repetition=repetition, line={"per_cpu_s": value, "error": None, **faults}
    )


@pytest.fixture
def measured() -> Results:
    return results(
        *(run("mosquitto", index, value) for index, value in enumerate((100_000.0, 110_000.0, 120_000.0))),
        run("bartizan", 0, 2_200_000.0),
        run("relay", 0, 22_000_000.0),
        run("aedes", 0, 55_000.0, lost=3, reordered=1200),
        Record(scenario=NAME, broker="aedes", repetition=1, error="the broker closed | it"),
    )


@pytest.fixture
def page(measured: Results) -> str:
    report = Report(measured, load_scenarios())
    return report.text(dict.fromkeys(report.groups(), "chart.svg"))


def test_a_row_has_median_spread_ratio_and_share_of_the_limit(page):
    assert "| Bartizan | 2.2 M | 2.2 M .. 2.2 M | 20.00 x | 10.0% |" in page
    assert "| Mosquitto | 110 k | 100 k .. 120 k | 1.00 x | 0.5% |" in page


def test_a_missed_demand_says_by_how_much(page):
    assert (
        "| p1_q0_16 | 2.2 M | 40 x mosquitto: **missed (50% of it)** | 90 x mosquitto: **missed (22% of it)** |" in page
    )


def test_flaws_and_failures_of_brokers_are_named(page):
    assert "| Aedes | p1_q0_16 | 3 lost, 1,200 reordered |" in page
    assert "| Aedes | the broker closed / it | p1_q0_16 |" in page
    assert "| Aedes | 55 k † |" in page


def test_a_broker_that_could_not_be_had_is_named_with_its_reason(page):
    assert "| Emqx | 1 | npm | not measured: in no registry |" in page


def test_only_what_ran_is_reported(page):
    assert "(sparse_q0)" not in page
    assert "| sparse_q0 |" not in page


def test_the_mark_of_must_stands_where_the_hardest_bound_is(measured):
    report = Report(measured, load_scenarios())
    panel = report.panel(report.rows[0])
    assert panel.must == pytest.approx(40 * 110_000)
    assert [bar.name for bar in panel.bars] == ["Relay", "Bartizan", "Mosquitto", "Aedes"]


def test_results_without_bartizan_make_a_page_too(tmp_path: Path):
    file = write_report(results(run("aedes", 0, 5.0), brokers=("aedes",)), tmp_path / "page.md")
    assert "demanded of Bartizan" not in file.read_text()
    assert "None, by no broker" in file.read_text()


def test_page_and_charts_are_written_beside_each_other(measured, tmp_path: Path):
    file = write_report(measured, tmp_path / "2026-12-01.md")
    chart = tmp_path / "2026-12-01-plain.svg"
    assert f"]({chart.name})" in file.read_text()
    ET.fromstring(chart.read_text())


def test_what_was_measured_less_often_is_said(page):
    assert "- 3 repetitions of " in page
    assert "\n- 1 of everything: Bartizan, Relay\n- 2 of everything: Aedes\n" in page


def test_reasons_that_differ_by_numbers_or_by_what_the_broker_said_are_one():
    reasons = ("only 3 of 40 handshakes", "only 17 of 50 handshakes; the broker said: 12:01 EOF", "nothing arrived")
    records = [
        Record(scenario=NAME, broker="aedes", repetition=index, error=reason) for index, reason in enumerate(reasons)
    ]
    report = Report(results(*records), load_scenarios())
    page = report.text(dict.fromkeys(report.groups(), "chart.svg"))
    assert [line for line in page.splitlines() if line.startswith("| Aedes | only")] == [
        "| Aedes | only 3 of 40 handshakes | p1_q0_16 |"
    ]
    assert "| Aedes | nothing arrived | p1_q0_16 |" in page


def test_a_long_reason_fits_into_a_cell():
    assert one_line("a | b\nc " * 100, 20) == "a / b c a / b c a /…"
