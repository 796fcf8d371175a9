"""`bartizan policy promote`: the staged policy in force, if it would have decided nothing otherwise."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.place import is_expectations
from bartizan.broker.watching import Staged
from bartizan.cli.control import told_to
from bartizan.cli.listing import Flag
from bartizan.cli.observed import observations_of
from bartizan.cli.opening import existing
from bartizan.cli.policy.apply import Manner, apply
from bartizan.cli.policy.reading import counted
from bartizan.cli.policy.there import promote_there
from bartizan.errors import Conflict, EngineUnavailable, NotFound
from bartizan.model.observation import Watched
from bartizan.policy.payload import is_schema

_PLAIN = Manner()


def promote(
    *,
    despite_differences: Annotated[Flag, Parameter(help="Also if it would have decided otherwise.")] = False,
    manner: Manner = _PLAIN,
) -> int:
    """Put the staged policy in force, as `bartizan policy apply` does; refused if it would have decided otherwise.

    Exit code 1 if it was not put in force.

    For example:

        bartizan policy promote --yes --note "a week without a difference"
    """
    if manner.server is not None:
        return promote_there(manner.way(manner.server), despite_differences=despite_differences)
    store = observations_of(manner.data)
    policy = Staged.kept(store.fact("staged"))
    if policy is None:
        raise NotFound("no policy is staged: `bartizan policy stage NEW` does it")
    differences = len(store.observations(Watched.DIFFERS))
    lost = store.lost(Watched.DIFFERS)
    if (differences or lost) and not despite_differences:
        seen = counted(differences, "difference was", "differences were")
        raise Conflict(f"{seen} seen: look with `bartizan policy staged`, or say --despite-differences")
    with TemporaryDirectory(prefix="bartizan-staged-") as room:
        files = [Path(room) / name for name, _ in policy.texts]
        for file, (_, text) in zip(files, policy.texts, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
        # Its tests and its schemas lie beside it there.
        own = [file for file in files if not is_expectations(file.name) and not is_schema(file.name)]
        code = apply(*own, manner=manner)
    if code == 0 and not manner.dry_run:
        try:
            told_to(existing(Path.cwd() / manner.data).root, "/v1/policy/unstage")
        except EngineUnavailable:
            store.keep("staged", None)
    return code
