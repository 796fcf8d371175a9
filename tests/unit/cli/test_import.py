"""`bartizan import`: what it writes, refuses and tells, with which exit code."""

import asyncio
import csv
import json
import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bartizan.cli.import_report import Report, as_markdown
from bartizan.config.load import load_settings
from bartizan.model.difference import Difference, Weight
from bartizan.policy import check
from bartizan.store.sqlite import SqliteIdentityStore

HASH = "$7$101$c2FsdA==$aGFzaA=="


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A Mosquitto with two users, one file of its configuration included."""
    (tmp_path / "mosquitto.conf").write_text("include_dir conf.d\nlistener 1883 127.0.0.1\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/10-access.conf").write_text("acl_file acl\npassword_file passwords\n")
    (tmp_path / "conf.d/ignored.txt").write_text("nonsense\n")
    (tmp_path / "acl").write_text("user bob\ntopic read a/#\npattern write b/%u\n")
    (tmp_path / "passwords").write_text(f"bob:{HASH}\namy:{HASH}\n")
    return tmp_path


def mosquitto(there: Path, *more: str) -> int:
    return run(["import", "mosquitto", "--conf", str(there / "mosquitto.conf"), "--out", str(there / "out"), *more])


def test_it_writes_a_policy_identities_settings_and_a_report(there, capsys):
    assert mosquitto(there) == 0
    out = there / "out"
    assert sorted(file.name for file in out.iterdir()) == [
        "bartizan.toml",
        "identities.csv",
        "policy.toml",
        "report.md",
    ]
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}
    assert check((out / "policy.toml").read_bytes(), "policy.toml").ok
    settings = load_settings(out / "bartizan.toml")
    assert settings.policy.file == out / "policy.toml"
    with (out / "identities.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"name": "bob", "state": "enabled", "roles": "user-bob all-users", "note": "", "password_hash": HASH},
        {"name": "amy", "state": "enabled", "roles": "all-users", "note": "", "password_hash": HASH},
    ]
    told = capsys.readouterr().out
    assert "subscribe-refused" in told
    assert HASH not in told
    assert HASH not in (out / "report.md").read_text()


def test_the_report_marks_who_is_hashed_anew_and_says_where_everything_stands(there, capsys):
    assert mosquitto(there, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert len(told["written"]) == 4
    bob = told["identities"][0]
    assert (bob["name"], bob["hash"], bob["rehash_at_login"]) == ("bob", "7", True)
    assert bob["place"] == f"{there / 'passwords'}:1"
    page = (there / "out/report.md").read_text()
    assert "| `bob` | `user-bob`, `all-users` | `$7$`, hashed anew at the next login |" in page
    assert "## Means something else here" in page


def test_a_loss_is_refused_until_it_is_named(there, capsys):
    (there / "acl").write_text("user bob\ntopic write $foo/a\npattern read x-%u\n")
    assert mosquitto(there) == 1
    assert not (there / "out").exists()
    shown = capsys.readouterr()
    assert "--allow-loss dollar-publish --allow-loss partial-variable" in shown.err
    assert f"{there / 'acl'}:2" in shown.out
    assert mosquitto(there, "--allow-loss", "dollar-publish") == 1
    assert mosquitto(there, "--allow-loss", "dollar-publish", "--allow-loss", "partial-variable") == 0
    assert "Each was accepted by name." in (there / "out/report.md").read_text()


def test_a_name_that_is_no_loss_is_a_mistake(there, capsys):
    assert mosquitto(there, "--allow-loss", "bridges") == 2
    assert "nothing of this name is lost" in capsys.readouterr().err


def test_a_dry_run_prints_the_policy_and_writes_nothing(there, capsys):
    assert mosquitto(there, "--dry-run") == 0
    assert not (there / "out").exists()
    assert "[roles.user-bob]" in capsys.readouterr().out


def test_nothing_is_overwritten(there, capsys):
    assert mosquitto(there) == 0
    before = {file: file.read_bytes() for file in (there / "out").iterdir()}
    assert mosquitto(there) == 1
    assert "is there already" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in (there / "out").iterdir()} == before


@pytest.mark.parametrize("missing", ["mosquitto.conf", "acl", "passwords"])
def test_a_file_that_is_not_there_is_a_mistake(there, capsys, missing):
    (there / missing).unlink()
    assert mosquitto(there) == 2
    error = capsys.readouterr().err
    assert error.startswith("bartizan: ")
    assert error.count("\n") == 1
    assert str(there / missing) in error


def test_a_line_that_cannot_be_read_is_named(there, capsys):
    (there / "acl").write_text("user bob\ntopic some a\n")
    assert mosquitto(there) == 2
    assert f"{there / 'acl'}:2" in capsys.readouterr().err


def test_includes_that_go_round_are_found(there, capsys):
    (there / "conf.d/20-again.conf").write_text("include_dir ../conf.d\n")
    (there / "conf.d/20-again.conf").write_text("include_dir .\n")
    assert mosquitto(there) == 2
    assert "circle" in capsys.readouterr().err


def test_dynamic_security_is_read_where_the_plugin_is_named(there, capsys):
    (there / "mosquitto.conf").write_text(
        "listener 1883 127.0.0.1\nplugin /lib/mosquitto_dynamic_security.so\nplugin_opt_config_file d.json\n"
    )
    rules = [{"acltype": "publishClientSend", "topic": "a/#", "allow": True}]
    state = {
        "roles": [{"rolename": "r", "acls": rules}],
        "clients": [{"username": "bob", "roles": [{"rolename": "r"}]}],
    }
    (there / "d.json").write_text(json.dumps(state))
    assert mosquitto(there) == 0
    assert tomllib.loads((there / "out/policy.toml").read_text())["roles"]["roles-r"]["permit"][0]["filter"] == "a/#"
    (there / "mosquitto.conf").write_text((there / "mosquitto.conf").read_text() + "acl_file acl\n")
    assert run(["import", "mosquitto", "--conf", str(there / "mosquitto.conf"), "--out", str(there / "other")]) == 2
    assert "one of them at a time" in capsys.readouterr().err


def test_emqx_is_read_with_its_answer_to_what_no_rule_matches(tmp_path, capsys):
    acl = tmp_path / "acl.conf"
    acl.write_text('{deny, {user, "bob"}, publish, ["a"]}.\n')
    command = ["import", "emqx", "--acl", str(acl), "--out", str(tmp_path / "out")]
    assert run([*command, "--no-match", "allow"]) == 0
    policy = tomllib.loads((tmp_path / "out/policy.toml").read_text())
    assert policy["roles"]["user-bob"]["forbid"][0]["filter"] == "a"
    assert [rule["filter"] for rule in policy["roles"]["all-users"]["permit"]] == ["#", "$SYS/#"]
    acl.write_text('{allow, {ipaddr, "::1"}, all, ["#"]}.\n{allow all}.')
    assert run(command) == 2
    assert f"{acl}:2" in capsys.readouterr().err


def test_identities_go_into_the_store_of_a_data_directory_all_or_none(there, tmp_path, capsys):
    data = tmp_path / "data"
    asyncio.run(prepare(data, at=datetime.now(UTC)))
    assert mosquitto(there, "--data", str(data)) == 0
    assert not (there / "out/identities.csv").exists()
    bob, amy = asyncio.run(stored(data, "bob", "amy"))
    assert bob is not None
    assert amy is not None
    assert bob.roles == ("user-bob", "all-users")
    assert [getattr(credential, "hash", "") for credential in bob.credentials] == [HASH]
    (there / "passwords").write_text(f"zoe:{HASH}\nbob:{HASH}\n")
    command = ["import", "mosquitto", "--conf", str(there / "mosquitto.conf"), "--out", str(there / "other")]
    assert run([*command, "--data", str(data)]) == 1
    assert asyncio.run(stored(data, "zoe")) == [None]
    assert not (there / "other").exists()


def test_the_csv_file_is_one_that_identity_import_reads(there, tmp_path, capsys):
    data = tmp_path / "data"
    asyncio.run(prepare(data, at=datetime.now(UTC)))
    assert mosquitto(there) == 0
    assert run(["identity", "import", str(there / "out/identities.csv"), "--data", str(data)]) == 0, (
        capsys.readouterr().err
    )
    (bob,) = asyncio.run(stored(data, "bob"))
    assert bob is not None
    assert bob.roles == ("user-bob", "all-users")
    assert [getattr(credential, "hash", "") for credential in bob.credentials] == [HASH]


async def stored(data: Path, *names: str):
    store = await SqliteIdentityStore.open(data / "identities.sqlite")
    try:
        return [await store.get(name) for name in names]
    finally:
        await store.close()


def test_what_comes_from_a_file_cannot_break_the_page():
    told = Difference(Weight.LOST, "x", "a|b`c", 1, "one\ntwo | <script>")
    page = as_markdown(Report("s", 0, (), (told,), frozenset(), 0))
    (row,) = [line for line in page.splitlines() if line.startswith("| `x`")]
    assert row == "| `x` | `a\\|b'c:1` | one two \\| &lt;script> |  |"
