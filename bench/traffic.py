"""What a plant of `plant.py` sends and asks for, week after week: five minutes of each device are one signal.

Shifts, standstills, batches on Monday morning, alarms that come in showers, recorders that send what they kept, an extra
shift on a Saturday; an alarm code that one device never had, another dashboard, a service laptop that does something new
each week. Seeded by itself: what else happens in the plant is the same with it and without it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bartizan.model.signal import Fresh, Signal, Traffic
from bench.plant import DAY_S, HOUR_S, MONDAY_S, WEEK_S, WEEKS_BEFORE, Device, Happening, Plant

SPAN_S = 300.0
SPANS_PER_DAY = 288
BACKLOGS_PER_WEEK = 2
SHOWERS_PER_WEEK = 10
STANDSTILL = 0.04
"""The chance that a machine stops within five minutes of work, and stands for half an hour."""

OPERATORS = 4
CODES = 24
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Load:
    """What devices of one kind send."""

    working: float
    """Messages a second."""
    idle: float
    octets: int
    has_shifts: bool = True
    stands_still: bool = False
    uneven: float = 0.1
    """How far five minutes go up and down, as a share."""


LOADS = {
    "press": Load(0.5, 0.05, 120, stands_still=True),
    "robot": Load(1.0, 0.1, 200, stands_still=True, uneven=0.2),
    "meter": Load(0.1, 0.1, 80, has_shifts=False, uneven=0.02),
    "agv": Load(0.2, 0.03, 150, uneven=0.6),
    "gateway": Load(8.0, 3.0, 300, uneven=0.15),
    "person": Load(0.02, 0.0, 60, uneven=1.0),
}
TOPICS = ("temperature", "state", "current", "cycle")


def kind_of(device: Device) -> str:
    """The kind that its name begins with."""
    return device.name.partition("-")[0]


def did(device: Device, at_s: float, action: str, topic: str) -> Fresh:
    """It did what it is granted and was not seen doing lately."""
    rule = f"{kind_of(device)}.{action}"
    return Fresh(at_s=at_s, identity=device.name, client_id=device.name, action=action, topic=topic, rule=rule)


class Life:
    """What a plant sends and asks for."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self._chance = random.Random(f"traffic {seed}")  # noqa: S311  a simulation
        self._plant = plant
        self._devices = (*plant.devices, *plant.people)
        self.start_s = MONDAY_S - WEEKS_BEFORE * WEEK_S
        self._spans = int((MONDAY_S + WEEK_S - self.start_s) // SPAN_S)
        chance = self._chance
        weeks = self._spans / SPANS_PER_DAY / 7
        meters = [device.name for device in plant.devices if kind_of(device) == "meter"]
        self._backlogs = {
            chance.choice(meters): (chance.randrange(self._spans - 40), chance.randrange(6, 30))
            for _ in range(int(BACKLOGS_PER_WEEK * weeks))
        }
        """When a meter loses its link, and for how many spans: it keeps what it measures, and sends all of it then."""
        self._showers = {
            (chance.choice(plant.devices).name, chance.randrange(self._spans)): chance.uniform(3, 12)
            for _ in range(int(SHOWERS_PER_WEEK * weeks))
        }
        self._extra_shift = chance.randrange(int(weeks))
        self._standing: dict[str, int] = {}

    def traffic(self) -> Iterator[Traffic]:
        """Five minutes of each device after those of the others, in the order of time."""
        for span in range(self._spans):
            at_s = self.start_s + span * SPAN_S + SPAN_S / 2
            when = datetime.fromtimestamp(at_s, UTC)
            is_extra = when.weekday() == SATURDAY and int((at_s - self.start_s) // WEEK_S) == self._extra_shift
            works = 6 <= when.hour < 22 and (when.weekday() < SATURDAY or is_extra)
            for device in self._devices:
                yield from self._span(device, span, at_s, works=works, reports=when.weekday() == 0 and when.hour == 9)

    def outages(self) -> Iterator[Happening]:
        """Meters whose link is lost for long: people want to know, and to know what it was when all of it comes at once."""
        devices = {device.name: device for device in self._plant.devices}
        for name, (first, length) in self._backlogs.items():
            start_s, end_s = self.start_s + first * SPAN_S, self.start_s + (first + length) * SPAN_S
            signals = (devices[name].goes(start_s), devices[name].comes(end_s))
            yield Happening("link that is lost for long", start_s, end_s + 2 * SPAN_S, frozenset({name}), signals)

    def topics(self) -> Iterator[Signal]:
        """What is new for whom, and all right."""
        for device in self._plant.devices:
            yield from self._first(device)
            yield from self._codes(device)
        people, devices = self._plant.people, self._plant.devices
        for number, person in enumerate(people):
            for at_s in self._times(person, 3.0 if number < OPERATORS else 0.0):
                yield did(person, at_s, "publish", f"cmd/{self._chance.choice(devices).name}/start")
            for at_s in self._times(person, 4.0):
                yield did(person, at_s, "subscribe", f"data/{self._chance.choice(devices).name}/#")
        for device in devices:
            yield did(
                Device("scada", 0, "", "5.0", "mqtts", 60, 1), self.start_s + 60, "publish", f"cmd/{device.name}/start"
            )
        yield from self._service()

    def _span(self, device: Device, span: int, at_s: float, *, works: bool, reports: bool) -> Iterator[Traffic]:
        kind, chance = kind_of(device), self._chance
        load = LOADS[kind]
        if kind == "person":
            works = device.hours[0] <= at_s % DAY_S / HOUR_S < device.hours[1] and works
        rate = load.working if works or not load.has_shifts else load.idle
        if works and load.stands_still:
            if self._standing.get(device.name, -1) < span and chance.random() < STANDSTILL:
                self._standing[device.name] = span + chance.randrange(1, 12)
            if self._standing.get(device.name, -1) >= span:
                rate = load.idle
        messages = rate * SPAN_S * max(0.0, chance.gauss(1, load.uneven)) * self._showers.get((device.name, span), 1.0)
        first, length = self._backlogs.get(device.name, (-1, 0))
        if first <= span < first + length:
            return
        if span == first + length and first >= 0:
            messages *= length + 1
        count = round(messages)
        if not count:
            return
        octets, longest = count * load.octets, load.octets
        if reports and kind == "press" and span % 12 == int(device.name[-3:]) % 12:
            # The batch of the week: one long message.
            octets, longest = octets + 200_000, 200_000
        yield Traffic(
            at_s=at_s,
            identity=device.name,
            publishes=count,
            octets=octets,
            size_max=longest,
            retained=count // 10,
            pings=round(SPAN_S / max(15, device.keep_alive_s)),
            wills=int(chance.random() < device.connects_per_day / SPANS_PER_DAY),
        )

    def _first(self, device: Device) -> Iterator[Signal]:
        at_s = self.start_s + 60
        yield from (did(device, at_s, "publish", f"data/{device.name}/{topic}") for topic in TOPICS)
        yield did(device, at_s, "will", f"data/{device.name}/gone")
        yield did(device, at_s, "subscribe", f"cmd/{device.name}/#")

    def _codes(self, device: Device) -> Iterator[Signal]:
        """Alarms: some codes are common, others come once in months."""
        for at_s in self._times(device, 0.07):
            code = int(CODES ** self._chance.random())
            yield did(device, at_s, "publish", f"alarm/{device.name}/{kind_of(device)}-{code}")

    def _service(self) -> Iterator[Signal]:
        """Who repairs: at another machine each week; and somebody opens a wider dashboard once a month."""
        laptop = Device("service-01", 0, "10.20.201.9", "5.0", "mqtts", 60, 1)
        for week in range(self._spans // SPANS_PER_DAY // 7):
            at_s = self.start_s + week * WEEK_S + self._chance.uniform(0, WEEK_S - HOUR_S)
            name = self._chance.choice(self._plant.devices).name
            yield did(laptop, at_s, "subscribe", f"data/{name}/#")
            yield did(laptop, at_s + 60, "publish", f"cmd/{name}/stop")
        yield did(
            self._chance.choice(self._plant.people),
            self._chance.uniform(self.start_s, MONDAY_S + WEEK_S),
            "subscribe",
            "data/+/state",
        )

    def _times(self, device: Device, per_day: float) -> Iterator[float]:
        """In the hours in which it is there."""
        first, last = device.hours
        for day in range(self._spans // SPANS_PER_DAY):
            left = self._chance.expovariate(1)
            while left < per_day:
                yield self.start_s + day * DAY_S + self._chance.uniform(first, last) * HOUR_S
                left += self._chance.expovariate(1)
