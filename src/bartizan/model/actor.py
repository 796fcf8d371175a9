"""Who changes something, and from where: handed on with the change, so that whoever records it need not ask."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

WHY_CHARS_MAX: Final = 1_024

ACTOR_HEADER: Final = "x-bartizan-actor"
"""The header of a request to the control socket by which root says for whom it asks."""


class Way(StrEnum):
    """What an actor was let in by."""

    LOCAL = "local"
    """The command line, on this machine."""
    SESSION = "session"
    TOKEN = "token"  # noqa: S105  the word, not one
    SOCKET = "socket"
    """The control socket: the system says which user it is."""
    SIGNAL = "signal"
    CLIENT = "client"
    """A connection of MQTT."""
    BROKER = "broker"
    """Nobody: the broker does it by itself."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An operator, a user of this machine, or a client. No secret in it: it may be logged."""

    name: str
    """The operator's name, that of the user, or `uid:1000`."""
    address: str = ""
    """Where it comes from; empty for this machine."""
    way: Way = Way.LOCAL
    uid: int | None = None
    """The user of this machine, where that is what is known."""
    why: str = ""
    """The reason, where one holds for all that it does."""

    @property
    def origin(self) -> str:
        """Where it comes from, in one word: an address, or the way."""
        return self.address or self.way.value

    def because(self, why: str) -> "Actor":
        """The same, for this reason; an empty one leaves the one that it had."""
        return replace(self, why=why[:WHY_CHARS_MAX]) if why else self

    def __str__(self) -> str:
        return f"{self.name} from {self.address}" if self.address else self.name


BROKER: Final = Actor("broker", way=Way.BROKER)
"""What the broker does by itself."""
