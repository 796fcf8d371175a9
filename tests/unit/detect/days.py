"""An ordinary day of a plant, and attacks, as signals. Seeded: the same every time."""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from bartizan.model.signal import (
    Connected,
    ContractBroken,
    CredentialEnding,
    Denied,
    Disconnected,
    Fresh,
    InTwoPlaces,
    LimitMet,
    LoginFailed,
    Refused,
    Signal,
    Tick,
    Traffic,
    Visits,
)

MONDAY_S = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
DAY_S = 86_400.0
DEVICES = [f"press-{number:02}" for number in range(40)]
ATTACKER = "198.51.100.66"


def address_of(device: str) -> str:
    return f"10.0.3.{10 + DEVICES.index(device)}"


def comes(device: str, at_s: float, **other: object) -> Connected:
    usual: dict[str, object] = {
        "identity": device,
        "client_id": device,
        "address": address_of(device),
        "listener": "mqtts",
        "method": "certificate",
        "version": "5.0",
        "transport": "mqtts",
        "keep_alive_s": 60,
    }
    return Connected(at_s=at_s, **(usual | other))  # pyrefly: ignore[bad-argument-type]


def goes(device: str, at_s: float, reason: str = "Success") -> Disconnected:
    return Disconnected(at_s=at_s, identity=device, client_id=device, address=address_of(device), reason=reason)


def denied(device: str, at_s: float, topic: str, action: str = "publish") -> Denied:
    return Denied(at_s=at_s, identity=device, client_id=device, address=address_of(device), action=action, topic=topic)


def login_failed(name: str, at_s: float, address: str = ATTACKER, *, is_known: bool = True) -> LoginFailed:
    return LoginFailed(at_s=at_s, name=name, is_known=is_known, address=address)


def did(identity: str, at_s: float, action: str, topic: str) -> Fresh:
    return Fresh(at_s=at_s, identity=identity, client_id=identity, action=action, topic=topic)


def usual_topics(device: str, at_s: float) -> list[Signal]:
    """What a device of this plant does, and the one who commands it."""
    return [
        did(device, at_s, "publish", f"data/{device}/temperature"),
        did(device, at_s, "will", f"data/{device}/state"),
        did(device, at_s, "subscribe", f"cmd/{device}/#"),
        did("scada", at_s, "publish", f"cmd/{device}/start"),
    ]


def sent(identity: str, at_s: float, publishes: int = 0, **more: int) -> Traffic:
    return Traffic(at_s=at_s, identity=identity, publishes=publishes, octets=100 * publishes, **more)


def ordinary_day(start_s: float = MONDAY_S, seed: int = 7) -> list[Signal]:
    """Devices come back a few times, somebody mistypes, a few are denied, one has a bad link: nothing to tell."""
    chance = random.Random(seed)
    signals: list[Signal] = []
    for device in DEVICES:
        signals += usual_topics(device, start_s + 6 * 3_600)
        # A message in ten seconds, one in ten of them retained, and a ping now and then.
        signals += [
            sent(device, start_s + 600 * number, 60 + chance.randint(-5, 5), retained=6, wills=1, pings=10)
            for number in range(144)
        ]
        for _ in range(chance.randint(2, 8)):
            at_s = start_s + chance.uniform(6 * 3_600, 18 * 3_600)
            signals += [goes(device, at_s, "Keep Alive timeout"), comes(device, at_s + 2)]
        signals += [denied(device, start_s + chance.uniform(0, DAY_S), "log/old") for _ in range(chance.randint(0, 3))]
    # The one with the bad link: every half minute for an hour.
    signals += [comes("press-07", start_s + 9 * 3_600 + 30 * number) for number in range(120)]
    # A firmware that publishes a topic it no longer may, once in two seconds.
    signals += [denied("press-11", start_s + 11.5 * 3_600 + 2 * number, "data/old") for number in range(1_800)]
    for hour in (7, 12, 15):
        signals += [login_failed("alice", start_s + hour * 3_600 + 20 * number, "10.0.9.4") for number in range(3)]
    # A laptop without a certificate, and a port scan by the plant's own scanner.
    signals += [
        Refused(at_s=start_s + 10 * 3_600 + 60 * number, address="10.0.9.7", reason="Handshake failed", why="no cert")
        for number in range(15)
    ]
    signals += [Refused(at_s=start_s + 11 * 3_600, address="10.0.9.8", reason="Malformed Packet") for _ in range(3)]
    signals += [ContractBroken(at_s=start_s + 13 * 3_600 + number, identity="press-03", client_id="press-03", address=address_of("press-03"), broken="payload") for number in range(4)]  # fmt: skip
    return sorted(signals, key=lambda signal: signal.at_s)


