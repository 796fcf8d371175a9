"""Attacks on the simulated plant that the policy grants: a device that was taken over does more than it ever did.

Nothing of it is denied. It is found by what is usual (`bartizan.detect`: volume, new topics, wider filters, commands), or
by what is too much for anybody.
"""

from collections.abc import Callable, Iterator, Mapping

from bartizan.model.signal import Fresh, Traffic
from bench.attacks import DECOY_TOPIC, Attack, Made
from bench.traffic import LOADS, did, kind_of

LOOK_S = 2.0
"""So often the engine tells what was done."""


def _sends(attack: Attack, within_s: float, rate: float, octets: int, **more: int) -> Iterator[Traffic]:
    """So many messages a second, each so long."""
    steps = int(within_s / LOOK_S)
    for number in range(steps):
        count = int((number + 1) * LOOK_S * rate) - int(number * LOOK_S * rate)
        if count or more:
            yield Traffic(
                at_s=attack.at_s + number * LOOK_S,
                identity=attack.device.name,
                publishes=count,
                octets=count * octets,
                size_max=octets if count else 0,
                **more,
            )


def _load(attack: Attack) -> float:
    return LOADS[kind_of(attack.device)].working


def flood(attack: Attack) -> Made:
    """A hundred messages a second."""
    return {attack.device.name}, [*_sends(attack, 120, 100, 100)]


def tenfold(attack: Attack) -> Made:
    """Ten times as many messages as when it works, and 5 a second more, for half an hour."""
    return {attack.device.name, ""}, [*_sends(attack, 1_800, 10 * _load(attack) + 5, 100)]


def twice(attack: Attack) -> Made:
    """Twice as many messages, for two hours: nothing tells it from a good day."""
    return {attack.device.name, ""}, [*_sends(attack, 7_200, _load(attack), 100)]


def carrying_out(attack: Attack) -> Made:
    """A recipe book, piece by piece: 60 messages of 20,000 octets a minute, for ten minutes."""
    return {attack.device.name}, [*_sends(attack, 600, 1, 20_000)]


def one_long(attack: Attack) -> Made:
    """All of it in one message."""
    return {attack.device.name}, [*_sends(attack, LOOK_S, 0.5, 8_000_000)]


def as_another(attack: Attack) -> Made:
    """Readings under another device's topic, which its role is granted by mistake."""
    return {attack.device.name}, [_did(attack, "publish", f"data/{attack.other.name}/temperature")]


def listening(attack: Attack) -> Made:
    """What another device is told."""
    return {attack.device.name}, [_did(attack, "subscribe", f"cmd/{attack.other.name}/#")]


def listening_to_all(attack: Attack) -> Made:
    """What all devices say."""
    return {attack.device.name}, [_did(attack, "subscribe", "data/#")]


def commanding(attack: Attack) -> Made:
    """A command to another device."""
    return {attack.device.name}, [_did(attack, "publish", f"cmd/{attack.other.name}/start")]


def by_will(attack: Attack) -> Made:
    """A command that the broker sends when the device is gone."""
    return {attack.device.name}, [_did(attack, "will", f"cmd/{attack.other.name}/stop")]


def retaining(attack: Attack) -> Made:
    """Thirty retained messages a second, below every limit."""
    return {attack.device.name}, [*_sends(attack, 600, 30, 50, retained=60)]


def willing(attack: Attack) -> Made:
    """A connection a second that leaves a Will and breaks."""
    comes = [attack.device.comes(at) for at in attack.steps(300, 300)]
    return {attack.device.name}, [*comes, *_sends(attack, 300, 0, 0, wills=4)]


def pinging(attack: Attack) -> Made:
    """A hundred PINGREQ a second."""
    return {attack.device.name}, [*_sends(attack, 60, 0, 0, pings=200)]


def decoy_granted(attack: Attack) -> Made:
    """A decoy topic that a wildcard grants."""
    return {attack.device.name}, [_did(attack, "subscribe", f"{DECOY_TOPIC}/keys")]


def _did(attack: Attack, action: str, topic: str) -> Fresh:
    return did(attack.device, attack.at_s, action, topic)


INSIDERS: Mapping[str, Callable[[Attack], Made]] = {
    "granted: 100 messages a second": flood,
    "granted: ten times as many messages as usual": tenfold,
    "granted: twice as many messages as usual": twice,
    "granted: 12 MB carried out in 10 minutes": carrying_out,
    "granted: one message of 8 MB": one_long,
    "granted: readings as another device": as_another,
    "granted: another device's commands overheard": listening,
    "granted: all readings overheard": listening_to_all,
    "granted: a command to another device": commanding,
    "granted: a command as a Will": by_will,
    "granted: 30 retained messages a second": retaining,
    "granted: a Will a second": willing,
    "granted: 100 PINGREQ a second": pinging,
    "granted: decoy topic": decoy_granted,
}
