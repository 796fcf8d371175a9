"""The load generator, crate bartizan-bench: one process and one line for each run."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plan import Scenario
from bench.process import HOST, Door, pinned
from bench.records import parse_line

WARM_UP_S = 1.0
PATIENCE_S = 60.0
"""With a broker that lets nobody in or delivers nothing: some hash a password for each of 1,000 clients."""
SLACK_S = 3 * PATIENCE_S
"""For connecting, draining, and its own patience with a broker that says nothing more."""


@dataclass(frozen=True, slots=True)
class Generator:
    """Where its program is, and the core it gets."""

    program: Path
    core: int

    def run(  # noqa: PLR0913  one of each
        self,
        scenario: Scenario,
        door: Door,
        pids: Sequence[int],
        *,
        label: str,
        seconds: float,
        warm_up_s: float,
        directory: Path,
    ) -> tuple[dict[str, Any], str | None]:
        """Its line, and why there is no figure in it."""
        argv = [str(self.program), "run", scenario.load, *door_words(door, directory), *scenario.arguments]
        argv += [word for pid in pids for word in ("--pid", str(pid))]
        argv += ["--seconds", f"{seconds:g}", "--warmup", f"{WARM_UP_S + warm_up_s:g}", "--label", label]
        argv += ["--stall", f"{PATIENCE_S:g}", "--quiet"]
        try:
            done = subprocess.run(  # noqa: S603
                pinned(self.core, argv),
                capture_output=True,
                text=True,
                timeout=seconds + warm_up_s + SLACK_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {}, f"the generator did not end within {seconds + warm_up_s + SLACK_S:.0f} s"
        line = parse_line(done.stdout)
        if not line:
            words = done.stderr.strip().splitlines()
            return {}, words[-1] if words else f"the generator ended with {done.returncode} and said nothing"
        error = line.get("error")
        return line, str(error) if error is not None else None


def door_words(door: Door, directory: Path) -> list[str]:
    """How the generator is told where to go and as whom; the password goes through a file."""
    words = ["--host", HOST if door.ca_file is None else "localhost", "--port", str(door.port), "--mqtt", door.mqtt]
    if door.ca_file is not None:
        words += ["--tls", "--ca", str(door.ca_file)]
    if door.user is not None and door.password is not None:
        file = directory / "generator-password"
        file.touch(0o600)
        file.write_text(door.password, encoding="utf-8")
        words += ["--user", door.user, "--password-file", str(file)]
    return words
