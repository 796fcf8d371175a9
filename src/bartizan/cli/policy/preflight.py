"""What is looked at before a policy is put in force: mistakes, findings, expectations, who gains and who loses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bartizan.audit.trail import Trail
from bartizan.broker.history import History
from bartizan.broker.place import Place, texts_of
from bartizan.broker.reading import by_name, each_once, read_files, refusal
from bartizan.cli.control import RunningBroker
from bartizan.cli.opening import existing, settings_of, trail_of
from bartizan.cli.policy.check import plain as plain_problems
from bartizan.cli.policy.diff import Differences, differences
from bartizan.cli.policy.testing import outcomes_of, read_tests
from bartizan.cli.policy.testing import plain as plain_outcomes
from bartizan.config.policy_files import expectation_files
from bartizan.policy import CheckResult, Problem, check_all
from bartizan.policy.advice import advise
from bartizan.policy.explain import Explainer
from bartizan.policy.testing import Outcome, report


@dataclass(frozen=True, slots=True)
class Site:
    """A data directory whose policy is to be changed."""

    data: Path
    config: Path | None
    place: Place
    history: History
    running: RunningBroker | None
    trail: Trail

    @classmethod
    def of(cls, data: Path, config: Path | None) -> "Site":
        """The files, the history and, if one runs, the broker of a data directory."""
        directory = existing(Path.cwd() / data)
        settings = settings_of(directory, config)
        running = RunningBroker.on(directory.root)
        # A broker may have been started with other settings than those of the data directory.
        place = running.place() if running else Place.of(settings.policy.file or directory.policy)
        history = History(directory.policy_history, versions_max=settings.policy.history_max)
        return cls(data, config, place, history, running, trail_of(directory, settings))


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
        """For `--json`."""
        return {
            "digest": self.digest,
            "files": sorted(self.contents),
            "findings": plain_problems(self.findings),
            "tests": plain_outcomes(self.outcomes),
            "changes": None if self.changes is None else self.changes.as_dict(),
        }


def preflight(site: Site, new: Sequence[Path], tests: Sequence[Path] = ()) -> Preflight | None:
    """Looks at these files; None, and the mistakes on standard error, if they or their tests are wrong."""
    texts = read_files(new)
    result = check_all(texts)
    if result.policy is None:
        raise refusal(result, new)
    # Of tests beside the new policy and beside the one that is there, those of the new one count.
    beside = tests or expectation_files(new) or expectation_files(tuple(site.place.files().values()))
    outcomes = outcomes_of(Explainer(result), beside)
    if outcomes is None:
        return None
    return looked_at(site, result, [*by_name(texts), *read_tests(beside)], outcomes)


def looked_at(
    site: Site, result: CheckResult, contents: Sequence[tuple[str, bytes]], outcomes: Sequence[Outcome] = ()
) -> Preflight:
    """What there is to say about a policy that was found good."""
    explainer = Explainer(result)
    fitting = site.place.fit(each_once(contents))
    before, changes = _before(site, fitting), None
    if before is not None:
        live = site.running is not None
        changes = differences(Explainer(before), explainer, site.data, live=live, config=site.config)
    return Preflight(explainer, fitting, fitting != site.place.read(), advise(result), outcomes, changes)


def _before(site: Site, contents: Mapping[str, bytes]) -> CheckResult | None:
    """The policy to compare with: that which the broker has, be it in the files or on record; None if none is good."""
    there = texts_of({str(path): path.read_bytes() for path in site.place.files().values()})
    current = site.history.current()
    recorded = texts_of(site.history.read(current.number), f"version {current.number}/") if current else None
    is_other = dict(texts_of(site.place.read())) != dict(texts_of(contents))
    both = [there, recorded] if is_other else [recorded, there]
    good = [result for texts in both if texts and (result := check_all(texts)).ok]
    in_force = site.running.digest() if site.running else None
    return next((each for each in good if each.compiled and each.compiled.digest == in_force), next(iter(good), None))
