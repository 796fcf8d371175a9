"""What `deploy/` has for Prometheus and Grafana fits the broker: names, labels, and promtool's own checks."""

import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from bartizan.api.metrics import exposition
from bartizan.cli.app import VERBS
from bartizan.testing import Broker
from tests.conformance.packets import v5, v311
from tests.conformance.received import Connack, Puback, Publish, Suback
from tests.conformance.wire import Wire, tcp
from tests.docs.markdown import ROOT
from tests.left_out import require_program

PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "bartizan.rules.yml"
TEST = PROMETHEUS / "bartizan.rules.test.yml"
BOARD = json.loads((ROOT / "deploy/grafana/bartizan.json").read_text(encoding="utf-8"))
SUFFIXES: Mapping[str, Sequence[str]] = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
TOPIC = "data/chicago/hall-1/press-01/temperature"
PUBLISHED = 3
FOLLOWED = 5
WITHIN_S = 60.0
ANYBODY = '[roles.anonymous]\npermit = [{ action = "all", filter = "#" }]\n'
SOME = '[roles.anonymous]\npermit = [{ action = "all", filter = "mine/#" }]\n'
OF_PROMETHEUS = {"instance", "job", "le", "by", "alertname"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Metric]:
    """Every metric of a broker to which somebody is connected, who gets what it publishes. Another one was refused."""
    root = tmp_path_factory.mktemp("told") / "data"
    with Broker(settings=("metrics.emqx_names=true",), danger_plaintext="a test", directory=root) as broker:
        with Wire(tcp(broker.host, broker.port), dialect=v311) as wire:
            wire.send(v311.connect("press-01", username="press-01", password=b"wrong"))
            wire.expect(Connack)
            wire.expect_close()
        press = broker.enrol("press-01", role=["press", "dashboard"], password=True, site="chicago")
        with Wire(tcp(broker.host, broker.port), dialect=v311) as wire:
            wire.send(v311.connect("press-01", username="press-01", password=str(press.password).encode()))
            wire.expect(Connack, reason=0)
            wire.send(v311.subscribe(1, TOPIC))
            wire.expect(Suback, reasons=(0,))
            for number in range(1, PUBLISHED + 1):
                wire.send(v311.publish(TOPIC, b"71.5", qos=1, pid=number, retain=True))
                wire.expect(Publish)
                wire.expect(Puback, pid=number)
            return families(broker)


def families(broker: Broker) -> Mapping[str, Metric]:
    """Its metrics by name, as Prometheus reads them."""
    text, _ = exposition(broker._running.broker, "")
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


@pytest.fixture(scope="module")
def series(told: Mapping[str, Metric]) -> set[str]:
    """The names that an expression may use."""
    return {name + end for name, metric in told.items() for end in SUFFIXES.get(metric.type, ("",))}


