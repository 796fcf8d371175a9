"""The main job with real clients: over TLS, by certificate and by password, and refusals that say why."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bartizan.testing import Broker, Bundle

OWN = "data/chicago/hall-2/press-01/temperature"
FOREIGN = "data/chicago/hall-2/press-02/temperature"
FILTER = "data/chicago/+/+/temperature"
WITHIN_S = 5.0
NO_MATCHING_SUBSCRIBERS = 0x10


class Client:
    """A paho client of MQTT 5 that remembers what it was told."""

    def __init__(self, broker: Broker, bundle: Bundle, client_id: str | None = None) -> None:
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or bundle.client_id, protocol=mqtt.MQTTv5
        )
        self.paho.tls_set(bundle.ca_file, bundle.certificate_file, bundle.key_file)
        if bundle.password is not None:
            self.paho.username_pw_set(bundle.user_name, bundle.password)
        self.connack = self.puback = self.suback = self.disconnect = None
        self.messages: list[mqtt.MQTTMessage] = []
        self._told = threading.Condition()
        self.paho.on_connect = lambda _c, _u, _f, reason, _p: self._tell("connack", reason.value)
        self.paho.on_publish = lambda _c, _u, _m, reason, _p: self._tell("puback", reason.value)
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self._tell("suback", reasons[0].value)
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self._tell("disconnect", reason.value)
        self.paho.on_message = lambda _c, _u, message: self._receive(message)
        self.paho.connect(broker.host, broker.port)
        self.paho.loop_start()

    def _tell(self, what: str, value: object) -> None:
        with self._told:
            setattr(self, what, value)
            self._told.notify_all()

    def _receive(self, message: mqtt.MQTTMessage) -> None:
        with self._told:
            self.messages.append(message)
            self._told.notify_all()

    def wait(self, what: str) -> object:
        with self._told:
            assert self._told.wait_for(lambda: getattr(self, what) not in (None, []), WITHIN_S), f"no {what}"
            return getattr(self, what)

    def publish(self, topic: str, payload: str) -> object:
        self.puback = None
        self.paho.publish(topic, payload, qos=1)
        return self.wait("puback")

    def subscribe(self, filter: str) -> object:
        self.suback = None
        self.paho.subscribe(filter, qos=1)
        return self.wait("suback")


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[..., Client]]:
    opened: list[Client] = []

    def open_one(bundle: Bundle, client_id: str | None = None) -> Client:
        opened.append(Client(broker, bundle, client_id))
        return opened[-1]

    yield open_one
    for client in opened:
        client.paho.disconnect()
        client.paho.loop_stop()


@pytest.fixture
def press(broker: Broker) -> Bundle:
    return broker.enrol("press-01", role="press", site="chicago")


@pytest.fixture
def dashboard(broker: Broker) -> Bundle:
    return broker.enrol("dash-01", role="dashboard", password=True, site="chicago")


def test_a_press_publishes_by_certificate_and_a_dashboard_receives_by_password(connect, press, dashboard):
    reader, writer = connect(dashboard), connect(press)
    assert (reader.wait("connack"), writer.wait("connack")) == (0, 0)
    assert reader.subscribe(FILTER) == 1
    assert writer.publish(OWN, "71.5") == 0
    (message,) = reader.wait("messages")
    assert (message.topic, message.payload, message.qos) == (OWN, b"71.5", 1)


def test_a_publish_to_another_presss_topic_is_refused_with_0x87_and_the_client_stays(connect, press):
    writer = connect(press)
    writer.wait("connack")
    assert writer.publish(FOREIGN, "99.9") == 0x87
    assert writer.publish(OWN, "71.5") == NO_MATCHING_SUBSCRIBERS


def test_a_filter_wider_than_what_may_be_read_is_refused_with_0x87(connect, dashboard):
    reader = connect(dashboard)
    reader.wait("connack")
    assert reader.subscribe("#") == 0x87
    assert reader.subscribe("data/+/+/+/temperature") == 0x87
    assert reader.subscribe(FILTER) == 1


def test_a_wrong_password_is_refused_with_0x86(connect, broker, dashboard):
    wrong = Bundle(dashboard.directory, "dash-01", "dash-01", broker.ca_file, password="not-it")
    assert connect(wrong).wait("connack") == 0x86


def test_nothing_presented_is_refused_with_0x87(connect, broker):
    nobody = Bundle(Path(), "", "anyone", broker.ca_file)
    assert connect(nobody).wait("connack") == 0x87


def test_a_client_identifier_of_another_identity_is_refused_with_0x87(connect, press, dashboard):
    assert connect(press, client_id="dash-01").wait("connack") == 0x87
    assert connect(press, client_id="press-01-spare").wait("connack") == 0


def test_an_identity_that_is_removed_is_disconnected_and_does_not_come_back(connect, broker, press):
    writer = connect(press)
    assert writer.wait("connack") == 0
    broker.remove("press-01")
    assert writer.wait("disconnect") in {0x87, 0x98}
    assert connect(press).wait("connack") == 0x87


def test_another_policy_holds_for_connected_clients(connect, broker, press, dashboard):
    reader, writer = connect(dashboard), connect(press)
    assert (reader.wait("connack"), writer.wait("connack")) == (0, 0)
    assert reader.subscribe(FILTER) == 1
    broker.apply_policy("[roles.press]\n[roles.dashboard]\n")
    assert writer.publish(OWN, "71.5") == 0x87
    assert reader.messages == []


def mosquitto(program: Path, bundle: Bundle, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_CONFIG_HOME": str(bundle.directory)}
    return subprocess.run(
        [str(program), *words], env=environment, capture_output=True, text=True, timeout=10, check=False
    )


def test_mosquittos_clients_work_with_the_bundles_as_they_are(mosquitto_pub, mosquitto_sub, press, dashboard):
    sent = mosquitto(mosquitto_pub, press, "-q", "1", "-r", "-t", OWN, "-m", "71.5")
    assert (sent.returncode, sent.stderr) == (0, "")
    password = ["-P", str(dashboard.password)]
    read = mosquitto(mosquitto_sub, dashboard, *password, "-C", "1", "-W", "8", "-F", "%t %p %r", "-t", FILTER)
    assert (read.returncode, read.stdout) == (0, f"{OWN} 71.5 1\n")


def test_mosquitto_pub_says_that_a_publish_was_refused(mosquitto_pub, press):
    refused = mosquitto(mosquitto_pub, press, "-q", "1", "-t", FOREIGN, "-m", "99.9")
    assert "Not authorized" in refused.stderr
