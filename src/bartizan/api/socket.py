"""A Unix socket at a path of any length, that only its owner may use.

The system takes 107 octets of a path at most. A longer one is reached through a descriptor of its directory.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bartizan.errors import ConfigurationError

FILE = "control.sock"
PATH_BYTES_MAX = 107
_PRIVATE_UMASK = 0o177
BACKLOG = 64


@contextmanager
def reachable(root: Path) -> Iterator[str]:
    """The path of the control socket of a data directory, short enough for the system."""
    path = str(root.absolute() / FILE)
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield path
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{FILE}"
    finally:
        os.close(descriptor)


def bind_private(root: Path) -> socket.socket:
    """Binds and listens. Call it with the data directory's lock held: what is there is then left over."""
    (root / FILE).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(_PRIVATE_UMASK)
    try:
        with reachable(root) as path:
            listening.bind(path)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"the control socket cannot be made: {error.strerror}", str(root / FILE), "correct the directory's rights"
        ) from None
    finally:
        os.umask(before)
    return listening