def _steps(start_s: float, count: int, within_s: float) -> Iterator[float]:
    return (start_s + number * within_s / count for number in range(count))


def password_guessing(at_s: float) -> list[Signal]:
    return [login_failed("alice", at, is_known=True) for at in _steps(at_s, 40, 300)]


def password_spraying(at_s: float) -> list[Signal]:
    return [login_failed(name, at) for name, at in zip(DEVICES[:12], _steps(at_s, 12, 3_000), strict=True)]


def failed_handshakes(at_s: float) -> list[Signal]:
    return [Refused(at_s=at, address=ATTACKER, reason="Handshake failed", why="bad") for at in _steps(at_s, 60, 300)]


def connect_flood(at_s: float) -> list[Signal]:
    return [
        LimitMet(at_s=at, identity="", address=ATTACKER, limit="connection_rate_per_prefix_per_s", count=4_000)
        for at in _steps(at_s, 5, 5)
    ]


def slow_connects(at_s: float) -> list[Signal]:
    return [LimitMet(at_s=at, identity="", address=ATTACKER, limit="connect_timeout_s") for at in _steps(at_s, 40, 300)]


def malformed_packets(at_s: float) -> list[Signal]:
    return [goes("press-21", at, "Malformed Packet") for at in _steps(at_s, 10, 300)]


def denial_burst(at_s: float) -> list[Signal]:
    first = [denied("press-21", at_s, "cmd/press-01/stop") for _ in range(8)]
    return [*first, Denied(at_s=at_s + 1, identity="press-21", client_id="press-21", address="", action="publish", count=4_992)]  # fmt: skip


def topic_scan(at_s: float) -> list[Signal]:
    return [
        denied("press-21", at, f"data/press-{number}/oil", "subscribe")
        for number, at in enumerate(_steps(at_s, 30, 500))
    ]


def broken_contract(at_s: float) -> list[Signal]:
    return [
        ContractBroken(at_s=at, identity="press-21", client_id="press-21", address="", broken="payload")
        for at in _steps(at_s, 15, 10)
    ]


def limits_met(at_s: float) -> list[Signal]:
    limit = "retained_messages_per_identity_max"
    return [LimitMet(at_s=at, identity="press-21", address="", limit=limit) for at in _steps(at_s, 30, 60)]


def take_overs(at_s: float) -> list[Signal]:
    return [goes("press-21", at, "Session taken over") for at in _steps(at_s, 20, 100)]


def reconnects(at_s: float) -> list[Signal]:
    return [comes("press-21", at) for at in _steps(at_s, 200, 300)]


def keep_alive(at_s: float) -> list[Signal]:
    """Comes, says nothing, and is thrown out: again and again."""
    return [goes("press-21", at, "Keep Alive timeout") for at in _steps(at_s, 60, 300)]


def wide_subscription(at_s: float) -> list[Signal]:
    return [denied("press-21", at_s, "#", "subscribe")]


def two_places(at_s: float) -> list[Signal]:
    return [InTwoPlaces(at_s=at_s, identity="press-21", address=ATTACKER, other_address=address_of("press-21"))]


