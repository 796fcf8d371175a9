"""`bartizan policy apply`, `history` and `rollback` where no broker runs: what they look at, write, record and refuse."""

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.broker.history import History
from bartizan.broker.lock import DirectoryLock
from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from tests.unit.policy.plant import PLANT

WIDER = PLANT.replace("qos_max     = 1\n", "")
TESTS = """\
[tests.own]
as    = { identity = "press-01", roles = ["press"], attributes = { site = "chicago" } }
deny  = ["publish data/chicago/press-01/temperature qos=2"]
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("first")
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    (root / "policy.toml").write_text(PLANT)
    return root


@pytest.fixture
def data(first: Path, tmp_path: Path) -> Path:
    """A data directory with the plant's policy."""
    return Path(shutil.copytree(first, tmp_path / "data"))


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    file = tmp_path / "new" / "wider.toml"
    file.write_text(WIDER)
    return file


def verb(name: str, *words: str | Path, data: Path) -> int:
    return run(["policy", name, *map(str, words), "--data", str(data)])


def told(data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert verb("history", "--json", data=data) == 0
    return json.loads(capsys.readouterr().out)


def test_a_policy_is_compared_written_and_recorded(data, wider, capsys):
    assert verb("apply", wider, "--note", "more QoS", "--yes", data=data) == 0
    out = capsys.readouterr().out
    assert "  + publish data/{site}/{asset}/temperature" in out
    assert "identity press-01" in out
    assert out.splitlines()[-1].endswith("is written; no broker runs here: its next start loads it")
    assert (data / "policy.toml").read_text() == WIDER
    newest, oldest = told(data, capsys)["versions"]
    assert (oldest["kind"], newest["kind"], newest["note"], newest["state"]) == (
        "found",
        "apply",
        "more QoS",
        "written",
    )
    assert newest["previous"] == oldest["digest"] != newest["digest"]
    assert newest["who"]


def test_a_dry_run_changes_nothing(data, wider, capsys):
    assert verb("apply", wider, "--dry-run", data=data) == 0
    assert "could be put in force" in capsys.readouterr().out
    assert (data / "policy.toml").read_text() == PLANT
    assert told(data, capsys)["versions"] == []


def test_nobody_who_can_be_asked_has_to_say_yes(data, wider, capsys):
    for words in ((), ("--json",)):
        assert verb("apply", wider, *words, data=data) == 1
    assert "say --yes" in capsys.readouterr().err
    assert (data / "policy.toml").read_text() == PLANT


def test_what_is_no_policy_ends_with_2(data, wider, capsys):
    wider.write_text(PLANT + "x = 1\n")
    assert verb("apply", wider, "--yes", data=data) == 2
    assert "wider.toml:" in capsys.readouterr().err
    assert (data / "policy.toml").read_text() == PLANT


def test_tests_beside_the_new_policy_or_else_beside_the_old_one_hold_it_back(data, wider, capsys):
    (data / "own.test.toml").write_text(TESTS)
    assert verb("apply", wider, "--yes", data=data) == 1
    assert "- deny   publish data/chicago/press-01/temperature qos=2" in capsys.readouterr().out
    assert told(data, capsys)["versions"] == []
    (wider.parent / "new.test.toml").write_text(TESTS.replace("deny ", "allow"))
    assert verb("apply", wider, "--yes", data=data) == 0


def test_the_tests_of_a_policy_are_on_record_with_it_and_come_back_with_it(data, wider, tmp_path, capsys):
    own, new = data / "own.test.toml", data / "new.test.toml"
    own.write_text(TESTS)
    (wider.parent / "new.test.toml").write_text(TESTS.replace("deny ", "allow"))
    assert verb("apply", wider, "--yes", data=data) == 0
    assert not own.exists()
    assert new.read_text() == TESTS.replace("deny ", "allow")
    assert verb("rollback", "--yes", data=data) == 0
    assert ((data / "policy.toml").read_text(), own.read_text(), new.exists()) == (PLANT, TESTS, False)
    assert [sorted(each["files"]) for each in told(data, capsys)["versions"]] == [
        ["own.test.toml", "policy.toml"],
        ["new.test.toml", "policy.toml"],
        ["own.test.toml", "policy.toml"],
    ]
    # A policy that brings none is held to those that are there, and they stay with it.
    plain = tmp_path / "plain" / "other.toml"
    plain.parent.mkdir()
    plain.write_text(PLANT + "# as before\n")
    assert verb("apply", plain, "--yes", data=data) == 0
    assert own.read_text() == TESTS
    assert sorted(told(data, capsys)["versions"][0]["files"]) == ["own.test.toml", "policy.toml"]


def test_tests_changed_by_hand_are_not_overwritten_and_tests_alone_are_a_version(data, wider, tmp_path, capsys):
    assert verb("apply", wider, "--yes", data=data) == 0
    more = tmp_path / "more.toml"
    more.write_text(TESTS.replace("deny ", "allow"))
    assert verb("apply", "--tests", more, "--yes", data=data) == 0
    assert "could be put in force" not in capsys.readouterr().out
    assert (data / "more.test.toml").read_text() == more.read_text()
    (data / "more.test.toml").write_text("by hand")
    assert told(data, capsys)["changed_by_hand"] == ["more.test.toml"]
    assert verb("rollback", "1", "--yes", data=data) == 1
    assert "changed by hand since the last version: more.test.toml" in capsys.readouterr().err
    assert verb("rollback", "--yes", "--take-over", data=data) == 0
    assert (data / "more.test.toml").read_text() == more.read_text()


def test_tests_that_are_none_end_with_2(data, wider, capsys):
    (wider.parent / "new.test.toml").write_text(TESTS.replace('"press"', '"pres"'))
    assert verb("apply", wider, "--yes", data=data) == 2
    assert "did you mean press?" in capsys.readouterr().err


def test_strict_holds_back_what_lint_finds(data, wider):
    assert verb("apply", wider, "--yes", "--strict", data=data) == 1
    assert (data / "policy.toml").read_text() == PLANT


def test_the_same_policy_again_is_no_version(data, wider, capsys):
    assert verb("apply", wider, "--yes", data=data) == 0
    assert verb("apply", wider, "--yes", data=data) == 0
    assert "is there already" in capsys.readouterr().out
    assert len(told(data, capsys)["versions"]) == 2


def test_what_was_changed_by_hand_is_not_overwritten(data, wider, capsys):
    assert verb("apply", wider, "--yes", data=data) == 0
    by_hand = WIDER + "# by hand\n"
    (data / "policy.toml").write_text(by_hand)
    other = wider.with_name("other.toml")
    other.write_text(PLANT)
    assert told(data, capsys)["changed_by_hand"] == ["policy.toml"]
    for words in (("apply", other), ("rollback",)):
        assert verb(*words, "--yes", data=data) == 1
        assert "--take-over" in capsys.readouterr().err
    assert (data / "policy.toml").read_text() == by_hand
    assert verb("apply", other, "--yes", "--take-over", data=data) == 0
    versions = told(data, capsys)["versions"]
    assert [version["kind"] for version in versions] == ["apply", "take-over", "apply", "found"]
    assert History(data / "policy-history").read(3) == {"policy.toml": by_hand.encode()}


def test_what_was_edited_in_place_can_be_put_in_force(data, wider, capsys):
    assert verb("apply", wider, "--yes", data=data) == 0
    (data / "policy.toml").write_text(PLANT)
    capsys.readouterr()
    assert verb("apply", "--yes", "--take-over", data=data) == 0
    assert "  - publish data/{site}/{asset}/temperature" in capsys.readouterr().out
    assert [version["kind"] for version in told(data, capsys)["versions"]] == ["take-over", "apply", "found"]


def test_rollback_brings_the_policy_before_back_and_is_a_version_itself(data, wider, capsys):
    assert verb("rollback", "--yes", data=data) == 1
    assert verb("apply", wider, "--yes", data=data) == 0
    assert verb("rollback", "--dry-run", data=data) == 0
    assert (data / "policy.toml").read_text() == WIDER
    assert verb("rollback", "--note", "too wide", "--yes", data=data) == 0
    assert (data / "policy.toml").read_text() == PLANT
    newest = told(data, capsys)["versions"][0]
    assert (newest["number"], newest["kind"], newest["of"], newest["note"]) == (3, "rollback", 1, "too wide")
    assert verb("rollback", "2", "--yes", data=data) == 0
    assert (data / "policy.toml").read_text() == WIDER
    assert verb("rollback", "9", "--yes", data=data) == 1


def test_rollback_leaves_a_policy_whose_tests_alone_were_changed_since(data, wider, tmp_path):
    assert verb("apply", wider, "--yes", data=data) == 0
    more = tmp_path / "more.toml"
    more.write_text(TESTS.replace("deny ", "allow"))
    assert verb("apply", "--tests", more, "--yes", data=data) == 0
    assert verb("rollback", "--yes", data=data) == 0
    assert (data / "policy.toml").read_text() == PLANT


def test_two_files_of_the_same_name_are_both_told(data, tmp_path, capsys):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, text in zip(folders, PLANT.split("[roles.press]"), strict=True):
        folder.mkdir()
        head = "[roles.press]" if folder == folders[1] else ""
        (folder / f"{folder.name}.toml").write_text(head + text)
        (folder / "own.test.toml").write_text(TESTS)
    both = ", ".join(str(folder / "own.test.toml") for folder in folders)
    # Of the new policy, and then of the one that is there.
    assert verb("apply", *folders, "--yes", data=data) == 2
    assert both in capsys.readouterr().err
    (folders[1] / "own.test.toml").rename(folders[1] / "more.test.toml")
    (data / "bartizan.toml").write_text(f"[policy]\nfile = {json.dumps(list(map(str, folders)))}\n")
    assert verb("apply", "--yes", data=data) == 0
    (folders[1] / "more.test.toml").rename(folders[1] / "own.test.toml")
    for words in (("apply", "--yes"), ("rollback", "--yes"), ("history",)):
        assert verb(*words, data=data) == 2
        assert both in capsys.readouterr().err


def test_two_files_of_a_new_policy_that_are_called_alike_are_named(data, wider, tmp_path, capsys):
    again = tmp_path / "again" / wider.name
    again.parent.mkdir()
    again.write_text("[roles.more]\n")
    assert verb("apply", wider, again, "--yes", data=data) == 2
    assert f"the same name ({wider.name})" in capsys.readouterr().err


def test_tests_that_cannot_be_read_are_not_staged(data, wider, capsys):
    (wider.parent / "new.test.toml").write_bytes(TESTS.encode() + b'# "\xff"\n')
    assert verb("stage", wider, data=data) == 2
    assert "new.test.toml:4:4: this is not UTF-8" in capsys.readouterr().err
    (wider.parent / "new.test.toml").write_text(TESTS.replace('"press"', '"pres"'))
    assert verb("stage", wider, data=data) == 2
    assert "did you mean press?" in capsys.readouterr().err


def test_rollback_undoes_what_was_changed_by_hand(data, wider):
    assert verb("apply", wider, "--yes", data=data) == 0
    (data / "policy.toml").write_text("not a policy")
    assert verb("rollback", "--yes", "--take-over", data=data) == 0
    assert (data / "policy.toml").read_text() == WIDER


def test_a_directory_gains_and_loses_files(data, tmp_path):
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "old.toml").write_text("[roles.old]\n")
    (data / "bartizan.toml").write_text(f'[policy]\nfile = "{folder}"\n')
    new = tmp_path / "new"
    new.mkdir()
    topics, roles = PLANT.split("[roles.press]")
    (new / "topics.toml").write_text(topics)
    (new / "roles.toml").write_text(f"[roles.press]{roles}")
    assert verb("apply", new, "--yes", data=data) == 0
    assert sorted(file.name for file in folder.iterdir()) == ["roles.toml", "topics.toml"]
    assert verb("rollback", "--yes", data=data) == 0
    assert [file.name for file in folder.iterdir()] == ["old.toml"]


