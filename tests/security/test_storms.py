"""Storms: hundreds of clients come at once, some of them only to be in the way; nobody who is connected notices."""

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.conformance.packets import v5
from tests.conformance.received import Connack, Publish, Suback
from tests.conformance.wire import Wire
from tests.security.party import HOST, PLANT, Party, eventually, party, tls_context

CLIENTS = 300
AT_ONCE = 24
SILENT = 200
PATIENCE_S = 60.0
"""For machines that do ten other things: what is tested is that it ends well, not how fast."""
TOPIC = "data/press-01/temperature"
SETTINGS = (
    "limits.connections_per_identity_max=1000",
    "limits.connections_per_prefix_max=2000",
    "limits.connection_rate_per_prefix_per_s=10000",
    "limits.connection_burst_per_prefix=10000",
)


@dataclass
class Traffic:
    """A message every few milliseconds from one client to another, for as long as a storm lasts."""

    publisher: Wire
    subscriber: Wire
    is_over: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    received: list[bytes] = field(default_factory=list)
    longest_wait_s: float = 0.0

    def run(self) -> None:
        """Sends one, waits for it, and again."""
        while not self.is_over.is_set():
            payload = b"%d" % self.sent
            begun = time.monotonic()
            self.publisher.send(v5.publish(TOPIC, payload))
            self.sent += 1
            self.received.append(self.subscriber.expect(Publish, within_s=PATIENCE_S).payload)
            self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - begun)
            time.sleep(0.002)


@contextmanager
def traffic(plant: Party) -> Iterator[Traffic]:
    """Runs beside what happens inside; at its end everything has arrived, once and in order."""
    subscriber = plant.connect("dash")
    subscriber.send(v5.subscribe(1, "data/+/temperature"))
    subscriber.expect(Suback, within_s=PATIENCE_S)
    running = Traffic(plant.connect("press-01"), subscriber)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(running.run)
        try:
            yield running
        finally:
            running.is_over.set()
        outcome.result(PATIENCE_S)
    assert running.received == [b"%d" % number for number in range(running.sent)]
    assert running.sent > 0


def come_back(plant: Party, context: ssl.SSLContext, numbers: range) -> list[Wire]:
    """All of them at once: TCP, a full TLS handshake, CONNECT, CONNACK."""

    def one(number: int) -> Wire:
        with plant.socket() as raw:
            raw.settimeout(PATIENCE_S)
            stream = context.wrap_socket(raw, server_hostname=HOST)
        wire = Wire(plant.keep(stream))
        wire.send(v5.connect(f"historian-{number}"))
        wire.expect(Connack, reason=0, within_s=PATIENCE_S)
        return wire

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, numbers))


def test_a_storm_of_handshakes_and_reconnects_stops_nobody_and_lets_everybody_in():
    with party(PLANT, *SETTINGS) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        context = tls_context(plant.broker.ca_file, plant.enrol("historian", "historian"))
        with traffic(plant) as beside:
            # In the way: connections that say nothing, or half a ClientHello.
            for number in range(SILENT):
                silent = plant.keep(plant.socket())
                if number % 2:
                    silent.sendall(b"\x16\x03\x01\x02\x00\x01")
            first = come_back(plant, context, range(CLIENTS))
            eventually(lambda: plant.number("bartizan_clients_connected") == CLIENTS + 2, within_s=PATIENCE_S)
            for wire in first:
                wire.drop()
            second = come_back(plant, context, range(CLIENTS))
            eventually(lambda: plant.number("bartizan_clients_connected") == CLIENTS + 2, within_s=PATIENCE_S)
            for wire in second:
                wire.expect_alive()
        assert beside.longest_wait_s < PATIENCE_S
        # The log tells the storm by some of its clients and a number.
        told = len(plant.events("connected")) + sum(
            event["count"] for event in plant.events("repeated", kind="connected")
        )
        assert told <= 2 * CLIENTS + 2
