"""`bartizan policy test`: does the policy decide what is expected of it?"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.broker.place import tests_by_name
from bartizan.cli.policy.files import Json, good
from bartizan.config.files import read_file
from bartizan.config.policy_files import expectation_files
from bartizan.errors import ConfigurationError
from bartizan.policy.expectations import Expectations, read_expectations
from bartizan.policy.explain import Explainer
from bartizan.policy.testing import Outcome, junit, outcomes_dict, report, run_expectations


def run_tests(
    *files: Path,
    tests: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = (),
    junit_file: Annotated[Path | None, Parameter(name="--junit")] = None,
    json_output: Json = False,
) -> int:
    """Run the expectations beside a policy: `*.test.toml`, with what must be allowed and what denied.

    Exit code 1 if the policy decides one of them otherwise.

    For example:

        bartizan policy test policy.toml

        bartizan policy test policy/ --junit report.xml

    Parameters
    ----------
    files
        The policy: files or directories of them, which together are one. Default: policy.toml.
    tests
        A file of expectations; several times. Default: every *.test.toml beside the policy.
    junit_file
        Write the outcomes into this file as JUnit XML.
    json_output
        Print one JSON object.
    """
    named = files or (Path("policy.toml"),)
    explainer = Explainer(good(named))
    places = tests or expectation_files(named)
    if not places:
        raise ConfigurationError("there are no expectations", str(named[0]), "write NAME.test.toml beside the policy")
    outcomes = outcomes_of(explainer, places)
    if outcomes is None:
        return 2
    if junit_file is not None:
        junit_file.write_text(junit(explainer, outcomes), encoding="utf-8")
    print(json.dumps(outcomes_dict(outcomes)) if json_output else "\n".join(report(explainer, outcomes)))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def outcomes_of(explainer: Explainer, files: Sequence[Path]) -> list[Outcome] | None:
    """What becomes of the expectations in these files; None, and the mistakes on standard error, if one is wrong."""
    read = expectations_of(explainer, files)
    return None if read is None else run_expectations(explainer, [each for file in read for each in file.expected])


def expectations_of(explainer: Explainer, files: Sequence[Path]) -> list[Expectations] | None:
    """The expectations in these files; None, and the mistakes on standard error, if one is wrong."""
    read = [_read(explainer, file) for file in files]
    problems = [problem for each in read for problem in each.problems]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return None if problems else read


def read_tests(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """These files of expectations, by the names under which they are kept with the policy."""
    for name, file in tests_by_name(files).items():
        yield name, read_file(file, "the file of expectations")


def _read(explainer: Explainer, file: Path) -> Expectations:
    roles = {role.name for role in explainer.places.policy.roles}
    windows = [window.name for window in explainer.places.policy.windows]
    return read_expectations(read_file(file, "the file of expectations"), str(file), roles, windows)
