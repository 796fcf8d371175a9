"""Commands to actuators, by whom they never came from: a topic with a level such as `cmd` or `setpoint`.

Who commands what is learned for days. What is told is usual from then on, what many command is everybody's, and who
commands many commands anything.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from bartizan.detect.topics import hash_of
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Fresh, Signal

TOPICS_MAX = 20_000
"""Topics of actuators that are told apart; the longest unused give way."""

IDENTITIES_MAX = 20_000
"""Identities that are known to command something."""

COMMANDERS_MAX = 8
"""What so many command is everybody's."""

COMMANDS_MANY = 8
"""Who commands so many actuators is one who does."""

DAY_S = 86_400.0
UNAUTHORIZED_COMMAND_MESSAGE = "T0855"

_SINCE, _WHO, _WHAT = "since", "who ", "what "
"""How what is remembered is named: since when it learns, an identity, the hash of a topic."""


class Actuators:
    """Who commands an actuator that others command, or any though it never did."""

    name = "actuator_command"
    wants = (Fresh,)
    score = 70
    another_score = 55

    def __init__(self, days_known: int, levels: Collection[str]) -> None:
        self._days_known = days_known
        self._levels = frozenset(level.casefold() for level in levels)
        self._since_s: float | None = None
        self._identities: OrderedDict[str, int] = OrderedDict()
        """How many each commands, as far as that makes a difference."""
        self._topics: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._changed: dict[str, Any] = {}

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if not isinstance(signal, Fresh):
            return
        since_s = self._since_s
        if since_s is None:
            since_s = self._since_s = self._changed[_SINCE] = signal.at_s
        if signal.identity in {"", "anonymous"} or not self._is_command(signal):
            return
        topic = f"{hash_of('publish', signal.topic):016x}"
        by = self._topics.get(topic, ())
        if signal.identity in by or len(by) >= COMMANDERS_MAX:
            return
        days = (signal.at_s - since_s) / DAY_S
        if days >= self._days_known:
            yield from self._judged(signal, by, int(days))
        self._learn(signal.identity, topic, by)

    def changed(self) -> Mapping[str, Any]:
        """See `Remembering`."""
        changed = dict(self._changed)
        self._changed.clear()
        return changed

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """See `Remembering`."""
        for name, value in kept.items():
            if name == _SINCE:
                self._since_s = float(value)
            elif name.startswith(_WHO):
                self._identities[name.removeprefix(_WHO)] = int(value)
            else:
                self._topics[name.removeprefix(_WHAT)] = tuple(str(each) for each in value)

    def _is_command(self, signal: Fresh) -> bool:
        # A Will is sent as any message is.
        is_sent = signal.action in {"publish", "will"}
        return is_sent and any(level.casefold() in self._levels for level in signal.topic.split("/"))

    def _judged(self, signal: Fresh, by: tuple[str, ...], days: int) -> Iterator[Finding]:
        commands = self._identities.get(signal.identity, 0)
        is_known = commands > 0
        if commands >= COMMANDS_MANY:
            return
        if by:
            score = self.another_score if is_known else self.score
            yield self._found(signal, score, f"which in {days} days only {', '.join(by)} did")
        elif not is_known:
            yield self._found(signal, self.score, f"and never commanded anything in {days} days")

    def _found(self, signal: Fresh, score: int, what: str) -> Finding:
        text = f"identity {signal.identity} sent a command to {signal.topic}, {what}"
        return Finding(
            self.name, About.IDENTITY, signal.identity, score, text, signal.at_s, UNAUTHORIZED_COMMAND_MESSAGE
        )

    def _learn(self, identity: str, topic: str, by: tuple[str, ...]) -> None:
        self._topics[topic] = self._changed[_WHAT + topic] = (*by, identity)
        self._topics.move_to_end(topic)
        if len(self._topics) > TOPICS_MAX:
            gone, _ = self._topics.popitem(last=False)
            self._changed[_WHAT + gone] = None
        commands = self._identities.get(identity, 0)
        if commands < COMMANDS_MANY:
            self._identities[identity] = self._changed[_WHO + identity] = commands + 1
        self._identities.move_to_end(identity)
        if len(self._identities) > IDENTITIES_MAX:
            gone, _ = self._identities.popitem(last=False)
            self._changed[_WHO + gone] = None
