"""`bartizan policy apply` beside a broker that runs: in force when it returns, or nothing has changed."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.conftest import Up, port_of, run


def status(running: Up) -> dict[str, Any]:
    from bartizan.cli.control import RunningBroker  # noqa: PLC0415  only where a broker is asked

    return dict(RunningBroker(running.data).status()["policy"])


def without_dashboards(running: Up, tmp_path: Path) -> Path:
    new = tmp_path / "new.toml"
    text = (running.data / "policy.toml").read_text()
    forbid = '[roles.dashboard]\nforbid = [{ action = "all", filter = "data/#" }]'
    new.write_text(text.replace("[roles.dashboard]", forbid))
    return new


def test_a_policy_is_in_force_when_apply_returns_and_cuts_who_lost(up, tmp_path, mosquitto_sub):
    running = up()
    new = without_dashboards(running, tmp_path)
    environment = os.environ | {"XDG_CONFIG_HOME": str(running.data / "demo" / "dash-01")}
    words = [mosquitto_sub, "-p", str(port_of(running.summary["places"][0])), "-t", "data/chicago/+/+/temperature"]
    with subprocess.Popen(words, env=environment) as reader:
        running.wait_for("connected", identity="dash-01")
        done = run("policy", "apply", new, "--data", running.data, "--yes", "--note", "no screens")
        assert done.returncode == 0, done.stderr
        assert "session dash-01" in done.stdout
        running.wait_for("subscription_removed")
        reader.kill()
    version = json.loads(run("policy", "history", "--data", running.data, "--json").stdout)["versions"][0]
    assert (version["state"], version["digest"]) == ("in-force", status(running)["digest"])


def test_what_the_broker_refuses_leaves_files_and_policy_as_they_were(up, tmp_path):
    running = up()
    before, digest = (running.data / "policy.toml").read_bytes(), status(running)["digest"]
    (running.data / "bartizan.toml").write_text("[broker]\nnonsense = 1\n")
    good = tmp_path / "good.toml"
    good.write_text("")
    done = run(
        "policy", "apply", without_dashboards(running, tmp_path), "--data", running.data, "--yes", "--config", good
    )
    assert done.returncode == 1, done.stdout
    assert "the broker refused the policy" in done.stderr
    assert (running.data / "policy.toml").read_bytes() == before
    assert status(running)["digest"] == digest
    listed = run("policy", "history", "--data", running.data, "--config", good, "--json")
    assert [version["state"] for version in json.loads(listed.stdout)["versions"]] == ["refused", "written"]


def test_the_history_survives_the_broker_and_rolls_back(up, tmp_path):
    running = up()
    before = status(running)["digest"]
    assert (
        run("policy", "apply", without_dashboards(running, tmp_path), "--data", running.data, "--yes").returncode == 0
    )
    after = status(running)["digest"]
    assert after != before
    assert running.stop(signal.SIGTERM) == 0
    again = up()
    assert status(again)["digest"] == after
    done = run("policy", "rollback", "--data", again.data, "--yes")
    assert done.returncode == 0, done.stderr
    assert status(again)["digest"] == before


def test_the_files_are_those_that_the_broker_reads_not_those_of_the_configuration(up, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[roles.a]\npermit = [{ action = "publish", filter = "a" }]\n')
    running = up("--set", f"policy.file={own}")
    new = tmp_path / "new.toml"
    new.write_text('[roles.a]\npermit = [{ action = "publish", filter = "b" }]\n')
    untouched = (running.data / "policy.toml").read_bytes()
    assert run("policy", "apply", new, "--data", running.data, "--yes").returncode == 0
    assert own.read_bytes() == new.read_bytes()
    assert (running.data / "policy.toml").read_bytes() == untouched
    assert status(running)["files"] == [str(own)]
