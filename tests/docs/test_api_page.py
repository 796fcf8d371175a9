"""The page about the API says what is served: every operation, every permission; and its examples run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bartizan.api.permissions import ROLES
from bartizan.api.rest import describe
from bartizan.model.operator import OperatorRole
from tests.docs.markdown import ROOT, blocks
from tests.integration.conftest import Up, started
from tests.left_out import require_program

PAGE = ROOT / "docs/reference/api.md"


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found.group(1)


def rows(title: str) -> Iterator[list[str]]:
    for line in section(title).splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_operation_is_on_the_page_with_its_permission():
    told: dict[tuple[str, str], str] = {}
    for cells in rows("Operations"):
        asked = cells[1].strip("`") or "anyone"
        for method, path in re.findall(r"(GET|POST|PUT|PATCH|DELETE) ([^`]+)", cells[0]):
            told[method, path] = "self" if asked == "a login" else asked
    served = {
        (method.upper(), re.sub(r"\{(\w+)\}", _word, path)): operation["x-permission"]
        for path, methods in describe()["paths"].items()
        for method, operation in methods.items()
    }
    del told["GET", "/openapi.json"]
    assert told == served


def _word(name: re.Match[str]) -> str:
    return "ID" if name[1] in {"id", "client_id"} else name[1].upper()


def test_the_table_of_permissions_is_that_of_the_code():
    told = {
        cells[0].strip("`"): {role for role, cell in zip(OperatorRole, cells[1:5], strict=True) if cell == "yes"}
        for cells in rows("Permissions")
    }
    assert told == {permission.value: set(roles) for permission, roles in ROLES.items()}


def test_its_examples_run_in_their_order(tmp_path: Path):
    require_program("curl", "curl")
    with started() as start:
        up: Up = start(tmp_path, data=tmp_path / "bartizan-data")
        command = f"bartizan() {{ {sys.executable} -c 'from bartizan.cli import main; main()' \"$@\"; }}\n"
        written = "\n".join(block.text for block in blocks(language="sh", mark="api"))
        script = command + written.replace("127.0.0.1:8444", up.summary["api"]).replace(
            "curl -sS", "curl -sS --fail-with-body"
        )
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=tmp_path,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"state":"quarantined"' in done.stdout
        acted = up.wait_for("operator_acted", operator="alice")
        assert acted["outcome"] == "201"
