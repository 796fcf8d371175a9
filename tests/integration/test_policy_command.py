"""`bartizan policy diff` beside a broker that runs, and a broker whose policy is a directory."""

import json
import signal

from tests.integration.conftest import run
from tests.integration.test_identity_commands import reading


def test_diff_tells_each_live_session_that_loses(up, tmp_path, mosquitto_sub):
    running = up()
    new = tmp_path / "new.toml"
    text = (running.data / "policy.toml").read_text()
    new.write_text(
        text.replace("[roles.dashboard]", '[roles.dashboard]\nforbid = [{ action = "all", filter = "data/#" }]')
    )
    words = ("policy", "diff", running.data / "policy.toml", new, "--data", running.data, "--live", "--json")
    assert json.loads(run(*words).stdout)["sessions"] == []
    with reading(running, running.data / "demo/dash-01"):
        running.wait_for("connected", identity="dash-01")
        done = run(*words)
    assert done.returncode == 1, done.stderr
    (session,) = json.loads(done.stdout)["sessions"]
    assert (session["identity"], session["client_id"], session["gains"]) == ("dash-01", "dash-01", [])
    assert {change["filter"] for change in session["loses"]} == {"data/#"}
    assert "data/chicago/" in session["loses"][0]["example"]


def test_diff_tells_each_live_session_that_gains(up, tmp_path, mosquitto_sub):
    running = up()
    new = tmp_path / "new.toml"
    text = (running.data / "policy.toml").read_text()
    new.write_text(f'{text}\n[topics."orders"]\npublish = ["dashboard"]\n')
    words = ("policy", "diff", running.data / "policy.toml", new, "--data", running.data, "--live")
    with reading(running, running.data / "demo/dash-01"):
        running.wait_for("connected", identity="dash-01")
        done, shown = run(*words, "--json"), run(*words)
    assert done.returncode == 1, done.stderr
    (session,) = json.loads(done.stdout)["sessions"]
    assert (session["identity"], session["client_id"], session["loses"]) == ("dash-01", "dash-01", [])
    assert [change["example"] for change in session["gains"]] == ["orders"]
    assert "+ publish orders" in shown.stdout


def test_a_live_session_is_asked_about_as_strongly_as_it_was_proved(up, tmp_path, mosquitto_sub):
    running = up()
    text = (running.data / "policy.toml").read_text()
    lost = {}
    with reading(running, running.data / "demo/dash-01"):
        running.wait_for("connected", identity="dash-01")
        for strength in ("certificate", "mfa"):
            new = tmp_path / f"{strength}.toml"
            lines = [
                f'{line}\nwhen = {{ strength = "{strength}" }}' if line.startswith("[topics.") else line
                for line in text.splitlines()
            ]
            new.write_text("\n".join(lines))
            words = ("policy", "diff", running.data / "policy.toml", new, "--data", running.data, "--live", "--json")
            sessions = json.loads(run(*words).stdout)["sessions"]
            lost[strength] = [(session["identity"], bool(session["loses"])) for session in sessions]
    assert lost == {"certificate": [], "mfa": [("dash-01", True)]}


def test_a_policy_of_several_files_holds_and_is_read_again(up, tmp_path):
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "a.toml").write_text('[roles.a]\npermit = [{ action = "publish", filter = "a" }]\n')
    (folder / "own.test.toml").write_text("[tests]\n")
    running = up("--set", f"policy.file={folder}")
    before = running.wait_for("started")["policy"]
    (folder / "b.toml").write_text("[roles.a]\n")
    running.process.send_signal(signal.SIGHUP)
    reason = running.wait_for("policy_refused")["reason"]
    assert reason.startswith(f"roles.a is in {folder}/a.toml:1 too ({folder}/b.toml:1:8): ")
    (folder / "b.toml").write_text('[roles.b]\npermit = [{ action = "publish", filter = "b" }]\n')
    running.process.send_signal(signal.SIGHUP)
    assert running.wait_for("reloaded")["policy"] != before
