"""Starts every broker, lets a client publish and receive, and stops it: `python -m bench.smoke [NAME...]`."""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import paho.mqtt.client as paho

from bench.process import HOST, Door, StartError
from bench.rivals import Rival, UnobtainableError, Variant, rivals
from bench.stage import Stage

CHECKOUT = Path(__file__).parents[1]
PLACE = CHECKOUT / ".bench"
ANSWER_S = 15.0
TOPIC = "bench/smoke"


def exchange(door: Door) -> str | None:
    """One message of QoS 1 through the broker; what went wrong."""
    version = paho.MQTTv5 if door.mqtt == "5" else paho.MQTTv311
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="bench-smoke", protocol=version)
    subscribed, received = threading.Event(), threading.Event()
    payloads: list[bytes] = []

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        payloads.append(bytes(message.payload))
        received.set()

    client.on_connect = lambda *_: client.subscribe(TOPIC, 1) and None
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    if door.ca_file is not None:
        client.tls_set(ca_certs=str(door.ca_file))
    if door.user is not None:
        client.username_pw_set(door.user, door.password)
    client.connect("localhost" if door.ca_file else HOST, door.port)
    client.loop_start()
    try:
        if not subscribed.wait(ANSWER_S):
            return "no SUBACK"
        client.publish(TOPIC, b"through", 1)
        if not received.wait(ANSWER_S):
            return "the message did not come back"
        return None if payloads == [b"through"] else f"received {payloads}"
    finally:
        client.disconnect()
        client.loop_stop()


def try_one(stage: Stage, rival: Rival, variant: Variant, mqtt: str) -> tuple[bool, str]:
    """Whether all is well, and what to say."""
    refusal = rival.refusal(variant, mqtt)
    if refusal is not None:
        return True, f"- {refusal}"
    begun = time.monotonic()
    try:
        with stage.broker(rival, variant, mqtt) as (one, door):
            started_s = time.monotonic() - begun
            pids = one.pids()
            wrong = exchange(door)
        left = one.pids()
    except (StartError, UnobtainableError, OSError) as error:
        return False, str(error)
    if left:
        wrong = f"still running: {left}"
    return wrong is None, f"{wrong or 'ok'}, ready after {started_s:.1f} s, {len(pids)} processes"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a broker that was obtained fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="brokers; default: all")
    parser.add_argument("--variant", dest="variants", type=Variant, action="append", help="of these only")
    options = parser.parse_args(arguments)
    every = rivals(PLACE / "rivals")
    stage = Stage.prepare(PLACE / "run")
    failed = False
    for name in options.names or every:
        try:
            every[name].obtain()
        except UnobtainableError as error:
            print(f"{name:12} not obtained: {error}", flush=True)
            continue
        for variant in options.variants or Variant:
            for mqtt in ("3.1.1", "5"):
                well, said = try_one(stage, every[name], variant, mqtt)
                failed |= not well
                print(f"{name:12} {variant:8} {mqtt:6} {'' if well else 'FAILED: '}{said}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
