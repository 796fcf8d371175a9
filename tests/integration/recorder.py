"""A paho client that remembers what it was told, over TCP, TLS or WSS, for MQTT 3.1.1 and 5.

Nothing here sleeps: every wait ends with what it waits for, or fails after `WITHIN_S`.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

WITHIN_S = 10.0
VERSIONS = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker listens."""

    port: int
    host: str = "127.0.0.1"
    ca_file: str | None = None
    """The CA to trust; without one the listener speaks plaintext."""
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves an identity: certificate and key, or User Name and Password."""

    user_name: str | None = None
    password: str | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Will:
    """The Will of a connection; `properties` by paho's names."""

    topic: str
    payload: bytes | str
    qos: int = 0
    retain: bool = False
    properties: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One received message."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    properties: dict[str, Any]


class RefusedError(Exception):
    """CONNACK with another reason than success."""

    def __init__(self, reason: int) -> None:
        super().__init__(f"refused with {reason:#x}")
        self.reason = reason


def properties(kind: int, named: dict[str, Any] | None) -> Properties | None:
    """Properties of one packet by paho's names; a list is a property that comes several times."""
    if not named:
        return None
    made = Properties(kind)
    for name, value in named.items():
        setattr(made, name, value)
    return made


def named(made: Properties | None) -> dict[str, Any]:
    """The properties that a packet came with."""
    return {} if made is None else {name: value for name, value in vars(made).items() if name[0].isupper()}


