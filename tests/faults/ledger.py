"""What was acknowledged, and what came out: the two sides that every fault test compares."""

from collections import Counter
from dataclasses import dataclass, field

from tests.conformance.packets import v5
from tests.conformance.received import Puback, Pubcomp, Publish, Pubrec, Pubrel
from tests.conformance.wire import Wire

WINDOW = 32
REFUSED_FROM = 0x80


@dataclass
class Publisher:
    """Publishes numbers at QoS 1 and 2 and follows the protocol across broken connections."""

    acknowledged: set[bytes] = field(default_factory=set)
    sent_qos_2: set[bytes] = field(default_factory=set)
    refused: int = 0
    retained: int = 0
    payload_bytes: int = 0
    """Payloads are filled up to so many octets."""
    _next: int = 0
    _unacknowledged: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    _released: dict[int, None] = field(default_factory=dict)

    def resume(self, wire: Wire) -> None:
        """Sends again what was not acknowledged, as [MQTT-4.4.0-1] says."""
        for pid, (payload, qos) in self._unacknowledged.items():
            wire.send(v5.publish(f"s/a/{qos}", payload, qos=qos, pid=pid, dup=True, retain=qos == 1))
        for pid in self._released:
            wire.send(v5.pubrel(pid))

    def work(self, wire: Wire, *, messages: int | None = None) -> None:
        """Publishes until the connection breaks, or so many messages."""
        self.resume(wire)
        last = None if messages is None else self._next + messages
        while last is None or self._next < last:
            while len(self._unacknowledged) + len(self._released) < WINDOW:
                self._publish(wire)
            self._take(wire)

    def settle(self, wire: Wire) -> None:
        """Takes what is still owed."""
        while self._unacknowledged or self._released:
            self._take(wire)

    def _publish(self, wire: Wire) -> None:
        self._next += 1
        qos, pid = 1 + self._next % 2, 1 + self._next % 60_000
        payload = f"{qos}-{self._next}".encode().ljust(self.payload_bytes, b" ")
        self._unacknowledged[pid] = (payload, qos)
        if qos == 2:
            self.sent_qos_2.add(payload)
        wire.send(v5.publish(f"s/a/{qos}", payload, qos=qos, pid=pid, retain=qos == 1))

    def _take(self, wire: Wire) -> None:
        packet = wire.next_packet(within_s=10)
        if isinstance(packet, Puback | Pubrec) and packet.reason >= REFUSED_FROM:
            payload, _ = self._unacknowledged.pop(packet.pid)
            self.sent_qos_2.discard(payload)
            self.refused += 1
        elif isinstance(packet, Puback):
            payload, _ = self._unacknowledged.pop(packet.pid)
            self.acknowledged.add(payload)
            self.retained = max(self.retained, int(payload[2:]))
        elif isinstance(packet, Pubrec):
            if packet.pid in self._unacknowledged:
                self.acknowledged.add(self._unacknowledged.pop(packet.pid)[0])
            self._released[packet.pid] = None
            wire.send(v5.pubrel(packet.pid))
        elif isinstance(packet, Pubcomp):
            self._released.pop(packet.pid, None)


@dataclass(frozen=True)
class Verdict:
    """What is wrong between the two sides; nothing, if the promise held."""

    lost: frozenset[bytes]
    """Acknowledged, and never delivered."""
    twice: frozenset[bytes]
    """QoS 2, and delivered more than once."""
    invented: frozenset[bytes]
    """Delivered, and never sent."""

    @property
    def is_good(self) -> bool:
        """Whether the promise held."""
        return not (self.lost or self.twice or self.invented)


def judge(publisher: Publisher, seen: Counter[bytes]) -> Verdict:
    """Compares what was acknowledged with what was delivered."""
    sent = range(1, publisher._next + 1)
    twice = {payload for payload, count in seen.items() if payload[:1] == b"2" and count > 1}
    return Verdict(
        lost=frozenset(publisher.acknowledged - set(seen)),
        twice=frozenset(twice),
        invented=frozenset(payload for payload in seen if int(payload[2:]) not in sent),
    )


def read_all(wire: Wire, *, quiet_s: float = 1.0) -> Counter[bytes]:
    """Takes everything that waits for a Session."""
    seen: Counter[bytes] = Counter()
    while True:
        try:
            packet = wire.next_packet(within_s=quiet_s)
        except AssertionError:
            return seen
        if isinstance(packet, Publish):
            seen[packet.payload] += 1
            assert packet.pid is not None
            wire.send(v5.puback(packet.pid) if packet.qos == 1 else v5.pubrec(packet.pid))
        elif isinstance(packet, Pubrel):
            wire.send(v5.pubcomp(packet.pid))
