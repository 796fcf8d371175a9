"""What clients have, what is retained, which topics there are: looked up in a running broker, and removed, on record."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Up, place_of, run
from tests.integration.recorder import Proof, Recorder, Will

POLICY = """
[roles.crew]
client_id = ["identity-*", "identity"]
permit    = [{ action = "all", filter = "plant/#" }]
forbid    = [{ action = "publish", filter = "plant/secret/#" }]
"""


class Plant:
    """A broker with two identities."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.place = place_of(up)
        self.proofs = {name: self._enrol(name) for name in ("press", "oven")}
        self.clients: list[Recorder] = []

    def _enrol(self, name: str) -> Proof:
        words = ("--role", "crew", "--password", "--out", self.up.data.parent / name)
        return Proof(user_name=name, password=self.told("enrol", name, *words)["password"])

    def told(self, *words: str | Path) -> Any:
        """Runs a verb; what it prints as JSON."""
        done = run(*words, "--data", self.up.data, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def verb(self, *words: str | Path) -> Any:
        return run(*words, "--data", self.up.data)

    def client(self, name: str, **more: Any) -> Recorder:
        self.clients.append(Recorder(self.place, name, proof=self.proofs[name], **more))
        return self.clients[-1].open()


@pytest.fixture
def plant(up: Callable[..., Up], tmp_path: Path) -> Iterator[Plant]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    made = Plant(up("--set", f"policy.file={policy}"))
    yield made
    for client in made.clients:
        client.close()


def test_a_client_is_shown_with_all_that_is_kept_for_it_also_while_it_is_away(plant):
    will = Will("plant/gone", "bye", 1, retain=True, properties={"WillDelayInterval": 300})
    press = plant.client("press", clean=False, will=will, SessionExpiryInterval=600)
    press.subscribe(("plant/in", 1), ("$share/line/plant/work/#", 2), SubscriptionIdentifier=7)
    assert press.publish("plant/secret/x") == 0x87
    found = plant.told("session", "show", "press")
    assert (found["identity"], found["is_connected"], found["session_expiry_s"]) == ("press", True, 600)
    filters = [(one["filter"], one["qos"], one["id"]) for one in found["subscriptions"]]
    assert filters == [("$share/line/plant/work/#", 2, 7), ("plant/in", 1, 7)]
    assert (found["will"]["topic"], found["will"]["retain"], found["will"]["due_at"]) == ("plant/gone", True, None)
    assert [(one["topic"], one["why"]) for one in found["denials"]] == [("plant/secret/x", "forbidden")]
    press.drop()
    oven = plant.client("oven")
    for _ in range(3):
        oven.publish("plant/in", b"x" * 100)
    found = plant.told("session", "show", "press")
    assert (found["is_connected"], found["queued"]) == (False, 3)
    assert found["queued_bytes"] >= 300
    assert datetime.fromisoformat(found["ends_at"]) > datetime.fromisoformat(found["will"]["due_at"])
    shown = plant.verb("session", "show", "press").stdout
    assert "away, ends" in shown
    assert "3 of" in shown
    assert "plant/gone (QoS 1, retained, 3 octets, 300 s after the connection, due" in shown
    gone = plant.verb("session", "show", "nobody")
    assert (gone.returncode, "no client 'nobody'" in gone.stderr) == (1, True)


def test_retained_messages_are_listed_shown_and_removed_on_record(plant):
    oven, press = plant.client("oven"), plant.client("press")
    for number in range(1_205):
        # An identity may retain a thousand.
        (oven if number % 2 else press).send(f"plant/old/{number:04}", str(number), 0, retain=True)
    press.publish("plant/last", "")
    oven.publish("plant/keep", b"\xff", retain=True, ContentType="bin", UserProperty=[("line", "4")])
    listed = plant.told("retained", "list", "plant/#")
    assert [one["topic"] for one in listed] == ["plant/keep", *(f"plant/old/{number:04}" for number in range(1_205))]
    assert (listed[0]["identity"], listed[0]["payload_bytes"], "payload" in listed[0]) == ("oven", 1, False)
    assert len(plant.told("retained", "list", "plant/#", "--limit", "3")) == 3
    shown = plant.told("retained", "show", "plant/keep")
    assert (shown["payload_base64"], shown["properties"]["content_type"]) == ("/w==", "bin")
    assert shown["properties"]["user_properties"] == [["line", "4"]]
    assert plant.told("retained", "show", "plant/old/0007")["payload"] == "7"
    asked = plant.verb("retained", "clear", "plant/old/#")
    assert (asked.returncode, "1205 Retained Messages would be removed" in asked.stdout) == (2, True)
    assert plant.told("retained", "clear", "plant/old/#", "--yes") == {"count": 1_205}
    assert [one["topic"] for one in plant.told("retained", "list", "plant/#")] == ["plant/keep"]
    press.subscribe("plant/#")
    assert [message.topic for message in press.received_until(oven, "plant/mark")] == ["plant/keep"]
    begun, ended = (
        json.loads(line)
        for line in plant.verb("audit", "search", "--what", "retained.clear", "--json").stdout.splitlines()
    )
    assert (begun["kind"], begun["target"]) == ("change", "topic/plant/old/#")
    assert (ended["outcome"], ended["why"]) == ("done", "1205 messages removed")
    read = plant.verb("audit", "search", "--what", "retained.read", "--json").stdout.splitlines()
    targets = [json.loads(line)["target"] for line in read if json.loads(line)["kind"] == "change"]
    assert targets == ["topic/plant/keep", "topic/plant/old/0007"]
    assert plant.verb("retained", "list", "a/#/b").returncode == 2
    assert plant.verb("retained", "show", "none").returncode == 1


def test_what_was_removed_stays_removed_after_a_restart(plant, up):
    oven = plant.client("oven")
    oven.publish("plant/a", "1", retain=True)
    oven.publish("plant/b", "2", retain=True)
    assert plant.told("retained", "clear", "plant/a", "--yes") == {"count": 1}
    oven.close()
    assert plant.up.stop() == 0
    plant.up = up("--set", f"policy.file={plant.up.data.parent / 'policy.toml'}")
    assert [one["topic"] for one in plant.told("retained", "list")] == ["plant/b"]


def test_the_tree_counts_what_is_retained_and_subscribed_to_level_by_level(plant):
    oven = plant.client("oven")
    oven.subscribe("plant/+/temp", "plant/a/#")
    press = plant.client("press")
    press.subscribe("$share/line/plant/a/temp")
    for topic in ("plant/a/temp", "plant/a/state", "plant/b"):
        oven.publish(topic, "1234", retain=True)
    top = plant.told("topic", "tree")["topics"]
    assert {key: top["plant"][key] for key in ("retained", "retained_bytes", "subscriptions")} == {
        "retained": 3,
        "retained_bytes": 12,
        "subscriptions": 3,
    }
    below = plant.told("topic", "tree", "plant", "--depth", "2")["topics"]
    counted = {topic: (what["retained"], what["subscriptions"]) for topic, what in below.items()}
    assert counted["plant/a/temp"] == (1, 1)
    assert counted["plant/+/temp"] == (0, 1)
    assert counted["plant/a/#"] == (0, 1)
    assert counted["plant/b"] == (1, 0)
    assert "plant/a/state" in plant.verb("topic", "tree", "plant", "--depth", "2").stdout
    assert plant.told("topic", "tree", "plan")["topics"] == {}
    assert plant.verb("topic", "tree", "--depth", "0").returncode == 2


def test_the_tree_tells_what_topics_carry_while_it_is_counted(plant):
    oven = plant.client("oven")
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.02):
            oven.send("plant/a/temp", "1234", 0)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        tree = plant.told("topic", "tree", "plant", "--over", "1s")
    finally:
        done.set()
        sending.join()
    found = tree["topics"]["plant/a"]
    assert found["messages_per_s"] > 0
    # Each figure is rounded by itself.
    assert found["bytes_per_s"] == pytest.approx(4 * found["messages_per_s"], abs=0.01)
    assert "messages_per_s" not in plant.told("topic", "tree", "plant")["topics"].get("plant/a", {})
    assert plant.verb("topic", "tree", "--over", "2m").returncode == 2
