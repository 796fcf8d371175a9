"""Control Packets as bytes, for sending: `v5.connect("a")`, `v311.publish("t", b"x", qos=1, pid=1)`.

The builders put in what they are told, right or wrong: reserved bits, missing fields and raw
property bytes can all be given, because half of conformance is what a broker does with those.
"""

from dataclasses import dataclass

from tests.conformance.properties import Props, encode, sized, variable

# Packet types as the high four bits of the first byte (MQTT 5, Table 2-1).
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(0x10, 0x80, 0x10)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = range(0x80, 0xC0, 0x10)
PINGREQ, PINGRESP, DISCONNECT, AUTH = range(0xC0, 0x100, 0x10)

# Subscription Options (MQTT 5, 3.8.3.1), to be added to the QoS.
NO_LOCAL = 0x04
RETAIN_AS_PUBLISHED = 0x08
RETAIN_IF_NEW = 0x10
RETAIN_NEVER = 0x20


def frame(first: int, body: bytes) -> bytes:
    """A fixed header with its Remaining Length, and what follows it."""
    return bytes([first]) + variable(len(body)) + body


@dataclass(frozen=True, kw_only=True)
class Will:
    """The Will fields of a CONNECT."""

    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    props: Props = None


@dataclass(frozen=True)
class Dialect:
    """The packets of one protocol level."""

    level: int

    def connect(
        self,
        client_id: str | bytes = "",
        *,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        username: str | bytes | None = None,
        password: bytes | None = None,
        props: Props = None,
        flags: int | None = None,
        name: str | bytes = "MQTT",
        level: int | None = None,
    ) -> bytes:
        """CONNECT; `flags`, `name` and `level` replace what would be derived."""
        payload = sized(client_id)
        derived = 0x02 if clean else 0x00
        if will is not None:
            derived |= 0x04 | will.qos << 3 | will.retain << 5
            payload += self._props(will.props) + sized(will.topic) + sized(will.payload)
        if username is not None:
            derived |= 0x80
            payload += sized(username)
        if password is not None:
            derived |= 0x40
            payload += sized(password)
        header = sized(name) + bytes([self.level if level is None else level])
        header += bytes([derived if flags is None else flags]) + keep_alive.to_bytes(2)
        return frame(CONNECT, header + self._props(props) + payload)

    def publish(
        self,
        topic: str | bytes,
        payload: bytes = b"",
        *,
        qos: int = 0,
        pid: int | None = None,
        retain: bool = False,
        dup: bool = False,
        props: Props = None,
    ) -> bytes:
        """PUBLISH; a Packet Identifier stands in it when one is given, whatever the QoS."""
        identifier = b"" if pid is None else pid.to_bytes(2)
        first = PUBLISH | dup << 3 | qos << 1 | retain
        return frame(first, sized(topic) + identifier + self._props(props) + payload)

    def puback(self, pid: int, reason: int | None = None, props: Props = None) -> bytes:
        return self._answer(PUBACK, pid, reason, props)

    def pubrec(self, pid: int, reason: int | None = None, props: Props = None) -> bytes:
        return self._answer(PUBREC, pid, reason, props)

    def pubrel(self, pid: int, reason: int | None = None, props: Props = None) -> bytes:
        return self._answer(PUBREL | 0x02, pid, reason, props)

    def pubcomp(self, pid: int, reason: int | None = None, props: Props = None) -> bytes:
        return self._answer(PUBCOMP, pid, reason, props)

    def subscribe(self, pid: int, *filters: str | bytes | tuple[str | bytes, int], props: Props = None) -> bytes:
        """SUBSCRIBE; a filter alone asks for QoS 0, a pair gives its options byte."""
        pairs = [item if isinstance(item, tuple) else (item, 0) for item in filters]
        payload = b"".join(sized(text) + bytes([options]) for text, options in pairs)
        return frame(SUBSCRIBE | 0x02, pid.to_bytes(2) + self._props(props) + payload)

    def unsubscribe(self, pid: int, *filters: str | bytes, props: Props = None) -> bytes:
        payload = b"".join(sized(text) for text in filters)
        return frame(UNSUBSCRIBE | 0x02, pid.to_bytes(2) + self._props(props) + payload)

    def pingreq(self) -> bytes:
        return frame(PINGREQ, b"")

    def disconnect(self, reason: int | None = None, props: Props = None) -> bytes:
        """DISCONNECT; without a reason, the two bytes that both protocols share."""
        return frame(DISCONNECT, self._reason(reason, props))

    def auth(self, reason: int = 0x18, props: Props = None) -> bytes:
        return frame(AUTH, self._reason(reason, props))

    def _answer(self, first: int, pid: int, reason: int | None, props: Props) -> bytes:
        return frame(first, pid.to_bytes(2) + self._reason(reason, props))

    def _reason(self, reason: int | None, props: Props) -> bytes:
        # The Reason Code and Property Length may be left out together (MQTT 5, 3.4.2.1).
        if reason is None and props is None:
            return b""
        return bytes([reason or 0]) + (b"" if props is None else encode(props))

    def _props(self, props: Props) -> bytes:
        if self.level < 5:
            assert props is None, "MQTT 3.1.1 has no properties"
            return b""
        return encode(props)


v5 = Dialect(5)
v311 = Dialect(4)
