"""`bartizan pub`: publishes one message and waits for its acknowledgement."""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter
from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from bartizan.cli.client import Connection, ConnectionFailed, Exchange, refusal

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
    if not _Publishing(topic, payload, qos, retain=retain).run(connection, timeout_s):
        raise ConnectionFailed(f"no acknowledgement within {timeout_s:g} s")
    return 0


class _Publishing(Exchange):
    """One PUBLISH and what becomes of it."""

    def __init__(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        super().__init__()
        self._message = (topic, payload, qos, retain)

    def listen(self, client: Client) -> None:
        client.on_publish = self._published

    def begin(self, client: Client) -> None:
        client.publish(*self._message)

    def _published(
        self, _client: Client, _userdata: object, _mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        self.end(refusal("message", reason) if reason.is_failure else None)
