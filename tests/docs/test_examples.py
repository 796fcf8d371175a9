"""What the documentation shows is true: blocks marked `run` run, TOML parses, marked policies compile.

A fence opens a block with its language and marks: `python run`, `sh run`, `toml policy`, `toml config`.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bartizan.config.schema import Settings
from bartizan.policy import check
from tests.docs.markdown import ROOT, Block, blocks


@pytest.mark.parametrize("block", blocks(language="toml"), ids=str)
def test_toml_parses(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks(language="toml", mark="policy"), ids=str)
def test_a_marked_policy_compiles(block: Block) -> None:
    assert check(block.text, origin=str(block)).errors == ()


@pytest.mark.parametrize("block", blocks(language="toml", mark="config"), ids=str)
def test_marked_settings_are_accepted(block: Block) -> None:
    assert Settings.model_validate(tomllib.loads(block.text))


@pytest.mark.parametrize("block", [*blocks(language="python", mark="run"), *blocks(language="sh", mark="run")], ids=str)
def test_a_marked_example_runs(block: Block, tmp_path: Path) -> None:
    command = [sys.executable, "-c", block.text] if block.words[0] == "python" else ["sh", "-euc", block.text]
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
