"""Instruction counts: what is read from callgrind, and what a count that moved leads to."""

import dataclasses

import pytest

from bench import counts
from bench.counts import CountError, Counts, Move, compare, load, moves, per_operation, render

MACHINE = {"architecture": "x86_64", "rustc": "rustc 1.95.0"}
EXPECTED = Counts(MACHINE, {"decode": 1000, "PUBLISH, acknowledged": 200})


def counted(**instructions: int) -> Counts:
    return Counts(MACHINE, {"decode": 1000, "PUBLISH, acknowledged": 200} | instructions)


def test_each_dump_belongs_to_the_case_printed_in_its_place():
    dumps = "desc: 1\nsummary: 2560\ntotals: 2560\n\nsummary: 301\ntotals: 301\n\nsummary: 0\ntotals: 0\n"
    assert per_operation("decode 256\nPUBLISH, acknowledged 3\n", dumps) == {"decode": 10, "PUBLISH, acknowledged": 100}


@pytest.mark.parametrize("dumps", ["", "summary: 7\n", "summary: 7\nsummary: 0\n"])
def test_a_case_without_a_count_is_an_error(dumps):
    with pytest.raises(CountError):
        per_operation("decode 1\nencode 1\n", dumps)


def test_what_is_dearer_than_the_tolerance_fails_and_is_named(capsys):
    assert compare(EXPECTED, counted(decode=1031)) == 1
    assert "DEARER decode: 1000 -> 1031 (+3.1 %)" in capsys.readouterr().out


def test_what_is_within_the_tolerance_or_cheaper_passes_and_is_shown(capsys):
    assert compare(EXPECTED, counted(decode=1029, **{"PUBLISH, acknowledged": 100})) == 0
    shown = capsys.readouterr().out
    assert "decode: 1000 -> 1029 (+2.9 %)" in shown
    assert "PUBLISH, acknowledged: 200 -> 100 (-50.0 %)" in shown


def test_a_case_that_is_new_or_gone_fails_until_the_file_says_so():
    assert compare(EXPECTED, counted(encode=5)) == 1
    assert compare(counted(encode=5), EXPECTED) == 1
    assert moves(counted(encode=5), EXPECTED)[-1] == Move("encode", 5, None)


def test_counts_of_another_machine_are_shown_and_not_judged(capsys):
    other = dataclasses.replace(counted(decode=2000), machine=MACHINE | {"rustc": "rustc 1.96.0"})
    assert compare(EXPECTED, other) == 0
    shown = capsys.readouterr().out
    assert "decode: 1000 -> 2000 (+100.0 %)" in shown
    assert "NOT JUDGED" in shown
    assert "rustc: rustc 1.95.0 -> rustc 1.96.0" in shown


def test_the_file_that_is_written_is_the_file_that_is_read(tmp_path):
    path = tmp_path / "counts.toml"
    path.write_text(render(EXPECTED), encoding="utf-8")
    assert load(path) == EXPECTED


def test_without_valgrind_nothing_is_counted_and_ci_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    assert counts.main([]) == 0
    assert "LEFT OUT" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    assert counts.main([]) == 1
