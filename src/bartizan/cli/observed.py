"""Reads what was observed on a data directory; a running broker writes first what it has not written yet."""

import difflib
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bartizan.cli.control import asking
from bartizan.cli.opening import existing
from bartizan.errors import EngineUnavailable
from bartizan.model.observation import Observation, Watched
from bartizan.store.observations import ObservationStore

ANONYMOUS = "anonymous"
"""The identity, and the role, of whoever a listener admits without a credential."""


def observations_of(data: Path) -> ObservationStore:
    """The observations of this data directory, up to now."""
    directory = existing(Path.cwd() / data)
    with suppress(EngineUnavailable):
        write_now(directory.root)
    return ObservationStore(directory.observations)


def write_now(root: Path) -> None:
    """Has the running broker write what it observed; `EngineUnavailable` if none runs."""
    with asking(root) as broker:
        broker.post("/v1/observations/write").raise_for_status()


def since(span: timedelta | None) -> datetime | None:
    """So long ago."""
    return None if span is None else datetime.now(UTC) - span


def record(seen: Observation) -> dict[str, object]:
    """One as JSON; of what no policy was staged for, without what is about that."""
    told = asdict(seen) | {"first_at": seen.first_at.isoformat(), "last_at": seen.last_at.isoformat()}
    dropped = {"watched"} if seen.watched is Watched.DIFFERS else {"watched", "staged_rule", "staged_why"}
    return {key: value for key, value in told.items() if key not in dropped}


def beside(name: str) -> str:
    """A file as seen from here, so that `patch` finds it."""
    with suppress(ValueError):
        return str(Path(name).resolve().relative_to(Path.cwd()))
    return name


def patch_text(name: str, before: str, after: str) -> str:
    """What `patch` needs to make the one of the other."""
    lines = difflib.unified_diff(_lines(before), _lines(after), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Its lines with their ends. `str.splitlines` ends them at characters that a comment may hold."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def hand_out(patch: str, file: Path | None) -> None:
    """Writes a patch to its file, or prints it."""
    if file is None:
        print(patch, end="")
    else:
        file.write_text(patch, encoding="utf-8")
        print(f"{file}: review it, then `patch -p0 < {file}` or `git apply -p0 {file}`")
