"""The command line at a broker elsewhere: who logs in, what is kept of it, and verbs that act there by the API."""

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import pytest

from bartizan.cli.app import run
from bartizan.model.operator import Operator
from tests.integration.api import PASSWORD, Api, serving
from tests.integration.recorder import Place, Proof, Recorder, RefusedError
from tests.integration.test_api_actions import found, waits
from tests.integration.test_api_policy import READER


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000", 'api.two_person=["revoke-all"]') as running:
        yield running


@dataclass
class Desk:
    """A workplace elsewhere: nothing of the broker but its address and its CA."""

    server: str
    home: Path
    capsys: pytest.CaptureFixture[str]
    ca_file: str

    def say(self, *words: str, code: int = 0) -> str:
        self.capsys.readouterr()
        assert run([*words]) == code, self.capsys.readouterr().err
        return self.capsys.readouterr().out

    def there(self, *words: str, code: int = 0) -> str:
        return self.say(*words, "--server", self.server, code=code)

    def fails(self, *words: str, code: int = 1) -> str:
        self.capsys.readouterr()
        assert run([*words]) == code
        return self.capsys.readouterr().err

    def login(self, operator: Operator, maker: pyotp.TOTP, *more: str) -> str:
        secret = self.home / "password"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        words = ("--operator", operator.name, "--password-file", str(secret), "--code", maker.now())
        return self.say("login", self.server, *words, "--ca-file", self.ca_file, *more)


@pytest.fixture
def desk(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Desk(api.url.removesuffix("/api/v1"), tmp_path, capsys, api.broker.ca_file)


def made(api: Api, *names: str) -> None:
    for name in names:
        assert api.at_socket().post("/identities", json={"identity": name}).status_code == 201


def test_a_login_is_kept_for_its_owner_alone_and_ends_with_logout(api, desk):
    operator, maker = api.with_codes("security", "operator")
    out = desk.login(operator, maker)
    assert f"logged in at {desk.server} as {operator.name}: operator, security" in out
    file = desk.home / "config/bartizan/logins.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text(encoding="utf-8"))[desk.server]
    assert kept["token"].startswith("bzs_")
    assert kept["token"] not in out
    assert PASSWORD not in file.read_text(encoding="utf-8")
    desk.there("findings", "list")
    file.chmod(0o640)
    assert "chmod 600" in desk.fails("findings", "list", "--server", desk.server, code=2)
    file.chmod(0o600)
    desk.say("logout", desk.server)
    assert "bartizan login" in desk.fails("findings", "list", "--server", desk.server, code=2)
    assert api.open(headers={"authorization": f"Bearer {kept['token']}"}).get("/session").status_code == 401


def test_a_wrong_password_keeps_nothing(api, desk):
    operator, maker = api.with_codes("viewer")
    secret = desk.home / "password"
    secret.touch(mode=0o600)
    secret.write_text("wrong horse battery\n", encoding="utf-8")
    words = ("--operator", operator.name, "--password-file", str(secret), "--code", maker.now())
    desk.fails("login", desk.server, *words, "--ca-file", desk.ca_file)
    assert not (desk.home / "config/bartizan/logins.json").exists()


def test_a_certificate_of_another_ca_is_no_server(api, desk):
    operator, maker = api.with_codes("viewer")
    secret = desk.home / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    words = ("--operator", operator.name, "--password-file", str(secret), "--code", maker.now())
    assert "does not answer" in desk.fails("login", desk.server, *words)


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:8444", "https://", "https://a@127.0.0.1:1", "https://127.0.0.1:1/x", "127.0.0.1:8444"]
)
def test_a_server_is_https_a_name_and_a_port(desk, server):
    assert "https://NAME:PORT" in desk.fails("findings", "list", "--server", server, code=2)


