"""`bartizan policy diff`: what two policies decide differently, and for whom."""

import json
from pathlib import Path

from bartizan.broker.log import escaped
from bartizan.cli.clients import running_clients
from bartizan.cli.opening import existing
from bartizan.cli.policy.files import Flag, Json, good
from bartizan.cli.policy.reading import stored
from bartizan.errors import InvalidValue
from bartizan.policy.differences import Differences, compared, subject_of
from bartizan.policy.explain import Explainer


def diff(
    old: Path,
    new: Path,
    /,
    *,
    data: Path | None = None,
    live: Flag = False,
    json_output: Json = False,
) -> int:
    """Compare two policies by what they decide: what each role gains and loses, and what topics ask of messages.

    Exit code 1 if they differ.

    For example:

        bartizan policy diff policy.toml new.toml

        bartizan policy diff bartizan-data/policy.toml new/ --data bartizan-data --live

    Parameters
    ----------
    old
        The one policy: a file, a directory or a pattern.
    new
        The other one.
    data
        A data directory: each of its identities that gains or loses is told as well.
    live
        Also each live session of the broker that runs there. Needs --data.
    json_output
        Print one JSON object.
    """
    if live and data is None:
        raise InvalidValue("--live needs --data: the data directory of the broker that runs")
    found = differences(Explainer(good(old)), Explainer(good(new)), data, live=live)
    if json_output:
        print(json.dumps(found.as_dict()))
    elif found:
        print("\n".join(map(escaped, found.lines())))
    else:
        print("the two policies decide alike")
    return 1 if found else 0


def differences(
    old: Explainer, new: Explainer, data: Path | None, *, live: bool, config: Path | None = None
) -> Differences:
    """What the two decide differently: for roles, and for the identities and sessions of a data directory."""
    known = stored(data, config) if data is not None else ()
    sessions = running_clients(existing(Path.cwd() / data).root) if live and data is not None else ()
    return compared(old, new, known, map(subject_of, sessions))
