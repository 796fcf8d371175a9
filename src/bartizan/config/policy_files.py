"""Which files a policy is made of: a file, a directory, a pattern such as `policy/*.toml`, or a list of these.

The order is stable: as written, and by name inside a directory or pattern. What ends in `.test.toml`
stands beside a policy and is none (`bartizan policy test`).
"""

from collections.abc import Sequence
from pathlib import Path

from bartizan.errors import ConfigurationError

TESTS = ".test.toml"
_PATTERN = frozenset("*?[")


def policy_files(named: Path | Sequence[Path]) -> tuple[Path, ...]:
    """The files, each once; `ConfigurationError` where a name stands for none."""
    names = [named] if isinstance(named, Path) else named
    return tuple(dict.fromkeys(file for name in names for file in _files(name)))


def expectation_files(named: Path | Sequence[Path]) -> tuple[Path, ...]:
    """The `*.test.toml` beside the files of a policy, in order of name."""
    places = dict.fromkeys(file.parent for file in policy_files(named))
    return tuple(file for place in places for file in sorted(place.glob(f"*{TESTS}")))


def _files(name: Path) -> Sequence[Path]:
    if name.is_dir():
        return _found(sorted(name.glob("*.toml")), name, "this directory holds no policy")
    if _PATTERN & set(name.name) and not name.exists():
        return _found(sorted(name.parent.glob(name.name)), name, "no file of this name is a policy")
    return [name]


def _found(files: Sequence[Path], name: Path, message: str) -> Sequence[Path]:
    policies = [file for file in files if not file.name.endswith(TESTS) and file.is_file()]
    if not policies:
        # Nothing would be permitted: that is never what a path is written for.
        raise ConfigurationError(message, str(name), "correct the path, or put a .toml file there")
    return policies
