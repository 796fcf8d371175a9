"""Reads what an import needs, and writes what comes of it: all of it, or nothing."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bartizan.config.imports.directives import Directive, read_directives
from bartizan.errors import AlreadyExists, ConfigurationError
from bartizan.policy.imports import ImportedIdentity

FILE_BYTES_MAX = 64 * 1024 * 1024
"""Some hundred thousand users; a larger file is no password file."""

INCLUDES_MAX = 10
"""Files of `include_dir` in files of `include_dir`."""

COLUMNS = ("name", "state", "roles", "note", "password_hash")


def read(path: Path, meaning: str) -> bytes:
    """The bytes of a file."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        what = f"{meaning} cannot be read: {error.strerror}"
        raise ConfigurationError(what, str(path), "correct the path, or who may read it") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{meaning} is larger than {FILE_BYTES_MAX} bytes", str(path), "name the right file")
    return content


def read_configuration(path: Path, *, depth: int = 0) -> Iterator[Directive]:
    """The lines of a mosquitto.conf, with those of its `include_dir`s in their place."""
    if depth > INCLUDES_MAX:
        raise ConfigurationError("include_dir goes round in a circle", str(path), "remove one of them")
    for directive in read_directives(read(path, "the configuration of Mosquitto"), str(path)):
        if directive.key == "include_dir":
            directory = path.parent / directive.value
            if not directory.is_dir():
                raise directive.wrong(f"{directory} is no directory", "correct include_dir, or remove it")
            for file in sorted(directory.glob("*.conf")):
                yield from read_configuration(file, depth=depth + 1)
        else:
            yield directive


def identities_csv(identities: Sequence[ImportedIdentity]) -> str:
    """What `bartizan identity import` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in identities:
        state = "enabled" if each.enabled else "disabled"
        writer.writerow([each.name, state, " ".join(each.roles), each.note, each.password_hash])
    return text.getvalue()


def refuse_existing(directory: Path) -> None:
    """Nothing is overwritten, and nothing is mixed with what is there."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise AlreadyExists(f"{directory} is there already: name a directory with --out that is not, or is empty")


def write(directory: Path, files: Sequence[tuple[str, str]]) -> list[Path]:
    """Writes these files into a new directory; its owner alone reads them, for there are hashes among them."""
    refuse_existing(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    written: list[Path] = []
    for name, text in files:
        path = directory / name
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        written.append(path)
    return written