def test_identities_are_acted_on_there(api, desk):
    desk.login(*api.with_codes("security", "operator"))
    made(api, "acted-1", "acted-2", "acted-3")
    assert "acted-1: in quarantine" in desk.there("quarantine", "acted-1", "--for", "2d", "--reason", "INC-7")
    assert "3 would be put into quarantine" in desk.there("quarantine", "--matching", "acted-*", code=2)
    told = json.loads(desk.there("quarantine", "--matching", "acted-*", "--yes", "--json"))
    assert [one["after"] for one in told] == ["quarantined"] * 3
    assert "acted-2: released" in desk.there("release", "acted-2", "acted-3")
    assert "acted-1: revoked" in desk.there("revoke", "acted-1", "--note", "INC-7")
    assert "no identity" in desk.fails("revoke", "no-one-there", "--server", desk.server)


def test_what_takes_two_waits_and_is_approved_by_another(api, desk):
    desk.login(*api.with_codes("security", "operator"))
    made(api, "pair-1", "pair-2")
    told = desk.fails("revoke", "pair-1", "pair-2", "--server", desk.server)
    assert "bartizan approval approve" in told
    (waiting,) = json.loads(desk.there("approval", "list", "--json"))
    assert waiting["act"] == "revoke-all"
    assert "you asked for it" in desk.fails("approval", "approve", waiting["id"], "--server", desk.server)
    desk.login(*api.with_codes("security"))
    assert json.loads(desk.there("approval", "show", waiting["id"]))["body"]["identities"] == ["pair-1", "pair-2"]
    assert "done: POST" in desk.there("approval", "approve", waiting["id"])
    assert api.at_socket().get("/identities/pair-2").json()["state"] == "revoked"
    assert desk.fails("approval", "refuse", waiting["id"], "--server", desk.server)


def test_findings_and_responses_there_are_as_here(api, desk):
    desk.login(*api.with_codes("security", "operator"))
    number = str(found(api, "crane-11"))
    rows: list[dict[str, Any]] = json.loads(desk.there("findings", "list", "--severity", "high", "--json"))
    assert [one["name"] for one in rows] == ["crane-11"]
    assert "crane-11" in desk.there("findings", "list", "--since", "1h")
    assert "crane-11" in desk.there("findings", "show", number)
    assert f"finding {number} is acknowledged" in desk.there("findings", "ack", number, "--why", "a new antenna")
    assert json.loads(desk.there("findings", "list", "--json")) == []
    assert "mute 1: reconnects of identity crane-11" in desk.there(
        "findings", "mute", "reconnects", "--of", "identity:crane-11", "--for", "2d", "--why", "antenna"
    )
    assert "crane-11" in desk.there("findings", "mutes")
    assert "mute 1 is over" in desk.there("findings", "unmute", "1")
    waiting = waits(api, "quarantine", "press-01")
    assert "isolate" in desk.there("response", "list", "--waiting")
    assert "is dismissed" in desk.there("response", "dismiss", str(waiting))


def test_who_may_not_is_told_so_in_one_line(api, desk):
    desk.login(*api.with_codes("viewer"))
    made(api, "there-9")
    told = desk.fails("quarantine", "there-9", "--server", desk.server)
    assert told == "bartizan: your roles do not permit this (enrol)\n"


def test_a_policy_is_compared_staged_put_in_force_and_brought_back_there(api, desk):
    desk.login(*api.with_codes("security"))
    new = desk.home / "new.toml"
    new.write_text(READER, encoding="utf-8")
    out = desk.there("policy", "apply", str(new), "--dry-run")
    assert "role reader" in out
    assert "+ subscribe hall/#" in out
    assert "could be put in force" in out
    staged = json.loads(desk.there("policy", "stage", str(new), "--for", "1h", "--json"))
    assert staged["digest"][:12] in desk.there("policy", "staged")
    assert "no policy is staged any more" in desk.there("policy", "unstage")
    assert (
        desk.there("policy", "staged", "--json")
        == json.dumps({"staged": None, "differences": [], "not_kept": 0}) + "\n"
    )
    done = json.loads(desk.there("policy", "apply", str(new), "--note", "hall 3", "--yes", "--json"))
    assert (done["version"]["note"], done["version"]["state"]) == ("hall 3", "in-force")
    assert "reader" in api.at_socket().get("/policy").json()["roles"]
    assert "already" in desk.there("policy", "apply", str(new), "--yes")
    told = json.loads(desk.there("policy", "history", "--json"))
    assert (told["current"], told["changed_by_hand"]) == (done["version"]["number"], [])
    assert told["versions"][0]["note"] == "hall 3"
    assert "hall 3" in desk.there("policy", "history")
    assert "is in force" in desk.there("policy", "rollback", "--yes")
    assert "reader" not in api.at_socket().get("/policy").json()["roles"]


