"""A change of the policy as one step: on record, written, in force; or everything as it was before."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bartizan.audit.shown import difference
from bartizan.audit.trail import Trail
from bartizan.broker.history import History, Kind, State, Version
from bartizan.broker.place import Place, texts_of
from bartizan.errors import BartizanError, ChangeRefused, Conflict
from bartizan.policy import check_all


class Running(Protocol):
    """A broker that runs, as much as a change of the policy needs of it."""

    def digest(self) -> str:
        """The name of the policy in force."""
        ...

    def reload(self) -> Mapping[str, Any]:
        """Has it read everything again; a `ReloadReport` as a table. Returns when the policy is in force."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """New contents for the files of a policy."""

    contents: Mapping[str, bytes]
    digest: str
    who: str
    at: datetime
    note: str = ""
    kind: Kind = Kind.APPLY
    of: int | None = None


def put_in_force(change: Change, place: Place, history: History, running: Running | None, trail: Trail) -> Version:
    """Records, writes and, where a broker runs, has it reload; `ChangeRefused` with all as before if it does not.

    Call it inside of `history.changing()`, with contents that were found good.
    """
    contents = place.fit(change.contents)
    current = history.current()
    lost, gained = difference(_shown(current.digest if current else "", place.read()), _shown(change.digest, contents))
    with trail.changing(f"policy.{change.kind}", "policy", before=lost, after=gained, why=change.note):
        return _put(change, contents, place, history, running)


def _put(
    change: Change, contents: Mapping[str, bytes], place: Place, history: History, running: Running | None
) -> Version:
    before = place.read()
    version = history.record(
        contents,
        change.note,
        change.who,
        digest=change.digest,
        at=change.at,
        kind=change.kind,
        of=change.of,
    )
    try:
        place.write(contents)
        if running is not None:
            _reload(running, change.digest)
    except BaseException:
        if before:
            place.write(before)
        history.settle(version, State.REFUSED)
        if running is not None:
            _go_back(running, change.digest)
        raise
    return history.settle(version, State.WRITTEN if running is None else State.IN_FORCE)


def _reload(running: Running, digest: str) -> None:
    report = running.reload()
    if "policy" not in report["applied"]:
        raise ChangeRefused(
            f"the broker refused the policy, and the files are as before: {'; '.join(report['refused'])}"
        )
    found = running.digest()
    if found != digest:
        raise ChangeRefused(
            f"the broker loaded another policy ({found[:12]}) than was written: does it read other files?"
        )


def _go_back(running: Running, digest: str) -> None:
    """The broker must not go on with a policy whose files are gone; a failure here is told by the first one."""
    try:
        if running.digest() == digest:
            running.reload()
    except BartizanError:
        return


def undo_interrupted(place: Place, history: History, running: Running | None, trail: Trail) -> Version | None:
    """Undoes a change that was interrupted: the files of the version before it. None if there is nothing to undo."""
    pending = next((version for version in reversed(history.versions()) if version.state is State.PENDING), None)
    if pending is None:
        return None
    current = history.current()
    after = {"version": current.number} if current else None
    said = {"version": pending.number, "digest": pending.digest}
    with trail.changing("policy.undo", "policy", before=said, after=after):
        if current is not None:
            place.write(history.read(current.number))
            if running is not None:
                _go_back(running, pending.digest)
        return history.settle(pending, State.REFUSED)


def by_hand(place: Place, history: History) -> tuple[str, ...]:
    """Names of the files that are not as the history has them; empty if all are, or if it has none."""
    current = history.current()
    if current is None:
        return ()
    kept, there = history.read(current.number), place.read()
    return tuple(sorted(name for name in kept.keys() | there.keys() if kept.get(name) != there.get(name)))


def take_over(place: Place, history: History, trail: Trail, *, who: str, at: datetime, allowed: bool) -> Version | None:
    """Puts what is there on record, if it is not: what was found at first, or what was changed by hand.

    `Conflict` for the second where it is not allowed.
    """
    there = place.read()
    changed = by_hand(place, history)
    if history.current() is None:
        kind, note = Kind.FOUND, "as it was before anything was on record"
    elif changed:
        if not allowed:
            raise Conflict(
                f"changed by hand since the last version: {', '.join(changed)}. Look with `bartizan policy diff`; "
                f"--take-over puts it on record, or `bartizan policy rollback --take-over` undoes it"
            )
        kind, note = Kind.TAKE_OVER, f"changed by hand: {', '.join(changed)}"
    else:
        return None
    if not there:
        return None
    compiled = check_all(texts_of(there)).compiled
    digest = compiled.digest if compiled else ""
    with trail.changing(f"policy.{kind}", "policy", after=_shown(digest, there), why=note):
        return history.record(there, note, who, digest=digest, at=at, kind=kind, state=State.WRITTEN)


def _shown(digest: str, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """A policy as the record of changes has it. Its texts are in the history, by these hashes."""
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return {"digest": digest, "files": files}
