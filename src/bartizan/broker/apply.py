"""Policy and identities -> the engine: whole or not at all, one at a time, newest last."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bartizan.broker.directory import LiveDirectory, Snapshot, enabled_json
from bartizan.broker.ports import EnginePort
from bartizan.config.load import read_file
from bartizan.config.policy_files import policy_files
from bartizan.errors import ConfigurationError
from bartizan.policy import CheckResult, CompiledPolicy, check_all
from bartizan.policy.payload import schema_files


def check_files(named: Path | Sequence[Path]) -> CheckResult:
    """What the files say that `named` stands for: one policy, or its mistakes. Raises if one cannot be read."""
    return check_all(read_files(named))


def read_files(named: Path | Sequence[Path]) -> list[tuple[str, bytes]]:
    """These files with their contents, and behind them the schemas that they name. Raises if one cannot be read.

    A schema that is not there is none of them: `check` tells which one names it.
    """
    texts = [(str(file), read_file(file, "the policy file")) for file in policy_files(named)]
    schemas = [place for place in schema_files(texts) if Path(place).is_file()]
    return texts + [(place, read_file(Path(place), "the schema")) for place in schemas]


def read_policy(named: Path | Sequence[Path]) -> CompiledPolicy:
    """The compiled policy of these files, or a `ConfigurationError` with line and column of the first mistake."""
    result = check_files(named)
    if result.compiled is not None:
        return result.compiled
    raise refusal(result, named)


def refusal(result: CheckResult, named: Path | Sequence[Path]) -> ConfigurationError:
    """The first mistake of a policy as an error."""
    first = result.errors[0]
    more = len(result.errors) - 1
    others = f"; then {more} more (bartizan policy check {_spelt(named)})" if more else ""
    return ConfigurationError(
        first.message,
        f"{first.origin}:{first.line}:{first.column}",
        (first.hint or "correct the policy") + others,
    )


def _spelt(named: Path | Sequence[Path]) -> str:
    return str(named) if isinstance(named, Path) else " ".join(str(name) for name in named)


class InForce:
    """What the engine decides by: one policy, one state of the identities."""

    def __init__(self, engine: EnginePort, directory: LiveDirectory, policy: CompiledPolicy) -> None:
        self._engine = engine
        self._directory = directory
        self._turn = asyncio.Lock()
        self._level = asyncio.Event()
        self._revision = -1
        self.policy = policy
        self.epoch = 0

    async def begin(self) -> None:
        """Starts the engine with both. Raises what `EnginePort.start` raises."""
        async with self._turn:
            identities = self._directory.snapshot()
            await asyncio.to_thread(self._start, identities)
            self.epoch = self._engine.metrics().get("epoch", 0)
            self._reached(identities.revision)

    async def put(self, policy: CompiledPolicy | None = None) -> int:
        """Puts a new policy (or the one there is) and the identities as they are in force; the epoch."""
        async with self._turn:
            chosen = policy or self.policy
            identities = self._directory.snapshot()
            self.epoch = await asyncio.to_thread(self._apply, chosen, identities)
            self.policy = chosen
            self._reached(identities.revision)
            return self.epoch

    async def settled(self) -> None:
        """Returns once the engine knows every identity that the directory knows now."""
        wanted = self._directory.revision
        while self._revision < wanted:
            self._level.clear()
            await self._level.wait()

    def _start(self, identities: Snapshot) -> None:
        self._engine.start(self.policy, enabled_json(identities, datetime.now(UTC)))

    def _apply(self, policy: CompiledPolicy, identities: Snapshot) -> int:
        return self._engine.apply(policy, enabled_json(identities, datetime.now(UTC)))

    def _reached(self, revision: int) -> None:
        self._revision = revision
        self._level.set()
