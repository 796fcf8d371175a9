"""The history of the policy: what was in force can be had back as it was, and only as it was."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.broker.history import History, Kind, State, Version
from bartizan.errors import Conflict, NotFound, StoreUnavailable

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def put(history: History, files: dict[str, bytes], digest: str = "d", state: State = State.IN_FORCE) -> Version:
    return history.settle(history.record(files, "why", "anna", digest=digest, at=AT), state)


def test_a_version_is_kept_whole_and_survives(tmp_path):
    files = {"a.toml": b"# one\n", "b.toml": b"\r\n"}
    first = put(History(tmp_path), files, "d1")
    again = History(tmp_path)
    assert again.versions() == [first]
    assert again.read(1) == files
    assert (first.who, first.note, first.at, first.kind, first.previous) == ("anna", "why", AT, Kind.APPLY, "")
    assert put(again, {"a.toml": b""}, "d2").previous == "d1"


def test_what_is_in_force_is_the_last_that_was_not_refused_or_interrupted(tmp_path):
    history = History(tmp_path)
    assert history.current() is None
    first = put(history, {"a": b"1"})
    put(history, {"a": b"2"}, state=State.REFUSED)
    history.record({"a": b"3"}, "", "anna", digest="d", at=AT)
    assert history.current() == first
    assert [version.number for version in history.versions()] == [1, 2, 3]


def test_the_policy_before_is_another_one(tmp_path):
    history = History(tmp_path)
    first = put(history, {"a": b"1"}, "good")
    with pytest.raises(NotFound):
        history.before(first)
    put(history, {"a": b"2"}, "bad")
    put(history, {"a": b"2"}, "bad")
    assert history.before(put(history, {"a": b"2"}, "bad")) == first


@pytest.mark.parametrize(
    ("files", "digest"),
    [
        ({"a": b"2", "own.test.toml": b"other tests"}, "bad"),
        ({"a": b"2 # another comment", "own.test.toml": b"tests"}, "bad"),
        ({"a": b"2", "own.test.toml": b"other tests"}, "bad, as a later release names it"),
    ],
)
def test_other_tests_or_comments_make_no_other_policy(tmp_path, files, digest):
    history = History(tmp_path)
    first = put(history, {"a": b"1", "own.test.toml": b"tests"}, "good")
    put(history, {"a": b"2", "own.test.toml": b"tests"}, "bad")
    assert history.before(put(history, files, digest)) == first


def test_what_was_no_policy_is_not_the_policy_before(tmp_path):
    history = History(tmp_path)
    first = put(history, {"a": b"1"}, "good")
    put(history, {"a": b"mistaken"}, "")
    assert history.before(put(history, {"a": b"2"}, "bad")) == first


def test_the_oldest_give_way_but_never_the_one_in_force(tmp_path):
    history = History(tmp_path, versions_max=3)
    put(history, {"a": b"in force"})
    for number in range(5):
        put(history, {"a": b"%d" % number, "same": b"same"}, state=State.REFUSED)
    assert [version.number for version in history.versions()] == [1, 4, 5, 6]
    assert history.read(1) == {"a": b"in force"}
    assert len(list((tmp_path / "contents").iterdir())) == 5
    with pytest.raises(NotFound, match="version 2"):
        history.read(2)


def test_one_changes_it_at_a_time(tmp_path):
    first, second = History(tmp_path), History(tmp_path)
    refused = pytest.raises(Conflict, match="is being changed already")
    with first.changing(), refused, second.changing():
        raise AssertionError
    with second.changing():
        pass


def test_what_was_tampered_with_is_not_given_back(tmp_path):
    history = History(tmp_path)
    put(history, {"a": b"permit nothing"})
    (content,) = (tmp_path / "contents").iterdir()
    content.write_bytes(b"permit all")
    with pytest.raises(StoreUnavailable, match="was changed in the history"):
        history.read(1)
    content.unlink()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        history.read(1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 1}'])
def test_a_version_that_cannot_be_read_is_told(tmp_path: Path, text: str):
    history = History(tmp_path)
    put(history, {"a": b""})
    (tmp_path / "versions" / "000001.json").write_text(text)
    with pytest.raises(StoreUnavailable, match="is no version"):
        history.versions()


def test_nobody_else_may_read_it(tmp_path):
    history = History(tmp_path / "history")
    with history.changing():
        put(history, {"a": b""})
    modes = {path.stat().st_mode & 0o077 for path in [tmp_path / "history", *(tmp_path / "history").rglob("*")]}
    assert modes == {0}


def test_a_version_is_the_same_after_json(tmp_path):
    version = put(History(tmp_path), {"b": b"", "a": b""})
    assert Version.from_dict(json.loads(json.dumps(version.as_dict()))) == version
