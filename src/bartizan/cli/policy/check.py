"""`bartizan policy check`: is this a policy?"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bartizan.broker.reading import check_files
from bartizan.cli.policy.files import Flag, Json
from bartizan.policy import Problem


def check(*files: Path, strict: Flag = False, json_output: Json = False) -> int:
    """Check a policy: every problem with its line, column and a hint.

    Exit code 2 if there is an error.

    For example:

        bartizan policy check policy.toml

        bartizan policy check policy/ --strict

    Parameters
    ----------
    files
        The policy: files or directories of them, which together are one. Default: policy.toml.
    strict
        Exit code 1 when there are warnings.
    json_output
        Print one JSON object.
    """
    named = files or (Path("policy.toml"),)
    result = check_files(named)
    if json_output:
        print(json.dumps({"ok": result.ok, "errors": plain(result.errors), "warnings": plain(result.warnings)}))
    else:
        _show(named, result.errors, result.warnings)
    if not result.ok:
        return 2
    return 1 if strict and result.warnings else 0


def plain(problems: Sequence[Problem]) -> list[dict[str, int | str]]:
    """For `--json`."""
    return [asdict(problem) for problem in problems]


def _show(named: Sequence[Path], errors: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    for problem in errors:
        print(f"error: {problem}", file=sys.stderr)
    for problem in warnings:
        print(f"warning: {problem}", file=sys.stderr)
    if not errors:
        print(f"{', '.join(map(str, named))} is a valid policy")
