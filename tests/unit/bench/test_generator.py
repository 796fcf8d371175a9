"""How the generator is called, and what is made of its end."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.generator import Generator, door_words
from bench.process import Door
from tests.unit.bench.measured import SCENARIO

CORE = min(os.sched_getaffinity(0))


def said(tmp_path: Path, body: str) -> tuple[dict[str, Any], str | None]:
    program = tmp_path / "generator"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    program.chmod(0o755)
    return Generator(program, CORE).run(
        SCENARIO, Door(1883), [7, 8], label="x", seconds=2.0, warm_up_s=1.0, directory=tmp_path
    )


def test_it_is_told_where_what_how_long_and_whom_to_watch(tmp_path):
    line, error = said(tmp_path, "import json; print(json.dumps({'words': sys.argv[1:], 'error': None}))")
    words = " ".join(line["words"])
    assert error is None
    assert words.startswith("run pairs --host 127.0.0.1 --port 1883 --mqtt 3.1.1")
    assert "--pid 7 --pid 8 --seconds 2 --warmup 2" in words


def test_a_password_goes_through_a_private_file(tmp_path):
    words = door_words(Door(1, "5", Path("ca.crt"), "bench", "geheim"), tmp_path)
    file = Path(words[words.index("--password-file") + 1])
    assert "geheim" not in words
    assert file.read_text() == "geheim"
    assert file.stat().st_mode & 0o077 == 0
    assert words[:2] == ["--host", "localhost"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('print(\'{"error": "nothing arrived for 10 s"}\'); sys.exit(1)', "nothing arrived for 10 s"),
        ("print('a\\nno such scenario', file=sys.stderr); sys.exit(2)", "no such scenario"),
        ("sys.exit(3)", "the generator ended with 3 and said nothing"),
    ],
)
def test_a_failure_is_told_with_its_reason(tmp_path, body, reason):
    assert said(tmp_path, body)[1] == reason


def test_a_flawed_run_is_no_failure(tmp_path):
    line, error = said(tmp_path, 'print(\'{"ok": false, "error": null, "lost": 3, "per_cpu_s": 5}\'); sys.exit(1)')
    assert (line["lost"], error) == (3, None)
