"""The policy: what decides now, what decided before, whether texts are one, what was refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bartizan.api import schemas
from bartizan.api.house import House, Housed
from bartizan.api.paging import Match, Page, Parted, matching, page_of
from bartizan.api.permissions import Permission
from bartizan.api.routing import Routes
from bartizan.broker.change import by_hand
from bartizan.broker.history import History, Kind
from bartizan.broker.place import Place
from bartizan.errors import ConfigurationError, InvalidValue
from bartizan.model.observation import Watched
from bartizan.policy import check_all
from bartizan.policy.payload import is_schema
from bartizan.store.observations import ObservationStore

ROUTES = Routes("policy")

FILES_MAX = 256
NAME_CHARS_MAX = 128


class Texts(BaseModel):
    """The files of a policy by name, together one policy."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)], str],
        Field(min_length=1, max_length=FILES_MAX),
    ]


@ROUTES.on("GET", "/policy", Permission.LOOK_ALL, response_model=schemas.PolicyInForce)
async def show_policy(house: Housed, response: Response) -> dict[str, Any]:
    """Show the policy that decides now."""
    in_force = house.broker.in_force
    named = await asyncio.to_thread(house.broker.policy_to_read)
    response.headers["etag"] = digest_etag(in_force.policy.digest)
    return {
        "digest": in_force.policy.digest,
        "epoch": in_force.epoch,
        "files": [str(file) for file in named],
        "changed_by_hand": await asyncio.to_thread(_changed_by_hand, named, _history(house)),
        "roles": sorted(in_force.policy.role_names),
        "tenants": sorted(in_force.policy.tenants),
    }


@ROUTES.on("POST", "/policy/check", Permission.LOOK_ALL, response_model=schemas.PolicyCheck)
async def check_policy(body: Texts) -> dict[str, Any]:
    """Check whether texts are a policy. Nothing is changed."""
    require_names(body.files)
    result = await asyncio.to_thread(check_all, sorted(body.files.items()))
    return {
        "ok": result.ok,
        "digest": None if result.compiled is None else result.compiled.digest,
        "errors": [asdict(problem) for problem in result.errors],
        "warnings": [asdict(problem) for problem in result.warnings],
    }


@ROUTES.on("GET", "/policy/versions", Permission.LOOK_ALL, response_model=Page[schemas.PolicyVersion])
async def list_policy_versions(
    house: Housed,
    part: Parted,
    who: Match = "*",
    kind: Kind | None = None,
    since: AwareDatetime | None = None,
    sort: Literal["number", "-number"] = "-number",
) -> Mapping[str, Any]:
    """List the versions of the policy that are on record."""
    every = await asyncio.to_thread(_history(house).versions)
    meant = [one for one in every if (kind is None or one.kind is kind) and (since is None or one.at >= since)]
    return page_of(matching([one.as_dict() for one in meant], "who", who), part, "number", sort)


@ROUTES.on("GET", "/policy/versions/{number}/files", Permission.LOOK_ALL, response_model=dict[str, str])
async def read_policy_version(house: Housed, number: Annotated[int, Path(ge=1, le=2**31)]) -> dict[str, str]:
    """Read the files of a version."""
    files = await asyncio.to_thread(_history(house).read, number)
    return {name: content.decode(errors="replace") for name, content in files.items()}


@ROUTES.on("GET", "/denials", Permission.LOOK_ALL, response_model=Page[schemas.Denial])
async def list_denials(
    house: Housed,
    part: Parted,
    identity: Annotated[str, Query(max_length=128)] = "",
    since: AwareDatetime | None = None,
    sort: Literal["number", "-number", "count", "-count", "last_at", "-last_at"] = "-last_at",
) -> Mapping[str, Any]:
    """List what the policy refused: by identity, action, topic and rule, with how often."""
    await house.broker.watching.write()
    store = ObservationStore(house.broker.data.observations)
    found = await asyncio.to_thread(store.observations, Watched.DENIED, since=since, identity=identity)
    rows = [{name: getattr(each, name) for name in schemas.Denial.model_fields} for each in found]
    return page_of(rows, part, "number", sort)


def require_names(files: Mapping[str, str]) -> None:
    """`InvalidValue` if one of these files has a way in its name; that of a schema is its way from the policy."""
    if any(not is_schema(name) and ("/" in name or "\\" in name) for name in files):
        raise InvalidValue("a file of a policy has a name without a way: plant.toml")


def digest_etag(digest: str) -> str:
    """The ETag of a policy in force."""
    return f'"{digest}"'


def _changed_by_hand(named: Sequence[FilePath], history: History) -> Sequence[str]:
    try:
        return by_hand(Place(tuple(named)), history)
    except ConfigurationError:
        # What is not there, or cannot be read, is not as it was written.
        return [file.name for file in named]


def _history(house: House) -> History:
    return History(house.broker.data.policy_history, versions_max=house.broker.settings.policy.history_max)
