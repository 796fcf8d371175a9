"""The files that a command line names, and the options that verbs share. Nothing of a data directory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.reading import check_files, refusal
from bartizan.policy import CheckResult

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Named = Annotated[tuple[Path, ...], Parameter(name="--policy", negative=(), show_default=False)]


def good(named: Path | Sequence[Path]) -> CheckResult:
    """The policy that these files are; `ConfigurationError` with the first mistake of one that is none."""
    result = check_files(named)
    if result.policy is None:
        raise refusal(result, named)
    return result


def written(file: Path | None, text: str, say: Callable[[str], None]) -> None:
    """Writes a page to a file, or says it where no file is named."""
    if file is None:
        say(text)
    else:
        file.write_text(text, encoding="utf-8")
