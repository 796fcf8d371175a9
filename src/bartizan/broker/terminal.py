"""Whether the terminal that a broker was started in is gone: then SIGHUP ends it, as it ends other programs.

SIGHUP is also what reloads a broker, so a closed window would leave one behind that holds its ports.
A service, `nohup` and a background job are started otherwise than in the foreground of a terminal:
for them SIGHUP reloads, whatever became of a terminal.
"""

import os
import signal
from contextlib import suppress

CONTROLLING_TERMINAL = "/dev/tty"


class Terminal:
    """The terminal as it was when this was made."""

    def __init__(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._foreground = not ignored and _foreground_group() == os.getpgrp()

    @property
    def is_gone(self) -> bool:
        """Whether it was there, with the broker in its foreground, and is no more."""
        return self._foreground and _foreground_group() is None


def _foreground_group() -> int | None:
    with suppress(OSError):
        descriptor = os.open(CONTROLLING_TERMINAL, os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(descriptor)
        finally:
            os.close(descriptor)
    return None
