"""Attacks on the simulated plant, as the signals that they make: loud ones, and ones that stay below thresholds.

Who attacks patiently enough makes less of everything than an ordinary week does. Such attacks are here as well, so that
the figures say what detection by counting cannot find.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from bartizan.model.signal import (
    ContractBroken,
    Disconnected,
    InTwoPlaces,
    LimitMet,
    LoginFailed,
    Refused,
    Signal,
    Visits,
)
from bench.plant import DAY_S, HOUR_S, Device, Happening, Plant

DECOY_IDENTITY = "backup-admin"
DECOY_TOPIC = "plant/vault"
EACH = 4
"""Of each kind so many, at times of their own."""


class Attack:
    """One attack: by whom, on whom, from when."""

    def __init__(self, plant: Plant, chance: random.Random, at_s: float) -> None:
        self.chance = chance
        self.at_s = at_s
        self.device: Device = chance.choice(plant.devices)
        self.other: Device = chance.choice(plant.devices)
        self.names = [*(device.name for device in plant.devices), *(f"user{number}" for number in range(200))]
        self.address = f"198.51.100.{chance.randrange(1, 255)}"

    def steps(self, count: int, within_s: float) -> Iterator[float]:
        """So many times within so long."""
        return (self.at_s + number * within_s / count for number in range(count))

    def failed(self, at_s: float, name: str, address: str = "") -> LoginFailed:
        """A guess."""
        is_known = not name.startswith("user")
        return LoginFailed(at_s=at_s, name=name, is_known=is_known, address=address or self.address)


Made = tuple[set[str], list[Signal]]
"""The names by which a finding of it goes, and its signals."""


def guessing(attack: Attack) -> Made:
    """A word list, as fast as the broker lets it."""
    return {attack.address, attack.device.name}, [
        attack.failed(at, attack.device.name) for at in attack.steps(120, 900)
    ]


def slow_guessing(attack: Attack) -> Made:
    """One guess in three minutes, all day."""
    return {attack.address, attack.device.name}, [
        attack.failed(at, attack.device.name) for at in attack.steps(480, DAY_S)
    ]


def spraying(attack: Attack) -> Made:
    """One password for all names."""
    names = attack.chance.sample(attack.names, 40)
    return {attack.address}, [attack.failed(at, name) for at, name in zip(attack.steps(40, 1_200), names, strict=True)]


def slow_spraying(attack: Attack) -> Made:
    """The same, one name in ten minutes."""
    names = attack.chance.sample(attack.names, 100)
    steps = attack.steps(100, 60_000)
    return {attack.address}, [attack.failed(at, name) for at, name in zip(steps, names, strict=True)]


def botnet(attack: Attack) -> Made:
    """Guesses at one identity from many addresses, a few from each."""
    addresses = [f"203.0.113.{number}" for number in range(60)]
    name = attack.device.name
    return {name, *addresses}, [
        attack.failed(at, name, address) for at, address in zip(attack.steps(60, 1_800), addresses, strict=True)
    ]


def stolen_by_day(attack: Attack) -> Made:
    """A copied key, used from elsewhere while the device is connected."""
    device = attack.device
    thief = replace(device, address=attack.address)
    return {device.name}, [
        thief.comes(attack.at_s),
        InTwoPlaces(at_s=attack.at_s, identity=device.name, address=attack.address, other_address=device.address),
        Disconnected(
            at_s=attack.at_s, identity=device.name, client_id=device.name, address="", reason="Session taken over"
        ),
    ]


def stolen_and_away(attack: Attack) -> Made:
    """A copied key, used from elsewhere with other software while the device is off."""
    thief = replace(attack.device, address=attack.address, version="5.0", keep_alive_s=17)
    return {attack.device.name}, [thief.comes(attack.at_s)]


def stolen_in_the_hall(attack: Attack) -> Made:
    """A copied key, used from the same hall with the same software: nothing tells it from the device."""
    return {attack.device.name}, [attack.device.goes(attack.at_s - 60), attack.device.comes(attack.at_s)]


def scanning(attack: Attack) -> Made:
    """A device that was taken over asks for topic after topic."""
    device = attack.device
    return {device.name}, [
        device.denied(at, "subscribe", f"data/{name}/#")
        for at, name in zip(attack.steps(200, 400), attack.names, strict=False)
    ]


def slow_scanning(attack: Attack) -> Made:
    """One topic in five minutes."""
    device = attack.device
    return {device.name}, [
        device.denied(at, "subscribe", f"data/{name}/#")
        for at, name in zip(attack.steps(100, 30_000), attack.names, strict=False)
    ]


def everything(attack: Attack) -> Made:
    """The first thing that a stranger with a tool asks for."""
    return {attack.device.name}, [attack.device.denied(attack.at_s, "subscribe", "#")]


def commanding(attack: Attack) -> Made:
    """Commands to others, again and again."""
    device = attack.device
    topic = f"cmd/{attack.other.name}/stop"
    told = [device.denied(at, "publish", topic) for at in attack.steps(8, 1)]
    return {device.name}, [*told, *(device.denied(at + 1, "publish", "", 400) for at in attack.steps(30, 30))]


def fuzzing(attack: Attack) -> Made:
    """Malformed packets before CONNECT."""
    return {attack.address}, [
        Refused(at_s=at, address=attack.address, reason="Malformed Packet") for at in attack.steps(300, 300)
    ]


def fuzzing_inside(attack: Attack) -> Made:
    """Malformed packets by a device that was taken over."""
    device = attack.device
    signals: list[Signal] = []
    for at in attack.steps(60, 300):
        signals += [device.comes(at), device.goes(at + 1, "Malformed Packet")]
    return {device.name}, [*signals, device.comes(attack.at_s + 300)]


def flooding(attack: Attack) -> Made:
    """Connections faster than a prefix may open them."""
    limit = "connection_rate_per_prefix_per_s"
    return {attack.address}, [
        LimitMet(at_s=at, identity="", address=attack.address, limit=limit, count=20_000) for at in attack.steps(60, 60)
    ]


def crowding(attack: Attack) -> Made:
    """Connections from more addresses than can be told."""
    return {""}, [Visits(at_s=at, address="", count=5_000) for at in attack.steps(60, 60)]


def holding(attack: Attack) -> Made:
    """Connections that never say CONNECT."""
    return {attack.address}, [
        LimitMet(at_s=at, identity="", address=attack.address, limit="connect_timeout_s")
        for at in attack.steps(400, 600)
    ]


def forging(attack: Attack) -> Made:
    """A device that was taken over sends readings that are none."""
    device = attack.device
    return {device.name}, [
        ContractBroken(at_s=at, identity=device.name, client_id=device.name, address=device.address, broken="payload")
        for at in attack.steps(200, 100)
    ]


def hoarding(attack: Attack) -> Made:
    """Retained messages without end."""
    device = attack.device
    limit = "retained_messages_per_identity_max"
    return {device.name}, [
        LimitMet(at_s=at, identity=device.name, address=device.address, limit=limit, count=500)
        for at in attack.steps(60, 60)
    ]


def decoy_name(attack: Attack) -> Made:
    """A name out of a list that an intruder was meant to find."""
    return {attack.address}, [
        LoginFailed(at_s=attack.at_s, name=DECOY_IDENTITY, is_known=False, address=attack.address)
    ]


def decoy_topic(attack: Attack) -> Made:
    """A topic out of such a list."""
    return {attack.device.name}, [attack.device.denied(attack.at_s, "subscribe", f"{DECOY_TOPIC}/keys")]


ATTACKS: Mapping[str, Callable[[Attack], Made]] = {
    "password guessing, 8 a minute": guessing,
    "password guessing, one in 3 minutes": slow_guessing,
    "password spraying, 2 names a minute": spraying,
    "password spraying, one name in 10 minutes": slow_spraying,
    "guesses at one identity from 60 addresses": botnet,
    "copied key, while the device is connected": stolen_by_day,
    "copied key, from another network": stolen_and_away,
    "copied key, in the same hall and with the same software": stolen_in_the_hall,
    "topic scan, 30 a minute": scanning,
    "topic scan, one in 5 minutes": slow_scanning,
    "subscription to everything": everything,
    "commands to other devices": commanding,
    "malformed packets of a stranger": fuzzing,
    "malformed packets of a device": fuzzing_inside,
    "connection flood of one address": flooding,
    "connection flood of many addresses": crowding,
    "connections that say nothing": holding,
    "forged readings": forging,
    "retained messages without end": hoarding,
    "decoy identity": decoy_name,
    "decoy topic": decoy_topic,
}


Kinds = Mapping[str, Callable[[Attack], Made]]


def attacks(plant: Plant, seed: int = 1, each: int = EACH, kinds: Kinds = ATTACKS) -> Iterator[Happening]:
    """All of them, spread over the week that counts."""
    chance = random.Random(f"attacks {seed}")  # noqa: S311  a simulation
    for kind, make in kinds.items():
        for _ in range(each):
            attack = Attack(plant, chance, plant.week_s + chance.uniform(HOUR_S, 6 * DAY_S))
            names, signals = make(attack)
            ordered = tuple(sorted(signals, key=lambda signal: signal.at_s))
            yield Happening(kind, ordered[0].at_s, ordered[-1].at_s, frozenset(names), ordered, is_attack=True)
