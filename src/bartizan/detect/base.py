"""What a detector is: what it wants to see, and what it makes of that."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from bartizan.model.finding import Finding
from bartizan.model.signal import Signal


class Detector(Protocol):
    """Looks at signals, one by one, in the order in which things happened. Never asks the time, never waits."""

    @property
    def name(self) -> str:
        """As in `bartizan findings`."""
        ...

    @property
    def wants(self) -> tuple[type[Signal], ...]:
        """The signals that it is shown."""
        ...

    def see(self, signal: Signal, /) -> Iterable[Finding]:
        """What this signal, after those before it, gives reason to say. Say it again: the same is told once."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A detector that has to remember over a restart, for it learns for days."""

    def changed(self) -> Mapping[str, Any]:
        """What is to be remembered anew since the last call, in values of JSON, by a name; None: no more."""
        ...

    def remember(self, kept: Mapping[str, Any], /) -> None:
        """All that was to be remembered. Called once, before the first signal."""
        ...


class Memory(Protocol):
    """What a detector knows of one name, and can remember."""

    def as_json(self) -> Mapping[str, Any]:
        """In values of JSON."""
        ...


def taken(changed: set[str], known: Mapping[str, Memory]) -> dict[str, Any]:
    """What `Remembering.changed` tells of these names: what is known of each, None where that is nothing any more.

    They are taken: the set is empty afterwards.
    """
    told = {name: known[name].as_json() if name in known else None for name in changed}
    changed.clear()
    return told