def test_several_files_do_not_fit_in_the_place_of_one(data, wider, capsys):
    wider.with_name("more.toml").write_text("[roles.more]\n")
    assert verb("apply", wider.parent, "--yes", data=data) == 2
    assert "the policy has no place for" in capsys.readouterr().err


def test_a_change_that_was_interrupted_is_undone_first(data, wider, capsys):
    assert verb("apply", wider, "--yes", data=data) == 0
    history = History(data / "policy-history")
    history.record({"policy.toml": b"half"}, "", "anna", digest="", at=datetime.now(UTC))
    (data / "policy.toml").write_text("half")
    assert verb("apply", wider, "--yes", data=data) == 0
    assert "version 3 was interrupted and is undone" in capsys.readouterr().err
    assert (data / "policy.toml").read_text() == WIDER


def test_a_second_one_at_the_same_time_is_refused(data, wider, capsys):
    with History(data / "policy-history").changing():
        assert verb("apply", wider, "--yes", data=data) == 1
    assert "is being changed already" in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_not_taken_for_none(data, wider, capsys):
    with DirectoryLock(data):
        assert verb("apply", wider, "--yes", data=data) == 1
    assert "does not answer" in capsys.readouterr().err
    assert (data / "policy.toml").read_text() == PLANT


def test_apply_in_json_tells_all_of_it(data, wider, capsys):
    assert verb("apply", wider, "--yes", "--json", data=data) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["version"]["digest"] == answer["digest"]
    assert answer["changes"]["roles"][0]["gains"]
    assert answer["tests"] == {"passed": True, "expectations": []}
    assert {finding["code"] for finding in answer["findings"]}


def test_a_history_without_versions_says_how_to_begin(data, capsys):
    assert verb("history", data=data) == 0
    assert capsys.readouterr().out == "no policy is on record yet: `bartizan policy apply` begins the history\n"
    assert verb("apply", "--yes", data=data) == 0
    capsys.readouterr()
    assert verb("history", data=data) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("*    1  ")
    assert line.endswith("  found, written")
