"""`bartizan audit`, and that every verb that changes something is in it: once, with its outcome, without a secret."""

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest

from bartizan.audit.search import records
from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bartizan.model.finding import About, Finding
from bartizan.policy import default_policy_text
from bartizan.store.findings import FindingStore

CHOSEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited") / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return root


@pytest.fixture
def data(first: Path, tmp_path: Path) -> Path:
    """A data directory after its first run."""
    return Path(shutil.copytree(first, tmp_path / "data"))


@pytest.fixture
def said(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a verb that has to succeed; what it prints."""

    def say(*words: str | Path, code: int = 0) -> str:
        capsys.readouterr()
        assert run([*map(str, words), "--data", str(data)]) == code, capsys.readouterr().err
        return capsys.readouterr().out

    return say


def changes(data: Path) -> list[dict[str, Any]]:
    return [each for each in records(data / "audit/changes") if each["kind"] == "change"]


def test_the_first_run_is_on_record(data):
    found = [(each["what"], each.get("target", "").partition("/")[0]) for each in changes(data)]
    assert found[0] == ("ca.create", "ca")
    assert ("identity.add", "identity") in found
    assert {"identity/admin", "identity/press-01", "identity/dash-01"} <= {each["target"] for each in changes(data)}


WALK: tuple[tuple[str, str], ...] = (
    ("identity add press-07 --attr site=chicago", "identity.add"),
    ("identity set press-07 --add-role press", "identity.set"),
    ("identity set press-07 --state quarantined --reason odd", "identity.set"),
    ("identity import {csv}", "identity.add"),
    ("identity remove p-csv", "identity.remove"),
    ("group add line-3 --role press", "group.add"),
    ("group set line-3 --note hall", "group.set"),
    ("role grant dashboard press-07", "identity.set"),
    ("role revoke dashboard press-07", "identity.set"),
    ("group remove line-3", "group.remove"),
    ("enrol press-08 --role press --out {out}", "identity.add"),
    ("enrol dash-08 --password --out {out}-password --json", "identity.add"),
    ("credential rotate press-08 --out {out}-new", "credential.rotate"),
    ("credential rotate dash-08 --overlap 1d --json", "credential.rotate"),
    ("credential pin press-07 {out}/press-08.crt", "credential.add"),
    ("credential revoke press-08 --all", "credential.revoke"),
    ("passwd dash-08 --generate --json", "credential.replace"),
    ("passwd press-07 --generate --scram both --json", "credential.add"),
    ("operator add alice --json", "operator.add"),
    ("operator set alice --role admin", "operator.set"),
    ("operator passwd alice --generate --json", "operator.set"),
    ("operator totp enrol alice --json", "operator.set"),
    ("operator totp confirm alice {code} --json", "operator.set"),
    ("operator recovery alice --json", "operator.set"),
    ("operator totp reset alice", "operator.set"),
    ("operator token create alice --scope look --json", "operator.token-add"),
    ("operator remove alice", "operator.remove"),
    ("findings mute reconnects --for 2d --why antenna", "detector.mute"),
    ("findings unmute 1", "detector.unmute"),
    ("policy apply {policy} --yes --note hall", "policy.apply"),
    ("policy rollback --yes", "policy.rollback"),
)


def test_every_verb_that_changes_something_is_on_record_once_and_no_secret_with_it(data, said, tmp_path):
    (tmp_path / "new.csv").write_text("name,roles\np-csv,press\n")
    (tmp_path / "policy.toml").write_text(default_policy_text() + "\n# wider\n[roles.reader]\n")
    places = {"csv": tmp_path / "new.csv", "out": tmp_path / "out", "policy": tmp_path / "policy.toml", "code": ""}
    secrets: set[str] = set()
    for command, what in WALK:
        before = len(changes(data))
        out = said(*(word.format(**places) for word in command.split()))
        made = [each for each in changes(data)[before:] if each["what"] != "policy.found"]
        assert [each["what"] for each in made] == [what], command
        if "--json" in command:
            told = json.loads(out)
            secrets |= {told[key] for key in ("password", "token") if key in told} | {*told.get("recovery_codes", ())}
            if "uri" in told:
                secret = pyotp.parse_uri(told["uri"]).secret
                secrets.add(secret)
                places["code"] = pyotp.TOTP(secret).now()
    for key in tmp_path.rglob("*.key"):
        secrets |= set(key.read_text().splitlines()[1:-1])
    assert len(secrets) > 15
    text = b"".join(file.read_bytes() for file in (data / "audit/changes").iterdir()).decode()
    assert [secret for secret in secrets if secret in text] == []
    assert "$argon2" not in text
    verified = json.loads(said("audit", "verify", "--json"))["logs"]["changes"]
    assert verified["whole"]
    assert verified["open_changes"] == {}
    for words in (
        ("search",),
        ("search", "--json"),
        ("tail", "-n", "999"),
        ("show", "5"),
        *(("export", "--format", form) for form in ("json", "csv", "ocsf", "cef")),
    ):
        shown = said("audit", *words)
        assert shown
        assert [secret for secret in secrets if secret in shown] == []


def test_verbs_that_only_look_record_nothing(data, said):
    before = len(list(records(data / "audit/changes")))
    for words in ("identity list", "group list", "role list", "credential list", "operator list", "policy history"):
        said(*words.split())
    said("policy", "apply", "--dry-run", data / "policy.toml")
    assert len(list(records(data / "audit/changes"))) == before


def test_who_and_why_are_told(data, said, monkeypatch):
    monkeypatch.setenv("BARTIZAN_WHY", "ticket 4711")
    said("identity", "set", "press-01", "--note", "x")
    last = changes(data)[-1]
    assert last["who"]
    assert (last["from"], last["why"]) == ("local", "ticket 4711")
    assert "ticket 4711" in said("audit", "search", "4711")


def test_a_change_that_cannot_be_recorded_does_not_happen(data, capsys):
    shutil.rmtree(data / "audit")
    (data / "audit").write_text("in the way")
    assert run(["identity", "remove", "press-01", "--data", str(data)]) == 1
    assert "nothing was changed" in capsys.readouterr().err
    (data / "audit").unlink()
    assert run(["identity", "show", "press-01", "--data", str(data)]) == 0


def test_verify_names_what_was_altered(data, said):
    assert "whole" in said("audit", "verify")
    [segment] = (data / "audit/changes").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    number = next(at for at, line in enumerate(lines) if b"identity/" in line)
    lines[number] = lines[number].replace(b"identity/", b"idantity/")
    segment.write_bytes(b"".join(lines))
    out = said("audit", "verify", code=1)
    assert f"line {number + 1}: record {number + 1} was altered" in out
    assert "NOT AS WRITTEN" in out
    told = json.loads(said("audit", "verify", "--json", code=1))
    assert told["logs"]["changes"]["problems"][0]["line"] == number + 1
    found = json.loads(said("doctor", "--json", code=1))["findings"]
    assert any("audit" in each["what"] for each in found if each["level"] == "fault")


def test_a_copy_is_verified_by_the_key_and_the_record_that_were_kept(data, said, tmp_path):
    key = tmp_path / "kept.pub"
    key.write_text(said("audit", "key"))
    (last,) = re.findall("last record (c.*)", said("audit", "verify"))
    said("identity", "set", "press-01", "--note", "later")
    copy = shutil.copytree(data / "audit", tmp_path / "copy")
    assert "whole" in said("audit", "verify", "--from", copy, "--key", key, "--expect", last)
    wrong = last.replace(last[-4:], "0000")
    assert "another one than was expected" in said("audit", "verify", "--from", copy, "--expect", wrong, code=1)


def cut(audit: Path) -> None:
    """Cuts the last record off, and has the head say so."""
    [segment] = (audit / "changes").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-1]))
    last = json.loads(lines[-2])
    told = json.loads((audit / "changes/head").read_text())
    (audit / "changes/head").write_text(json.dumps(told | {"seq": last["seq"], "hash": last["hash"]}))


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (cut, "head: is not signed by the key: forged"),
    "no head": (lambda audit: (audit / "changes/head").unlink(), "head: is missing: removed"),
    "no key": (lambda audit: (audit / "checkpoint.pub").unlink(), "checkpoint.pub: there is no public key"),
    "no changes": (lambda audit: shutil.rmtree(audit / "changes"), "changes: the log is missing: removed"),
    "no events": (lambda audit: shutil.rmtree(audit / "events"), "events: the log is missing: removed"),
    "nothing": (shutil.rmtree, "changes: the log is missing: removed"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_record_that_lacks_what_tells_is_not_whole(data, said, attack):
    do, says = ATTACKS[attack]
    do(data / "audit")
    assert says in said("audit", "verify", code=1)
    found = json.loads(said("doctor", "--json", code=1))["findings"]
    assert any("bartizan audit verify" in str(each) for each in found if each["level"] == "fault")


def test_a_directory_that_was_put_back_is_found_by_the_record_that_was_kept(data, said, tmp_path):
    older = shutil.copytree(data / "audit", tmp_path / "older")
    said("identity", "set", "press-01", "--note", "later")
    (last,) = re.findall("last record (c.*)", said("audit", "verify"))
    shutil.rmtree(data / "audit")
    shutil.copytree(older, data / "audit")
    assert "whole" in said("audit", "verify")
    assert "is expected, and is not there" in said("audit", "verify", "--expect", last, code=1)


def test_tail_shows_the_last_and_show_one_whole(data, said):
    said("identity", "set", "press-01", "--note", "line 3")
    lines = said("audit", "tail", "-n", "2").splitlines()
    assert len(lines) == 2
    seq = lines[0].split()[0]
    assert "note=demo identity of the first run -> line 3" in lines[0]
    shown = said("audit", "show", seq)
    assert '"note": "line 3"' in shown
    assert "previous" in shown
    assert said("audit", "show", "c9999", code=1) == ""


def test_search_takes_times_and_spans(data, said):
    assert said("audit", "search", "--since", "1h", "--json").count("\n") > 3
    assert said("audit", "search", "--until", "2020-01-01") == said("audit", "search", "--log", "events") == ""


def test_what_is_no_copy_is_refused(data, said, tmp_path, capsys):
    assert run(["audit", "verify", "--from", str(tmp_path)]) == 2
    assert "no copy of an audit directory" in capsys.readouterr().err


def test_what_a_peer_chose_in_a_finding_moves_no_cursor(data, said):
    at = datetime.now(UTC).timestamp()
    shown = Finding("novelty", About.TARGET, "press\x1b[2J", 50, "someone claimed to be press\x1b[2J", at)
    (kept,) = FindingStore(data / "findings.sqlite").put([shown])
    acknowledged = said("findings", "ack", str(kept.number), "--why", "seen")
    assert acknowledged == f"finding {kept.number} is acknowledged: someone claimed to be press\\x1b[2J\n"
    muted = said("findings", "mute", "novelty", "--of", "target:press\x1b[2J", "--why", "seen")
    assert "of target press\\x1b[2J until" in muted
    assert "\x1b" not in said("findings", "unmute", "1")


def test_an_error_moves_no_cursor(data, capsys):
    assert run(["policy", "explain", "--as", "press\x1b[2J\u202e", "publish", "x", "--data", str(data)]) != 0
    assert capsys.readouterr().err.startswith("bartizan: no identity press\\x1b[2J\\u202e in ")
