"""Nobody changes the log quietly: whatever is flipped, removed, moved, cut off or made anew is found and named."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bartizan.audit.canonical import canonical
from bartizan.audit.keys import PublicKey, public_key
from bartizan.audit.record import hash_of
from bartizan.audit.segments import segments
from bartizan.audit.trail import Trail
from bartizan.audit.verify import Verified, verify
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
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for name in ("checkpoint.key", "checkpoint.pub"):
        shutil.copy(audit / name, other / name)
    written(other)
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
