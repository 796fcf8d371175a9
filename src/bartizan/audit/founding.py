"""The directory of the record, made whole at the first record: the key, and both logs with a signed head each.

What is missing there later was removed. So nobody makes one of them a second time without saying so.
"""

import os
from pathlib import Path

from bartizan.audit.head import HEAD, Head
from bartizan.audit.keys import SigningKey
from bartizan.audit.segments import LOGS, lock_alone, make_directory, open_private, segments, sync_directory


def found(directory: Path) -> None:
    """Makes what is there from the beginning on; nothing where there is a key."""
    make_directory(directory)
    if SigningKey(directory).is_made:
        return
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Several processes may be the first: one of them makes it all, the key last.
        lock_alone(lock)
        if not SigningKey(directory).is_made:
            made = SigningKey.made(directory)
            for name in LOGS:
                _begin(directory / name, made)
            made.keep()
    finally:
        os.close(lock)


def _begin(directory: Path, key: SigningKey) -> None:
    make_directory(directory)
    if segments(directory):
        # There was a key: whoever appends next finds a head that this one did not sign, and says so.
        return
    head = open_private(directory / HEAD, os.O_RDWR)
    try:
        Head().signed(key, directory.name).write(head)
        os.fsync(head)
    finally:
        os.close(head)
    sync_directory(directory)
