"""Denials, a staged policy, a lesson and advice: of a broker that runs, with real clients, and after a restart."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import COMMAND, Up, run

POLICY = """\
[topics."data/{asset}/temperature"]
publish = ["press"]

[roles.press]
binds  = { asset = "client_id" }
permit = [
  { action = "publish", filter = "log/#" }, # all of it
]
"""
WIDER = POLICY.replace("all of it\n", 'all of it\n  { action = "publish", filter = "more/{asset}" },\n')
NEW = POLICY.replace("log/#", "log/{asset}/boot")


class Plant:
    """A broker with one press."""

    def __init__(self, up: Any, tmp_path: Path, mosquitto_pub: Path) -> None:
        self.policy = tmp_path / "policy.toml"
        self.policy.write_text(POLICY)
        self._up, self._pub, self._here = up, mosquitto_pub, tmp_path
        self.running: Up = up("--set", f"policy.file={self.policy}")
        done = self.verb("enrol", "press-09", "--role", "press", "--out", tmp_path / "press-09")
        assert done.returncode == 0, done.stderr

    def verb(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run(*words, "--data", self.running.data)

    def told(self, *words: str | Path) -> Any:
        return json.loads(self.verb(*words, "--json").stdout)

    def publish(self, topic: str, qos: int = 0) -> None:
        port = self.running.summary["places"][0]["address"].rpartition(":")[2]
        environment = os.environ | {"XDG_CONFIG_HOME": str(self._here / "press-09")}
        words = [self._pub, "-V", "5", "-p", port, "-t", topic, "-m", "71.5", "-q", str(qos)]
        subprocess.run(words, env=environment, check=False, timeout=20, capture_output=True)

    def restart(self) -> None:
        assert self.running.stop(signal.SIGTERM) == 0
        self.running = self._up("--set", f"policy.file={self.policy}")


@pytest.fixture
def plant(up: Any, tmp_path: Path, mosquitto_pub: Path) -> Plant:
    return Plant(up, tmp_path, mosquitto_pub)


def test_a_denial_is_told_and_its_patch_is_the_smallest_grant(plant, tmp_path):
    plant.publish("data/press-09/oil", qos=1)
    plant.publish("data/press-09/oil", qos=1)
    (denied,) = plant.told("denials")
    assert (denied["identity"], denied["action"], denied["topic"]) == ("press-09", "publish", "data/press-09/oil")
    assert (denied["count"], denied["qos"], denied["why"], denied["listener"]) == (2, 1, "no_permit", "mqtts")
    patch = tmp_path / "grant.patch"
    number = str(denied["number"])
    assert plant.verb("denials", "approve", number, "--patch", patch, "--policy", plant.policy).returncode == 0
    subprocess.run(["patch", "-s", str(plant.policy), str(patch)], check=True)
    text = plant.policy.read_text()
    assert '{ action = "publish", filter = "data/{asset}/oil", qos_max = 1, retain = false }' in text
    assert "# all of it" in text
    plant.running.process.send_signal(signal.SIGHUP)
    plant.running.wait_for("reloaded")
    done = plant.verb("denials", "approve", number, "--policy", plant.policy)
    assert (done.returncode, "by now" in done.stdout) == (0, True), done.stdout + done.stderr


def test_denials_are_kept_over_a_restart_and_read_without_a_broker(plant):
    plant.publish("x")
    plant.restart()
    plant.publish("x")
    assert plant.running.stop() == 0
    (denied,) = plant.told("denials")
    assert (denied["number"], denied["count"]) == (1, 2)
    assert plant.told("denials", "--identity", "nobody") == []
    assert plant.verb("denials", "approve", "9").returncode == 1


def test_denials_are_followed_as_they_come(plant):
    words = [*COMMAND, "denials", "--follow", "--since", "1h", "--json", "--data", str(plant.running.data)]
    plant.publish("before")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["topic"] == "before"
            plant.publish("x")
            assert json.loads(follower.stdout.readline())["topic"] == "x"
        finally:
            follower.kill()


def test_a_policy_is_staged_and_promoted_once_nobody_would_miss_anything(plant, tmp_path):
    new = tmp_path / "new.toml"
    new.write_text(NEW.replace("boot", "off"))
    assert plant.verb("policy", "stage", new, "--for", "1h").returncode == 0
    plant.publish("log/press-09/boot", qos=1)
    told = plant.told("policy", "staged")
    (difference,) = told["differences"]
    assert (difference["topic"], difference["why"], difference["staged_why"]) == (
        "log/press-09/boot",
        "permitted",
        "no_permit",
    )
    assert plant.told("denials") == []
    assert plant.verb("policy", "promote", "--yes").returncode == 1
    plant.restart()
    assert plant.told("policy", "staged")["staged"]["digest"] == told["staged"]["digest"]
    new.write_text(NEW)
    assert plant.verb("policy", "stage", new).returncode == 0
    plant.publish("log/press-09/boot", qos=1)
    assert plant.told("policy", "staged")["differences"] == []
    done = plant.verb("policy", "promote", "--yes", "--note", "nothing missed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert plant.policy.read_text() == NEW
    assert plant.told("policy", "staged")["staged"] is None
    plant.publish("log/other", qos=1)
    assert [each["topic"] for each in plant.told("denials")] == ["log/other"]


def test_what_a_staged_policy_would_newly_allow_is_told(plant, tmp_path):
    new = tmp_path / "new.toml"
    new.write_text(WIDER)
    assert plant.verb("policy", "stage", new).returncode == 0
    plant.publish("log/press-09/boot", qos=1)
    assert plant.told("policy", "staged")["differences"] == []
    plant.publish("more/press-09", qos=1)
    plant.publish("more/press-10", qos=1)
    (difference,) = plant.told("policy", "staged")["differences"]
    assert (difference["topic"], difference["why"], difference["staged_why"], difference["staged_rule"]) == (
        "more/press-09", "no_permit", "permitted", "roles.press.permit[1]",
    )  # fmt: skip
    shown = plant.verb("policy", "staged")
    assert (shown.returncode, "1 request would be allowed:" in shown.stdout) == (1, True), shown.stdout
    # It is asked, and decides nothing.
    assert sorted(each["topic"] for each in plant.told("denials")) == ["more/press-09", "more/press-10"]


def test_the_tests_of_a_staged_policy_hold_it_back_and_go_with_it(plant, tmp_path):
    new = tmp_path / "new" / "new.toml"
    new.parent.mkdir()
    new.write_text(NEW)
    tests = new.with_name("new.test.toml")
    expected = (
        '[tests.boot]\nas = {{ identity = "press-09", roles = ["press"] }}\n{0} = ["publish log/press-09/boot"]\n'
    )
    tests.write_text(expected.format("deny"))
    assert plant.verb("policy", "stage", new).returncode == 0
    tests.unlink()  # what was staged is what counts
    held = plant.verb("policy", "promote", "--yes")
    assert (held.returncode, "1 failed" in held.stdout) == (1, True), held.stdout + held.stderr
    tests.write_text(expected.format("allow"))
    assert plant.verb("policy", "stage", new).returncode == 0
    done = plant.verb("policy", "promote", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert plant.policy.read_text() == NEW
    assert plant.policy.with_name("new.test.toml").read_text() == expected.format("allow")


def test_a_staged_contract_is_compared_message_by_message_and_promoted_with_its_schema(plant, tmp_path):
    new, schema = tmp_path / "new/plant.toml", tmp_path / "new/schemas/t.json"
    schema.parent.mkdir(parents=True)
    asks = 'enforce = "reject"\npayload = { format = "json", schema = "schemas/t.json" }\n'
    new.write_text(POLICY.replace('publish = ["press"]\n', f'publish = ["press"]\n{asks}'))
    schema.write_text('{"type": "object"}')
    assert plant.verb("policy", "stage", new).returncode == 0
    for topic in ("data/press-09/temperature", "log/press-09/boot"):
        plant.publish(topic, qos=1)
    key = 'topics."data/{asset}/temperature".payload'
    (difference,) = plant.told("policy", "staged")["differences"]
    assert (difference["topic"], difference["why"], difference["staged_why"], difference["staged_rule"]) == (
        "data/press-09/temperature", "permitted", "payload_misfit", key,
    )  # fmt: skip
    assert f"staged payload_misfit by {key}" in plant.verb("policy", "staged").stdout
    assert plant.verb("policy", "promote", "--yes").returncode == 1
    plant.restart()
    plant.publish("data/press-09/temperature", qos=1)
    assert [each["count"] for each in plant.told("policy", "staged")["differences"]] == [2]
    schema.write_text('{"type": "number"}')
    assert plant.verb("policy", "stage", new).returncode == 0
    plant.publish("data/press-09/temperature", qos=1)
    assert plant.told("policy", "staged")["differences"] == []
    done = plant.verb("policy", "promote", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (plant.policy.read_text(), (tmp_path / "schemas/t.json").read_text()) == (
        new.read_text(),
        schema.read_text(),
    )


def test_what_is_no_policy_is_not_staged(plant, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("[roles.x]\npermits = []\n")
    done = plant.verb("policy", "stage", bad)
    assert (done.returncode, "bad.toml:2" in done.stderr) == (2, True)


def test_a_lesson_is_a_contract_for_what_was_seen(plant, tmp_path):
    out = tmp_path / "learned.toml"
    assert plant.verb("policy", "learn", "--listener", "mqtts", "--for", "1h", "--out", out).returncode == 0
    plant.publish("log/press-09/boot", qos=1)
    plant.restart()
    plant.publish("data/press-09/temperature")
    plant.publish("denied")
    told = plant.told("policy", "learned")
    assert told["roles"] == {"press": ["press-09"]}
    assert [(each["topic"], each["qos_max"]) for each in told["allowances"]] == [
        ("data/press-09/temperature", 0),
        ("log/press-09/boot", 1),
    ]
    assert out.read_text() == told["policy"]
    assert run("policy", "check", out).returncode == 0
    assert plant.verb("policy", "learn", "--stop").returncode == 0
    assert plant.verb("policy", "learn", "--listener", "nowhere").returncode == 2


def test_advice_is_a_patch_of_what_nobody_used(plant, tmp_path):
    plant.publish("log/press-09/boot")
    plant.restart()
    patch = tmp_path / "narrower.patch"
    words = ("policy", "advise", "--since", "1d", "--policy", plant.policy, "--patch", patch)
    held = plant.verb(*words)
    # It was watched for a moment only.
    assert (held.returncode, "is not written: use is observed since" in held.stderr) == (1, True), held.stderr
    assert not patch.exists()
    told = plant.told(*words, "--despite-gaps")
    assert (told["patched"], len(told["gaps"]), told["too_young"]) == (True, 1, 0)
    assert [(each["code"], each["narrower"]) for each in told["advice"] if each["rule"]] == [
        ("unused-permit", ""),
        ("wider-than-used", "log/{asset}/boot"),
    ]
    subprocess.run(["patch", "-s", str(plant.policy), str(patch)], check=True)
    text = plant.policy.read_text()
    assert "publish = []" in text
    assert '"log/{asset}/boot" }, # all of it' in text


def test_an_edit_between_use_and_advice_gives_a_permit_no_use_that_is_not_its_own(plant):
    plant.publish("log/press-09/boot")
    first = '  { action = "publish", filter = "first/#" },\n'
    plant.policy.write_text(POLICY.replace("permit = [\n", f"permit = [\n{first}"))
    plant.running.process.send_signal(signal.SIGHUP)
    plant.running.wait_for("reloaded")
    # Where the permit for log/# stood, another one stands now.
    told = plant.told("policy", "advise", "--since", "1d", "--policy", plant.policy)
    assert [(each["code"], each["rule"], each["narrower"]) for each in told["advice"] if each["rule"]] == [
        ("unused-permit", 'roles.press via topics."data/{asset}/temperature".publish', ""),
        ("wider-than-used", "roles.press.permit[1]", "log/{asset}/boot"),
    ]
    assert told["too_young"] == 1
    plant.publish("first/a")
    plant.publish("log/press-09/halt")
    told = plant.told("policy", "advise", "--since", "1d", "--policy", plant.policy)
    assert [each["rule"] for each in told["advice"] if each["code"] == "wider-than-used"] == []
