"""`bartizan policy advise`: what is granted and not needed, and the narrower policy as a patch."""

import asyncio
import json
import sys
from collections.abc import Sequence
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
from bartizan.policy.explain import Explainer
from bartizan.policy.narrow import Advice, Period, Used, narrow, narrowed, unknown
from bartizan.policy.subject import Subject


def advise(
    *,
    since: Annotated[str, Parameter(help="What was not used for so long counts as not needed: 30d.")] = "30d",
    patch: Annotated[Path | None, Parameter(help="A file to write the narrower policy to, as a patch.")] = None,
    despite_gaps: Annotated[
        bool, Parameter(negative="", help="Write it although use was not watched all of that time, or some was lost.")
    ] = False,
    policy: Named = (),
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Tell which grants nobody used, which were used for one topic alone, who is idle, and which roles are alike.

    Exit code 1 if there is anything to tell. Nothing is put in force. A patch takes nothing away that was used, and
    is written only if all of that time was watched.

    For example:

        bartizan policy advise --since 30d --patch narrower.patch

    Parameters
    ----------
    policy
        A policy file, directory or pattern; several times. Default: that of the data directory.
    """
    store = observations_of(data)
    explainer = in_force(policy, data, config)
    lost = store.uses_lost()
    began = datetime.now(UTC) - parse_duration(since)
    period = Period(began, store.uses_since(), store.rules(), lost and lost[1])
    subjects = [Subject.of(identity) for identity in stored(data, config)]
    # Whoever a listener admits without a credential has this role, and is no identity of the store.
    anonymous = Subject(ANONYMOUS, ANONYMOUS, (ANONYMOUS,))
    used = Used(explainer, store.uses(), period, [*subjects, anonymous])
    found = narrow(explainer, subjects, used, asyncio.run(_seen(data, config)), [anonymous])
    young = unknown(used)
    if is_written := patch is not None and (despite_gaps or not period.gaps):
        patch.write_text(_patch(explainer, found, used), encoding="utf-8")
    if json_output:
        watched = _day(period.watched_since)
        told = {"gaps": period.gaps, "too_young": young, "advice": [_plain(each) for each in found]}
        print(json.dumps({"watched_since": watched, "patched": is_written, **told}))
    else:
        _tell(found, period, young)
        if is_written:
            print(f"{patch}: review it, then `patch -p0 < {patch}`, and `bartizan policy stage`")
    if patch is not None and not is_written:
        print(f"{patch} is not written: {'; '.join(period.gaps)} (--despite-gaps writes it)", file=sys.stderr)
        return 1
    return 1 if found else 0


def _tell(found: Sequence[Advice], period: Period, young: int) -> None:
    for each in found:
        print(f"{f'{each.at}: ' if each.at else ''}{each.code}: {each.message}")
    print(counted(len(found), "finding", "findings"))
    for gap in period.gaps:
        print(f"{gap}: what was needed then is not known")
    if young:
        print(f"{counted(young, 'permit is', 'permits are')} younger than that: nothing is said of their use")


def _patch(explainer: Explainer, found: Sequence[Advice], used: Used) -> str:
    try:
        texts = narrowed(explainer, found, used)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    before = explainer.places.texts
    return "".join(patch_text(beside(origin), before[origin], text) for origin, text in texts.items())


async def _seen(data: Path, config: Path | None) -> dict[str, date]:
    directory = existing(data)
    async with identities(directory, settings_of(directory, config)) as store:
        newest = last_seen(await store.usage())
    return {name: usage.last_seen_at.date() for name, usage in newest.items()}


def _day(at: datetime | None) -> str:
    return "" if at is None else at.date().isoformat()


def _plain(each: Advice) -> dict[str, object]:
    return {
        "code": each.code,
        "message": each.message,
        "rule": each.rule and each.rule.name,
        "file": each.at and each.at.file,
        "line": each.at and each.at.line,
        "narrower": each.narrower,
    }
