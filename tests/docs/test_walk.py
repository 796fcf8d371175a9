"""Guides that are walked through: their blocks run in order, in one directory, and print what they show.

`toml file=NAME` writes the file, `sh walk` runs (`exit=N` if it is to end so), and a `text output` behind
it is what it printed.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, blocks

WALKS = sorted({block.page for block in blocks(language="sh", mark="walk")})


def steps(page: str) -> list[Block]:
    every = [*blocks(language="toml"), *blocks(language="sh", mark="walk"), *blocks(language="text", mark="output")]
    return sorted((block for block in every if block.page == page), key=lambda block: block.line)


def mark(block: Block, name: str, default: str = "") -> str:
    return next((word.partition("=")[2] for word in block.words if word.startswith(f"{name}=")), default)


@pytest.mark.parametrize("page", WALKS)
def test_a_guide_can_be_walked(page: str, tmp_path: Path) -> None:
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
    # As in a checkout, of which a walk may change what it copies.
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    printed = ""
    for step in steps(page):
        if step.words[0] == "toml":
            if name := mark(step, "file"):
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(step.text)
        elif step.words[0] == "sh":
            command = ["sh", "-euc", step.text]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == int(mark(step, "exit", "0")), f"{step}\n{done.stdout}{done.stderr}"
            printed = done.stdout
        else:
            assert re.sub(r" +\n", "\n", printed) == step.text, str(step)


def test_there_is_a_guide_to_walk() -> None:
    assert "docs/guides/policy-as-code.md" in WALKS
