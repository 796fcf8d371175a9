"""Nobody changes the log quietly: whatever is flipped, removed, moved, cut off or made anew is found and named."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bartizan.audit.canonical import canonical
from bartizan.audit.head import Head
from bartizan.audit.keys import PublicKey, SigningKey, public_key
from bartizan.audit.log import Log
from bartizan.audit.record import GENESIS, Entry, Kind, hash_of
from bartizan.audit.segments import LOGS, segments
from bartizan.audit.trail import Trail
from bartizan.audit.verify import Verified, verify, verify_all
from bartizan.config.audit import AuditSettings
from bartizan.model.actor import Actor

CHANGES = 12


def written(directory: Path, who: str = "anna") -> Trail:
    trail = Trail.of(directory, AuditSettings(checkpoint_records_max=7), Actor(who))
    for number in range(CHANGES):
        with trail.changing("identity.set", f"identity/press-{number}", before={"note": "a"}, after={"note": "b"}):
            pass
    return trail


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("verify") / "audit"
    written(directory)
    return directory


@pytest.fixture
def audit(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "audit"))


def checked(audit: Path, key: PublicKey | None = None, **words) -> Verified:
    return verify(audit / "changes", key or public_key(audit), **words)


def put(file: Path, head: Head) -> None:
    """Writes a head, as whoever may write there can."""
    with file.open("w+b") as content:
        head.write(content.fileno())


def chained(lines: list[bytes], **words: str) -> list[bytes]:
    """The same records but for their checkpoints, chained anew from the first one on, without the key."""
    made: list[bytes] = []
    previous = GENESIS
    for line in lines:
        if (fields := json.loads(line))["kind"] == "checkpoint":
            continue
        fields |= {"seq": len(made) + 1, "previous": previous, **words}
        fields["hash"] = previous = hash_of(fields)
        made.append(canonical(fields) + b"\n")
    return made


def all_said(audit: Path, **words) -> str:
    return "\n".join(str(problem) for each in verify_all(audit, **words).values() for problem in each.problems)


def lines_of(audit: Path) -> tuple[Path, list[bytes]]:
    [segment] = segments(audit / "changes")
    return segment, segment.read_bytes().splitlines(keepends=True)


def rewritten(audit: Path, lines: list[bytes]) -> Verified:
    segment, _ = lines_of(audit)
    segment.write_bytes(b"".join(lines))
    return checked(audit)


def said(found: Verified) -> str:
    assert not found.is_whole
    return "\n".join(map(str, found.problems))


def test_what_nobody_touched_is_whole(audit):
    found = checked(audit)
    assert found.is_whole
    assert found.open_changes == {}
    assert found.records == found.last_seq == 2 * CHANGES + found.checkpoints
    assert found.checkpoints >= 3


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(where=0.0, bit=0)
@example(where=1 - 2**-40, bit=0)
def test_a_flipped_bit_is_found_wherever_it_is(original, tmp_path_factory, where, bit):
    audit = Path(shutil.copytree(original, tmp_path_factory.mktemp("flip") / "audit"))
    [segment] = segments(audit / "changes")
    content = bytearray(segment.read_bytes())
    at = int(where * len(content))
    content[at] ^= 1 << bit
    segment.write_bytes(content)
    line = content[:at].count(b"\n") + 1
    text = said(checked(audit))
    # A line break that is gone makes two lines one; one that is new makes one line two.
    assert any(f"line {near}" in text for near in (line - 1, line, line + 1))
    shutil.rmtree(audit.parent)


@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_line_that_is_gone_is_named(audit, number):
    _, lines = lines_of(audit)
    text = said(rewritten(audit, lines[:number] + lines[number + 1 :]))
    assert (f"record {number + 1} is missing" in text) if number else ("removed" in text)


def test_lines_that_changed_places_are_named(audit):
    _, lines = lines_of(audit)
    lines[4], lines[5] = lines[5], lines[4]
    text = said(rewritten(audit, lines))
    assert "record 5: stands behind record 6: reordered" in text


def test_an_altered_line_is_named(audit):
    _, lines = lines_of(audit)
    lines[3] = lines[3].replace(b"press-", b"prexx-")
    assert f"line 4: {'record 4 was altered'}" in said(rewritten(audit, lines))


def test_an_altered_line_with_its_hash_made_anew_is_named(audit):
    _, lines = lines_of(audit)
    fields = json.loads(lines[4]) | {"who": "mallory"}
    lines[4] = canonical(fields | {"hash": hash_of(fields)}) + b"\n"
    assert "record 5: is not the record that 6 was chained to" in said(rewritten(audit, lines))


def test_a_chain_made_anew_from_there_on_is_found_by_its_checkpoints(audit):
    _, lines = lines_of(audit)
    previous = json.loads(lines[3])["hash"]
    for at in range(4, len(lines)):
        fields = json.loads(lines[at]) | {"who": "mallory", "previous": previous}
        fields["hash"] = previous = hash_of(fields)
        lines[at] = canonical(fields) + b"\n"
    (audit / "changes/head").unlink()
    assert "forged" in said(rewritten(audit, lines))


@pytest.mark.parametrize("kept", [-1, 20, 3])
def test_a_tail_that_was_cut_off_is_missed(audit, kept):
    _, lines = lines_of(audit)
    text = said(rewritten(audit, lines[:kept]))
    assert "cut off" in text
    assert str(len(lines)) in text


def test_half_a_line_at_the_end_is_what_a_crash_left_only_if_it_was_never_promised(audit):
    _, lines = lines_of(audit)
    assert not rewritten(audit, [*lines[:-1], lines[-1][:-10]]).is_whole
    assert rewritten(audit, [*lines, lines[-1][:-10]]).is_whole


def test_a_line_that_was_put_in_is_named(audit):
    _, lines = lines_of(audit)
    assert "line 6" in said(rewritten(audit, [*lines[:5], b'{"seq":6}\n', *lines[5:]]))
    assert "repeated" in said(rewritten(audit, [*lines[:5], lines[4], *lines[5:]]))


def test_another_log_in_its_place_is_found_by_the_key_that_was_kept(audit, tmp_path):
    kept = public_key(audit)
    written(tmp_path / "other", "mallory")
    assert verify(tmp_path / "other/changes", public_key(tmp_path / "other")).is_whole
    assert "another key" in said(checked(tmp_path / "other", kept))


def test_another_log_of_the_same_key_is_found_by_a_record_that_was_kept(audit, tmp_path):
    kept = checked(audit)
    other = Path(shutil.copytree(audit, tmp_path / "other"))
    segments(other / "changes")[0].unlink()
    put(other / "changes/head", Head().signed(SigningKey(other), "changes"))
    written(other)
    assert all(each.is_whole for each in verify_all(other).values())
    expected = {kept.last_seq: kept.last_hash}
    assert checked(audit, expected=expected).is_whole
    assert "another one than was expected" in said(checked(other, public_key(audit), expected=expected))
    assert "is not there" in said(checked(audit, expected={999: kept.last_hash}))


def test_a_copy_is_verified_with_the_public_key_alone(audit, tmp_path):
    copy = Path(shutil.copytree(audit / "changes", tmp_path / "copy/changes"))
    assert verify(copy, public_key(audit)).is_whole


def test_a_change_without_an_outcome_is_told(audit):
    trail = Trail.of(audit, AuditSettings(), Actor("anna"))
    first, _ = trail.record([trail.entry("identity.remove", "identity/press-1")])
    assert checked(audit).open_changes == {first: "identity.remove"}


def test_both_logs_are_there_and_signed_from_the_first_record_on(audit):
    found = verify_all(audit)
    assert [each.is_whole for each in found.values()] == [True, True]
    assert (found["events"].records, found["events"].key) == (0, found["changes"].key)
    assert found["changes"].signed_seq == found["changes"].last_seq
    assert found["changes"].notes == []


def test_a_chain_made_without_the_key_is_not_whole_whatever_its_head_says(audit):
    _, lines = lines_of(audit)
    made = chained(lines, who="mallory")
    last = json.loads(made[-1])
    old = Head.of(audit / "changes")
    assert old is not None
    for forged in (
        Head(last["seq"], last["hash"]),
        Head(last["seq"], last["hash"], key=old.key, signature=old.signature),
        old,
    ):
        put(audit / "changes/head", forged)
        assert rewritten(audit, made).problems


def test_a_chain_made_without_the_key_stays_found_after_the_broker_went_on(audit):
    segment, lines = lines_of(audit)
    segment.write_bytes(b"".join(made := chained(lines, who="mallory")))
    last = json.loads(made[-1])
    put(audit / "changes/head", Head(last["seq"], last["hash"]))
    written(audit)
    assert "the head was found not signed" in said(checked(audit))


def test_records_in_place_of_others_stay_found_after_the_broker_went_on(audit):
    segment, lines = lines_of(audit)
    made = chained(lines, who="mallory")
    # As many as there were: the number that the head names is there.
    fields = json.loads(made[-1])
    while len(made) < len(lines):
        fields |= {"seq": len(made) + 1, "previous": fields["hash"]}
        fields["hash"] = hash_of(fields)
        made.append(canonical(fields) + b"\n")
    segment.write_bytes(b"".join(made))
    assert "is not the record that the head names" in said(checked(audit))
    written(audit)
    assert "the head was found replaced" in said(checked(audit))


def forged_log(directory: Path, minutes: tuple[int, ...]) -> Log:
    """A log whose records are so many minutes after the first, with no checkpoint between."""
    begin = datetime(2026, 11, 21, 12, tzinfo=UTC)
    at = begin
    log = Log(directory / "changes", SigningKey(directory), AuditSettings(), now=lambda: at)
    log.append([Entry(Kind.CHANGE, "identity.set", Actor("anna"))])
    key = SigningKey(directory)
    segment = segments(log.directory)[0]
    with segment.open("ab") as file:
        last = json.loads(segment.read_bytes().splitlines()[-1])
        for minute in minutes:
            entry = Entry(Kind.CHANGE, "identity.set", Actor("mallory"), at=begin + timedelta(minutes=minute))
            fields = entry.fields("changes", last["seq"] + 1, begin, last["hash"])
            last = fields | {"hash": hash_of(fields)}
            file.write(canonical(last) + b"\n")
    # The worst case: somebody got a head signed over it.
    put(log.directory / "head", Head(last["seq"], last["hash"]).signed(key, "changes"))
    at = begin + timedelta(minutes=max(minutes, default=0) + 1)
    log.append([Entry(Kind.CHANGE, "identity.set", Actor("anna"))])
    return log


@pytest.mark.parametrize(("minutes", "is_whole"), [((), True), ((0, 30), True), ((2, 3), True), ((2, 30), False)])
def test_what_no_checkpoint_signed_in_time_is_named(tmp_path, minutes, is_whole):
    log = forged_log(tmp_path / "audit", minutes)
    found = verify(log.directory, public_key(tmp_path / "audit"))
    assert found.is_whole is is_whole, found.problems
    if not is_whole:
        assert "records from 3 on were never signed" in said(found)


def test_a_time_that_is_none_is_named(audit):
    _, lines = lines_of(audit)
    assert "its time is none" in said(rewritten(audit, chained(lines, at="yesterday")))


@pytest.mark.parametrize("kept", [1, 5, 20])
def test_a_tail_that_was_cut_off_with_its_head_is_missed(audit, kept):
    segment, lines = lines_of(audit)
    segment.write_bytes(b"".join(lines[:kept]))
    last = json.loads(lines[kept - 1])
    put(audit / "changes/head", Head(last["seq"], last["hash"]))
    assert "head: is not signed by the key: forged" in said(checked(audit))
    (audit / "changes/head").write_bytes(b"")
    assert "head: is damaged" in said(checked(audit))
    (audit / "changes/head").unlink()
    assert "head: is missing: removed" in said(checked(audit))
    written(audit)
    assert "the head was found missing" in said(checked(audit))


def test_the_head_of_the_other_log_is_none_of_this_one(audit):
    written_head = (audit / "events/head").read_bytes()
    segments(audit / "changes")[0].unlink()
    (audit / "changes/head").write_bytes(written_head)
    assert "head: is not signed" in said(checked(audit))


def test_a_head_that_lags_behind_is_what_a_power_cut_leaves(audit):
    before = (audit / "changes/head").read_bytes()
    written(audit)
    (audit / "changes/head").write_bytes(before)
    assert checked(audit).is_whole
    written(audit)
    assert checked(audit).is_whole


def test_an_older_head_lets_nobody_cut_what_came_long_after_it(tmp_path):
    audit = tmp_path / "audit"
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    log = Log(audit / "changes", SigningKey(audit), AuditSettings(), now=lambda: at)
    heads = []
    for _ in range(4):
        log.append([Entry(Kind.CHANGE, "identity.set", Actor("anna"))])
        heads.append((audit / "changes/head").read_bytes())
        at += timedelta(hours=10)
    # The last record alone is what a power cut leaves, however long nobody had written before.
    (audit / "changes/head").write_bytes(heads[2])
    assert checked(audit).is_whole
    segment, lines = lines_of(audit)
    segment.write_bytes(b"".join(lines[:6]))
    (audit / "changes/head").write_bytes(heads[0])
    assert "head: is older than the records" in said(checked(audit))
    log.append([Entry(Kind.CHANGE, "identity.set", Actor("anna"))])
    assert "the head was found put back" in said(checked(audit))


def test_without_the_public_key_nothing_is_whole(audit, tmp_path):
    kept = tmp_path / "kept.pub"
    shutil.move(audit / "checkpoint.pub", kept)
    assert all_said(audit).count("checkpoint.pub: there is no public key") == len(LOGS)
    written(audit)
    assert "there is no public key" in all_said(audit)
    assert all_said(audit, key=PublicKey(kept.read_bytes())) == ""


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_was_removed_is_missed_also_after_the_broker_went_on(audit, name):
    shutil.rmtree(audit / name)
    assert f"{name}: the log is missing: removed" in all_said(audit)
    log = Log(audit / name, SigningKey(audit), AuditSettings())
    log.append([Entry(Kind.EVENT, "denied", Actor("anna"))])
    assert "the head was found missing" in all_said(audit)


def test_a_new_key_in_place_of_the_old_one_is_found(audit):
    for name in ("checkpoint.key", "checkpoint.pub"):
        (audit / name).unlink()
    written(audit)
    text = all_said(audit)
    assert "was signed by another key" in text
    assert "the head was found not signed" in text


def test_an_older_copy_that_was_put_back_is_found_by_a_record_that_was_kept(audit, tmp_path):
    older = Path(shutil.copytree(audit, tmp_path / "older"))
    written(audit)
    last = checked(audit)
    expected = {"changes": {last.last_seq: last.last_hash}}
    assert all_said(older) == ""
    assert "is expected, and is not there" in all_said(older, expected=expected)
    written(older)
    assert all_said(older) == ""
    assert "is another one than was expected" in all_said(older, expected=expected)
