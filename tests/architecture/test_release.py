"""One version everywhere, and a README whose commands are the ones that CI runs."""

import re
import tomllib
from pathlib import Path


def toml(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_the_package_and_the_workspace_have_one_version(root: Path) -> None:
    package = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert package == toml(root / "Cargo.toml")["workspace"]["package"]["version"]


def test_the_changelog_has_the_version(root: Path) -> None:
    package = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"## {package}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_runs_the_test_command_of_the_readme(root: Path) -> None:
    first = re.search(r"```sh\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first.group(1).splitlines()] == ["make run", "make test"]
    assert "step make test\n" in (root / ".ci/run").read_text(encoding="utf-8")
