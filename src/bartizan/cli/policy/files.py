"""The files that a command line names, and the options that verbs share. Nothing of a data directory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.reading import read_files, refusal
from bartizan.policy import CheckResult, check_all

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Named = Annotated[tuple[Path, ...], Parameter(name="--policy", negative=(), show_default=False)]


def good(named: Path | Sequence[Path]) -> CheckResult:
    """The policy that these files are; `ConfigurationError` with the first mistake of one that is none."""
    return good_texts(named)[1]


def good_texts(named: Path | Sequence[Path]) -> tuple[list[tuple[str, bytes]], CheckResult]:
    """The same, and what the files say."""
    texts = read_files(named)
    result = check_all(texts)
    if result.policy is None:
        raise refusal(result, named)
    return texts, result


def written(file: Path | None, text: str, say: Callable[[str], None]) -> None:
    """Writes a page to a file, or says it where no file is named."""
    if file is None:
        say(text)
    else:
        file.write_text(text, encoding="utf-8")
