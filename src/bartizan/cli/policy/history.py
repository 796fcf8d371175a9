"""`bartizan policy history`: which policies were in force, since when, by whom and why."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bartizan.broker.change import by_hand
from bartizan.broker.history import State, Version
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.files import Json
from bartizan.cli.policy.preflight import Site
from bartizan.cli.remote import Server, remote

DIGEST_CHARS = 12
"""Of a digest, as many as tell policies apart; `--json` has all."""


def history(
    *, data: Path = DEFAULT_DATA, config: Path | None = None, server: Server = None, json_output: Json = False
) -> int:
    """List the versions of the policy, the newest first; `*` is the one in force.

    For example:

        bartizan policy history

        bartizan policy history --json

    Parameters
    ----------
    data
        The broker's data directory.
    config
        The configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print one JSON object.
    """
    versions, changed = _here(data, config) if server is None else _there(server)
    current = next((version for version in versions if version.stood), None)
    if json_output:
        told = [version.as_dict() for version in versions]
        number = None if current is None else current.number
        print(json.dumps({"current": number, "changed_by_hand": list(changed), "versions": told}))
    else:
        print("\n".join(_lines(versions, current, changed)))
    return 0


def _here(data: Path, config: Path | None) -> tuple[Sequence[Version], Sequence[str]]:
    """The versions, the newest first, and what was changed by hand since."""
    ground = Site.of(data, config).ground
    return ground.history.versions()[::-1], by_hand(ground.place, ground.history)


def _there(server: str) -> tuple[Sequence[Version], Sequence[str]]:
    with remote(server) as there:
        return [Version.from_dict(row) for row in there.every("/policy/versions")], there.get("/policy")[
            "changed_by_hand"
        ]


def _lines(versions: Sequence[Version], current: Version | None, changed: Sequence[str]) -> Iterator[str]:
    if not versions:
        yield "no policy is on record yet: `bartizan policy apply` begins the history"
    for version in versions:
        mark = "*" if version == current else " "
        what = f"rollback to {version.of}" if version.of is not None else version.kind.value
        fate = "" if version.state is State.IN_FORCE else f", {version.state.value}"
        note = f"  {version.note}" if version.note else ""
        at = version.at.strftime("%Y-%m-%d %H:%M:%S")
        yield f"{mark} {version.number:>4}  {version.digest[:DIGEST_CHARS]:12}  {at}  {version.who}  {what}{fate}{note}"
    if changed:
        yield f"changed by hand since: {', '.join(changed)}"
