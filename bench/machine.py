"""What was measured on, without the machine's name."""

import os
import platform
import subprocess
from pathlib import Path

GIB = 1024**3


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, system."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name", ":") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{pages / GIB:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": (_field(Path("/etc/os-release"), "PRETTY_NAME", "=") or "unknown").strip('"'),
        "network": "loopback",
        "load before": f"{os.getloadavg()[0]:.1f} processes wanted a core in the minute before",
    }


def commit(checkout: Path) -> str:
    """The checkout's commit, and whether files differ from it."""
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(checkout: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.strip()


def _field(file: Path, key: str, divider: str) -> str | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, found, value = line.partition(divider)
        if found and name.strip() == key:
            return value.strip()
    return None
