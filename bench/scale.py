"""What a broker with very many identities and roles costs: its start, its memory, a change of either.

    .venv/bin/python -m bench.scale --identities 1000000 --roles 10000

One line of JSON. Every identity has one role of the many, two attributes and a certificate; every role permits topics of
its own, with the identity's name in them. Times are by the clock, of a broker that nobody else uses.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bartizan.cli.control import asking
from bartizan.errors import EngineUnavailable
from bench.identities import bring, write_file
from bench.process import Running, running
from bench.proofs import LISTENER, asked, command

WITHIN_S = 1_800.0
ROLES_PER_FILE = 2_000
POLICY = '[policy]\nfile = "{}"\n'
POLL_S = 0.01


def write_policy(directory: Path, roles: int, qos_max: int = 2) -> None:
    """One role after the other, in files of a size that a file of a policy may have."""
    directory.mkdir(exist_ok=True)
    for first in range(0, roles, ROLES_PER_FILE):
        lines: list[str] = []
        for at in range(first, min(first + ROLES_PER_FILE, roles)):
            lines += [
                f"[roles.press-{at:05}]",
                'binds = { press = "client_id" }',
                f'permit = [{{ action = "publish", filter = "data/{at:05}/{{press}}/#", qos_max = {qos_max} }},',
                f'  {{ action = "subscribe", filter = "orders/{at:05}/{{press}}" }}]',
                f'forbid = [{{ action = "publish", filter = "data/{at:05}/+/raw" }}]',
            ]
        (directory / f"presses-{first:05}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def told(data: Path, method: str, path: str) -> dict[str, Any]:
    """What the running broker answers on its own machine."""
    with asking(data) as client:
        answer = client.request(method, path, timeout=WITHIN_S)
        answer.raise_for_status()
        return dict(answer.json())


def waited(one: Running, holds: Callable[[], bool]) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not holds():
        if not one.is_alive() or time.monotonic() - began > WITHIN_S:
            raise SystemExit(f"the broker: {one.last_words()}")
        time.sleep(POLL_S)
    return round(time.monotonic() - began, 2)


def resident_mib(one: Running) -> float:
    """Memory of the broker."""
    kib = sum(
        int(line.split()[1])
        for pid in one.pids()
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("VmRSS")
    )
    return round(kib / 1024, 1)


def is_ready(data: Path) -> bool:
    """Whether it answers."""
    try:
        return told(data, "GET", "/v1/status")["state"] == "ready"
    except (OSError, EngineUnavailable):
        return False


def epoch(data: Path) -> int:
    """How often policy or identities have changed since the start."""
    return int(told(data, "GET", "/v1/status")["policy"]["epoch"])


def changed(one: Running, data: Path, change: Callable[[], object]) -> float:
    """Seconds from an order until it is in force on every reactor."""
    before, began = epoch(data), time.monotonic()
    change()
    waited(one, lambda: epoch(data) > before)
    return round(time.monotonic() - began, 2)


def measured(data: Path, roles: int) -> dict[str, float]:
    """A broker on what is there: its start, its memory, a change of one identity, a change of the policy."""
    policy = data.parent / "policy"
    with running(command(data), core=0, directory=data.parent) as one:
        start_s = waited(one, lambda: is_ready(data))
        memory = resident_mib(one)
        words = ("identity", "set", "press-0000000", "--note", "changed", "--data", str(data))
        identity_s = changed(one, data, lambda: asked(*words))
        write_policy(policy, roles, qos_max=1)
        policy_s = changed(one, data, lambda: told(data, "POST", "/v1/reload"))
        return {
            "start_s": start_s,
            "memory_mib": memory,
            "identity_change_s": identity_s,
            "policy_change_s": policy_s,
            "memory_after_mib": resident_mib(one),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identities", type=int, default=1_000_000)
    parser.add_argument("--roles", type=int, default=10_000)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-scale-") as made_in:
        data = Path(made_in) / "data"
        data.mkdir(mode=0o700)
        policy = data.parent / "policy"
        write_policy(policy, words.roles)
        (data / "bartizan.toml").write_text(
            LISTENER.format(kind="mqtts", port=0) + POLICY.format(policy), encoding="utf-8"
        )
        with running(command(data), core=0, directory=data.parent) as one:
            waited(one, lambda: is_ready(data))
        file = Path(made_in) / "identities.csv"
        write_file(file, words.identities, "certificate", words.roles)
        import_s = round(asyncio.run(bring(str(data / "identities.sqlite"), None, file)), 2)
        file.unlink()
        figures = {"identities": words.identities, "roles": words.roles, "import_s": import_s}
        print(json.dumps(figures | measured(data, words.roles)))


if __name__ == "__main__":
    main()
