"""Runbooks on a broker that runs: who is hit is told first, each step is on record, and a detector runs one too."""

import json

from tests.integration.conftest import run
from tests.integration.test_bans import ADMINISTRATIVE_ACTION, changes_of
from tests.integration.test_bans import Plant as Banning
from tests.integration.test_bans import plant as plant  # noqa: PLC0414  a fixture
from tests.integration.test_findings import Plant as Detecting
from tests.integration.test_responses import asks_for_everything

STOLEN = """
[runbooks.stolen]
note = "a device is missing"

[[runbooks.stolen.steps]]
action = "disconnect"

[[runbooks.stolen.steps]]
action = "quarantine"
hours = 8

[[runbooks.stolen.steps]]
action = "release"

[[runbooks.stolen.steps]]
action = "ban"

[runbooks.twice]
steps = [{ action = "quarantine" }, { action = "release" }, { action = "release" }, { action = "revoke" }]
"""


def with_runbooks(plant: Banning) -> Banning:
    assert plant.up.stop() == 0
    file = plant.up.data / "bartizan.toml"
    file.write_text((file.read_text() if file.exists() else "") + STOLEN)
    plant.up = plant._start()
    return plant


def test_a_runbook_is_shown_run_dry_and_run_and_each_step_is_on_record(plant):
    with_runbooks(plant)
    assert [each["name"] for each in plant.told("runbook", "list")] == ["stolen", "twice"]
    shown = run("runbook", "show", "stolen", "--data", plant.up.data).stdout
    assert shown.splitlines()[:3] == [
        "stolen, about an identity: a device is missing",
        "  1. disconnect",
        "  2. quarantine for 8 h",
    ]
    thief = plant.client("thief").open()
    hit = plant.told("runbook", "run", "stolen", "--for", "thief", "--dry-run")
    assert (hit["state"], [each["client_id"] for each in hit["clients"]]) == ("enabled", ["thief"])
    assert thief.ended is None
    done = plant.told("runbook", "run", "stolen", "--for", "thief", "--reason", "INC-9")
    assert (done["failed"], done["left"]) == (None, [])
    assert [step["action"] for step in done["done"]] == ["disconnect", "quarantine", "release", "ban"]
    assert done["done"][0]["text"] == "1 connections ended"
    assert thief.wait_end() == ADMINISTRATIVE_ACTION
    assert [ban["what"] for ban in plant.told("ban", "list")] == ["thief"]
    run_of = [each for each in changes_of(plant) if "runbook stolen" in each.get("why", "")]
    assert [each["what"] for each in run_of] == [
        "runbook.run",
        "client.disconnect",
        "identity.set",
        "identity.set",
        "ban.add",
    ]
    assert {each["why"] for each in run_of} == {"runbook stolen; INC-9"}
    assert plant.up.wait_for("runbook")["outcome"] == "done"


def test_a_runbook_stops_at_what_fails_and_says_so(plant):
    with_runbooks(plant)
    done = run("runbook", "run", "twice", "--for", "press", "--data", plant.up.data)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        "release failed: 'press' is not in quarantine but enabled",
        "not done: revoke",
    ]
    assert plant.told("identity", "show", "press")["state"] == "enabled"
    told = run("audit", "search", "--what", "runbook.run", "--json", "--data", plant.up.data).stdout.splitlines()
    (record,) = [each for line in told if (each := json.loads(line))["kind"] == "outcome"]
    assert (record["outcome"], "not done: revoke" in record["why"]) == ("failed", True)
    assert run("runbook", "run", "nothing", "--for", "press", "--data", plant.up.data).returncode == 2


def test_a_detector_runs_one_too(up):
    steps = "[{action = 'quarantine', hours = 1}, {action = 'disconnect'}]"
    plant = Detecting(
        up,
        "--set",
        f"runbooks.hold={{steps = {steps}}}",
        "--set",
        "playbooks.hold={action = 'runbook', runbook = 'hold', mode = 'auto', severity = 'low'}",
    )
    with asks_for_everything(plant):
        done = plant.running.wait_for("response", outcome="done")
    assert done["why"].startswith("quarantine: it was enabled and is quarantined")
    shown = json.loads(run("identity", "show", "press-01", "--json", "--data", plant.running.data).stdout)
    assert (shown["state"], shown["quarantined_by"]) == ("quarantined", "playbook hold")
