"""What the verbs read: the policy that is named, or that of the data directory; identities; live sessions."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.apply import check_files, refusal
from bartizan.cli.opening import existing, identities, settings_of
from bartizan.errors import NotFound
from bartizan.model.principal import Identity
from bartizan.policy import CheckResult
from bartizan.policy.explain import Explainer

PAGE = 1_000
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Named = Annotated[tuple[Path, ...], Parameter(name="--policy", negative=(), show_default=False)]


def good(named: Path | Sequence[Path]) -> CheckResult:
    """The policy that these files are; `ConfigurationError` with the first mistake of one that is none."""
    result = check_files(named)
    if result.policy is None:
        raise refusal(result, named)
    return result


def in_force(named: Sequence[Path], data: Path, config: Path | None) -> Explainer:
    """The policy of `--policy`, else the one that the broker of this data directory loads."""
    if named:
        return Explainer(good(named))
    directory = existing(data)
    return Explainer(good(settings_of(directory, config).policy.file or directory.policy))


def stored(data: Path) -> list[Identity]:
    """All identities of a data directory."""
    return asyncio.run(_stored(data))


async def _stored(data: Path) -> list[Identity]:
    found: list[Identity] = []
    async with identities(existing(data)) as store:
        after = ""
        while page := await store.page(after, PAGE):
            found += page
            after = page[-1].name
    return found


def one_stored(data: Path, name: str) -> Identity:
    """The identity of this name; `NotFound` if there is none."""
    found = asyncio.run(_one(data, name))
    if found is None:
        raise NotFound(f"no identity {name} in {data}: enrol it, or make one up with --role and --attr")
    return found


async def _one(data: Path, name: str) -> Identity | None:
    async with identities(existing(data)) as store:
        return await store.get(name)


def counted(number: int, one: str, several: str) -> str:
    """`no roles`, `1 role`, `2 roles`."""
    return f"{number or 'no'} {one if number == 1 else several}"


def written(file: Path | None, text: str, say: Callable[[str], None]) -> None:
    """Writes a page to a file, or says it where no file is named."""
    if file is None:
        say(text)
    else:
        file.write_text(text, encoding="utf-8")
