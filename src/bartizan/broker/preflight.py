"""A policy that is offered: looked at before it is put in force, and then put there, by the command line and the API.

What is looked at: mistakes, findings of lint, expectations, who gains and who loses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from bartizan.audit.trail import Trail
from bartizan.broker.change import Change, Running, by_hand, put_in_force, take_over
from bartizan.broker.history import History, Kind, Version
from bartizan.broker.place import Place, is_expectations, texts_of
from bartizan.broker.reading import each_once
from bartizan.errors import Conflict, InvalidValue
from bartizan.model.principal import Identity
from bartizan.policy import CheckResult, Problem, check_all
from bartizan.policy.advice import advise
from bartizan.policy.differences import Differences, compared
from bartizan.policy.expectations import read_expectations
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Subject
from bartizan.policy.testing import Outcome, outcomes_dict, report, run_expectations


def _nobody() -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a policy is changed, and what a new one is held against."""

    place: Place
    history: History
    running: Running | None
    trail: Trail
    identities: Callable[[], Iterable[Identity]] = _nobody
    """Who exists, as they act: with the roles of their groups."""
    sessions: Callable[[], Iterable[Subject]] = _nobody
    """Who is connected."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found about a new policy."""

    explainer: Explainer
    contents: Mapping[str, bytes]
    """Its files by the names that they will have."""
    is_other: bool
    """False if these very files are there already."""
    findings: Sequence[Problem]
    outcomes: Sequence[Outcome]
    changes: Differences | None
    """None where what is there is no policy, so that nothing can be compared with it."""

    @property
    def digest(self) -> str:
        """The name of the new policy."""
        return self.explainer.digest

    @property
    def tests_pass(self) -> bool:
        """True if it decides as expected, or nothing is expected."""
        return all(outcome.passed for outcome in self.outcomes)

    def lines(self) -> Iterator[str]:
        """For people."""
        for finding in self.findings:
            yield f"{finding.origin}:{finding.line}:{finding.column}: {finding.code}: {finding.message}"
        if self.outcomes:
            yield from report(self.explainer, self.outcomes)
        if self.changes is None:
            yield "what is there is no policy, so there is nothing to compare with"
        else:
            yield from self.changes.lines() if self.changes else ["it decides as the one before"]

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "digest": self.digest,
            "files": sorted(self.contents),
            "findings": [asdict(finding) for finding in self.findings],
            "tests": outcomes_dict(self.outcomes),
            "changes": None if self.changes is None else self.changes.as_dict(),
        }


def looked_at(
    ground: Ground, result: CheckResult, contents: Sequence[tuple[str, bytes]], outcomes: Sequence[Outcome] = ()
) -> Preflight:
    """What there is to say about a policy that was found good."""
    explainer = Explainer(result)
    fitting = ground.place.fit(each_once(contents))
    before, changes = _before(ground, fitting), None
    if before is not None:
        changes = compared(Explainer(before), explainer, ground.identities(), ground.sessions())
    return Preflight(explainer, fitting, fitting != ground.place.read(), advise(result), outcomes, changes)


def offered(ground: Ground, files: Mapping[str, bytes]) -> Preflight:
    """Looks at these files by name: a policy, its schemas, and what is expected of it; `InvalidValue` if one is wrong.

    Where nothing is expected of it, what is expected of the policy that is there is expected of it too.
    """
    texts = texts_of(files)
    result = check_all(sorted(texts))
    if result.policy is None:
        raise InvalidValue(str(result.errors[0]))
    tests = {name: content for name, content in files.items() if is_expectations(name)}
    beside = tests or {name: content for name, content in ground.place.read().items() if is_expectations(name)}
    outcomes = outcomes_of(Explainer(result), beside)
    return looked_at(ground, result, [*texts, *beside.items()], outcomes)


def brought_back(ground: Ground, number: int | None) -> tuple[Preflight, Version]:
    """Looks at an earlier version: this one, or the policy before the one in force."""
    version = _earlier(ground, number)
    contents = ground.history.read(version.number)
    result = check_all(texts_of(contents, f"version {version.number}/"))
    if not result.ok:
        raise InvalidValue(f"version {version.number} is no policy (any more): {result.errors[0]}")
    return looked_at(ground, result, list(contents.items())), version


def is_there(ground: Ground, found: Preflight) -> bool:
    """Whether it is in the files, on record and, where a broker runs, in force already."""
    is_loaded = ground.running is None or ground.running.digest() == found.digest
    return not found.is_other and is_loaded and _is_recorded(ground)


def put(  # noqa: PLR0913  what there is to say about a change
    ground: Ground,
    found: Preflight,
    kind: Kind = Kind.APPLY,
    *,
    at: datetime,
    note: str = "",
    takes_over: bool = False,
    of: int | None = None,
) -> Version:
    """Puts it in force, in the name of the trail's actor. Call it inside of `history.changing()`."""
    who = ground.trail.actor.name
    if found.is_other:
        take_over(ground.place, ground.history, ground.trail, who=who, at=at, allowed=takes_over)
    elif not _is_recorded(ground):
        kind = Kind.TAKE_OVER if ground.history.current() else Kind.FOUND
    change = Change(found.contents, found.digest, who, at, note, kind, of)
    return put_in_force(change, ground.place, ground.history, ground.running, ground.trail)


def refuse_by_hand(ground: Ground, how: str) -> None:
    """`Conflict` if the files were changed by hand since the last version; `how` says what takes that over."""
    changed = by_hand(ground.place, ground.history)
    if changed:
        raise Conflict(f"changed by hand since the last version: {', '.join(changed)}. {how}")


def _is_recorded(ground: Ground) -> bool:
    return ground.history.current() is not None and not by_hand(ground.place, ground.history)


def _earlier(ground: Ground, number: int | None) -> Version:
    if number is not None:
        return ground.history.version(number)
    current = ground.history.current()
    if current is None:
        raise Conflict("no policy is on record yet: `bartizan policy apply` begins the history")
    # What was changed by hand is undone by the version that it was changed from.
    return current if by_hand(ground.place, ground.history) else ground.history.before(current)


def outcomes_of(explainer: Explainer, tests: Mapping[str, bytes]) -> list[Outcome]:
    """What a policy decides of what is expected of it, in these files; `InvalidValue` if one of them is wrong."""
    roles = {role.name for role in explainer.places.policy.roles}
    windows = [window.name for window in explainer.places.policy.windows]
    read = [read_expectations(content, name, roles, windows) for name, content in sorted(tests.items())]
    problems = [problem for file in read for problem in file.problems]
    if problems:
        raise InvalidValue(str(problems[0]))
    return run_expectations(explainer, [each for file in read for each in file.expected])


def _before(ground: Ground, contents: Mapping[str, bytes]) -> CheckResult | None:
    """The policy to compare with: that which the broker has, be it in the files or on record; None if none is good."""
    there = texts_of({str(path): path.read_bytes() for path in ground.place.files().values()})
    current = ground.history.current()
    recorded = texts_of(ground.history.read(current.number), f"version {current.number}/") if current else None
    is_other = dict(texts_of(ground.place.read())) != dict(texts_of(contents))
    both = [there, recorded] if is_other else [recorded, there]
    good = [result for texts in both if texts and (result := check_all(texts)).ok]
    in_force = ground.running.digest() if ground.running else None
    return next((each for each in good if each.compiled and each.compiled.digest == in_force), next(iter(good), None))
