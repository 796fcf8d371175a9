"""Ends what a run started when the run itself was killed: `python -m bench.watch` reads a session's number.

The kernel's own word for that (a signal at the parent's death) reaches the first process only, and some
brokers start others. This one waits until its input ends; without a goodbye before that, it kills them all.
"""

import os
import signal
import sys
from contextlib import suppress

from bench.process import GOODBYE, process_table


def main() -> int:
    """Waits, and kills every process of the session if it has to."""
    # Ctrl-C reaches the whole terminal: the run needs it, this does not.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    session = sys.stdin.buffer.readline().strip()
    said = sys.stdin.buffer.read()
    if session.isdigit() and said != GOODBYE:
        for pid, one in process_table().items():
            if one.session == int(session):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
