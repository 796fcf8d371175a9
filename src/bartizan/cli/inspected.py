"""What the verbs that look into a running broker share: they ask its control socket."""

from pathlib import Path
from typing import Any

from bartizan.cli.control import answered, asking
from bartizan.cli.opening import existing


def asked_of(data: Path, path: str, **params: object) -> Any:  # noqa: ANN401  what JSON holds
    """What the broker of this data directory answers; `InvalidValue` with its words where it refuses."""
    wanted = {name: str(value) for name, value in params.items() if value is not None}
    with asking(existing(Path.cwd() / data).root) as broker:
        return answered(broker.get(path, params=wanted))
