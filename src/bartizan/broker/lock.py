"""One broker per data directory: a lock that the system takes away with the process, however it ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from bartizan.errors import ConfigurationError

FILE = ".lock"


class DirectoryLock:
    """Held while a broker runs on `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Takes the lock, or says who holds it."""
        descriptor = os.open(self._root / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise ConfigurationError(
                f"a broker runs on this data directory already{f' (process {holder})' if holder else ''}",
                str(self._root),
                "stop it, or name another directory with --data",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go of it. The file stays: removing it would let two hold different locks."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
