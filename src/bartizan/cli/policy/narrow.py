"""`bartizan policy advise`: what is granted and not needed, and the narrower policy as a patch."""

import asyncio
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Json
from bartizan.cli.observed import ANONYMOUS, beside, observations_of, patch_text
from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.cli.policy.files import Named
from bartizan.cli.policy.reading import counted, in_force, stored
from bartizan.errors import InvalidValue
from bartizan.identity.listing import last_seen
from bartizan.policy.narrow import Advice, Period, narrow, narrowed
from bartizan.policy.places import Places
from bartizan.policy.subject import Subject


def advise(
    *,
    since: Annotated[str, Parameter(help="What was not used for so long counts as not needed: 30d.")] = "30d",
    patch: Annotated[Path | None, Parameter(help="A file to write the narrower policy to, as a patch.")] = None,
    policy: Named = (),
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Tell which grants nobody used, which were used for one topic alone, who is idle, and which roles are alike.

    Exit code 1 if there is anything to tell. Nothing is put in force.

    For example:

        bartizan policy advise --since 30d --patch narrower.patch

    Parameters
    ----------
    policy
        A policy file, directory or pattern; several times. Default: that of the data directory.
    """
    today = datetime.now(UTC)
    store = observations_of(data)
    period = Period((today - parse_duration(since)).date(), store.since())
    explainer = in_force(policy, data, config)
    subjects = [Subject.of(identity) for identity in stored(data, config)]
    # Whoever a listener admits without a credential has this role, and is no identity of the store.
    anonymous = Subject(ANONYMOUS, ANONYMOUS, (ANONYMOUS,))
    found = narrow(explainer, subjects, store.uses(), period, asyncio.run(_seen(data, config)), [anonymous])
    if patch is not None:
        patch.write_text(_patch(explainer.places, found), encoding="utf-8")
    if json_output:
        print(json.dumps({"watched_since": _day(period.watched_since), "advice": [_plain(each) for each in found]}))
    else:
        for each in found:
            print(f"{f'{each.at}: ' if each.at else ''}{each.code}: {each.message}")
        print(counted(len(found), "finding", "findings"))
        if not period.is_whole:
            print(_NOT_WHOLE.format(day=_day(period.watched_since) or "now"))
        if lost := store.fact("lost uses"):
            print(f"{lost} uses found no room: what seems unused may be one of them")
        if patch is not None:
            print(f"{patch}: review it, then `patch -p0 < {patch}`, and `bartizan policy stage`")
    return 1 if found else 0


_NOT_WHOLE = "use is observed since {day} only: what was needed before is not known"


def _patch(places: Places, found: list[Advice]) -> str:
    try:
        texts = narrowed(places, found)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return "".join(patch_text(beside(origin), places.texts[origin], text) for origin, text in texts.items())


async def _seen(data: Path, config: Path | None) -> dict[str, date]:
    directory = existing(data)
    async with identities(directory, settings_of(directory, config)) as store:
        newest = last_seen(await store.usage())
    return {name: usage.last_seen_at.date() for name, usage in newest.items()}


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _plain(each: Advice) -> dict[str, object]:
    return {
        "code": each.code,
        "message": each.message,
        "rule": each.rule and each.rule.name,
        "file": each.at and each.at.file,
        "line": each.at and each.at.line,
        "narrower": each.narrower,
    }
