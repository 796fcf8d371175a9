"""What a configuration that was read again can change while the broker runs, and what it cannot."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from bartizan.config.schema import Settings
from bartizan.model.actor import Actor, Way

BY_SIGNAL = Actor("SIGHUP", way=Way.SIGNAL)
"""Who has it read again by a signal: the system does not say."""

RELOAD = "broker.reload"

LIVE = (
    "policy.file",
    "policy.history_max",
    "log.level",
    "listeners.*.certificate_file",
    "listeners.*.key_file",
    "listeners.*.client_ca_file",
    "listeners.*.crl_files",
)
"""Settings that hold at once. Everything else waits for the next start."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did. `refused` names what is wrong; whatever is refused changed nothing."""

    applied: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    epoch: int = 0

    def as_dict(self) -> dict[str, object]:
        """For the control socket."""
        return asdict(self)


def needs_restart(started_with: Settings, now: Settings) -> tuple[str, ...]:
    """Settings that differ from those the broker started with and do not hold before the next start."""
    before, after = _flat(started_with), _flat(now)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return tuple(sorted(key for key in changed if not any(fnmatchcase(key, live) for live in LIVE)))


def _flat(settings: Settings) -> dict[str, Any]:
    return dict(_walk(settings.model_dump(mode="json"), ""))


def _walk(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