def test_what_is_no_policy_is_not_sent_there(api, desk):
    desk.login(*api.with_codes("security"))
    bad = desk.home / "bad.toml"
    bad.write_text("[roles.\n", encoding="utf-8")
    assert "bad.toml:1:" in desk.fails("policy", "apply", str(bad), "--yes", "--server", desk.server, code=2)
    new = desk.home / "new.toml"
    new.write_text(READER, encoding="utf-8")
    new.with_name("new.test.toml").write_bytes(b"\xff")
    for verb in (("apply", str(new), "--yes"), ("stage", str(new))):
        assert "new.test.toml" in desk.fails("policy", *verb, "--server", desk.server, code=2)
    assert "no policy is staged" in desk.fails("policy", "promote", "--yes", "--server", desk.server)


def test_the_record_there_is_searched_and_exported_as_here(api, desk):
    operator, maker = api.with_codes("security", "operator")
    desk.login(operator, maker)
    made(api, "there-21")
    desk.there("quarantine", "there-21", "--reason", "INC-21")
    words = ("--target", "there-21", "--what", "identity.set", "--since", "1h")
    (line,) = desk.there("audit", "search", *words).splitlines()
    assert operator.name in line
    assert "INC-21" in line
    (row,) = desk.there("audit", "export", *words, "--format", "json").splitlines()
    assert json.loads(row)["after"]["state"] == "quarantined"
    desk.fails("audit", "search", "--from", str(desk.home), "--server", desk.server, code=2)
    file = desk.home / "records.jsonl"
    desk.there("audit", "export", *words, "--out", str(file))
    assert file.read_text().splitlines() == [row]
    assert file.stat().st_mode & 0o777 == 0o600
    desk.fails("audit", "export", "--out", str(file), "--server", desk.server)
    assert file.read_text().splitlines() == [row], "what is there stays"
    file.unlink()
    desk.login(*api.with_codes("viewer"))
    desk.fails("audit", "export", "--out", str(file), "--server", desk.server)
    assert not file.exists(), "nothing that is not whole stays"


def test_identities_groups_and_roles_there_are_changed_as_here(api, desk):
    operator, maker = api.with_codes("security", "operator")
    desk.login(operator, maker)
    desk.there("identity", "add", "mill-1", "--attr", "site=chicago", "--owner", "maintenance")
    added = json.loads(desk.there("identity", "add", "mill-2", "--json"))
    assert (added["identity"], added["state"]) == ("mill-2", "enabled")
    desk.there("group", "add", "mill-line", "--role", "press")
    group = json.loads(desk.there("group", "set", "mill-line", "--add-member", "mill-1", "--json"))
    assert group["group"] == "mill-line"
    assert json.loads(desk.there("group", "show", "mill-line", "--json"))["members"] == ["mill-1"]
    assert "mill-line" in desk.there("group", "list")
    desk.there("role", "grant", "dashboard", "mill-2")
    assert "mill-2" in desk.there("role", "show", "dashboard")
    assert "dashboard" in desk.there("role", "list")
    desk.there("role", "revoke", "dashboard", "mill-2")
    changed = json.loads(desk.there("identity", "set", "mill-1", "--note", "hall 2", "--state", "disabled", "--json"))
    assert (changed["note"], changed["state"], changed["owner"]) == ("hall 2", "disabled", "maintenance")
    shown = json.loads(desk.there("identity", "show", "mill-1", "--json"))
    assert (shown["all_roles"], shown["attributes"]) == (["press"], {"site": "chicago"})
    listed = json.loads(desk.there("identity", "list", "mill-*", "--group", "mill-line", "--json"))
    assert [each["identity"] for each in listed] == ["mill-1"]
    assert "1 were in it" in desk.there("group", "remove", "mill-line", "--with-members")
    desk.there("identity", "remove", "mill-1", "mill-2")
    assert "there is no identity" in desk.fails("identity", "show", "mill-1", "--server", desk.server)
    assert json.loads(desk.there("identity", "list", "mill-*", "--json")) == []


