"""Who does something, and from where: one value that goes with every change."""

import os
import pwd
from dataclasses import dataclass, replace
from typing import Self

WHY = "BARTIZAN_WHY"
"""The variable of the environment that says why, for verbs that have no word for it."""

ACTOR_HEADER = "x-bartizan-actor"
"""The header of a request to the control socket that says who asks."""

WHY_CHARS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Actor:
    """Who, from where, and why where one reason holds for all that it does."""

    name: str
    """An operator, a user of this system, or `broker` for what it does by itself."""
    origin: str = "local"
    """`local`, or the address that a request came from."""
    uid: int | None = None
    """The user of this system, where that is what is known."""
    why: str = ""

    @classmethod
    def local(cls) -> Self:
        """Who runs this process: the user of the system, and behind sudo the one who called it."""
        uid = os.geteuid()
        try:
            own = pwd.getpwuid(uid).pw_name
        except KeyError:
            own = str(uid)
        caller = os.environ.get("SUDO_USER", "") if uid == 0 else ""
        return cls(f"{caller} (sudo)" if caller else own, uid=uid, why=os.environ.get(WHY, "")[:WHY_CHARS_MAX])

    @classmethod
    def broker(cls) -> Self:
        """The broker, by itself."""
        return cls("broker", uid=os.geteuid())

    def because(self, why: str) -> "Actor":
        """The same, for this reason; an empty one leaves the one that it had."""
        return replace(self, why=why[:WHY_CHARS_MAX]) if why else self
