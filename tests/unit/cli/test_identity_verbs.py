"""`identity`, `group`, `role` and `credential`: what they change, what they print, what they refuse."""

import asyncio
import csv
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bartizan.cli.person import operator
from bartizan.config.layout import DataDirectory
from bartizan.identity.passwords import verify_password
from bartizan.model.credential import SCRAM_ITERATIONS, SCRAM_MECHANISMS, PasswordCredential, ScramCredential
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage
from bartizan.store.sqlite import SqliteIdentityStore


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as the first run makes it."""
    root = tmp_path_factory.mktemp("identities") / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return root


@pytest.fixture
def data(first: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    root = tmp_path / "data"
    root.mkdir(mode=0o700)
    for path in sorted(first.rglob("*")):
        target = root / path.relative_to(first)
        if path.is_dir():
            target.mkdir(mode=0o700)
        else:
            target.write_bytes(path.read_bytes())
            target.chmod(stat.S_IMODE(path.stat().st_mode))
    return root


@pytest.fixture
def told(data: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a verb that has to succeed; what it prints as JSON."""

    def tell(*words: str) -> Any:
        capsys.readouterr()
        assert run([*words, "--data", str(data), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return tell


@pytest.fixture
def refused(data: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a verb that has to fail with this code; its one line."""

    def tell(code: int, *words: str) -> str:
        capsys.readouterr()
        assert run([*words, "--data", str(data)]) == code
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return tell


def stored(data: Path, name: str) -> Identity | None:
    async def get() -> Identity | None:
        store = await SqliteIdentityStore.open(DataDirectory(data).identities)
        try:
            return await store.get(name)
        finally:
            await store.close()

    return asyncio.run(get())


def saw(data: Path, name: str, credential: str, ago: timedelta) -> None:
    async def note() -> None:
        store = await SqliteIdentityStore.open(DataDirectory(data).identities)
        await store.note_usage([Usage(IdentityName(name), datetime.now(UTC) - ago, credential, "192.0.2.1")])
        await store.close()

    asyncio.run(note())


# ---- identity ---------------------------------------------------------------------------------


def test_an_identity_is_added_changed_shown_listed_and_removed(told, refused, data):
    told("group", "add", "line-3", "--role", "dashboard")
    made = told(
        "identity",
        "add",
        "press-07",
        "--role",
        "press",
        "--group",
        "line-3",
        "--attr",
        "site=chicago",
        "--owner",
        "me@x",
    )
    assert (made["roles"], made["groups"], made["attributes"], made["owner"]) == (
        ["press"],
        ["line-3"],
        {"site": "chicago"},
        "me@x",
    )
    shown = told("identity", "show", "press-07")
    assert (shown["all_roles"], shown["credentials"], shown["last_seen_at"]) == (["press", "dashboard"], [], None)
    changed = told(
        "identity",
        "set",
        "press-07",
        "--remove-role",
        "press",
        "--attr",
        "line=3",
        "--note",
        "moved",
        "--state",
        "disabled",
    )
    assert (changed["roles"], changed["attributes"], changed["note"], changed["state"], changed["owner"]) == (
        [],
        {"line": "3", "site": "chicago"},
        "moved",
        "disabled",
        "me@x",
    )
    assert [one["identity"] for one in told("identity", "list", "--role", "dashboard")] == ["dash-01", "press-07"]
    assert [one["identity"] for one in told("identity", "list", "press-*", "--state", "enabled")] == ["press-01"]
    assert [one["identity"] for one in told("identity", "list", "--group", "line-3")] == ["press-07"]
    told("identity", "remove", "press-07", "press-01")
    assert [one["identity"] for one in told("identity", "list")] == ["admin", "dash-01"]
    assert "no identity 'press-07'" in refused(1, "identity", "show", "press-07")


def test_of_several_to_remove_none_is_when_one_is_not_there(told, refused):
    assert "'ghost'" in refused(1, "identity", "remove", "press-01", "ghost")
    assert [one["identity"] for one in told("identity", "list")] == ["admin", "dash-01", "press-01"]


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (1, ["identity", "add", "press-01"], "exists already"),
        (1, ["identity", "add", "x", "--group", "nowhere"], "no group 'nowhere'"),
        (2, ["identity", "add", "a/b"], "'/'"),
        (2, ["identity", "add", "x", "--attr", "site"], "NAME=VALUE"),
        (1, ["identity", "set", "ghost", "--note", "x"], "no identity 'ghost'"),
        (1, ["identity", "set", "press-01", "--remove-role", "admin"], "press-01 has no role 'admin'"),
        (2, ["identity", "set", "press-01", "--for", "2d"], "--state quarantined"),
        (2, ["identity", "set", "press-01", "--state", "quarantined", "--for", "soon"], "14d"),
        (2, ["identity", "list", "--idle", "month"], "14d"),
        (1, ["group", "show", "nowhere"], "no group 'nowhere'"),
        (2, ["group", "add", "Line 3"], "group name 'Line 3'"),
        (1, ["role", "show", "nobody"], "no role 'nobody'"),
        (1, ["role", "grant", "nobody", "press-01"], "it has admin, anonymous, dashboard"),
        (1, ["role", "revoke", "dashboard", "press-01"], "press-01 has no role 'dashboard'"),
        (2, ["role", "grant", "press"], "--group"),
        (2, ["credential", "revoke", "press-01"], "--all"),
        (1, ["credential", "revoke", "press-01", "nope"], "no credential 'nope'"),
        (2, ["credential", "rotate", "press-01", "--overlap", "2 weeks"], "14d"),
        (2, ["credential", "rotate", "press-01", "--overlap", "500d"], "0 to 365 days"),
        (2, ["identity", "import", "missing.csv"], "missing.csv"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(refused, tmp_path, monkeypatch, code, words, says):
    monkeypatch.chdir(tmp_path)
    assert says in refused(code, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "no bundle of a rotation that was refused"


def test_a_quarantine_has_an_end(told, data):
    words = ("--for", "2d", "--reason", "odd", "--ticket", "INC-7")
    shown = told("identity", "set", "press-01", "--state", "quarantined", *words)
    assert (shown["state"], shown["quarantine_reason"], shown["quarantine_ticket"]) == ("quarantined", "odd", "INC-7")
    assert shown["quarantined_by"] == operator()
    ends = datetime.fromisoformat(shown["quarantined_until"]) - datetime.now(UTC)
    assert timedelta(hours=47) < ends <= timedelta(hours=48)
    assert told("identity", "set", "press-01", "--state", "enabled")["quarantined_until"] is None


def test_who_was_not_seen_for_long_is_found(told, data):
    saw(data, "press-01", "", timedelta(days=40))
    saw(data, "dash-01", "", timedelta(days=1))
    assert [one["identity"] for one in told("identity", "list", "--idle", "30d")] == ["admin", "press-01"]
    assert told("identity", "show", "dash-01")["last_seen_from"] == "192.0.2.1"


def test_tables_are_for_people_and_hold_no_secret(data, capsys):
    for words in (["identity", "list"], ["identity", "show", "admin"], ["group", "list"], ["role", "list"]):
        assert run([*words, "--data", str(data)]) == 0
    assert run(["role", "show", "press", "--data", str(data)]) == 0
    assert run(["credential", "list", "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "press-01" in shown
    assert "3 identities" in shown
    assert "$argon2id" not in shown


# ---- import and export ----------------------------------------------------------------------------


def test_an_import_is_all_or_nothing_and_names_every_line(data, told, tmp_path, capsys):
    file = tmp_path / "presses.csv"
    file.write_text("name,roles\nn1,press\na/b,\npress-01,\nn2,Bad\n")
    assert run(["identity", "import", str(file), "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert f"{file}: line 3: " in error
    assert f"{file}: line 5: " in error
    assert "nothing was imported" in error
    assert len(told("identity", "list")) == 3
    file.write_text("name,roles\nn1,press\nn2,press\n")
    assert told("identity", "import", str(file), "--dry-run") == {"added": 2, "changed": 0, "dry_run": True}
    assert told("identity", "import", str(file)) == {"added": 2, "changed": 0, "dry_run": False}
    assert len(told("identity", "list", "--role", "press")) == 3
    assert run(["identity", "import", str(file), "--data", str(data)]) == 2
    assert "--update" in capsys.readouterr().err
    file.write_text("name,note\nn1,new\nn2,\n")
    assert told("identity", "import", str(file), "--update")["changed"] == 1


def test_an_export_goes_into_a_new_file_of_its_owner_and_comes_back(data, told, refused, tmp_path):
    file = tmp_path / "out.csv"
    assert told("identity", "export", str(file)) == {"exported": 3}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open(newline="") as text:
        names = [row["name"] for row in csv.DictReader(text)]
    assert names == ["admin", "dash-01", "press-01"]
    assert "exists already" in refused(1, "identity", "export", str(file))
    whole = tmp_path / "whole.csv"
    told("identity", "export", str(whole), "--credentials")
    before = stored(data, "admin")
    told("identity", "remove", "admin", "dash-01", "press-01")
    assert told("identity", "import", str(whole))["added"] == 3
    after = stored(data, "admin")
    assert before is not None
    assert after is not None
    assert after.credentials == before.credentials


# ---- group and role ---------------------------------------------------------------------------------


def test_a_group_is_added_changed_and_removed_with_its_members(told, refused):
    told("group", "add", "line-3", "--role", "press", "--note", "hall 2")
    changed = told(
        "group", "set", "line-3", "--add-member", "dash-01", "--add-member", "admin", "--add-role", "monitor"
    )
    assert changed["roles"] == ["press", "monitor"]
    assert told("group", "show", "line-3")["members"] == ["admin", "dash-01"]
    assert told("group", "set", "line-3", "--remove-member", "admin", "--remove-role", "press")["roles"] == ["monitor"]
    assert [(one["group"], one["member_count"]) for one in told("group", "list")] == [("line-3", 1)]
    assert "--with-members" in refused(1, "group", "remove", "line-3")
    assert "not in group" in refused(1, "group", "set", "line-3", "--remove-member", "admin", "--note", "x")
    assert "at once" in refused(2, "group", "set", "line-3", "--add-member", "admin", "--remove-member", "admin")
    assert told("group", "remove", "line-3", "--with-members") == {"removed": "line-3", "members": 1}
    assert told("identity", "show", "dash-01")["groups"] == []


def test_a_role_is_granted_revoked_and_shown_with_the_way_that_leads_to_it(told, data, capsys):
    told("group", "add", "line-3")
    told("group", "set", "line-3", "--add-member", "press-01", "--add-member", "admin")
    told("role", "grant", "dashboard", "press-01", "--group", "line-3")
    assert told("role", "show", "dashboard")["holders"] == [
        {"identity": "admin", "through": ["group line-3"]},
        {"identity": "dash-01", "through": ["itself"]},
        {"identity": "press-01", "through": ["itself", "group line-3"]},
    ]
    listed = {one["role"]: one for one in told("role", "list")}
    assert (listed["dashboard"]["identity_count"], listed["dashboard"]["groups"]) == (3, ["line-3"])
    assert listed["monitor"] == {"role": "monitor", "in_policy": True, "identity_count": 0, "groups": []}
    told("role", "revoke", "dashboard", "press-01", "dash-01", "--group", "line-3")
    assert told("role", "show", "dashboard")["holders"] == []


def test_a_role_that_the_policy_lacks_is_listed_as_such(told, data):
    told("identity", "set", "press-01", "--add-role", "old-name")
    assert {one["role"]: one["in_policy"] for one in told("role", "list")}["old-name"] is False
    assert told("role", "show", "old-name")["in_policy"] is False
    assert told("role", "revoke", "old-name", "press-01") == {"identities": ["press-01"], "groups": []}


# ---- credential -------------------------------------------------------------------------------------


def test_a_rotated_certificate_comes_in_a_bundle_and_the_old_one_has_an_end(told, data, tmp_path):
    out = tmp_path / "new"
    made = told("credential", "rotate", "press-01", "--overlap", "14d", "--out", str(out))
    assert (made["kind"], made["bundle"]) == ("certificate", str(out))
    assert stat.S_IMODE((out / "press-01.key").stat().st_mode) == 0o600
    old, new = told("credential", "list", "press-01")
    assert (old["successor"], old["stale"], new["stale"]) == (new["id"], True, False)
    assert old["expires_at"] == made["earlier_end_at"]
    assert [one["id"] for one in told("credential", "list", "--stale")] == [old["id"]]
    assert old["id"] in [one["id"] for one in told("credential", "list", "--ends-within", "15d")]
    saw(data, "press-01", old["id"], timedelta(hours=2))
    saw(data, "press-01", new["id"], timedelta(hours=1))
    assert told("credential", "list", "--stale") == []


def test_doctor_names_who_has_not_moved_before_the_old_one_ends(told, tmp_path):
    def warned() -> list[str]:
        return [one["what"] for one in told("doctor")["findings"] if "has not used its new" in one["what"]]

    told("credential", "rotate", "press-01", "--overlap", "14d", "--out", str(tmp_path / "one"))
    assert warned() == []
    told("credential", "rotate", "press-01", "--overlap", "2d", "--out", str(tmp_path / "two"))
    assert [what.split()[0] for what in warned()] == ["press-01", "press-01"]
    told("identity", "set", "press-01", "--state", "disabled")
    assert warned() == []


def test_a_rotated_password_is_shown_once_and_both_prove_the_identity(told, data):
    first = told("credential", "rotate", "press-01", "--kind", "password")
    assert first["earlier_end_at"] is None
    second = told("credential", "rotate", "press-01", "--kind", "password")
    identity = stored(data, "press-01")
    assert identity is not None
    live = [item for item in identity.credentials if isinstance(item, PasswordCredential)]
    assert [item.is_live(datetime.now(UTC)) for item in live] == [True, True]
    for item, made in zip(live, (first, second), strict=True):
        assert verify_password(item.hash, made["password"].encode())
        assert made["password"].encode() not in b"".join(path.read_bytes() for path in data.glob("identities*"))


def scram_of(data: Path, name: str) -> list[ScramCredential]:
    identity = stored(data, name)
    assert identity is not None
    found = [item for item in identity.credentials if isinstance(item, ScramCredential)]
    return sorted(found, key=lambda item: (item.created_at, item.mechanism))


def test_a_password_for_scram_is_kept_as_keys_alone(told, data, refused):
    told("passwd", "press-01", "--generate")
    password = told("passwd", "press-01", "--generate", "--scram", "both")["password"]
    identity = stored(data, "press-01")
    assert identity is not None
    kept = [item for item in identity.credentials if item.kind != "certificate"]
    assert [item.kind for item in kept] == ["scram", "scram"]
    first, second = scram_of(data, "press-01")
    assert (first.mechanism, second.mechanism) == SCRAM_MECHANISMS
    assert first.salt != second.salt
    assert first.iterations == SCRAM_ITERATIONS
    assert password.encode() not in b"".join(path.read_bytes() for path in data.glob("identities*"))
    told("passwd", "press-01", "--generate", "--scram", "sha-512", "--with-hash")
    assert {one["kind"] for one in told("credential", "list", "press-01")} >= {"scram", "password"}
    assert [item.mechanism for item in scram_of(data, "press-01")] == ["SCRAM-SHA-512"]
    told("passwd", "press-01", "--generate")
    assert scram_of(data, "press-01") == []
    assert "--scram" in refused(2, "passwd", "press-01", "--generate", "--with-hash")


def test_keys_for_scram_are_rotated_mechanism_by_mechanism_with_their_salt(told, data):
    told("passwd", "press-01", "--generate", "--scram", "both")
    before = scram_of(data, "press-01")
    made = told("credential", "rotate", "press-01", "--kind", "scram", "--overlap", "2d")
    assert made["password"]
    after = scram_of(data, "press-01")
    assert [(item.mechanism, item.salt) for item in after] == [(item.mechanism, item.salt) for item in before] * 2
    assert [item.expires_at is None for item in after] == [False, False, True, True]
    assert not {item.stored_key for item in before} & {item.stored_key for item in after[2:]}
    stale = {one["id"]: one["stale"] for one in told("credential", "list", "press-01") if one["kind"] == "scram"}
    assert stale == {item.id: item.expires_at is not None for item in after}


def test_keys_for_scram_cannot_be_rotated_where_there_are_none(refused):
    assert "passwd press-01 --scram" in refused(2, "credential", "rotate", "press-01", "--kind", "scram")


def test_credentials_are_revoked_by_id_and_all(told, data):
    told("credential", "rotate", "press-01", "--kind", "password")
    certificate, password = told("credential", "list", "press-01")
    assert told("credential", "revoke", "press-01", certificate["id"])["revoked"] == [certificate["id"]]
    assert [one["id"] for one in told("credential", "list") if one["identity"] == "press-01"] == [password["id"]]
    told("credential", "revoke", "press-01", "--all")
    assert all(one["revoked_at"] for one in told("credential", "list", "press-01"))


def test_when_a_credential_was_revoked_is_shown_whole(told, data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    told("credential", "revoke", "press-01", "--all")
    (credential,) = told("credential", "list", "press-01")
    assert run(["identity", "show", "press-01", "--data", str(data)]) == 0
    at = datetime.fromisoformat(credential["revoked_at"])
    assert f"revoked {at:%Y-%m-%d %H:%M}" in capsys.readouterr().out
