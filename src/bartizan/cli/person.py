"""Who works at this command line."""

import os
import pwd
from typing import Final

from bartizan.model.actor import WHY_CHARS_MAX, Actor

WHY: Final = "BARTIZAN_WHY"
"""The variable of the environment that says why, for verbs that have no word for it."""


def person() -> Actor:
    """The user of the system, and behind sudo the one who called it."""
    uid = os.geteuid()
    try:
        own = pwd.getpwuid(uid).pw_name
    except KeyError:
        own = str(uid)
    caller = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    return Actor(f"{caller} (sudo)" if caller else own, uid=uid, why=os.environ.get(WHY, "")[:WHY_CHARS_MAX])


def operator() -> str:
    """Its name."""
    return person().name
