"""`bartizan policy`: work with policy files."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from bartizan.config.load import read_file
from bartizan.policy import Problem
from bartizan.policy import check as check_policy

app = App(name="policy", help="Work with policy files.")


@app.command
def check(
    file: Path,
    /,
    *,
    strict: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Check a policy file: every problem with its line, column and a hint.

    Exit code 2 if there is an error.

    For example:

        bartizan policy check policy.toml

    Parameters
    ----------
    file
        The policy file.
    strict
        Exit code 1 when there are warnings.
    json_output
        Print one JSON object.
    """
    result = check_policy(read_file(file, "the policy file"), str(file))
    if json_output:
        print(json.dumps({"ok": result.ok, "errors": _plain(result.errors), "warnings": _plain(result.warnings)}))
    else:
        _show(file, result.errors, result.warnings)
    if not result.ok:
        return 2
    return 1 if strict and result.warnings else 0


def _plain(problems: Sequence[Problem]) -> list[dict[str, int | str]]:
    return [asdict(problem) for problem in problems]


def _show(file: Path, errors: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    for problem in errors:
        print(f"error: {problem}", file=sys.stderr)
    for problem in warnings:
        print(f"warning: {problem}", file=sys.stderr)
    if not errors:
        print(f"{file} is a valid policy")
