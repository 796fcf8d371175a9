"""`bartizan policy stage`, `staged` and `unstage`: a policy beside the one in force, on real traffic."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bartizan.broker.log import escaped
from bartizan.broker.watching import Staged
from bartizan.cli.control import told_to
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Data, Json, second
from bartizan.cli.observed import observations_of, record
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.policy.reading import counted
from bartizan.cli.policy.there import files_of
from bartizan.cli.remote import Server, remote
from bartizan.model.observation import Watched

SHOWN_MAX = 100


def stage(
    *new: Path,
    for_: Annotated[str | None, Parameter(name="--for", help="It ends by itself after this: 24h, 7d.")] = None,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Ask a new policy beside the one in force, for every real decision. It decides nothing.

    What it would refuse or newly allow, `bartizan policy staged` tells. A policy staged before gives way. The
    *.test.toml beside it are kept with it, for `bartizan policy promote`. Exit code 2 if it is no policy, or they
    are no tests.

    For example:

        bartizan policy stage new.toml --for 24h

    Parameters
    ----------
    new
        The new policy: files, directories or patterns, which together are one.
    """
    until = None if for_ is None else (datetime.now(UTC) + parse_duration(for_)).isoformat()
    files = files_of(new)
    if files is None:
        return 2
    if server is None:
        root = existing(Path.cwd() / data).root
        told = told_to(root, "/v1/policy/stage", {"texts": list(files.items()), "until": until})
    else:
        with remote(server) as there:
            told = there.put("/policy/staged", {"files": files, "until": until})
    return _say_staged(told, json_output)


def _say_staged(told: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(told))
        return 0
    until = told["until"]
    end = "" if until is None else f" until {second(until)} UTC"
    print(f"policy {told['digest'][:12]} is staged{end}: `bartizan policy staged` tells what it would do")
    return 0


def unstage(*, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Ask the staged policy no more. What it would have done can be read until the next one is staged.

    For example:

        bartizan policy unstage
    """
    if server is None:
        told = told_to(existing(Path.cwd() / data).root, "/v1/policy/unstage")
    else:
        with remote(server) as there:
            told = there.delete("/policy/staged")
    print("no policy is staged any more" if told["was_staged"] else "no policy was staged")
    return 0


def staged(*, data: Data = DEFAULT_DATA, server: Server = None, json_output: Json = False) -> int:
    """Tell what the staged policy would refuse or newly allow, by identity and topic. Exit code 1 if it would.

    For example:

        bartizan policy staged --json
    """
    told = _watched(data) if server is None else _watched_there(server)
    if json_output:
        print(json.dumps(told))
    else:
        print("\n".join(_lines(told["staged"], told["differences"], told["not_kept"])))
    return 1 if told["differences"] or told["not_kept"] else 0


def _watched(data: Path) -> dict[str, Any]:
    store = observations_of(data)
    policy = Staged.kept(store.fact("staged"))
    about = policy and {"digest": policy.digest, "since": policy.since, "until": policy.until}
    found = [record(each) for each in store.observations(Watched.DIFFERS)]
    return {"staged": about, "differences": found, "not_kept": store.lost(Watched.DIFFERS)}


def _watched_there(server: str) -> dict[str, Any]:
    with remote(server) as there:
        return there.get("/policy/staged")


def _lines(policy: Mapping[str, Any] | None, found: Sequence[Mapping[str, Any]], lost: int) -> Iterator[str]:
    if policy is None:
        yield "no policy is staged" + ("; what the last one would have done:" if found else "")
    else:
        end = f", until {policy['until'][:19]}" if policy["until"] else ""
        yield f"policy {policy['digest'][:12]}, staged since {policy['since'][:19]}{end}:"
    for refused, words in ((True, "would be refused"), (False, "would be allowed")):
        rows = [each for each in found if (each["why"] == "permitted") is refused]
        if rows:
            yield f"\n{counted(len(rows), 'request', 'kinds of requests')} {words}:"
        for each in rows[:SHOWN_MAX]:
            what = f"{escaped(each['identity'])} {each['action']} {escaped(each['topic'])}"
            yield f"  {'-' if refused else '+'} {what}  {_times(each)}"
            yield f"      now {_by(each['why'], each['rule'])}; staged {_by(each['staged_why'], each['staged_rule'])}"
        if len(rows) > SHOWN_MAX:
            yield f"  {len(rows) - SHOWN_MAX} more (--json tells all)"
    if lost:
        yield f"\n{lost} more requests were decided otherwise, and found no room to be told one by one"
    if policy is not None and not found and not lost:
        yield "it decided everything as the one in force"


def _times(each: Mapping[str, Any]) -> str:
    count, last = counted(each["count"], "time", "times"), second(each["last_at"])
    return f"({count}, last {last}, client {escaped(each['client_id'])})"


def _by(why: str, rule: str) -> str:
    return f"{why} by {rule}" if rule else why
