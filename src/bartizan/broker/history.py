"""The policies that were put in force: whole copies of their files, by whom, when and why.

policy-history/
  versions/000007.json   one change: digest, files, who, when, note; written anew when it is settled
  contents/SHA256        the octets of a file, once for all versions that have it
  lock                   held by whoever changes the policy

A change is on record before it takes effect. One that was left pending was interrupted.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from bartizan.broker.place import is_expectations
from bartizan.errors import Conflict, NotFound, StoreUnavailable
from bartizan.pki.files import PRIVATE, make_directory, write_durably

VERSIONS_MAX = 100
"""How many versions are kept, unless the settings say otherwise."""


class Kind(StrEnum):
    """How a version came to be."""

    FOUND = "found"
    """It was there before anything was on record."""
    APPLY = "apply"
    ROLLBACK = "rollback"
    TAKE_OVER = "take-over"
    """Its files had been changed by hand."""


class State(StrEnum):
    """What became of it."""

    PENDING = "pending"
    IN_FORCE = "in-force"
    """A broker took it."""
    WRITTEN = "written"
    """No broker ran: the next start takes it."""
    REFUSED = "refused"
    """The broker did not take it; the files before it were written back."""


_STOOD = frozenset((State.IN_FORCE, State.WRITTEN))


@dataclass(frozen=True, slots=True)
class Version:
    """One change of the policy."""

    number: int
    digest: str
    """The name of the policy; empty if its files were none."""
    files: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each."""
    at: datetime
    who: str
    note: str
    kind: Kind
    state: State
    previous: str
    """Digest of the version that was in force before; empty for the first."""
    of: int | None = None
    """The version that it brought back."""

    @property
    def stood(self) -> bool:
        """True if it came to be in force, or would have with a broker."""
        return self.state in _STOOD

    def decides_as(self, other: "Version") -> bool:
        """True if the other is the same policy: other comments or tests make no other one of it."""
        # A later release may give the same text another name.
        return self.digest == other.digest or self.policy_files() == other.policy_files()

    def policy_files(self) -> tuple[tuple[str, str], ...]:
        """Name and SHA-256 of the files without those of tests."""
        return tuple(each for each in self.files if not is_expectations(each[0]))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`, and for the file."""
        return asdict(self) | {"at": self.at.isoformat(timespec="seconds"), "files": dict(self.files)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Reads what `as_dict` wrote."""
        parts: dict[str, Any] = {
            "files": tuple(sorted(told["files"].items())),
            "at": datetime.fromisoformat(told["at"]),
            "kind": Kind(told["kind"]),
            "state": State(told["state"]),
        }
        return cls(**(dict(told) | parts))


class History:
    """The versions in one directory, the oldest of which give way."""

    def __init__(self, directory: Path, *, versions_max: int = VERSIONS_MAX) -> None:
        self._root = directory
        self._versions = directory / "versions"
        self._contents = directory / "contents"
        self._versions_max = versions_max

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Held while the policy is changed; `Conflict` if somebody else is changing it."""
        make_directory(self._root)
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            _take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def record(  # noqa: PLR0913  what there is to say about a change
        self,
        files: Mapping[str, bytes],
        note: str,
        who: str,
        *,
        digest: str,
        at: datetime,
        kind: Kind = Kind.APPLY,
        state: State = State.PENDING,
        of: int | None = None,
    ) -> Version:
        """Keeps these files as the next version. Call it, and `settle`, inside of `changing`."""
        versions, current = self.versions(), self.current()
        make_directory(self._contents)
        make_directory(self._versions)
        named = tuple(sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items()))
        for name, content_digest in named:
            if not (self._contents / content_digest).exists():
                write_durably(self._contents / content_digest, files[name], PRIVATE)
        number = versions[-1].number + 1 if versions else 1
        previous = current.digest if current else ""
        version = Version(number, digest, named, at, who, note, kind, state, previous, of)
        self._write(version)
        self._forget()
        return version

    def settle(self, version: Version, state: State) -> Version:
        """Says what became of a pending version."""
        settled = replace(version, state=state)
        self._write(settled)
        return settled

    def versions(self) -> list[Version]:
        """All versions on record, the oldest first."""
        if not self._versions.is_dir():
            return []
        return [self._load(file) for file in sorted(self._versions.glob("[0-9]*.json"))]

    def version(self, number: int) -> Version:
        """The version of this number; `NotFound` if it is not, or no longer, on record."""
        for version in self.versions():
            if version.number == number:
                return version
        raise NotFound(f"version {number} is not on record: see `bartizan policy history`")

    def current(self) -> Version | None:
        """The version that is in force, as far as the history knows."""
        return next((version for version in reversed(self.versions()) if version.stood), None)

    def before(self, version: Version) -> Version:
        """The version before this one that put another policy in force; `NotFound` if there is none."""
        for earlier in reversed(self.versions()):
            # What was put on record with mistakes in it, no broker ever took.
            if earlier.number < version.number and earlier.stood and earlier.digest and not earlier.decides_as(version):
                return earlier
        raise NotFound("no earlier policy is on record: see `bartizan policy history`")

    def read(self, number: int) -> dict[str, bytes]:
        """The files of a version by name; `StoreUnavailable` if what is kept is not what was recorded."""
        found: dict[str, bytes] = {}
        for name, digest in self.version(number).files:
            try:
                content = (self._contents / digest).read_bytes()
            except OSError as error:
                raise StoreUnavailable(f"{name} of version {number} cannot be read: {error}") from None
            if hashlib.sha256(content).hexdigest() != digest:
                raise StoreUnavailable(f"{name} of version {number} was changed in the history: it is not used")
            found[name] = content
        return found

    def _load(self, file: Path) -> Version:
        try:
            return Version.from_dict(json.loads(file.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreUnavailable(f"{file} is no version of a policy: {error!r}") from None

    def _write(self, version: Version) -> None:
        content = json.dumps(version.as_dict(), indent=2, ensure_ascii=False) + "\n"
        write_durably(self._versions / f"{version.number:06}.json", content.encode(), PRIVATE)

    def _forget(self) -> None:
        """Lets the oldest go, but never the one in force, and then the contents that none has any more."""
        versions, current = self.versions(), self.current()
        old = versions[: max(0, len(versions) - self._versions_max)]
        for version in [each for each in old if each != current]:
            (self._versions / f"{version.number:06}.json").unlink()
            versions.remove(version)
        wanted = {digest for version in versions for _, digest in version.files}
        for content in self._contents.iterdir():
            if content.name not in wanted:
                content.unlink()


def _take(descriptor: int) -> None:
    """Takes the lock, or says who holds it. The system lets go of it with the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        raise Conflict(
            f"the policy is being changed already{f' (process {holder})' if holder else ''}: wait, then look at "
            f"`bartizan policy history`"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
