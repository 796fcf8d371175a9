"""Five devices of a made-up plant on an ordinary day: two presses, a power meter, a gate, a dashboard.

    python plant.py --port 1883                        # an open broker: they say nothing but their names
    python plant.py --port 8883 --bundles bundles      # each with the bundle that `bartizan enrol` made for it

Prints what each sent and received, and whatever was refused; exit code 1 if anything was.
"""

import argparse
import json
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

FAILURE = 0x80
WITHIN_S = 10.0


@dataclass(frozen=True)
class Report:
    """Something that a device publishes again and again."""

    topic: str
    every_s: float
    values: Sequence[str]
    qos: int = 0
    retain: bool = False


@dataclass
class Device:
    """One client and its habits."""

    name: str
    reports: Sequence[Report]
    hears: Sequence[str] = ()
    answers: str = ""
    """Where it publishes what it was told, as a gate does that has moved."""
    sent: int = 0
    received: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    pending: dict[int, str] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)

    def connect(self, host: str, port: int, bundles: Path | None) -> Client:
        """Connects and subscribes; what the broker refuses is counted."""
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.name, protocol=MQTTProtocolVersion.MQTTv5)
        if bundles is not None:
            bundle = bundles / self.name
            names = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
            context = ssl.create_default_context(cafile=bundle / names["ca"])
            context.load_cert_chain(bundle / names["certificate"], bundle / names["key"])
            client.tls_set_context(context)
        client.will_set(f"status/{self.name}", "offline", qos=1, retain=True)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._heard
        client.connect(host, port)
        client.loop_start()
        return client

    def publish(self, client: Client, report: Report, number: int) -> None:
        """One more value."""
        value = report.values[number % len(report.values)]
        info = client.publish(report.topic, value, report.qos, report.retain)
        self.pending[info.mid] = report.topic
        self.sent += 1

    def _connected(
        self, client: Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.value >= FAILURE:
            self.refused[f"connect: {reason}"] += 1
            self.ready.set()
            client.disconnect()
            return
        client.publish(f"status/{self.name}", "online", qos=1, retain=True)
        if self.hears:
            client.subscribe([(topic_filter, SubscribeOptions(qos=1)) for topic_filter in self.hears])
        else:
            self.ready.set()

    def _subscribed(
        self, _client: Client, _data: object, _mid: int, reasons: Sequence[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic_filter, reason in zip(self.hears, reasons, strict=True):
            if reason.value >= FAILURE:
                self.refused[f"subscribe {topic_filter}: {reason}"] += 1
        self.ready.set()

    def _published(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        topic = self.pending.pop(mid, f"status/{self.name}")
        if reason.value >= FAILURE:
            self.refused[f"publish {topic}: {reason}"] += 1

    def _heard(self, client: Client, _data: object, message: MQTTMessage) -> None:
        self.received += 1
        if self.answers:
            client.publish(self.answers, message.payload, qos=1)
            self.sent += 1


def plant() -> list[Device]:
    """Who is there, and what each does on an ordinary day."""
    presses = [
        Device(
            name,
            (
                Report(f"data/chicago/hall-2/{name}/temperature", 0.2, ("71.5", "71.8", "72.1"), qos=1),
                Report(f"data/chicago/hall-2/{name}/vibration", 0.1, ('{"x":0.1,"y":0.2}', '{"x":0.2,"y":0.1}')),
            ),
            hears=(f"orders/{name}/#",),
        )
        for name in ("press-01", "press-02")
    ]
    meter = Device("meter-07", (Report("energy/chicago/meter-07/power", 0.1, ("412", "415", "409")),))
    gate = Device(
        "gate-01", (), hears=("actuators/chicago/gate-01/command",), answers="data/chicago/hall-2/gate-01/position"
    )
    orders = tuple(Report(f"orders/press-0{number}/start", 0.5, ('{"parts":100}',), qos=1) for number in (1, 2))
    commands = Report("actuators/chicago/gate-01/command", 0.5, ("open", "close"), qos=1)
    dash = Device("dash-01", (*orders, commands), hears=("data/chicago/#", "energy/chicago/#", "status/+"))
    return [*presses, meter, gate, dash]


def day(devices: Sequence[Device], clients: Sequence[Client], seconds: float) -> None:
    """Everybody does what they do."""
    for device in devices:
        device.ready.wait(WITHIN_S)
    work = [
        (device, client, report) for device, client in zip(devices, clients, strict=True) for report in device.reports
    ]
    began = time.monotonic()
    due = [0.0] * len(work)
    done = [0] * len(work)
    while (elapsed_s := time.monotonic() - began) < seconds:
        for at, (device, client, report) in enumerate(work):
            if elapsed_s >= due[at]:
                device.publish(client, report, done[at])
                due[at] += report.every_s
                done[at] += 1
        time.sleep(0.02)
    # What is on its way still arrives.
    time.sleep(0.5)


def main() -> int:
    """Exit code 1 if anything was refused, or nobody heard anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--bundles", type=Path, help="directory of bundles, one for each device: connects over TLS")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    words = parser.parse_args()
    devices = plant()
    clients = [device.connect(words.host, words.port, words.bundles) for device in devices]
    day(devices, clients, words.seconds)
    for client in clients:
        client.disconnect()
        client.loop_stop()
    if words.json:
        print(json.dumps({d.name: {"sent": d.sent, "received": d.received, "refused": d.refused} for d in devices}))
    for device in devices if not words.json else ():
        print(f"{device.name:9} sent {device.sent:4}, received {device.received:4}, refused {device.refused.total()}")
        for what, times in sorted(device.refused.items()):
            print(f"          {what} ({times} times)")
    return 1 if any(device.refused for device in devices) else 0


if __name__ == "__main__":
    sys.exit(main())
