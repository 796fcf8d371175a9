"""Writes files whole or not at all: temporary file beside it, fsync, rename, fsync of the directory."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644
DIRECTORY = 0o700


def write_durably(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replaces `path` by `content`; after a crash there is the old file or the new one.

    The mode holds from the first byte on: a key is never readable to others, not even for a moment. `owner` is
    user and group; whoever may not give files away writes his own.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):
                    os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Makes a directory that only its owner may enter; one that is there keeps its mode."""
    if not path.is_dir():
        path.mkdir(mode=DIRECTORY, parents=True, exist_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes renames and new entries in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
