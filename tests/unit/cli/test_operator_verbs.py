"""`bartizan operator`: what each verb does, prints and refuses. No broker runs."""

import asyncio
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest

from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bartizan.config.layout import DataDirectory
from bartizan.identity.passwords import verify_password
from bartizan.model.operator import Operator, Passkey
from bartizan.store.sqlite import SqliteIdentityStore


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as the first run makes it."""
    root = tmp_path_factory.mktemp("operators") / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return root


@pytest.fixture
def data(first: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(first, tmp_path / "data"))


@pytest.fixture
def told(data: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a verb that has to succeed; what it prints as JSON."""

    def tell(*words: str) -> Any:
        capsys.readouterr()
        assert run(["operator", *words, "--data", str(data), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return tell


@pytest.fixture
def refused(data: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a verb that has to fail with this code; its one line."""

    def tell(code: int, *words: str) -> str:
        capsys.readouterr()
        assert run(["operator", *words, "--data", str(data)]) == code
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return tell


def stored(data: Path, name: str = "alice") -> Operator:
    async def get() -> Operator | None:
        store = await SqliteIdentityStore.open(DataDirectory(data).identities)
        try:
            return await store.operator(name)
        finally:
            await store.close()

    found = asyncio.run(get())
    assert found is not None
    return found


def confirmed(told) -> tuple[pyotp.TOTP, list[str]]:
    app = pyotp.parse_uri(told("totp", "enrol", "alice")["uri"])
    assert isinstance(app, pyotp.TOTP)
    return app, told("totp", "confirm", "alice", app.now())["recovery_codes"]


def test_a_new_operator_gets_a_password_that_is_shown_once(told, data):
    made = told("add", "alice", "--role", "security", "--role", "operator", "--tenant", "acme", "--note", "night shift")
    assert (made["roles"], made["tenant"], made["must_change_password"]) == (["operator", "security"], "acme", True)
    operator = stored(data)
    assert verify_password(operator.password_hash, made["password"].encode())
    assert made["password"].encode() not in b"".join(path.read_bytes() for path in data.glob("identities*"))
    (listed,) = told("list")
    assert "password" not in listed
    assert listed["operator"] == "alice"


def test_a_password_of_its_own_is_read_from_a_file_and_need_not_be_changed(told, data, tmp_path, refused):
    (tmp_path / "pw").write_text("correct horse battery\n")
    assert "password" not in told("add", "alice", "--password-file", str(tmp_path / "pw"))
    assert verify_password(stored(data).password_hash, b"correct horse battery")
    assert not stored(data).must_change
    assert told("passwd", "alice", "--generate")["must_change_password"]
    told("passwd", "alice", "--password-file", str(tmp_path / "pw"))
    assert verify_password(stored(data).password_hash, b"correct horse battery")
    (tmp_path / "pw").write_text("short\n")
    refused(2, "passwd", "alice", "--password-file", str(tmp_path / "pw"))


def test_what_is_not_named_stays(told, data):
    told("add", "alice", "--role", "admin", "--note", "x")
    assert told("set", "alice", "--disable")["enabled"] is False
    changed = told("set", "alice", "--role", "viewer", "--enable", "--tenant", "acme")
    assert (changed["roles"], changed["enabled"], changed["note"]) == (["viewer"], True, "x")
    assert told("set", "alice", "--tenant", "")["tenant"] == ""


def test_codes_count_once_they_were_confirmed(told, data):
    told("add", "alice")
    assert told("totp", "enrol", "alice")["uri"].startswith("otpauth://totp/Bartizan:alice?")
    assert told("show", "alice")["totp"] == "not confirmed"
    assert told("show", "alice")["second_factor"] == []
    app, codes = confirmed(told)
    shown = told("show", "alice")
    assert (shown["totp"], shown["second_factor"], shown["recovery_codes_left"]) == ("on", ["totp"], len(codes))
    assert app.secret not in json.dumps(shown)
    again = told("recovery", "alice")["recovery_codes"]
    assert not set(again) & set(codes)
    assert told("totp", "reset", "alice")["second_factor"] == []


def test_a_passkey_is_taken_away_by_the_beginning_of_its_id(told, data, refused):
    told("add", "alice")

    async def give() -> None:
        store = await SqliteIdentityStore.open(DataDirectory(data).identities)
        operator = await store.operator("alice")
        assert operator is not None
        at = datetime.now(UTC)
        keys = (Passkey(b"\x01\x02", b"x", 0, at, "laptop"), Passkey(b"\x01\x03", b"x", 0, at))
        await store.replace_operator(replace(operator, passkeys=keys))
        await store.close()

    asyncio.run(give())
    assert "2 passkeys" in refused(1, "passkey-remove", "alice", "01")
    assert [key["id"] for key in told("passkey-remove", "alice", "0102")["passkeys"]] == ["0103"]


def test_who_was_removed_is_gone(told, refused):
    told("add", "alice")
    assert told("remove", "alice") == {"removed": ["alice"]}
    assert told("list") == []
    assert "no operator 'alice'" in refused(1, "show", "alice")


@pytest.mark.parametrize(
    ("code", "words", "why"),
    [
        (1, ["add", "bob"], "exists already"),
        (2, ["add", "Bob"], "lower-case"),
        (2, ["add", "carl", "--role", "root"], "viewer, operator, security, admin"),
        (1, ["set", "nobody", "--disable"], "no operator 'nobody'"),
        (2, ["set", "bob", "--disable", "--enable"], "not both"),
        (2, ["totp", "confirm", "bob"], "code"),
        (2, ["totp", "enrol", "bob", "123456"], "code"),
        (2, ["totp", "confirm", "bob", "123456"], "enrol"),
        (2, ["recovery", "bob"], "second factor"),
        (1, ["remove", "nobody"], "no operator"),
    ],
)
def test_what_is_written_wrongly_says_how_to_write_it(told, refused, code, words, why):
    told("add", "bob")
    assert why in refused(code, *words)


def test_a_wrong_code_confirms_nothing(told, refused, data):
    told("add", "alice")
    app = pyotp.parse_uri(told("totp", "enrol", "alice")["uri"])
    assert isinstance(app, pyotp.TOTP)
    wrong = f"{(int(app.now()) + 500_000) % 1_000_000:06}"
    assert "clock" in refused(2, "totp", "confirm", "alice", wrong)
    assert not stored(data).has_totp


def test_for_eyes_nothing_is_shown_twice(told, data, capsys):
    told("add", "alice")
    confirmed(told)
    capsys.readouterr()
    assert run(["operator", "show", "alice", "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "alice" in shown
    assert "totp" in shown
    assert run(["operator", "totp", "reset", "alice", "--data", str(data)]) == 0
    assert run(["operator", "totp", "enrol", "alice", "--data", str(data)]) == 0
    assert "otpauth://" in capsys.readouterr().out
