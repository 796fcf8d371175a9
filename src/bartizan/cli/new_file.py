"""A file that a verb makes: nothing that is there is written over, and its owner alone may read it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from bartizan.errors import AlreadyExists, ConfigurationError

PRIVATE: Final = 0o600


def opened(file: Path) -> int:
    """Makes it; its descriptor, to write to."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        raise AlreadyExists(f"{file} exists already: choose another name, or remove it") from None
    except OSError as error:
        raise ConfigurationError(
            f"the file cannot be made: {error.strerror}", str(file), "name a place that you may write to"
        ) from None


@contextmanager
def whole_text(file: Path) -> Iterator[TextIO]:
    """Text to write into it; gone again if it does not become whole."""
    descriptor = opened(file)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            yield out
    except BaseException:
        file.unlink(missing_ok=True)
        raise
