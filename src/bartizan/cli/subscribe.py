"""`bartizan sub`: subscribes and prints what comes."""

import base64
import json
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.cli.client import Connection, ConnectionFailed, open_client, refusal

_DEFAULT = Connection()


def subscribe(
    *,
    topic: Annotated[Sequence[str], Parameter(name=["--topic", "-t"], negative=())],
    qos: Annotated[Literal[0, 1, 2], Parameter(name=["--qos", "-q"])] = 1,
    count: Annotated[int | None, Parameter(name=["--count", "-C"])] = None,
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "-W"])] = None,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative=(), show_default=False)] = False,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    connection: Connection = _DEFAULT,
) -> int:
    """Subscribe and print the payload of each message, a line each.

    For example:

        bartizan sub --as dash-01 -v -t 'data/chicago/#'

    Parameters
    ----------
    topic
        Topic Filter; may be given several times.
    qos
        Highest QoS: 0, 1 or 2.
    count
        End after so many messages.
    timeout_s
        End after so many seconds; with --count, exit code 1 when fewer came.
    verbose
        Print the Topic Name before the payload.
    json_output
        Print one JSON object a line: topic, payload (or payload_base64), qos, retain.
    """
    client = open_client(connection)
    listening = _Listening(
        list(topic), qos, count, style="json" if json_output else "verbose" if verbose else "payload"
    )
    client.on_connect = listening.connected
    client.on_subscribe = listening.subscribed
    client.on_message = listening.received
    client.on_disconnect = listening.disconnected
    client.loop_start()
    try:
        ended = listening.done.wait(timeout_s)
    finally:
        client.disconnect()
        client.loop_stop()
    if listening.failure is not None:
        raise listening.failure
    return 0 if ended or count is None else 1


class _Listening:
    """The Subscriptions of one run; filled in by paho's thread."""

    def __init__(self, filters: list[str], qos: int, count: int | None, *, style: str) -> None:
        self._filters = filters
        self._qos = qos
        self._left = count
        self._style = style
        self.done = threading.Event()
        self.failure: BaseException | None = None

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
            client.subscribe([(item, self._qos) for item in self._filters])
        except ValueError as error:
            self._end(ConnectionFailed(f"not a subscription: {error}"))

    def subscribed(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [(item, reason) for item, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        for item, reason in refused:
            print(f"bartizan: refused {item}: {reason} (0x{reason.value:02x})", file=sys.stderr)
        if len(refused) == len(self._filters):
            self._end(ConnectionFailed("the broker refused every subscription"))

    def received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if self._left is not None and self._left <= 0:
            return
        try:
            sys.stdout.write(_line(message, self._style))
            sys.stdout.flush()
        except BrokenPipeError as error:
            self._end(error)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._end(None)

    def disconnected(
        self, _client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._end(ConnectionFailed(f"the broker closed the connection: {reason}"))

    def _end(self, failure: BaseException | None) -> None:
        if not self.done.is_set():
            self.failure = failure
            self.done.set()


def _line(message: MQTTMessage, style: str) -> str:
    if style == "json":
        fields: dict[str, Any] = {"topic": message.topic}
        try:
            fields["payload"] = message.payload.decode()
        except UnicodeDecodeError:
            fields["payload_base64"] = base64.b64encode(message.payload).decode()
        return json.dumps(fields | {"qos": message.qos, "retain": message.retain}) + "\n"
    text = message.payload.decode(errors="backslashreplace")
    if sys.stdout.isatty():
        # A payload is a stranger's text: it must not drive the terminal.
        text = "".join(char if char.isprintable() or char in "\t\n" else repr(char)[1:-1] for char in text)
    return f"{message.topic} {text}\n" if style == "verbose" else f"{text}\n"