def test_credentials_there_are_made_listed_and_ended_as_here(api, desk):
    desk.login(*api.with_codes("security", "operator"))
    bundle = desk.home / "far-7"
    words = ("--role", "press", "--attr", "site=chicago", "--out", str(bundle), "--port", str(api.broker.port))
    told = json.loads(desk.there("enrol", "far-7", *words, "--json"))
    assert (told["identity"], told["roles"], told["host"]) == ("far-7", ["press"], "127.0.0.1")
    assert stat.S_IMODE((bundle / "far-7.key").stat().st_mode) == 0o600
    proof = Proof(certificate_file=bundle / "far-7.crt", key_file=bundle / "far-7.key")
    place = Place(api.broker.port, ca_file=str(bundle / "ca.crt"))
    with closing(Recorder(place, "far-7", proof=proof).open()) as client:
        assert client.publish("data/chicago/hall/far-7/temperature", "71.5") == 0x10
    assert "exists already" in desk.fails("enrol", "far-8", "--out", str(bundle), "--server", desk.server)
    assert "there is no identity" in desk.fails("identity", "show", "far-8", "--server", desk.server)
    (first,) = json.loads(desk.there("credential", "list", "far-7", "--json"))
    assert (first["kind"], first["stale"]) == ("certificate", False)
    new = desk.home / "far-7-new"
    made = json.loads(desk.there("credential", "rotate", "far-7", "--overlap", "1d", "--out", str(new), "--json"))
    assert made["bundle"] == str(new)
    listed = {one["id"]: one for one in json.loads(desk.there("credential", "list", "--ends-within", "2d", "--json"))}
    assert listed[first["id"]]["successor"] not in {None, first["id"]}
    assert first["id"] in desk.there("credential", "list", "--stale")
    assert first["id"] not in desk.there("credential", "list", "--expiring")
    desk.fails("credential", "revoke", "far-7", "..", "--server", desk.server)
    desk.fails("credential", "revoke", "far-7", ".", "--server", desk.server)
    assert all(one["live"] for one in json.loads(desk.there("credential", "list", "far-7", "--json")))
    assert "revoked" in desk.there("credential", "revoke", "far-7", first["id"])
    with pytest.raises((RefusedError, OSError)):
        Recorder(place, "far-7", proof=proof).open()
    proof = Proof(certificate_file=new / "far-7.crt", key_file=new / "far-7.key")
    Recorder(place, "far-7", proof=proof).open().close()
    secret = json.loads(desk.there("credential", "rotate", "far-7", "--kind", "password", "--json"))["password"]
    Recorder(place, "far-7", proof=Proof("far-7", secret)).open().close()
    assert "revoked" in desk.there("credential", "revoke", "far-7", "--all")
    with pytest.raises(RefusedError):
        Recorder(place, "far-7", proof=Proof("far-7", secret)).open()


def test_an_identity_there_is_enrolled_with_a_password(api, desk):
    desk.login(*api.with_codes("security", "operator"))
    bundle = desk.home / "far-9"
    told = json.loads(desk.there("enrol", "far-9", "--password", "--out", str(bundle), "--json"))
    assert told["port"] == api.broker.port
    place = Place(told["port"], ca_file=str(bundle / "ca.crt"))
    Recorder(place, "far-9", proof=Proof("far-9", told["password"])).open().close()


