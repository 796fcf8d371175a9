"""The data directory whose policy the command line changes, and what is looked at before it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bartizan.broker.history import History
from bartizan.broker.place import Place
from bartizan.broker.preflight import Ground, Preflight, looked_at
from bartizan.broker.reading import by_name
from bartizan.cli.clients import running_clients
from bartizan.cli.control import RunningBroker
from bartizan.cli.opening import existing, settings_of, trail_of
from bartizan.cli.policy.files import good_texts
from bartizan.cli.policy.reading import stored
from bartizan.cli.policy.testing import outcomes_of, read_tests
from bartizan.config.policy_files import expectation_files
from bartizan.policy.differences import subject_of
from bartizan.policy.explain import Explainer


@dataclass(frozen=True, slots=True)
class Site:
    """A data directory whose policy is to be changed."""

    data: Path
    config: Path | None
    ground: Ground

    @classmethod
    def of(cls, data: Path, config: Path | None) -> "Site":
        """The files, the history and, if one runs, the broker of a data directory."""
        directory = existing(Path.cwd() / data)
        settings = settings_of(directory, config)
        running = RunningBroker.on(directory.root)
        # A broker may have been started with other settings than those of the data directory.
        place = running.place() if running else Place.of(settings.policy.file or directory.policy)
        history = History(directory.policy_history, versions_max=settings.policy.history_max)
        ground = Ground(
            place,
            history,
            running,
            trail_of(directory, settings),
            lambda: stored(data, config),
            lambda: map(subject_of, running_clients(directory.root) if running else ()),
        )
        return cls(data, config, ground)


def preflight(site: Site, new: Sequence[Path], tests: Sequence[Path] = ()) -> Preflight | None:
    """Looks at these files; None, and the mistakes on standard error, if they or their tests are wrong."""
    texts, result = good_texts(new)
    # Of tests beside the new policy and beside the one that is there, those of the new one count.
    beside = tests or expectation_files(new) or expectation_files(tuple(site.ground.place.files().values()))
    outcomes = outcomes_of(Explainer(result), beside)
    if outcomes is None:
        return None
    return looked_at(site.ground, result, [*by_name(texts), *read_tests(beside)], outcomes)