def panels(board: Mapping[str, Any] = BOARD) -> Iterator[Mapping[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panels(panel) if panel.get("panels") else ()


def expressions() -> list[str]:
    """Every expression of the dashboard, and of its variables and annotations."""
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    found += [each["expr"] for each in BOARD["annotations"]["list"]]
    return [*found, *(each["definition"] for each in BOARD["templating"]["list"] if "definition" in each)]


def rules() -> list[tuple[str, str]]:
    """Name and expression of every alert."""
    return re.findall(r"- alert: (\w+)\n +expr: (.*)", RULES.read_text(encoding="utf-8"))


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:bartizan|broker|emqx)_\w+", expression))


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [require_program("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def value(told: Mapping[str, Metric], name: str, **labels: str) -> float:
    """Of the one sample that has this name and these labels."""
    [found] = [
        sample.value
        for metric in told.values()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


def test_a_client_that_was_let_in_is_counted_under_every_name(told):
    how = {"listener": "mqtt", "method": "password", "outcome": "allowed"}
    assert value(told, "bartizan_authentication_seconds_count", **how) == 1
    assert value(told, "bartizan_authentication_seconds_bucket", le="+Inf", **how) == 1
    assert 0 < value(told, "bartizan_authentication_seconds_sum", **how) < 5
    assert value(told, "bartizan_listener_clients_connected", listener="mqtt") == 1
    for role in ("press", "dashboard"):
        assert value(told, "bartizan_authentications_allowed_total", role=role) == 1
        assert value(told, "bartizan_role_clients_connected", role=role) == 1
    for name in ("client_connected", "authentication_success", "authentication_failure", "live_connections_count"):
        assert value(told, f"emqx_{name}") == 1
    assert value(told, "emqx_client_authenticate") == 2
    for name in ("client_disconnected", "banned_count", "authentication_success_anonymous"):
        assert value(told, f"emqx_{name}") == 0
    assert value(told, "emqx_messages_received") == PUBLISHED


@pytest.mark.parametrize("outcome", ["allowed", "refused"])
def test_a_connect_is_timed_to_its_answer_by_method_and_counted_by_listener(told, outcome):
    how = {"listener": "mqtt", "method": "password", "outcome": outcome}
    assert value(told, "bartizan_connect_seconds_count", **how) == 1
    assert value(told, "bartizan_connect_seconds_bucket", le="+Inf", **how) == 1
    assert 0 < value(told, "bartizan_connect_seconds_sum", **how) < 30
    name = {"allowed": "accepted", "refused": "refused"}[outcome]
    assert value(told, f"bartizan_listener_connects_{name}_total", listener="mqtt") == 1


def test_a_handshake_is_timed_by_listener():
    with Broker() as broker:
        trust = ssl.create_default_context(cafile=broker.ca_file)
        with socket.create_connection((broker.host, broker.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            # An alert, and the end: it failed, and is timed by nobody.
            while stranger.recv(64):
                pass
        for _ in range(2):
            stream = trust.wrap_socket(
                socket.create_connection((broker.host, broker.port)), server_hostname=broker.host
            )
            with Wire(stream, dialect=v311) as wire:
                wire.send(v311.connect("nobody"))
                wire.expect(Connack)
        told = families(broker)
    assert value(told, "bartizan_handshake_seconds_count", listener="mqtt") == 2
    assert value(told, "bartizan_handshake_seconds_sum", listener="mqtt") > 0


def connects(broker: Broker) -> Mapping[str, float]:
    """How many were let in, by method."""
    samples = families(broker)["bartizan_connect_seconds"].samples
    return {each.labels["method"]: each.value for each in samples if each.name.endswith("_count")}


@pytest.mark.parametrize("cores", [1, 2])
def test_who_is_let_in_without_a_question_is_timed_too(cores):
    """A success that is remembered, and `anonymous`; also where a connection moves to the home of its Session."""
    settings = (f"broker.cores={cores}", "metrics.emqx_names=true")
    with Broker(ANYBODY, settings=settings, danger_plaintext="a test", danger_anonymous="a test") as broker:
        press = broker.enrol("press-01", role=["anonymous"], password=True)
        place = (broker.host, broker.port)
        by_password: dict[str, Any] = {"username": "press-01", "password": str(press.password).encode()}
        nothing: dict[str, Any] = {}
        for who in [*[by_password] * 5, *[nothing] * 4]:
            for number in range(cores):
                client_id = f"press-01-{number}" if who else f"nobody-{number}"
                with Wire(tcp(*place), dialect=v311) as wire:
                    wire.send(v311.connect(client_id, **who))
                    wire.expect(Connack, reason=0)
                    # CONNACK goes out before it is counted that it did.
                    wire.expect_alive()
        assert connects(broker) == {"password": 5 * cores, "anonymous": 4 * cores}
        told = families(broker)
    assert value(told, "bartizan_authentications_recalled_total") > 0
    assert value(told, "emqx_authentication_success_anonymous") == 4 * cores


def test_a_message_through_the_broker_is_timed(told):
    # The first one is, and one in 64 of those behind it.
    assert value(told, "bartizan_publish_delivery_seconds_count") == 1
    assert 0 < value(told, "bartizan_publish_delivery_seconds_sum") < 5
    # Each was retained, and acknowledged once the disk had it.
    assert value(told, "bartizan_store_sync_seconds_count") >= PUBLISHED
    assert value(told, "bartizan_store_sync_seconds_sum") > 0


def test_what_clients_send_and_are_denied_is_told_by_role():
    with (
        Broker(SOME, danger_plaintext="a test", danger_anonymous="a test") as broker,
        Wire(tcp(broker.host, broker.port), dialect=v5) as wire,
    ):
        wire.send(v5.connect("client"))
        wire.expect(Connack, reason=0)
        deadline = time.monotonic() + WITHIN_S
        # What identities do is counted from the first look on, and looked at every two seconds.
        while not (did := by_role(broker)) and time.monotonic() < deadline:
            wire.send(v5.publish("mine/1", b"four", qos=1, pid=1), v5.publish("other", b"four", qos=1, pid=2))
            wire.expect(Puback, pid=1, reason=0x10)
            wire.expect(Puback, pid=2, reason=0x87)
    assert 1 < did["bartizan_role_publish_received_total"] <= 2 * did["bartizan_role_denied_total"] + 1
    assert did["bartizan_role_publish_bytes_received_total"] == 4 * did["bartizan_role_publish_received_total"]


def by_role(broker: Broker) -> Mapping[str, float]:
    """What the clients of the role `anonymous` did."""
    samples = [each for family in families(broker).values() for each in family.samples]
    return {
        each.name: each.value
        for each in samples
        if each.name.startswith(("bartizan_role_publish_", "bartizan_role_denied"))
        and each.labels.get("role") == "anonymous"
    }


def decisions(broker: Broker) -> float:
    return value(families(broker), "bartizan_policy_decision_seconds_count")


def test_decisions_are_timed_as_long_as_messages_come_and_no_more_often_than_one_in_64():
    with (
        Broker(ANYBODY, danger_plaintext="a test", danger_anonymous="a test") as broker,
        Wire(tcp(broker.host, broker.port), dialect=v311) as wire,
    ):
        wire.send(v311.connect("client"))
        wire.expect(Connack, reason=0)
        wire.expect_alive()
        assert decisions(broker) == 0
        sent = 0
        # At most one a second: as often as it takes.
        deadline = time.monotonic() + WITHIN_S
        while decisions(broker) < 3 and time.monotonic() < deadline:
            wire.send(*(v311.publish("to/nobody", b"x") for _ in range(64)))
            wire.expect_alive()
            sent += 64
        assert 3 <= decisions(broker) <= 1 + sent / 64


def test_the_record_of_the_start_was_synced_and_timed(told):
    assert value(told, "bartizan_audit_sync_seconds_count", log="changes") >= 1
    assert value(told, "bartizan_audit_sync_seconds_sum", log="changes") > 0


def test_names_of_other_brokers_are_there_as_the_settings_say():
    with Broker(settings=("metrics.mosquitto_names=false",)) as broker:
        names = set(families(broker))
    assert names
    assert all(name.startswith("bartizan_") for name in names)


def test_every_metric_that_the_dashboard_asks_for_is_exported(series):
    asked = {name for expression in expressions() for name in names(expression)}
    assert len(asked) > 30
    assert asked - series == set()


def test_every_metric_that_an_alert_asks_for_is_exported(series):
    asked = {name for _, expression in rules() for name in names(expression)}
    assert len(asked) > 15
    assert asked - series == set()


def test_every_label_that_is_asked_for_is_one_of_its_metric(told):
    told_labels = {label for metric in told.values() for sample in metric.samples for label in sample.labels}
    # What there is only once something has happened: labels by the broker's own table.
    told_labels |= {"sink", "url", "outcome", "method", "role", "log"}
    asked = {
        label
        for expression in [*expressions(), *(expression for _, expression in rules())]
        for matchers in re.findall(r"\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)
    }
    assert asked - told_labels - OF_PROMETHEUS == set()


def test_panels_do_not_overlap_and_have_numbers_of_their_own():
    places = [panel["gridPos"] for panel in panels()]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(at["x"] + at["w"] <= 24 for at in places)
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))


def test_prometheus_takes_the_configuration_and_the_rules():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", RULES)


def test_every_alert_fires_in_its_case_and_no_other_does():
    cases = TEST.read_text(encoding="utf-8")
    assert {name for name, _ in rules()} == set(re.findall(r"- name: (Bartizan\w+)", cases))
    promtool("test", "rules", TEST)


def test_the_expressions_of_the_dashboard_are_promql(tmp_path):
    asked = [each for each in expressions() if not each.startswith("label_values")]
    records = [
        {"record": f"panel:{number}", "expr": each.replace("$__rate_interval", "5m")}
        for number, each in enumerate(asked)
    ]
    file = tmp_path / "dashboard.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", file)


def test_the_verbs_that_an_alert_names_exist():
    named = set(re.findall(r"bartizan ([a-z]+)", RULES.read_text(encoding="utf-8")))
    assert named
    assert named <= {verb.name for verb in VERBS}


def test_a_message_is_timed_once_wherever_its_receiver_is_at_home():
    """Of one PUBLISH in 64, each to one client, on two reactors."""
    two = ("broker.cores=2",)
    with ExitStack() as stack:
        broker = stack.enter_context(
            Broker(ANYBODY, settings=two, danger_plaintext="a test", danger_anonymous="a test")
        )
        place = (broker.host, broker.port)
        wires = [stack.enter_context(Wire(tcp(*place), dialect=v311)) for _ in range(5)]
        for number, wire in enumerate(wires):
            wire.send(v311.connect(f"client-{number}"), v311.subscribe(1, f"to/{number}"))
            wire.expect(Connack, reason=0)
            wire.expect(Suback)
        # One more, so that the last one that is followed has been counted.
        for number in range(2 + 64 * FOLLOWED):
            wires[0].send(v311.publish(f"to/{number % len(wires)}", b"x"))
            wires[number % len(wires)].expect(Publish)
        told = families(broker)
    assert value(told, "bartizan_publish_received_total") == 2 + 64 * FOLLOWED
    assert value(told, "bartizan_publish_delivery_seconds_count") == 1 + FOLLOWED
    assert value(told, "bartizan_listener_clients_connected", listener="mqtt") == len(wires)
    assert value(told, "bartizan_role_clients_connected", role="anonymous") == len(wires)
