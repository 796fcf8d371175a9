"""docs/guides/five-minute-start.md, done as it is written: its commands are read from the page and run."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.ports import free_ports
from tests.docs.markdown import blocks
from tests.integration.conftest import COMMAND, Up

GUIDE = "docs/guides/five-minute-start.md"
REFUSED = "press-01/temperature -m 99.9"
"""What the guide says is refused."""


def steps() -> list[str]:
    """The commands of the page but its first, which starts the broker."""
    made = [line for block in blocks(language="sh") if GUIDE in str(block) for line in block.text.splitlines()]
    assert made[0] == "make run"
    assert len(made) > 5
    return made[1:]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory like the checkout after `make build`, with free ports in the configuration."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    program = tmp_path / ".venv/bin/bartizan"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    mqtts, wss = free_ports(2)
    data = tmp_path / "bartizan-data"
    data.mkdir(mode=0o700)
    (data / "bartizan.toml").write_text(
        f'[listeners.mqtts]\nbind = "127.0.0.1:{mqtts}"\n[listeners.wss]\nprotocol = "websocket"\n'
        f'bind = "127.0.0.1:{wss}"\n'
    )
    return tmp_path


@pytest.fixture
def running(checkout: Path, up: Callable[..., Up]) -> Up:
    return up(data=checkout / "bartizan-data", binds=())


def test_every_command_of_the_guide_works_as_written(checkout: Path, running: Up) -> None:
    for step in steps():
        # There may be other brokers on this machine, and a person ends --watch with Ctrl-C.
        typed = step.replace("$(pgrep -f 'bartizan up')", str(running.process.pid)).replace(" --watch", "")
        done = subprocess.run(
            ["sh", "-c", typed], cwd=checkout, env=os.environ, capture_output=True, text=True, timeout=30, check=False
        )
        if REFUSED in step:
            assert (done.returncode, "0x87" in done.stderr) == (1, True), done.stderr
        else:
            assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    running.wait_for("reloaded")
    assert running.process.poll() is None


def test_the_two_printed_commands_carry_a_message(running: Up, mosquitto_sub: Path, mosquitto_pub: Path) -> None:
    subscribe, publish = running.summary["subscribe"], running.summary["publish"]
    subprocess.run(["sh", "-c", f"{publish} -r"], timeout=15, check=True)
    read = subprocess.run(
        ["sh", "-c", f"{subscribe} -C 1 -W 8"], capture_output=True, text=True, timeout=15, check=True
    )
    assert read.stdout.endswith(" 71.5\n")
