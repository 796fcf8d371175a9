"""Results that are gone on with: nothing twice, nothing of another commit."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.machine import commit
from bench.plan import PlanError
from bench.process import CHECKOUT
from bench.records import Results, append, read
from bench.run import check_generator, explained, fresh_file, main, resumed
from tests.unit.bench.measured import note, rate, results


@pytest.fixture
def begun() -> Results:
    measured = results(rate("aedes", 0, 5.0), rate("relay", 1, 7.0))
    return Results(replace(measured.header, commit=commit(CHECKOUT)), measured.records)


def file_of(measured: Results, directory: Path) -> Path:
    file = directory / "results.jsonl"
    for one in (measured.header, *measured.records):
        append(file, one)
    return file


def test_what_is_measured_is_not_measured_again(begun, tmp_path):
    _, done = resumed(file_of(begun, tmp_path), [note("aedes")])
    assert done == {(0, "pairs", "aedes"), (1, "pairs", "relay")}


def test_a_line_that_was_cut_short_is_removed(begun, tmp_path):
    file = file_of(begun, tmp_path)
    with file.open("a") as out:
        out.write('{"scenario": "pai')
    resumed(file, [])
    assert file.read_text().endswith("}\n")
    assert read(file) == begun


def test_another_commit_is_another_run(begun, tmp_path):
    other = Results(replace(begun.header, commit="0123456789ab"), begun.records)
    with pytest.raises(PlanError, match="begin anew"):
        resumed(file_of(other, tmp_path), [])


def test_a_broker_that_was_not_there_at_the_beginning_cannot_join(begun, tmp_path):
    with pytest.raises(PlanError, match="without nats"):
        resumed(file_of(begun, tmp_path), [note("nats")])


def test_a_generator_of_older_sources_is_not_used(tmp_path):
    program, source = tmp_path / "bartizan-bench", tmp_path / "bartizan-core/src/wire/encode.rs"
    source.parent.mkdir(parents=True)
    source.touch()
    with pytest.raises(PlanError, match="not built"):
        check_generator(program, tmp_path)
    program.touch()
    os.utime(program, (1, 1))
    with pytest.raises(PlanError, match="older than its sources"):
        check_generator(program, tmp_path)
    os.utime(source, (0, 0))
    check_generator(program, tmp_path)


class Broker:
    """What a run that ended early asks."""

    def __init__(self, complaint: str | None, *, alive: bool) -> None:
        self.said, self.alive = complaint, alive

    def is_alive(self) -> bool:
        return self.alive

    def complaint(self) -> str | None:
        return self.said

    def last_words(self) -> str:
        return "panic"


@pytest.mark.parametrize(
    ("error", "broker", "told"),
    [
        (None, Broker("ZeroKeepAlive", alive=True), None),
        ("closed", Broker(None, alive=True), "closed"),
        ("closed", Broker("ZeroKeepAlive", alive=True), "closed; the broker said: ZeroKeepAlive"),
        ("closed", Broker("ZeroKeepAlive", alive=False), "the broker ended during the run: panic"),
    ],
)
def test_the_broker_is_heard_about_a_run_that_ended_early(error, broker, told):
    assert explained(error, broker) == told


def test_results_of_one_day_do_not_overwrite_each_other(tmp_path):
    first = fresh_file(tmp_path)
    first.touch()
    second = fresh_file(tmp_path)
    assert second != first
    assert second.stem.startswith(first.stem)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "p1_q9"], "no scenario p1_q9"),
        (["--brokers", "hornet"], "no broker hornet"),
        (["--repeat", "0"], "above 0"),
        (["--render", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_a_mistake_in_the_command_is_told_and_nothing_is_run(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err
