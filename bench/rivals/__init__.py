"""The brokers of the table, in the order in which they are run and named."""

from pathlib import Path

from bench.rivals.aedes import Aedes
from bench.rivals.amqtt import Amqtt
from bench.rivals.bartizan import Bartizan, Relay
from bench.rivals.base import Launch, Rival, Setting, UnobtainableError, Variant
from bench.rivals.java import HiveMq, Moquette
from bench.rivals.mochi import Mochi
from bench.rivals.mosquitto import Mosquitto
from bench.rivals.nats import Nats
from bench.rivals.rabbitmq import RabbitMq
from bench.rivals.rmqtt import Rmqtt
from bench.rivals.rumqttd import Iotcore, Rumqttd

__all__ = ["NOT_MEASURED", "Launch", "Rival", "Setting", "UnobtainableError", "Variant", "rivals"]

KINDS: tuple[type[Rival], ...] = (
    Bartizan,
    Relay,
    Mosquitto,
    Nats,
    Rumqttd,
    Iotcore,
    Rmqtt,
    Mochi,
    HiveMq,
    Moquette,
    RabbitMq,
    Aedes,
    Amqtt,
)
NOT_MEASURED = {
    "FlashMQ": "in no package registry",
    "NanoMQ": "in no package registry",
    "Mosquitto 2.1": "Debian has 2.0",
    "EMQX": "in no package registry",
    "VerneMQ": "in no package registry",
}
"""Well-known brokers that a registry does not give, so that nobody wonders."""


def rivals(place: Path) -> dict[str, Rival]:
    """All of them by name, each with a directory of its own in `place`."""
    return {kind.name: kind(place / kind.name) for kind in KINDS}