def test_who_may_not_prove_identities_makes_no_certificate(api, desk):
    desk.login(*api.with_codes("operator"))
    told = desk.fails("enrol", "far-10", "--out", str(desk.home / "far-10"), "--server", desk.server)
    assert "(prove); far-10 is added there, and nothing proves it yet" in told
    assert not (desk.home / "far-10").exists()


def test_operators_there_are_added_changed_and_removed_as_here(api, desk):
    desk.login(*api.with_codes("admin"))
    added = json.loads(desk.there("operator", "add", "zoe", "--role", "viewer", "--note", "nights", "--json"))
    assert (added["operator"], added["roles"], added["must_change_password"]) == ("zoe", ["viewer"], True)
    assert "zoe" in desk.there("operator", "list")
    changed = json.loads(desk.there("operator", "set", "zoe", "--role", "operator", "--disable", "--json"))
    assert (changed["roles"], changed["enabled"], changed["note"]) == (["operator"], False, "nights")
    assert "is changed" in desk.there("operator", "set", "zoe", "--enable")
    again = json.loads(desk.there("operator", "passwd", "zoe", "--generate", "--json"))["password"]
    words = {"operator": "zoe", "password": again, "keep": "token"}
    assert api.open().post("/session", json=words).status_code == 201
    words["password"] = added["password"]
    assert api.open().post("/session", json=words).status_code == 401
    assert json.loads(desk.there("operator", "show", "zoe", "--json"))["enabled"] is True
    made = json.loads(desk.there("operator", "token", "create", "zoe", "--scope", "look", "--for", "1d", "--json"))
    assert made["scopes"] == ["look"]
    (listed,) = json.loads(desk.there("operator", "token", "list", "zoe", "--json"))
    assert "token" not in listed
    assert made["token"] not in desk.there("operator", "token", "list", "zoe")
    assert "is revoked" in desk.there("operator", "token", "revoke", "zoe", made["id"])
    coded, _ = api.with_codes("viewer")
    assert "no one-time codes" in desk.there("operator", "totp", "reset", coded.name)
    assert "0 passkeys" in desk.fails("operator", "passkey-remove", "zoe", "ab", "--server", desk.server)
    assert desk.there("operator", "remove", "zoe") == "zoe: removed\n"
    assert "there is no operator" in desk.fails("operator", "show", "zoe", "--server", desk.server)


def test_what_an_operator_does_itself_is_not_done_for_it_there(api, desk):
    desk.login(*api.with_codes("admin"))
    secret = desk.home / "secret"
    secret.write_text("four words that nobody guesses\n", encoding="utf-8")
    for words in (
        ("add", "zed", "--password-file", str(secret)),
        ("passwd", "zed", "--password-file", str(secret)),
        ("totp", "enrol", "zed"),
        ("totp", "confirm", "zed", "123456"),
    ):
        assert desk.fails("operator", *words, "--server", desk.server, code=2)
    desk.login(*api.with_codes("security"))
    assert "(operators)" in desk.fails("operator", "add", "zed", "--server", desk.server)
    assert "operator" in desk.there("operator", "list")


def test_a_broker_there_is_watched(api, desk):
    desk.login(*api.with_codes("viewer"))
    told = json.loads(desk.there("watch", "--once", "--json"))
    assert (told["broker"]["state"], told["not_told"]) == ("ready", {})
    assert 1 <= told["over_s"] < 60
    assert "Waiting (0)" in desk.there("watch", "--once")


def test_who_sees_one_tenant_watches_its_clients_and_is_told_what_is_left_out(api, desk):
    desk.login(*api.with_codes("viewer", tenant="north"))
    told = json.loads(desk.there("watch", "--once", "--json"))
    assert told["not_told"].keys() == {"status", "metrics", "denials", "findings", "responses"}
    assert told["clients"] == []
    assert "denials: your roles do not permit this" in desk.there("watch", "--once")
