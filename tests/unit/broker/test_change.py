"""A change of the policy is whole or not at all: files, history and the broker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit.search import records
from bartizan.audit.trail import Trail
from bartizan.broker.change import Change, by_hand, put_in_force, take_over, undo_interrupted
from bartizan.broker.history import History, Kind, State
from bartizan.broker.place import Place
from bartizan.config.audit import AuditSettings
from bartizan.errors import ChangeRefused, ConfigurationError, Conflict, StoreUnavailable
from bartizan.model.actor import Actor
from bartizan.policy import check_all

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROLE = '[roles.{0}]\npermit = [{{ action = "publish", filter = "{0}" }}]\n'


def policy(*names: str) -> dict[str, bytes]:
    return {f"{name}.toml": ROLE.format(name).encode() for name in names}


def digest(contents: Mapping[str, bytes]) -> str:
    compiled = check_all(list(contents.items())).compiled
    assert compiled is not None
    return compiled.digest


@dataclass
class Broker:
    """Loads what lies in a place, unless it is told to refuse."""

    place: Place
    refuses: str = ""
    reads: Place | None = None
    loaded: str = ""
    reloads: list[dict[str, bytes]] = field(default_factory=list)
    looks: Callable[[], list[str]] = list
    seen: list[str] = field(default_factory=list)

    def digest(self) -> str:
        return self.loaded

    def reload(self) -> Mapping[str, Any]:
        self.reloads.append(self.place.read())
        self.seen += self.looks()
        if self.refuses:
            return {"applied": [], "refused": [self.refuses]}
        self.loaded = digest((self.reads or self.place).read())
        return {"applied": ["policy"], "refused": ["listener mqtts: no certificate"]}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "policy"
    folder.mkdir()
    found = Place((folder,))
    found.write(policy("a", "b"))
    return found


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.of(tmp_path / "audit", AuditSettings(), Actor("anna"))


def change(contents: Mapping[str, bytes]) -> Change:
    return Change(contents, digest(contents), "anna", AT, "why")


def test_it_is_recorded_written_and_loaded(place, history, trail):
    broker = Broker(place)
    version = put_in_force(change(policy("b", "c")), place, history, broker, trail)
    assert version.state is State.IN_FORCE
    assert place.read() == history.read(1) == policy("b", "c")
    assert broker.loaded == version.digest


def test_without_a_broker_it_is_written(place, history, trail):
    assert put_in_force(change(policy("c")), place, history, None, trail).state is State.WRITTEN
    assert place.read() == policy("c")


def test_what_the_broker_refuses_leaves_all_as_it_was(place, history, trail):
    with pytest.raises(ChangeRefused, match="the certificates cannot be read"):
        put_in_force(
            change(policy("c")), place, history, Broker(place, refuses="the certificates cannot be read"), trail
        )
    assert place.read() == policy("a", "b")
    assert [version.state for version in history.versions()] == [State.REFUSED]
    assert history.current() is None


def test_a_broker_that_reads_other_files_is_told_and_undone(place, history, tmp_path, trail):
    (tmp_path / "other").mkdir()
    other = Place((tmp_path / "other",))
    other.write(policy("x"))
    with pytest.raises(ChangeRefused, match="does it read other files"):
        put_in_force(change(policy("c")), place, history, Broker(place, reads=other), trail)
    assert place.read() == policy("a", "b")


def test_a_broker_that_loaded_it_and_then_failed_goes_back(place, history, trail):
    class Lost(Broker):
        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        def reload(self) -> Mapping[str, Any]:
            super().reload()
            if len(self.reloads) == 1:
                raise ChangeRefused("no answer")
            return {}

    broker = Lost(place)
    with pytest.raises(ChangeRefused, match="no answer"):
        put_in_force(change(policy("c")), place, history, broker, trail)
    assert broker.reloads == [policy("c"), policy("a", "b")]
    assert broker.loaded == digest(policy("a", "b"))


def test_an_interrupted_change_is_undone(place, history, trail):
    take_over(place, history, trail, who="anna", at=AT, allowed=False)
    history.record(policy("c"), "", "anna", digest=digest(policy("c")), at=AT)
    place.write(policy("c"))
    broker = Broker(place, loaded=digest(policy("c")))
    undone = undo_interrupted(place, history, broker, trail)
    assert undone is not None
    assert (undone.number, undone.state) == (2, State.REFUSED)
    assert place.read() == policy("a", "b")
    assert broker.loaded == digest(policy("a", "b"))
    assert undo_interrupted(place, history, broker, trail) is None


def test_what_was_found_is_recorded_once(place, history, trail):
    found = take_over(place, history, trail, who="anna", at=AT, allowed=False)
    assert found is not None
    assert (found.kind, found.digest) == (Kind.FOUND, digest(policy("a", "b")))
    assert take_over(place, history, trail, who="anna", at=AT, allowed=False) is None


def test_what_was_changed_by_hand_is_recorded_only_where_that_is_allowed(place, history, trail):
    take_over(place, history, trail, who="anna", at=AT, allowed=False)
    (place.named[0] / "b.toml").write_bytes(b"no policy")
    (place.named[0] / "c.toml").write_bytes(b"")
    assert by_hand(place, history) == ("b.toml", "c.toml")
    with pytest.raises(Conflict, match=r"b\.toml, c\.toml"):
        take_over(place, history, trail, who="anna", at=AT, allowed=False)
    taken = take_over(place, history, trail, who="anna", at=AT, allowed=True)
    assert taken is not None
    assert (taken.kind, taken.digest) == (Kind.TAKE_OVER, "")
    assert by_hand(place, history) == ()


# ---- the place ----------------------------------------------------------------------------------


def test_a_single_file_takes_any_name_and_keeps_its_mode(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_bytes(b"old")
    file.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    place = Place((link,))
    place.write(place.fit({"new.toml": b"new"}))
    assert link.is_symlink()
    assert place.read() == {"link.toml": b"new"}
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_new_file_of_a_directory_is_as_its_neighbours(place):
    folder = place.named[0]
    (folder / "a.toml").chmod(0o644)
    (folder / "b.toml").chmod(0o644)
    place.write(policy("a", "c"))
    assert (folder / "c.toml").stat().st_mode & 0o777 == 0o644


def test_the_tests_beside_a_policy_are_its_own_and_other_files_stay(place, history, trail):
    folder = place.named[0]
    for name in ("a.test.toml", "README.md"):
        (folder / name).write_bytes(b"x")
    assert place.read() == policy("a", "b") | {"a.test.toml": b"x"}
    taken = take_over(place, history, trail, who="anna", at=AT, allowed=False)
    assert taken is not None
    assert taken.digest == digest(policy("a", "b"))
    place.write(policy("c") | {"c.test.toml": b"y"})
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "c.test.toml", "c.toml"]
    assert by_hand(place, history) == ("a.test.toml", "a.toml", "b.toml", "c.test.toml", "c.toml")
    place.write(history.read(taken.number))
    assert by_hand(place, history) == ()


def test_what_has_no_place_is_refused(tmp_path, place):
    single = Place((tmp_path / "policy.toml",))
    with pytest.raises(ConfigurationError, match="the policy has no place for"):
        single.fit(policy("a", "b"))
    pattern = Place((tmp_path / "policy" / "press-*.toml",))
    assert pattern.fit(policy("press-1", "press-2"))
    with pytest.raises(ConfigurationError, match=r"no place for c\.toml"):
        pattern.fit(policy("press-1", "c"))
    with pytest.raises(ConfigurationError, match=r"no place for x\.tests"):
        place.fit({"x.tests": b"", "a.toml": b""})
    named = Place((tmp_path / "policy" / "a.toml", tmp_path / "more.toml"))
    (tmp_path / "more.toml").write_bytes(b"")
    assert named.fit({"a.toml": b"", "more.toml": b""})
    with pytest.raises(ConfigurationError, match="has none of its name"):
        named.fit({"a.toml": b""})
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "a.toml").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"two files of the policy are called a\.toml"):
        Place((place.named[0], tmp_path / "second")).files()


def test_tests_of_the_same_name_in_two_directories_are_both_told(tmp_path, place):
    first, second = place.named[0] / "own.test.toml", tmp_path / "second" / "own.test.toml"
    second.parent.mkdir()
    second.with_name("c.toml").write_bytes(b"")
    for file in (first, second):
        file.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"two files of tests .* own\.test\.toml") as refused:
        Place((first.parent, second.parent)).files()
    assert refused.value.where == f"{first}, {second}"
    second.rename(second.with_name("more.test.toml"))
    assert Place((first.parent, second.parent)).files().keys() == {
        *("a.toml", "b.toml", "own.test.toml", "c.toml", "more.test.toml")
    }


def test_a_change_is_in_the_audit_before_it_takes_effect_and_its_outcome_behind_it(place, history, trail):
    broker = Broker(place, looks=lambda: [each["kind"] for each in records(trail.log.directory)])
    put_in_force(change(policy("b", "c")), place, history, broker, trail)
    with pytest.raises(ChangeRefused):
        put_in_force(change(policy("d")), place, history, Broker(place, refuses="no"), trail)
    assert broker.seen == ["change", "checkpoint"]
    found = [each for each in records(trail.log.directory) if each["kind"] != "checkpoint"]
    assert [(each["kind"], each["what"], each.get("outcome")) for each in found] == [
        ("change", "policy.apply", None),
        ("outcome", "policy.apply", "done"),
        ("change", "policy.apply", None),
        ("outcome", "policy.apply", "failed"),
    ]
    assert found[0]["why"] == "why"
    assert found[0]["after"]["digest"] == digest(policy("b", "c"))
    assert set(found[0]["after"]["files"]) == {"c.toml"}, "b is as it was"


def test_what_cannot_be_put_in_the_audit_does_not_happen(place, history, trail):
    trail.log.directory.parent.write_text("no directory")
    before = place.read()
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        put_in_force(change(policy("c")), place, history, None, trail)
    assert place.read() == before
    assert history.versions() == []
