"""A topic of an MQTT broker, this one or another: each record a message of QoS 1, delivered once it is acknowledged.

A connection that fails, or a message that is refused, ends the connection: what was not acknowledged comes again by the
next one, so a subscriber may see a record twice and knows it by `log` and `seq`.
"""

import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.audit.canonical import canonical
from bartizan.audit.sinks import NotDelivered
from bartizan.config.audit_sinks import MqttSink
from bartizan.config.files import read_secret

KEEP_ALIVE_S: Final = 60

Record = Mapping[str, Any]


class MqttTopic:
    """`AuditSink` of a topic."""

    def __init__(self, settings: MqttSink) -> None:
        self._settings = settings
        self._context = _context(settings)
        self._password = (
            None if settings.password_file is None else read_secret(settings.password_file, "the password of a sink")
        )
        self._connection: _Connection | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`."""
        try:
            connection = self._connection = self._connection or self._connected()
            connection.publish(self._settings.topic, [canonical(each) for each in records])
        except NotDelivered as error:
            self.close()
            raise NotDelivered(f"{self._settings.address}: {error}") from None
        except OSError as error:
            self.close()
            raise NotDelivered(f"{self._settings.address}: {error.strerror or error}") from None

    def close(self) -> None:
        """Disconnects."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> "_Connection":
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.deadline_s
        if settings.user_name is not None:
            client.username_pw_set(settings.user_name, self._password)
        if self._context is not None:
            client.tls_set_context(self._context)
        host, _, port = settings.address.rpartition(":")
        return _Connection(client, host.strip("[]"), int(port), settings.deadline_s)


class _Connection:
    """One connection, from CONNECT to its end. Its callbacks run in paho's thread."""

    def __init__(self, client: Client, host: str, port: int, deadline_s: float) -> None:
        self._client = client
        self._deadline_s = deadline_s
        self._changed = threading.Condition()
        self._is_connected = False
        self._failure: str | None = None
        self._acknowledged: set[int] = set()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.connect(host, port, KEEP_ALIVE_S)
        client.loop_start()
        try:
            self._wait("no CONNACK came")
        except NotDelivered:
            self.close()
            raise

    def publish(self, topic: str, payloads: Sequence[bytes]) -> None:
        """Returns once all are acknowledged; `NotDelivered` otherwise."""
        sent: set[int] = set()
        for payload in payloads:
            message = self._client.publish(topic, payload, qos=1)
            if message.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise NotDelivered(self._failure or "the connection is over")
            sent.add(message.mid)
        self._wait("not everything was acknowledged", sent)

    def close(self) -> None:
        """DISCONNECT, and the end of its thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self, why: str, sent: frozenset[int] | set[int] = frozenset()) -> None:
        with self._changed:
            in_time = self._changed.wait_for(
                lambda: self._failure is not None or (self._is_connected and sent <= self._acknowledged),
                self._deadline_s,
            )
            if self._failure is not None:
                raise NotDelivered(self._failure)
            if not in_time:
                raise NotDelivered(f"{why} within {self._deadline_s:g} s")
            # Their identifiers are free for other messages.
            self._acknowledged -= sent

    def _on_connect(
        self, _client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        with self._changed:
            self._is_connected = not reason.is_failure
            if reason.is_failure:
                self._failure = f"refused: {reason}"
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        with self._changed:
            self._failure = self._failure or f"disconnected: {reason}"
            self._changed.notify_all()

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        with self._changed:
            self._acknowledged.add(mid)
            if reason.is_failure:
                self._failure = f"a message was refused: {reason}"
            self._changed.notify_all()


def _context(settings: MqttSink) -> ssl.SSLContext | None:
    if settings.danger_plaintext_sink is not None:
        return None
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context
