"""Findings told by email and by MQTT, and a throttle: a broker that runs, a mail server, real clients."""

import json
import time
from pathlib import Path
from typing import Any

from tests.conformance.packets import v5
from tests.conformance.received import Connack, Publish, Suback
from tests.integration.conftest import run
from tests.integration.test_bans import Plant as Banning
from tests.integration.test_bans import changes_of, words_of
from tests.integration.test_bans import plant as plant  # noqa: PLC0414  a fixture
from tests.integration.test_findings import Plant as Detecting
from tests.security.party import eventually
from tests.unit.audit.test_sinks import collecting
from tests.unit.broker.test_tellers import Inbox, serving

TELL = "severity = 'critical'"


def test_a_finding_comes_by_mail_and_on_a_topic_of_the_brokers_own(up: Any, tmp_path: Path) -> None:
    inbox = Inbox()
    with serving(inbox, tmp_path) as (port, ca):
        mail = (
            f"alerts.shift={{kind = 'email', address = 'localhost:{port}', ca_file = '{ca}', "
            "sender = 'bartizan@plant.example', recipients = ['shift@plant.example']}"
        )
        plant = Detecting(
            up,
            *("--set", mail),
            *("--set", f"playbooks.mail={{action = 'alert', to = 'shift', {TELL}}}"),
            *("--set", "alerts.board={kind = 'mqtt'}"),
            *("--set", f"playbooks.show={{action = 'alert', to = 'board', {TELL}}}"),
        )
        data = plant.running.data
        enrolled = run(
            "enrol", "board-1", "--role", "monitor", "--password", "--json", "--out", tmp_path / "board", "--data", data
        )
        password = json.loads(enrolled.stdout)["password"]
        plant.guess("backup-admin", 1)
        assert plant.running.wait_for("response", playbook="mail")["why"] == "email was told"
        plant.running.wait_for("response", playbook="show")
        with plant.wire() as board:
            board.send(v5.connect("board-1", username="board-1", password=password.encode()))
            board.expect(Connack, reason=0)
            board.send(v5.subscribe(1, "$SYS/broker/alerts/#"))
            board.expect(Suback)
            told = board.expect(Publish, topic="$SYS/broker/alerts/board")
    ((_, recipients, message),) = inbox.mails
    assert recipients == ["shift@plant.example"]
    text = "the decoy identity backup-admin was tried from 127.0.0.1"
    assert text in message.get_content()
    assert json.loads(told.payload)["finding"]["text"] == text


def test_a_finding_comes_to_a_collector_of_syslog(up: Any, tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, ca):
        plant = Detecting(
            up,
            *("--set", f"alerts.desk={{kind = 'syslog', address = 'localhost:{collector.port}', ca_file = '{ca}'}}"),
            *("--set", f"playbooks.call={{action = 'alert', to = 'desk', {TELL}}}"),
        )
        plant.guess("backup-admin", 1)
        assert plant.running.wait_for("response", playbook="call")["why"] == "syslog was told"
        eventually(lambda: len(collector.messages()) == 1)
    [message] = collector.messages()
    # As RFC 5424 writes it: priority and version, time, host, who tells it, and what.
    assert message.decode().split(" ")[3:6] == ["bartizan", "-", "finding"]
    told = json.loads(b"{" + message.partition(b" - {")[2])
    assert told["detail"]["finding"]["text"] == "the decoy identity backup-admin was tried from 127.0.0.1"


def test_who_is_throttled_publishes_slowly_until_that_ends(plant: Banning) -> None:
    press, thief = plant.client("press").open(), plant.client("thief").open()
    press.subscribe("plant/#")
    plant.told("throttle", "add", "thief", "--messages-per-s", "2", "--for", "1h", "--reason", "INC-5")
    (held,) = plant.told("throttle", "list")
    assert (held["identity"], held["messages_per_s"], held["reason"]) == ("thief", 2, "INC-5")
    began = time.monotonic()
    for number in range(8):
        thief.publish("plant/a", str(number).encode(), 1)
    assert time.monotonic() - began >= 2.0, "two at once, and then two a second"
    assert run("throttle", "remove", "thief", "--data", plant.up.data).returncode == 0
    assert plant.told("throttle", "list") == []
    assert [each["what"] for each in changes_of(plant, "--target", "identity/thief") if "throttle" in each["what"]] == [
        "identity.throttle",
        "identity.unthrottle",
    ]


def test_a_throttle_holds_over_a_restart_and_that_it_ends_is_on_record(plant: Banning) -> None:
    plant.told("throttle", "add", "thief", "--messages-per-s", "2", "--for", "1h", "--reason", "INC-5")
    plant.told("throttle", "add", "press", "--messages-per-s", "2", "--for", "1s")
    (held,) = [each for each in plant.told("throttle", "list") if each["identity"] == "thief"]
    plant.restart()
    assert plant.told("throttle", "list") == [held]
    thief = plant.client("thief").open()
    began = time.monotonic()
    for number in range(8):
        thief.publish("plant/a", str(number).encode(), 1)
    assert time.monotonic() - began >= 2.0, "two at once, and then two a second"
    told = words_of(plant, "identity/press", "identity.throttle-end")
    assert [word for word in told if "throttle" in word] == ["identity.throttle", "identity.throttle-end"]
