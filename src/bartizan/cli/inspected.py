"""What the verbs that look into a running broker share: they ask its control socket."""

from pathlib import Path
from typing import Any

from bartizan.cli.control import asking
from bartizan.cli.opening import existing
from bartizan.errors import InvalidValue


def asked_of(data: Path, path: str, **params: object) -> Any:  # noqa: ANN401  what JSON holds
    """What the broker of this data directory answers; `InvalidValue` with its words where it refuses."""
    wanted = {name: str(value) for name, value in params.items() if value is not None}
    with asking(existing(Path.cwd() / data).root) as broker:
        answer = broker.get(path, params=wanted)
    told = answer.json()
    if answer.is_error:
        raise InvalidValue(told.get("error", f"the broker refused it ({answer.status_code})"))
    return told