class Recorder:
    """One client. `open` connects; `drop` cuts the line, `mute` stops answering, `close` says goodbye."""

    def __init__(
        self,
        place: Place,
        client_id: str = "",
        *,
        version: str = "5",
        proof: Proof | None = None,
        clean: bool = True,
        keep_alive: int = 60,
        will: Will | None = None,
        acknowledges: bool = True,
        **connect: Any,
    ) -> None:
        self.v5 = version == "5"
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self.v5 else clean,
            protocol=VERSIONS[version],
            transport="websockets" if place.websocket else "tcp",
            manual_ack=not acknowledges,
            reconnect_on_failure=False,
        )
        self.paho.max_inflight_messages_set(0)
        self._place, self._clean, self._keep_alive, self._connect = place, clean, keep_alive, connect
        self._secure(place, proof or Proof())
        if will is not None:
            self._will(will)
        self._told = threading.Condition()
        self._answers: dict[tuple[str, int | None], Any] = {}
        self._received: list[Message] = []
        self.connack: Any = None
        self.ended: int | None = None
        self.goodbye: dict[str, Any] = {}
        self._listen()

    def _secure(self, place: Place, proof: Proof) -> None:
        if place.ca_file is not None:
            certificate, key = (str(file) if file else None for file in (proof.certificate_file, proof.key_file))
            self.paho.tls_set(place.ca_file, certificate, key)
        if proof.user_name is not None:
            self.paho.username_pw_set(proof.user_name, proof.password)

    def _will(self, will: Will) -> None:
        more = properties(PacketTypes.WILLMESSAGE, will.properties)
        self.paho.will_set(will.topic, will.payload, will.qos, will.retain, more)

    def _listen(self) -> None:
        self.paho.on_connect = lambda _c, _u, flags, reason, more: self._connected(flags, reason, more)
        self.paho.on_disconnect = lambda _c, _u, _f, reason, more: self._disconnected(reason, more)
        self.paho.on_publish = lambda _c, _u, mid, reason, _p: self._answer("publish", mid, reason.value)
        self.paho.on_subscribe = lambda _c, _u, mid, reasons, _p: self._answer("subscribe", mid, values(reasons))
        self.paho.on_unsubscribe = lambda _c, _u, mid, reasons, _p: self._answer("unsubscribe", mid, values(reasons))
        self.paho.on_message = lambda _c, _u, message: self._message(message)

    # ---- what the client hears, in paho's thread ---------------------------------------------------

    def _connected(self, flags: Any, reason: Any, more: Properties | None) -> None:
        with self._told:
            self.connack = (reason.value, flags.session_present, named(more))
            self._told.notify_all()

    def _disconnected(self, reason: Any, more: Properties | None) -> None:
        with self._told:
            if self.ended is not None:
                return  # the end of the line after the broker's DISCONNECT
            self.ended = reason.value
            self.goodbye = named(more)
            self._told.notify_all()

    def _answer(self, what: str, mid: int, value: Any) -> None:
        with self._told:
            self._answers[what, mid] = value
            self._told.notify_all()

    def _message(self, message: mqtt.MQTTMessage) -> None:
        more = named(message.properties)
        one = Message(
            message.topic, bytes(message.payload), message.qos, message.retain, message.dup, message.mid, more
        )
        with self._told:
            self._received.append(one)
            self._told.notify_all()

    def _until(self, ready: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
        with self._told:
            assert self._told.wait_for(ready, within_s), f"no {what} in {within_s:g} s; got {self._received[-5:]}"

    # ---- what a test does --------------------------------------------------------------------------

    def open(self, place: Place | None = None) -> Self:
        """Connects, or connects again; a refusal is raised."""
        self._place = place or self._place
        self.connack = self.ended = None
        more: dict[str, Any] = {}
        if self.v5:
            more = {"clean_start": self._clean, "properties": properties(PacketTypes.CONNECT, self._connect)}
        self.paho._reset_sockets()  # a second loop_start leaves the first one's open
        self.paho.connect(self._place.host, self._place.port, self._keep_alive, **more)
        self.paho.loop_start()
        self._until(lambda: self.connack is not None or self.ended is not None, "CONNACK")
        reason = self.connack[0] if self.connack else self.ended
        if reason:
            self.paho.loop_stop()
            raise RefusedError(reason)
        return self

    @property
    def session_present(self) -> bool:
        """Of the last CONNACK."""
        return bool(self.connack[1])

    @property
    def granted(self) -> dict[str, Any]:
        """The properties of the last CONNACK."""
        return self.connack[2]

    def subscribe(self, *filters: str | tuple[str, int | SubscribeOptions], qos: int = 2, **more: Any) -> list[int]:
        """SUBSCRIBE; its Reason Codes."""
        wanted = [(item, qos) if isinstance(item, str) else item for item in filters]
        asked: list[tuple[str, Any]] = list(wanted)
        if self.v5:
            asked = [(name, SubscribeOptions(qos=how) if isinstance(how, int) else how) for name, how in wanted]
        _, mid = self.paho.subscribe(asked, properties=properties(PacketTypes.SUBSCRIBE, more))
        return self._reply("subscribe", mid)

    def unsubscribe(self, *filters: str) -> list[int]:
        """UNSUBSCRIBE; its Reason Codes (none in MQTT 3.1.1)."""
        _, mid = self.paho.unsubscribe(list(filters))
        return self._reply("unsubscribe", mid)

    def send(self, topic: str, payload: bytes | str = b"", qos: int = 0, retain: bool = False, **more: Any) -> int:
        """PUBLISH without waiting for its acknowledgement; its packet identifier."""
        sent = self.paho.publish(topic, payload, qos, retain, properties(PacketTypes.PUBLISH, more))
        return sent.mid

    def publish(self, topic: str, payload: bytes | str = b"", qos: int = 1, retain: bool = False, **more: Any) -> int:
        """PUBLISH, and its Reason Code once it is acknowledged (or written, with QoS 0)."""
        return self._reply("publish", self.send(topic, payload, qos, retain, **more))

    def _reply(self, what: str, mid: int | None) -> Any:
        self._until(lambda: (what, mid) in self._answers or self.ended is not None, f"answer to {what}")
        assert (what, mid) in self._answers, f"disconnected with {self.ended:#x} instead of an answer to {what}"
        return self._answers.pop((what, mid))

    def acknowledged(self, what: str = "publish") -> set[int | None]:
        """The packet identifiers acknowledged so far and not yet waited for."""
        with self._told:
            return {mid for kind, mid in self._answers if kind == what}

    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Message]:
        """The next `count` messages, exactly these are taken."""
        self._until(lambda: len(self._received) >= count, f"{count} messages", within_s)
        with self._told:
            taken, self._received = self._received[:count], self._received[count:]
        return taken

    def received_until(self, sender: "Recorder", topic: str) -> list[Message]:
        """Everything that came before a message which `sender` publishes now on a `topic` subscribed to here."""
        mark = f"mark-{id(sender)}-{id(self)}".encode()
        sender.send(topic, mark, 2)  # paho hands over a QoS 2 message only after its PUBREL
        self._until(lambda: any(message.payload == mark for message in self._received), "mark")
        with self._told:
            taken = list(self._received)
            self._received.clear()
        return [message for message in taken if message.payload != mark]

    def ack(self, message: Message) -> None:
        """Acknowledges by hand what a client with `acknowledges=False` received."""
        self.paho.ack(message.mid, message.qos)

    def wait_end(self, within_s: float = WITHIN_S) -> int:
        """Waits for the end of the connection; the Reason Code of the broker's DISCONNECT, 0 for none in 3.1.1."""
        self._until(lambda: self.ended is not None, "end of the connection", within_s)
        return int(self.ended or 0)

    def drop(self) -> None:
        """The line is cut: no DISCONNECT."""
        line = self.paho.socket()
        line = getattr(line, "_socket", line)  # a WebSocket wraps one
        if isinstance(line, socket.socket):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._until(lambda: self.ended is not None, "end")
        self.paho.loop_stop()

    def mute(self) -> None:
        """The line stays, and nothing is read from it or written to it any more."""
        self.paho.loop_stop()

    def unmute(self) -> None:
        """It reads and writes again."""
        self.paho._reset_sockets(sockpair_only=True)
        self.paho.loop_start()

    def close(self, **more: Any) -> None:
        """DISCONNECT, if there is a connection."""
        if self.ended is None and self.connack is not None:
            reason = mqtt.ReasonCode(PacketTypes.DISCONNECT, identifier=more.pop("reason", 0)) if self.v5 else None
            self.paho.disconnect(reason, properties(PacketTypes.DISCONNECT, more))
        self.paho.loop_stop()
        self.paho._reset_sockets()


def values(reasons: Sequence[Any]) -> list[int]:
    """Reason Codes as numbers."""
    return [reason.value for reason in reasons]
