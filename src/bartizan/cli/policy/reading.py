"""What the verbs read: the policy that is named, or that of the data directory; identities."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bartizan.cli.opening import existing, identities, settings_of
from bartizan.cli.policy.files import good
from bartizan.errors import NotFound
from bartizan.model.group import Group, acting_roles
from bartizan.model.principal import Identity
from bartizan.policy import schedule
from bartizan.policy.explain import Explainer

PAGE = 1_000


def in_force(named: Sequence[Path], data: Path, config: Path | None) -> Explainer:
    """The policy of `--policy`, else the one that the broker of this data directory loads."""
    if named:
        return Explainer(good(named))
    directory = existing(data)
    return Explainer(good(settings_of(directory, config).policy.file or directory.policy))


def stored(data: Path, config: Path | None = None) -> list[Identity]:
    """All identities of a data directory, as they act: with the roles of their groups."""
    return asyncio.run(_stored(data, config))


async def _stored(data: Path, config: Path | None) -> list[Identity]:
    found: list[Identity] = []
    directory = existing(data)
    async with identities(directory, settings_of(directory, config)) as store:
        groups = {str(group.name): group for group in await store.groups()}
        after = ""
        while page := await store.page(after, PAGE):
            found += page
            after = page[-1].name
    return [_acting(identity, groups) for identity in found]


def one_stored(data: Path, name: str, config: Path | None = None) -> Identity:
    """The identity of this name, as it acts; `NotFound` if there is none."""
    found = asyncio.run(_one(data, name, config))
    if found is None:
        raise NotFound(f"no identity {name} in {data}: enrol it, or make one up with --role and --attr")
    return found


async def _one(data: Path, name: str, config: Path | None) -> Identity | None:
    directory = existing(data)
    async with identities(directory, settings_of(directory, config)) as store:
        found = await store.get(name)
        return found and _acting(found, {str(group.name): group for group in await store.groups()})


def _acting(identity: Identity, groups: Mapping[str, Group]) -> Identity:
    return replace(identity, roles=acting_roles(identity, groups, datetime.now(UTC)))


def open_now(explainer: Explainer) -> tuple[str, ...]:
    """The time windows of this policy that are open at this moment."""
    windows = explainer.windows
    (_, state), *_ = schedule(windows, datetime.now(UTC), 1).changes
    return tuple(window.name for window, is_open in zip(windows, state, strict=True) if is_open)


def counted(number: int, one: str, several: str) -> str:
    """`no roles`, `1 role`, `2 roles`."""
    return f"{number or 'no'} {one if number == 1 else several}"
