"""Who changes something, and from where: handed on with the change, so that whoever records it need not ask."""

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """What an actor was let in by."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  the word, not one
    SOCKET = "socket"
    """The control socket: the system says which user it is."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An operator, or a user of this machine. No secret in it: it may be logged."""

    name: str
    """The operator's name, or `uid:1000`."""
    address: str
    """Where it comes from; empty for this machine's control socket."""
    way: Way

    def __str__(self) -> str:
        return f"{self.name} from {self.address}" if self.address else self.name
