"""Lines of the generator, and what is kept of them."""

from pathlib import Path

from bench.plan import FIGURES
from bench.records import Record, append, parse_line, read
from tests.unit.bench.measured import delay, rate, results


def test_the_line_is_the_last_object_of_the_output():
    assert parse_line('warming up\n{"a": 1}\n{"a": 2}\nbye\n') == {"a": 2}


def test_output_without_an_object_is_an_empty_line():
    assert parse_line("[1, 2]\nbroken {\n") == {}


def test_a_median_of_repetitions_comes_with_its_spread():
    measured = results(*(rate("aedes", index, value) for index, value in enumerate((30.0, 10.0, 20.0)))).measured(
        "pairs", "aedes", FIGURES["rate"]
    )
    assert measured is not None
    assert (measured.median, measured.low, measured.high) == (20.0, 10.0, 30.0)


def test_a_figure_may_stand_deeper_in_the_line():
    assert delay("aedes", 120.0, 900.0).figure(FIGURES["p99"]) == 900.0


def test_a_run_that_failed_has_no_figure_even_if_its_line_has_one():
    failed = Record(scenario="pairs", broker="aedes", repetition=0, error="it went away", line={"per_cpu_s": 5.0})
    assert failed.figure(FIGURES["rate"]) is None


def test_what_is_no_number_is_no_figure():
    for value in (None, "many", True):
        assert (
            Record(scenario="pairs", broker="aedes", repetition=0, line={"per_cpu_s": value}).figure(FIGURES["rate"])
            is None
        )


def test_faults_are_added_up_over_repetitions_and_figures_stay():
    measured = results(rate("aedes", 0, 5.0, lost=2), rate("aedes", 1, 7.0, lost=1, reordered=4))
    assert measured.faults("pairs", "aedes") == {"lost": 3, "reordered": 4}
    assert measured.measured("pairs", "aedes", FIGURES["rate"]) is not None


def test_a_file_is_read_as_it_was_written_and_a_torn_last_line_is_left_out(tmp_path: Path):
    file = tmp_path / "results.jsonl"
    written = results(rate("aedes", 0, 5.0), Record(scenario="pairs", broker="relay", repetition=0, error="no TLS"))
    append(file, written.header)
    for record in written.records:
        append(file, record)
    with file.open("a") as out:
        out.write('{"scenario": "pai')
    assert read(file) == written