def credential_ending(at_s: float) -> list[Signal]:
    ends_at = "2026-11-17T00:00:00Z"
    return [
        CredentialEnding(
            at_s=at_s, identity="press-21", credential="c1", kind="certificate", ends_at=ends_at, days_left=1
        )
    ]


def decoy(at_s: float) -> list[Signal]:
    return [login_failed("backup-admin", at_s, is_known=False)]


def novelty(at_s: float) -> list[Signal]:
    """Two weeks of learning, and then from elsewhere."""
    learned: list[Signal] = [comes("press-21", at_s - number * 8 * 3_600) for number in range(42, 0, -1)]
    return [*learned, comes("press-21", at_s, address=ATTACKER)]


def silent_device(at_s: float) -> list[Signal]:
    """A pump that connects once a day, for the two weeks before."""
    days = range(14, 0, -1)
    signals: list[Signal] = [comes("press-21", at_s - day * DAY_S, identity="pump-01", client_id="p") for day in days]
    signals += [
        Disconnected(at_s=at_s - day * DAY_S - 30, identity="pump-01", client_id="p", address="", reason="Success")
        for day in range(13, -1, -1)
    ]
    signals += [Tick(at_s=at_s + minute * 60) for minute in range(30)]
    return sorted(signals, key=lambda signal: signal.at_s)


def retained_flood(at_s: float) -> list[Signal]:
    return [sent("press-21", at, 60, retained=60) for at in _steps(at_s, 150, 300)]


def will_flood(at_s: float) -> list[Signal]:
    return [sent("press-21", at, wills=4) for at in _steps(at_s, 60, 300)]


def ping_flood(at_s: float) -> list[Signal]:
    return [sent("press-21", at, pings=100) for at in _steps(at_s, 30, 60)]


def volume(at_s: float) -> list[Signal]:
    """Two weeks of a message a second, and then a hundred times as much for five minutes."""
    spans = range(14 * 288, 0, -1)
    learned: list[Signal] = [sent("press-21", at_s - 300 * span, 300) for span in spans]
    return [*learned, *(sent("press-21", at, 200) for at in _steps(at_s, 150, 300)), Tick(at_s=at_s + 301)]


def _learned(at_s: float) -> list[Signal]:
    """Three weeks before, everybody does what is usual."""
    return [signal for device in DEVICES for signal in usual_topics(device, at_s - 20 * DAY_S)]


def new_topic(at_s: float) -> list[Signal]:
    """What it is granted, and never did."""
    return [*_learned(at_s), did("press-21", at_s, "publish", "data/press-01/temperature")]


def widened_subscription(at_s: float) -> list[Signal]:
    return [*_learned(at_s), did("press-21", at_s, "subscribe", "data/#")]


def actuator_command(at_s: float) -> list[Signal]:
    return [*_learned(at_s), did("press-21", at_s, "publish", "cmd/press-01/stop")]


ATTACKS: Mapping[str, Callable[[float], list[Signal]]] = {
    "password_guessing": password_guessing,
    "password_spraying": password_spraying,
    "failed_handshakes": failed_handshakes,
    "connect_flood": connect_flood,
    "slow_connects": slow_connects,
    "malformed_packets": malformed_packets,
    "denial_burst": denial_burst,
    "topic_scan": topic_scan,
    "broken_contract": broken_contract,
    "limits_met": limits_met,
    "take_overs": take_overs,
    "reconnects": reconnects,
    "keep_alive": keep_alive,
    "wide_subscription": wide_subscription,
    "two_places": two_places,
    "credential_ending": credential_ending,
    "decoy": decoy,
    "novelty": novelty,
    "silent_device": silent_device,
    "retained_flood": retained_flood,
    "will_flood": will_flood,
    "ping_flood": ping_flood,
    "volume": volume,
    "new_topic": new_topic,
    "widened_subscription": widened_subscription,
    "actuator_command": actuator_command,
}


def crowd(at_s: float) -> list[Signal]:
    return [Visits(at_s=at_s + number, address="", count=2_000) for number in range(3)]
