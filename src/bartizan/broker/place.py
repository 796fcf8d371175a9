"""Where the files of the policy lie, as `[policy] file` names them: reads them, and writes others in their place."""

import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bartizan.config.files import read_file
from bartizan.config.policy_files import TESTS, expectation_files, policy_files
from bartizan.errors import ConfigurationError
from bartizan.pki.files import sync_directory, write_durably
from bartizan.policy.payload import is_schema, schema_files

NEW_FILE = 0o640
"""The mode of a file that was not there before, unless another of the policy shows which one is wanted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Files, directories and patterns that together name a policy.

    Its files are told apart by their names; a schema by its way from the file that names it: `schemas/press.json`.
    The expectations beside a policy belong to it.
    """

    named: tuple[Path, ...]

    @classmethod
    def of(cls, named: Path | Sequence[Path]) -> "Place":
        """The place that this setting names."""
        return cls((named,) if isinstance(named, Path) else tuple(named))

    def files(self) -> dict[str, Path]:
        """The files that are there, by name."""
        found: dict[str, Path] = {}
        for name in self.named:
            files: Sequence[Path] = ()
            with suppress(ConfigurationError):  # a directory without a policy is one to fill
                files = policy_files(name)
            for file in files:
                if found.setdefault(file.name, file) != file:
                    raise _two(file.name, found[file.name], file)
                if not file.exists():
                    del found[file.name]
        policies = tuple(found.values())
        for name, file in tests_by_name(expectation_files(policies)).items():
            found.setdefault(name, file)
        for file in policies:
            for name in schema_files([(file.name, read_file(file, "the policy file"))]):
                path = file.parent / name
                if path.is_file() and found.setdefault(name, path) != path:
                    raise _two(name, found[name], path)
        return found

    def read(self) -> dict[str, bytes]:
        """Their contents by name."""
        return {name: read_file(path, "the policy file") for name, path in self.files().items()}

    def fit(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """These contents by the names that their files have here; `ConfigurationError` if they have no place.

        A single file in the place of a single file takes its name.
        """
        policies = [name for name in contents if not is_schema(name) and not is_expectations(name)]
        if len(policies) == len(self.named) == 1 and not _takes_many(self.named[0]):
            others = {name: content for name, content in contents.items() if name != policies[0]}
            return {self.named[0].name: contents[policies[0]]} | others
        paths, there = self._paths(contents), self.files()
        for name in there.keys() - paths.keys():
            if there[name] in self.named:
                what = "[policy] file names this file, and the new policy has none of its name"
                raise ConfigurationError(
                    what, str(there[name]), "give a new one as well, or take it out of the setting"
                )
        return dict(contents)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Makes these, which fit, the files of the policy, and no others. Each is replaced whole; modes and owners stay."""
        paths, there = self._paths(contents), self.files()
        neighbour = next(iter(there.values()), None)
        for name, path in paths.items():
            if not path.exists() or path.read_bytes() != contents[name]:
                _replace(path, contents[name], neighbour)
        # A schema that is named no longer stays: it may be somebody else's as well.
        for path in {path for name, path in there.items() if not is_schema(name)} - set(paths.values()):
            path.unlink()
            sync_directory(path.parent)

    def _paths(self, names: Iterable[str]) -> dict[str, Path]:
        there = self.files() | {each.name: each for each in self.named if not _takes_many(each)}
        return {name: there.get(name) or self._room_for(name) for name in names}

    def _room_for(self, name: str) -> Path:
        rooms = list(dict.fromkeys(room for each in self.named if (room := _room(each, name)) is not None))
        if len(rooms) == 1 or (rooms and is_expectations(name)):
            return rooms[0]
        where = ", ".join(map(str, self.named))
        if not rooms:
            fix = "name the file as one that is there, or set [policy] file to a directory"
            raise ConfigurationError(f"the policy has no place for {name}", where, fix)
        raise ConfigurationError(
            f"{name} could lie in more than one place", where, "give it the name of a file that is there"
        )


def is_expectations(name: str) -> bool:
    """Whether a file of this name says what a policy is expected to decide, and is no part of it."""
    return name.endswith(TESTS)


def tests_by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Files of expectations by the names under which they are kept with a policy; raises if two have the same."""
    found: dict[str, Path] = {}
    for file in files:
        name = file.name if is_expectations(file.name) else file.stem + TESTS
        if found.setdefault(name, file) != file:
            raise _two(name, found[name], file, "files of tests are kept with the policy as")
    return found


def texts_of(contents: Mapping[str, bytes], before: str = "") -> list[tuple[str, bytes]]:
    """The policy among the files of a place: without what is expected of it. `before` stands before each name."""
    return [(f"{before}{name}", content) for name, content in contents.items() if not is_expectations(name)]


def _takes_many(named: Path) -> bool:
    return named.is_dir() or (bool(set("*?[") & set(named.name)) and not named.exists())


def _room(named: Path, name: str) -> Path | None:
    """Where a file of this name would lie in a directory or pattern; None where it has no place."""
    if is_schema(name) or is_expectations(name):
        return (named if named.is_dir() else named.parent) / name
    if not name.endswith(".toml") or not _takes_many(named):
        return None
    if named.is_dir():
        return named / name
    return named.parent / name if fnmatchcase(name, named.name) else None


def _replace(path: Path, content: bytes, like: Path | None) -> None:
    """Replaces a file; one that is new has the mode and owner of its neighbour."""
    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path if path.exists() else like
    if known is None:
        write_durably(path, content, NEW_FILE)
    else:
        before = known.stat()
        write_durably(path, content, stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid))


def _two(name: str, first: Path, second: Path, what: str = "files of the policy are called") -> ConfigurationError:
    fix = "rename one of them: a policy, its versions too, has one file of a name"
    return ConfigurationError(f"two {what} {name}", f"{first}, {second}", fix)
