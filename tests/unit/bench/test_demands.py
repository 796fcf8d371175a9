"""Demands: what is reached, and by how much it is missed."""

import pytest

from bench.demands import Bound, judge, load_demands
from bench.plan import FIGURES, Row, load_scenarios
from bench.rivals import rivals
from tests.unit.bench.measured import PACED, SCENARIO, delay, rate, results

PAIRS = Row(SCENARIO, FIGURES["rate"])
LATE = Row(PACED, FIGURES["p99"])
ROWS = {row.name: row for row in (PAIRS, *PACED.rows())}


@pytest.mark.parametrize(("own", "reached", "share"), [(400.0, True, 1.0), (600.0, True, 1.5), (300.0, False, 0.75)])
def test_more_has_to_be_at_least_the_multiple(own, reached, share):
    measured = results(rate("bartizan", 0, own), rate("mosquitto", 0, 10.0))
    verdict = judge(measured, ROWS, PAIRS, Bound(times=40.0, of="mosquitto"))
    assert (verdict.reached, verdict.share) == (reached, pytest.approx(share))


@pytest.mark.parametrize(("own", "reached", "share"), [(100.0, True, 1.0), (50.0, True, 2.0), (400.0, False, 0.25)])
def test_less_has_to_be_at_most_the_multiple(own, reached, share):
    measured = results(delay("bartizan", 1.0, own), delay("mosquitto", 1.0, 100.0))
    verdict = judge(measured, ROWS, LATE, Bound(times=1.0, of="mosquitto"))
    assert (verdict.reached, verdict.share) == (reached, pytest.approx(share))


def test_a_bound_may_be_a_number_or_another_row_of_the_same_run():
    measured = results(rate("bartizan", 0, 90.0), delay("bartizan", 50.0, 90.0))
    assert judge(measured, ROWS, PAIRS, Bound(value=100.0)).share == pytest.approx(0.9)
    assert judge(measured, ROWS, LATE, Bound(times=2.0, of="bartizan", row="paced:p50")).reached


def test_what_was_not_measured_is_neither_reached_nor_missed():
    assert judge(results(rate("bartizan", 0, 9.0)), ROWS, PAIRS, Bound(times=1.0, of="nats")).reached is None
    assert judge(results(rate("nats", 0, 9.0)), ROWS, PAIRS, Bound(times=1.0, of="nats")).text() == "not measured"


def test_every_demand_of_the_table_names_rows_and_brokers_that_exist(tmp_path):
    rows = {row.name for scenario in load_scenarios() for row in scenario.rows()}
    demands, _ = load_demands()
    bounds = [bound for demand in demands for bound in (*demand.must, *demand.stretch)]
    assert {demand.row for demand in demands} <= rows
    assert {bound.row for bound in bounds if bound.row is not None} <= rows
    assert {bound.of for bound in bounds if bound.of is not None} <= set(rivals(tmp_path))
    assert all(demand.must for demand in demands)
