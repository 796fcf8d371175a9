"""The verbs: what they print, what they refuse, with which exit code."""

import asyncio
import inspect
import json
import stat
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from cyclopts import App

from bartizan.cli import policy
from bartizan.cli.acted import tell
from bartizan.cli.app import VERBS, build_app, run
from bartizan.cli.first_run import prepare
from bartizan.cli.verbs import Verb
from bartizan.model.principal import IdentityState
from bartizan.policy.lint_roles import QUARANTINE_LINES
from bartizan.respond.actions import Done


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("cli") / "data dir"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return str(root)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("bartizan: ")
    assert error.count("\n") == 1
    return error


def test_enrol_makes_a_bundle_with_the_key_for_its_owner_only(data, tmp_path, capsys):
    out = tmp_path / "press-02"
    assert (
        run(
            [
                "enrol",
                "press-02",
                "--role",
                "press",
                "--attr",
                ("site=chicago"),
                "--out",
                str(out),
                "--data",
                data,
                "--json",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["roles"], told["attributes"], told["port"]) == (["press"], {"site": "chicago"}, 8883)
    assert sorted(file.name for file in out.iterdir()) == [
        "bundle.json",
        "ca.crt",
        ("mosquitto_pub"),
        "mosquitto_sub",
        "press-02.crt",
        "press-02.key",
    ]
    assert stat.S_IMODE((out / "press-02.key").stat().st_mode) == 0o600


def test_an_enrolled_name_is_taken_and_its_bundle_is_not_touched(data, tmp_path, capsys):
    out = tmp_path / "twice"
    assert run(["enrol", "twice", "--out", str(out), "--data", data]) == 0
    key = (out / "twice.key").read_bytes()
    capsys.readouterr()
    assert run(["enrol", "twice", "--out", str(tmp_path / "other"), "--data", data]) == 1
    assert "exists already" in one_line(capsys)
    assert not (tmp_path / "other").exists()
    assert run(["enrol", "thrice", "--out", str(out), "--data", data]) == 1
    assert "exists already" in one_line(capsys)
    assert (out / "twice.key").read_bytes() == key
    assert run(["passwd", "thrice", "--generate", "--data", data]) == 1, "no identity without bundle"


def test_a_generated_password_is_shown_once_and_is_in_no_file(data, tmp_path, capsys):
    out = tmp_path / "dash"
    assert run(["enrol", "dash", "--password", "--out", str(out), "--data", data, "--json"]) == 0
    password = json.loads(capsys.readouterr().out)["password"]
    files = [file for place in (out, Path(data)) for file in place.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if password.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "words",
    [
        ["enrol", "a/b"],
        ["enrol", "x", "--role", "Bad"],
        ["enrol", "x", "--attr", "site"],
        ["enrol"],
        ["nonsense"],
        ["passwd", "admin"],
        ["doctor", "--set", "nope=1"],
    ],
)
def test_what_is_written_wrongly_exits_2(data, tmp_path, words):
    more = ["--data", data] if len(words) > 1 else []
    assert run([*words, *([("--out"), str(tmp_path / "x")] if words[0] == "enrol" and more else []), *more]) == 2
    assert not (tmp_path / "x").exists()


def test_a_directory_without_broker_is_told_how_to_get_one(tmp_path, capsys):
    assert run(["doctor", "--data", str(tmp_path)]) == 2
    assert "bartizan up" in one_line(capsys)


def test_passwd_ends_the_one_time_secret(data, tmp_path, capsys):
    def secrets() -> list[str]:
        run(["doctor", "--data", data, "--json"])
        return [one["what"] for one in json.loads(capsys.readouterr().out)[("findings")] if "one-time" in one["what"]]

    assert secrets() == ["admin still has its one-time secret"]
    (tmp_path / "pw").write_text("correct horse battery\n")
    assert run(["passwd", "admin", "--password-file", str(tmp_path / "pw"), "--data", data]) == 0
    capsys.readouterr()
    assert secrets() == []
    (tmp_path / "pw").write_text("short\n")
    assert run(["passwd", "admin", "--password-file", str(tmp_path / "pw"), "--data", data]) == 2


def test_doctor_shows_every_danger_with_its_reason_and_strict_fails(data, capsys):
    words = [
        "doctor",
        "--data",
        data,
        "--set",
        "listeners.lab.bind=127.0.0.1:1",
        "--set",
        "listeners.lab.danger_plaintext='bench 4'",
        "--json",
    ]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert "bench 4" in told["findings"][0]["what"]
    assert {one["name"]: one["tls"] for one in told[("listeners")]} == {"lab": False, "mqtts": True, "wss": True}
    assert run([*words, "--strict"]) == 1


def test_doctor_sees_a_policy_that_leaves_nothing_to_who_is_in_quarantine(data, tmp_path, capsys):
    (tmp_path / "policy.toml").write_text("[roles.press]\n")
    words = ["doctor", "--data", data, "--json"]

    def about() -> list[str]:
        told = json.loads(capsys.readouterr().out)["findings"]
        return [each["fix"] for each in told if "no role quarantine" in each["what"]]

    assert run(words) == 0
    assert about() == []
    assert run([*words, "--set", f"policy.file={tmp_path / 'policy.toml'}"]) == 0
    assert about() == ["bartizan policy lint has the lines to add"]


def test_who_quarantines_where_the_policy_has_no_role_for_it_is_told_the_lines_to_add(capsys):
    done = Done("press-01", IdentityState.ENABLED, IdentityState.QUARANTINED, is_in_force=True)
    assert tell([done.as_dict()], "in quarantine", as_json=False) == 0
    assert capsys.readouterr().err == ""
    tell([replace(done, lacks_role=True).as_dict()], "in quarantine", as_json=False)
    told = capsys.readouterr()
    assert told.out == "press-01: in quarantine\n"
    assert ("may do nothing" in told.err, told.err.endswith(QUARANTINE_LINES + "\n")) == (True, True)


def test_doctor_sees_open_files_and_lost_certificates(data, capsys):
    key, certificate = Path(data) / "pki/server.key", Path(data) / "pki/server.crt"
    kept = certificate.read_bytes()
    try:
        key.chmod(0o644)
        run(["doctor", "--data", data])
        assert f"chmod 0600 {key}" in " ".join(capsys.readouterr().out.split("\n"))
        certificate.write_text("garbage")
        assert run(["doctor", "--data", data]) == 1
    finally:
        key.chmod(0o600)
        certificate.write_bytes(kept)


def test_policy_check_tells_line_and_column(tmp_path, data, capsys):
    assert run(["policy", "check", f"{data}/policy.toml"]) == 0
    bad = tmp_path / "bad.toml"
    bad.write_text("[roles.press]\nbindz = {}\n")
    capsys.readouterr()
    assert run(["policy", "check", str(bad)]) == 2
    assert f"{bad}:2:1" in capsys.readouterr().err
    assert run(["policy", "check", str(bad), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["errors"][0]["line"] == 2
    assert run(["policy", "check", str(tmp_path / "none.toml")]) == 2


def verbs() -> list[str]:
    """Every verb; of one with others below it, each of those."""
    app = build_app()
    below = {verb.name: [name for name in app[verb.name] if not name.startswith("-")] for verb in VERBS}
    return [f"{verb} {name}".strip() for verb, names in below.items() for name in names or [""]]


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_helps_with_an_example(verb, capsys):
    assert run([*verb.split(), "--help"]) == 0
    assert f"bartizan {verb}" in capsys.readouterr().out.split("For example:")[1]


def test_the_list_of_verbs_says_what_each_does(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in VERBS:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"│ {verb.name} ")]
        assert len(line.strip("│ ").split()) > 2, line


def says_of_itself(verb: Verb) -> str:
    """What a verb's own help begins with."""
    module, name = verb.target.split(":")
    found = getattr(import_module(module), name)
    said = (found.help if isinstance(found, App) else inspect.getdoc(found)) or ""
    return " ".join(said.split("\n\n")[0].split())


@pytest.mark.parametrize(
    "verb", [*(v for v in VERBS if isinstance(v, Verb)), *policy.FAMILY.verbs], ids=attrgetter("name")
)
def test_the_list_says_of_a_verb_what_it_says_of_itself(verb):
    assert verb.summary == says_of_itself(verb)


@pytest.mark.parametrize("words", [["policy"], ["policy", "--help"], ["--help", "policy"]])
def test_the_list_of_verbs_below_another_says_what_each_does(words, capsys):
    assert run(words) == 0
    shown = capsys.readouterr().out
    for verb in policy.FAMILY.verbs:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"│ {verb.name} ")]
        assert line.strip("│ ").split()[1:3] == verb.summary.split()[:2]


def test_completion_is_a_script(capsys):
    assert run(["completion", "bash"]) == 0
    assert "enrol" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [["pub", "-m", "x"], ["sub", "-C", "1"]])
def test_a_broker_that_is_not_there_is_told_in_one_line(data, verb, capsys):
    assert run([*verb, "-t", "x", "--as", f"{data}/demo/press-01", "-p", "1"]) == 1
    assert "localhost:1 cannot be reached" in one_line(capsys)


def test_a_directory_that_is_no_bundle_is_told(tmp_path, capsys):
    assert run(["pub", "-t", "x", "-m", "y", "--as", str(tmp_path)]) == 2
    assert "no bundle" in one_line(capsys)


def test_mosquittos_clients_take_the_options_file_of_a_bundle(data, mosquitto_sub):
    bundle = Path(data) / "demo" / "press-01"
    done = subprocess.run(
        [mosquitto_sub, "-t", "x", "-p", "1"],
        env={("XDG_CONFIG_HOME"): str(bundle)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    # Every option was understood and every file loaded: only the broker is missing.
    assert "refused" in (done.stdout + done.stderr)


@pytest.mark.parametrize("word", ["check", "export", "import", "compact"])
def test_every_store_verb_helps_with_an_example(word, capsys):
    assert run(["store", word, "--help"]) == 0
    assert f"bartizan store {word}" in capsys.readouterr().out.split("For example:")[1]
