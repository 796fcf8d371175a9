"""`bartizan sub`: subscribes and prints what comes."""

import base64
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.cli.client import Connection, ConnectionFailed, Exchange

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
    style = "json" if json_output else "verbose" if verbose else "payload"
    ended = _Listening(list(topic), qos, count, style=style).run(connection, timeout_s)
    return 0 if ended or count is None else 1


class _Listening(Exchange):
    """The Subscriptions of one run, and what they bring."""

    def __init__(self, filters: list[str], qos: int, count: int | None, *, style: str) -> None:
        super().__init__()
        self._filters = filters
        self._qos = qos
        self._left = count
        self._style = style

    def listen(self, client: Client) -> None:
        client.on_subscribe = self._subscribed
        client.on_message = self._received

    def begin(self, client: Client) -> None:
        client.subscribe([(item, self._qos) for item in self._filters])

    def _subscribed(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [
            f"{item}: {reason} (0x{reason.value:02x})"
            for item, reason in zip(self._filters, reasons, strict=False)
            if reason.is_failure
        ]
        if len(refused) == len(self._filters):
            self.end(ConnectionFailed(f"the broker refused to subscribe {'; '.join(refused)}"))
            return
        for line in refused:
            print(f"bartizan: the broker refused to subscribe {line}; the rest holds", file=sys.stderr)

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if self._left is not None and self._left <= 0:
            return
        try:
            sys.stdout.write(_line(message, self._style))
            sys.stdout.flush()
        except BrokenPipeError as error:
            self.end(error)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.end()


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
