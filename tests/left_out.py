"""What a test may do when the machine lacks a program it needs: be left out, loudly, and never in CI."""

import os
import shutil
from pathlib import Path

import pytest

LEFT_OUT = "LEFT OUT"


def leave_out(what: str, fix: str) -> None:
    """Skips the calling test and has it named at the end of the run; with CI=true it fails instead."""
    reason = f"{LEFT_OUT}: {what}; to run it: {fix}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_program(name: str, debian_package: str) -> Path:
    """The program's path; without it the calling test is left out."""
    found = shutil.which(name)
    if found is None:
        leave_out(f"{name} is not installed", f"apt-get install {debian_package}")
    return Path(str(found))


def require_directory(path: Path, fix: str) -> Path:
    """The directory's path; without it the calling test is left out."""
    if not path.is_dir():
        leave_out(f"{path.name} is not installed", fix)
    return path
