"""A plant of 500 devices, week after week, as the signals that detectors are shown. Seeded: the same every time.

What happens in a plant without any attack: devices lose their links and come back, some of them all the time; a hall
loses its power and a hundred come back at once; people work in shifts, mistype passwords, look at everything with a
tool; firmware is updated by night, and does for a while what it may no longer do; certificates end. Some of it is a
fault that people want to be told of (`Happening`), the rest is an ordinary week.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bartizan.model.signal import (
    Connected,
    ContractBroken,
    CredentialEnding,
    Denied,
    Disconnected,
    LimitMet,
    LoginFailed,
    Refused,
    Signal,
)

MONDAY_S = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
WEEKS_BEFORE = 3
"""So long the plant has run before the week that counts: detectors that learn have learned."""

DEVICES = 500
PEOPLE = 12
HALL_DEVICES = 40
POOR_LINK_SHARE = 0.03
ROAMING_PEOPLE = 3


@dataclass(frozen=True, slots=True)
class Device:
    """A device, or a person's dashboard."""

    name: str
    hall: int
    address: str
    version: str
    transport: str
    keep_alive_s: int
    connects_per_day: float
    hours: tuple[int, int] = (0, 24)
    method: str = "certificate"

    def comes(self, at_s: float) -> Connected:
        """It connects."""
        return Connected(
            at_s=at_s,
            identity=self.name,
            client_id=self.name,
            address=self.address,
            listener=self.transport,
            method=self.method,
            version=self.version,
            transport=self.transport,
            keep_alive_s=self.keep_alive_s,
        )

    def goes(self, at_s: float, reason: str = "Keep Alive timeout") -> Disconnected:
        """It is gone."""
        return Disconnected(
            at_s=at_s, identity=self.name, client_id=self.name, address=self.address, reason=reason, by="server"
        )

    def denied(self, at_s: float, action: str, topic: str, count: int = 1) -> Denied:
        """It may not."""
        return Denied(
            at_s=at_s,
            identity=self.name,
            client_id=self.name,
            address=self.address,
            action=action,
            topic=topic,
            count=count,
        )


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is to be found: when it was, and by which names a finding of it goes."""

    kind: str
    start_s: float
    end_s: float
    names: frozenset[str]
    signals: tuple[Signal, ...] = ()
    is_attack: bool = False


KINDS = (
    # Name, share, version, transport, Keep Alive, connections a day.
    ("press", 0.30, "5.0", "mqtts", 60, 1.5),
    ("robot", 0.25, "5.0", "mqtts", 30, 2.0),
    ("meter", 0.25, "3.1.1", "mqtts", 300, 4.0),
    ("agv", 0.12, "5.0", "mqtts", 15, 20.0),
    ("gateway", 0.08, "3.1.1", "mqtts", 60, 0.5),
)


class Plant:
    """The devices, and their life."""

    def __init__(self, seed: int = 1, devices: int = DEVICES, weeks_before: int = WEEKS_BEFORE) -> None:
        self._chance = random.Random(seed)  # noqa: S311  a simulation
        self.week_s = MONDAY_S
        """When the week that counts begins."""
        self._start_s = MONDAY_S - weeks_before * WEEK_S
        self.devices = tuple(self._devices(devices))
        self.people = tuple(self._people())
        self.poor_links = tuple(self._chance.sample(self.devices, max(1, int(devices * POOR_LINK_SHARE))))

    def ordinary(self) -> Iterator[Signal]:
        """All that is nothing to tell, in no order."""
        for device in (*self.devices, *self.people):
            yield from self._days_of(device)
        for device in self.poor_links:
            yield from self._bad_hours_of(device)
        yield from self._mistypes()
        yield from self._old_topics()
        yield from self._small_faults()
        yield from self._changes()
        # A hall without power, now and then: all of it is back within a minute.
        for at_s in self._times(2 + int((MONDAY_S + WEEK_S - self._start_s) / WEEK_S)):
            hall = self._chance.choice(self.devices).hall
            for device in self.devices:
                if device.hall == hall:
                    yield device.goes(at_s, "Unspecified error")
                    yield device.comes(at_s + 60 + self._chance.uniform(0, 60))

    def faults(self) -> Iterator[Happening]:
        """What nobody did on purpose, and people want to know."""
        yield self._updated()
        yield self._expired()
        yield self._doubled()
        yield self._garbled()
        yield self._curious()
        yield self._ending()
        yield self._dead()

    def _devices(self, count: int) -> Iterator[Device]:
        numbers = iter(range(count))
        for kind, share, version, transport, keep_alive_s, connects in KINDS:
            for number, at in zip(range(int(count * share)), numbers, strict=False):
                hall = at // HALL_DEVICES
                address = f"10.20.{hall}.{10 + at % HALL_DEVICES}"
                yield Device(f"{kind}-{number:03}", hall, address, version, transport, keep_alive_s, connects)

    def _people(self) -> Iterator[Device]:
        for number in range(PEOPLE):
            shift = ((6, 14), (8, 17), (14, 22))[number % 3]
            address = f"10.20.200.{10 + number}"
            yield Device(f"person-{number:02}", 200, address, "5.0", "wss", 45, 6.0, shift, "password")

    def _days_of(self, device: Device) -> Iterator[Signal]:
        roams = device.name.startswith("person") and int(device.name[-2:]) < ROAMING_PEOPLE
        for day_s in self._days():
            weekend = datetime.fromtimestamp(day_s, UTC).weekday() >= 5
            if weekend and device.hours != (0, 24):
                continue
            first, last = device.hours
            for _ in range(self._often(device.connects_per_day)):
                at_s = day_s + self._chance.uniform(first, last) * HOUR_S
                if device.hours == (0, 24):
                    yield device.goes(at_s - self._chance.uniform(1, 90))
                here = device
                if roams and self._chance.random() < 0.5:
                    here = replace(
                        device, address=f"100.{64 + self._chance.randrange(40)}.{self._chance.randrange(250)}.7"
                    )
                yield here.comes(at_s)

    def _bad_hours_of(self, device: Device) -> Iterator[Signal]:
        """An hour now and then in which it comes and goes twice a minute."""
        for day_s in self._days():
            at_s = day_s + self._chance.uniform(0, 22) * HOUR_S
            for _ in range(self._often(40)):
                at_s += self._chance.uniform(15, 60)
                yield device.goes(at_s - 2)
                yield device.comes(at_s)

    def _mistypes(self) -> Iterator[Signal]:
        for person in self.people:
            for day_s in self._days():
                if self._chance.random() < 0.2:
                    at_s = day_s + self._chance.uniform(*person.hours) * HOUR_S
                    for number in range(self._chance.randint(1, 5)):
                        yield LoginFailed(
                            at_s=at_s + 8 * number, name=person.name, is_known=True, address=person.address
                        )

    def _old_topics(self) -> Iterator[Signal]:
        """Firmware that publishes what it may no longer: of one kind all the time, of others now and then."""
        for device in self.devices[::9]:
            for day_s in self._days():
                for _ in range(self._often(12)):
                    at_s = day_s + self._chance.uniform(0, DAY_S)
                    yield device.denied(at_s, "publish", f"log/{device.name}/debug")

    def _small_faults(self) -> Iterator[Signal]:
        for at_s in self._times(60):
            device = self._chance.choice(self.devices)
            yield ContractBroken(
                at_s=at_s, identity=device.name, client_id=device.name, address=device.address, broken="payload"
            )
        for at_s in self._times(30):
            device = self._chance.choice(self.devices)
            yield LimitMet(at_s=at_s, identity=device.name, address=device.address, limit="queued_messages_max")
        for at_s in self._times(40):
            # The plant's own scanner, and whoever finds the port.
            address = f"10.20.201.{self._chance.randrange(4)}"
            for number in range(self._chance.randint(1, 4)):
                yield Refused(at_s=at_s + number, address=address, reason="Handshake failed", why="no certificate")

    def _changes(self) -> Iterator[Signal]:
        """What is new and all right: somebody on call by night, a device moved to another hall, another tablet."""
        for at_s in self._times(2):
            night_s = at_s - at_s % DAY_S + self._chance.uniform(1, 4) * HOUR_S
            yield self._chance.choice(self.people).comes(night_s)
        for at_s in self._times(3):
            device = self._chance.choice(self.devices)
            yield replace(device, address=f"10.20.{self._chance.randrange(12)}.{self._chance.randrange(60, 99)}").comes(
                at_s
            )
        for at_s in self._times(1):
            yield replace(self._chance.choice(self.people), keep_alive_s=20).comes(at_s)

    def _updated(self) -> Happening:
        """Tuesday night robots of one hall get new firmware: other Keep Alive."""
        at_s = self.week_s + DAY_S + 2 * HOUR_S
        hall = next(device.hall for device in self.devices if device.name.startswith("robot"))
        robots = [each for each in self.devices if each.hall == hall and each.name.startswith("robot")]
        signals: list[Signal] = []
        for number, robot in enumerate(robots):
            signals += [robot.goes(at_s + 90 * number), replace(robot, keep_alive_s=45).comes(at_s + 90 * number + 60)]
        return self._fault("update of a hall", signals, {robot.name for robot in robots} | {""})

    def _expired(self) -> Happening:
        """A meter whose certificate has ended tries again every ten seconds, for hours."""
        meter = self._of("meter")
        at_s = self.week_s + 2 * DAY_S + 4 * HOUR_S
        return self._fault(
            "device with an ended certificate",
            [
                Refused(at_s=at_s + 10 * number, address=meter.address, reason="Handshake failed", why="expired")
                for number in range(1_000)
            ],
            {meter.name, meter.address},
        )

    def _doubled(self) -> Happening:
        """Two gateways were given the same bundle, and throw each other out."""
        gateway = self._of("gateway")
        at_s = self.week_s + 3 * DAY_S + 9 * HOUR_S
        signals: list[Signal] = []
        for number in range(400):
            signals += [gateway.goes(at_s + 5 * number, "Session taken over"), gateway.comes(at_s + 5 * number)]
        return self._fault("one identity in two devices", signals, {gateway.name})

    def _garbled(self) -> Happening:
        """A press whose memory fails: its payloads are none any more."""
        press = self._of("press")
        at_s = self.week_s + 4 * DAY_S + 11 * HOUR_S
        signals = [
            ContractBroken(
                at_s=at_s + number, identity=press.name, client_id=press.name, address=press.address, broken="payload"
            )
            for number in range(600)
        ]
        return self._fault("device with failing memory", signals, {press.name})

    def _curious(self) -> Happening:
        """Somebody opens a tool that subscribes to everything first."""
        person = self.people[1]
        at_s = self.week_s + 10 * HOUR_S
        return self._fault("person with a tool", [person.denied(at_s, "subscribe", "#")], {person.name})

    def _ending(self) -> Happening:
        robot = self._of("robot")
        told = CredentialEnding(
            at_s=self.week_s + 5 * DAY_S,
            identity=robot.name,
            credential="c1",
            kind="certificate",
            ends_at="2026-11-28T00:00:00Z",
            days_left=7,
        )
        return self._fault("certificate near its end", [told], {robot.name})

    def _dead(self) -> Happening:
        """A pump that was there all the time fails, and nobody sees it."""
        pump = Device("pump-000", 13, "10.20.13.10", "5.0", "mqtts", 60, 1.0)
        signals: list[Signal] = []
        for day_s in self._days():
            if day_s < self.week_s + 3 * DAY_S:
                signals += [pump.goes(day_s + 7 * HOUR_S), pump.comes(day_s + 7 * HOUR_S + 40)]
        at_s = self.week_s + 3 * DAY_S + 2 * HOUR_S
        signals.append(pump.goes(at_s))
        return Happening("device that fails", at_s, at_s + DAY_S, frozenset({pump.name}), tuple(signals))

    def minutes(self) -> Iterator[float]:
        """The clock of the plant."""
        return (self._start_s + minute * 60.0 for minute in range(int((self.week_s + WEEK_S - self._start_s) / 60)))

    def _fault(self, kind: str, signals: Iterable[Signal], names: set[str]) -> Happening:
        ordered = tuple(sorted(signals, key=lambda signal: signal.at_s))
        return Happening(kind, ordered[0].at_s, ordered[-1].at_s, frozenset(names), ordered)

    def _of(self, kind: str) -> Device:
        return self._chance.choice([device for device in self.devices if device.name.startswith(kind)])

    def _days(self) -> Iterator[float]:
        at_s = self._start_s
        while at_s < self.week_s + WEEK_S:
            yield at_s
            at_s += DAY_S

    def _times(self, per_week: int) -> Iterator[float]:
        weeks = (self.week_s + WEEK_S - self._start_s) / WEEK_S
        for _ in range(int(per_week * weeks)):
            yield self._chance.uniform(self._start_s, self.week_s + WEEK_S)

    def _often(self, mean: float) -> int:
        """How often, if it is so often on average: a Poisson variate by waiting times."""
        count, left = 0, self._chance.expovariate(1)
        while left < mean:
            count += 1
            left += self._chance.expovariate(1)
        return count
