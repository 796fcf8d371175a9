"""`bartizan pub`: publishes one message and waits for its acknowledgement."""

import sys
import threading
from typing import Annotated, Literal

from cyclopts import Parameter
from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.cli.client import Connection, ConnectionFailed, open_client, refusal

_DEFAULT = Connection()


def publish(
    *,
    topic: Annotated[str, Parameter(name=["--topic", "-t"])],
    message: Annotated[str | None, Parameter(name=["--message", "-m"])] = None,
    qos: Annotated[Literal[0, 1, 2], Parameter(name=["--qos", "-q"])] = 1,
    retain: Annotated[bool, Parameter(name=["--retain", "-r"], negative=(), show_default=False)] = False,
    timeout_s: Annotated[float, Parameter(name=["--timeout-s", "-W"])] = 10.0,
    connection: Connection = _DEFAULT,
) -> int:
    """Publish a message. Without -m it is read from standard input.

    For example:

        bartizan pub --as press-01 -t data/chicago/line-3/press-01/temperature -m 71.5

    Parameters
    ----------
    topic
        Topic Name.
    message
        The message. Default: all of standard input.
    qos
        0, 1 or 2. With 1 and 2 a refusal is seen.
    retain
        Keep it for later subscribers.
    timeout_s
        Give up after so many seconds.
    """
    payload = message.encode() if message is not None else sys.stdin.buffer.read()
    client = open_client(connection)
    attempt = _Attempt(topic, payload, qos, retain=retain)
    client.on_connect = attempt.connected
    client.on_publish = attempt.published
    client.on_disconnect = attempt.disconnected
    client.loop_start()
    try:
        if not attempt.done.wait(timeout_s):
            raise ConnectionFailed(f"no acknowledgement within {timeout_s:g} s")
    finally:
        client.disconnect()
        client.loop_stop()
    if attempt.failure is not None:
        raise attempt.failure
    return 0


class _Attempt:
    """One PUBLISH and what became of it; filled in by paho's thread."""

    def __init__(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        self._message = (topic, payload, qos, retain)
        self.done = threading.Event()
        self.failure: ConnectionFailed | None = None

    def connected(
        self,
        client: Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object = None,
    ) -> None:
        if reason.is_failure:
            self._end(refusal("connection", reason))
            return
        try:
            client.publish(*self._message)
        except ValueError as error:
            self._end(ConnectionFailed(f"not a message: {error}"))

    def published(self, _client: Client, _userdata: object, _mid: int, reason: ReasonCode, _properties: object) -> None:
        self._end(refusal("message", reason) if reason.is_failure else None)

    def disconnected(
        self, _client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        # A 3.1.1 broker has no other word for a refused PUBLISH [MQTT-3.3.5-2].
        self._end(ConnectionFailed(f"the broker closed the connection: {reason}"))

    def _end(self, failure: ConnectionFailed | None) -> None:
        if not self.done.is_set():
            self.failure = failure
            self.done.set()
