"""Another policy: compared, asked beside the one in force, put in force, and brought back."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bartizan.api import schemas_security as schemas
from bartizan.api.house import House, Housed
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import Text, require_match
from bartizan.api.routes.policy import Texts, digest_etag, require_names
from bartizan.api.routing import Routes
from bartizan.broker.change import undo_interrupted
from bartizan.broker.ended import every_client
from bartizan.broker.history import History, Kind
from bartizan.broker.itself import Itself
from bartizan.broker.place import Place
from bartizan.broker.preflight import Ground, Preflight, brought_back, is_there, offered, put, refuse_by_hand
from bartizan.broker.watching import Staged
from bartizan.config.api import Act
from bartizan.errors import ChangeRefused, Conflict, NotFound
from bartizan.identity.listing import groups_by_name
from bartizan.model.group import acting_roles
from bartizan.model.observation import Watched
from bartizan.policy.differences import subject_of
from bartizan.store.observations import ObservationStore

ROUTES = Routes("policy")

TAKE_OVER = '"takes_over": true puts that on record and goes on'

IfMatch = Annotated[
    str | None, Header(max_length=128, description="The ETag of `GET /policy`: 412 if another one is in force by now.")
]


IfStaged = Annotated[
    str | None, Header(max_length=128, description="The ETag of `GET /policy/staged`: 412 if it changed since.")
]


class Manner(BaseModel):
    """How a policy is put in force."""

    model_config = ConfigDict(extra="forbid")

    note: Text = Field("", description="Why, for the history.")
    takes_over: bool = Field(
        default=False,
        description="Also if the files were changed by hand since the last version: that is recorded first.",
    )


class NewPolicy(Texts, Manner):
    """The files of a policy by name, together one policy; with `*.test.toml` what is expected of it."""

    strict: bool = Field(default=False, description="Refused if lint finds something.")


class Promotion(Manner):
    """The staged policy in force."""

    digest: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Of the staged policy, as `GET /policy/staged` shows it: 409 if another one is staged by now."
    )
    despite_differences: bool = Field(default=False, description="Also if it would have decided otherwise.")


class Rollback(Manner):
    """An earlier policy in force again."""

    number: Annotated[int, Field(ge=1, le=2**31)] | None = Field(
        None, description="The version. Default: the policy before the one in force."
    )


class NewStaged(Texts):
    """A policy to be asked beside the one in force."""

    until: AwareDatetime | None = Field(None, description="It ends by itself then.")


@ROUTES.on("POST", "/policy/diff", Permission.LOOK_ALL, response_model=schemas.PolicyOffer)
async def compare_policy(house: Housed, body: Texts) -> dict[str, Any]:
    """Compare a policy with the one in force: who gains, who loses, lint, tests. Nothing is changed."""
    ground, files = await _ground(house), _files(body)
    return await asyncio.to_thread(lambda: offered(ground, files).as_dict())


@ROUTES.on("PUT", "/policy", Permission.POLICY, act=Act.POLICY_APPLY, response_model=schemas.PolicyChange)
async def apply_policy(house: Housed, body: NewPolicy, if_match: IfMatch = None) -> dict[str, Any]:
    """Put a policy in force: check, lint, test and compare it, record it, write it, load it; or all is as before."""
    _require_match(house, if_match)
    house = house.because(body.note)
    return await asyncio.to_thread(_applied, house, await _ground(house), _files(body), body, strict=body.strict)


@ROUTES.on("POST", "/policy/rollback", Permission.POLICY, act=Act.POLICY_APPLY, response_model=schemas.PolicyChange)
async def roll_back_policy(house: Housed, body: Rollback, if_match: IfMatch = None) -> dict[str, Any]:
    """Put an earlier policy in force again; that is a version of its own in the history."""
    _require_match(house, if_match)
    house = house.because(body.note)
    return await asyncio.to_thread(_rolled_back, house, await _ground(house), body)


@ROUTES.on("GET", "/policy/staged", Permission.LOOK_ALL, response_model=schemas.StagedInFull)
async def show_staged_policy(house: Housed, response: Response) -> dict[str, Any]:
    """Show what is staged, and what it would refuse or newly allow, by identity and topic."""
    await house.broker.watching.write()
    policy, told = await asyncio.to_thread(_staged, _observations(house))
    response.headers["etag"] = _staged_etag(policy)
    return told


@ROUTES.on("PUT", "/policy/staged", Permission.STAGE, response_model=schemas.Staged)
async def stage_policy(house: Housed, response: Response, body: NewStaged, if_match: IfStaged = None) -> dict[str, Any]:
    """Ask a policy beside the one in force, for every real decision. It decides nothing; one staged before gives way."""
    require_names(body.files)
    files = sorted(body.files.items())
    staged = await house.broker.watching.stage(files, body.until, house.actor, before=_unmoved(if_match))
    response.headers["etag"] = _staged_etag(staged)
    return {"digest": staged.digest, "since": staged.since, "until": staged.until}


@ROUTES.on("DELETE", "/policy/staged", Permission.STAGE, response_model=schemas.Unstaged)
async def unstage_policy(house: Housed, if_match: IfStaged = None) -> dict[str, Any]:
    """Ask the staged policy no more. What it would have done can be read until the next one is staged."""
    return {"was_staged": await house.broker.watching.unstage(house.actor, before=_unmoved(if_match))}


@ROUTES.on(
    "POST", "/policy/staged/promotion", Permission.POLICY, act=Act.POLICY_APPLY, response_model=schemas.PolicyChange
)
async def promote_policy(house: Housed, body: Promotion, if_match: IfMatch = None) -> dict[str, Any]:
    """Put the staged policy in force; refused if it would have decided otherwise."""
    _require_match(house, if_match)
    house = house.because(body.note)
    await house.broker.watching.write()
    files = await asyncio.to_thread(_promoted, _observations(house), body)
    changed = await asyncio.to_thread(_applied, house, await _ground(house), files, body, strict=False)
    await house.broker.watching.unstage(house.actor)
    return changed


def _applied(
    house: House, ground: Ground, files: Mapping[str, bytes], manner: Manner, *, strict: bool
) -> dict[str, Any]:
    with ground.history.changing():
        undo_interrupted(ground.place, ground.history, ground.running, ground.trail)
        if not manner.takes_over:
            refuse_by_hand(ground, TAKE_OVER)
        found = offered(ground, files)
        wrong = sum(not outcome.passed for outcome in found.outcomes)
        if wrong:
            raise ChangeRefused(
                f"it decides {wrong} of {len(found.outcomes)} expectations otherwise: POST /policy/diff tells which"
            )
        if strict and found.findings:
            raise ChangeRefused(f"lint finds something: {found.findings[0]}")
        return _put(house, ground, found, manner, Kind.APPLY)


def _rolled_back(house: House, ground: Ground, asked: Rollback) -> dict[str, Any]:
    with ground.history.changing():
        undo_interrupted(ground.place, ground.history, ground.running, ground.trail)
        if not asked.takes_over:
            refuse_by_hand(ground, TAKE_OVER)
        found, version = brought_back(ground, asked.number)
        return _put(house, ground, found, asked, Kind.ROLLBACK, of=version.number)


def _put(
    house: House, ground: Ground, found: Preflight, manner: Manner, kind: Kind, of: int | None = None
) -> dict[str, Any]:
    if is_there(ground, found):
        return found.as_dict() | {"version": None, "outcome": f"policy {found.digest[:12]} is there already"}
    version = put(ground, found, kind, at=house.now(), note=manner.note, takes_over=manner.takes_over, of=of)
    outcome = f"version {version.number}, policy {version.digest[:12]}, is {version.state.replace('-', ' ')}"
    return found.as_dict() | {"version": version.as_dict(), "outcome": outcome}


def _promoted(store: ObservationStore, asked: Promotion) -> dict[str, bytes]:
    policy = Staged.kept(store.fact("staged"))
    if policy is None:
        raise NotFound("no policy is staged: PUT /policy/staged does it")
    if policy.digest != asked.digest:
        raise Conflict(f"another policy is staged by now, {policy.digest[:12]}: GET /policy/staged shows it")
    differences = len(store.observations(Watched.DIFFERS)) + store.lost(Watched.DIFFERS)
    if differences and not asked.despite_differences:
        raise Conflict(f'{differences} differences were seen: GET /policy/staged, or say "despite_differences": true')
    return {name: text.encode() for name, text in policy.texts}


def _staged(store: ObservationStore) -> tuple[Staged | None, dict[str, Any]]:
    policy = Staged.kept(store.fact("staged"))
    fields = schemas.StagedDifference.model_fields
    return policy, {
        "staged": None if policy is None else {"digest": policy.digest, "since": policy.since, "until": policy.until},
        "differences": [{name: getattr(each, name) for name in fields} for each in store.observations(Watched.DIFFERS)],
        "not_kept": store.lost(Watched.DIFFERS),
    }


async def _ground(house: House) -> Ground:
    broker, at = house.broker, house.now()
    named = await asyncio.to_thread(broker.policy_to_read)
    groups = await groups_by_name(house.register)
    identities = [replace(one, roles=acting_roles(one, groups, at)) async for one in house.register.everyone()]
    return Ground(
        Place(tuple(named)),
        History(broker.data.policy_history, versions_max=broker.settings.policy.history_max),
        Itself(broker, asyncio.get_running_loop(), house.actor),
        house.trail,
        lambda: identities,
        lambda: map(subject_of, every_client(broker.engine)),
    )


def _files(body: Texts) -> dict[str, bytes]:
    require_names(body.files)
    return {name: text.encode() for name, text in body.files.items()}


def _require_match(house: House, said: str | None) -> None:
    if said is not None and said.strip() not in {digest_etag(house.broker.in_force.policy.digest), "*"}:
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED, "another policy is in force by now: read it again")


def _unmoved(if_match: str | None) -> Callable[[Staged | None], None]:
    return lambda staged: require_match(if_match, _staged_etag(staged))


def _staged_etag(staged: Staged | None) -> str:
    """The same policy staged anew is another one: what it would have done is counted anew."""
    return digest_etag("none" if staged is None else f"{staged.digest}.{staged.since}")


def _observations(house: House) -> ObservationStore:
    return ObservationStore(house.broker.data.observations)
