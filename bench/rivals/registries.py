"""Installs from package registries through their ordinary clients, into directories of the checkout."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.rivals.base import UnobtainableError

SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian puts servers; not in everybody's PATH."""
LONGEST_S = 3600


def program(name: str, *, missing: str) -> str:
    """The path of a program, or why it cannot be had."""
    found = shutil.which(name) or shutil.which(name, path=SYSTEM_PROGRAMS)
    if found is None:
        raise UnobtainableError(f"{name} is not installed: {missing}")
    return found


def command(argv: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str] | None = None) -> str:
    """Runs one to its end with its output in `log`; what it printed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(  # noqa: S603  our own words
                argv,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnobtainableError(f"{argv[0]} did not end within {LONGEST_S} s") from None
    text = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode != 0:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = next((line for line in lines if line.lower().startswith(("error", "[error]", "e:"))), None)
        raise UnobtainableError(told or (lines[-1] if lines else f"{argv[0]} failed without a word"))
    return text


def from_debian(package: str, name: str, place: Path) -> str:
    """The path of a program of a Debian package, installed where this may be done."""
    if shutil.which(name) is None and shutil.which(name, path=SYSTEM_PROGRAMS) is None:
        apt = program("apt-get", missing="this is not Debian; install it by hand")
        if os.geteuid() != 0:
            raise UnobtainableError(f"needs root: apt-get install {package}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        place.mkdir(parents=True, exist_ok=True)
        command([apt, "update", "-qq"], cwd=place, log=place / "apt-update.log", environment=quiet)
        command(
            [apt, "install", "-y", "-qq", "--no-install-recommends", package],
            cwd=place,
            log=place / "apt.log",
            environment=quiet,
        )
    return program(name, missing=f"apt-get install {package}")


def from_pypi(requirement: str, place: Path) -> Path:
    """The `bin` directory of a virtual environment with it."""
    venv = place / "venv"
    if not _is_there(venv, requirement):
        python = program("python3", missing="install Python 3.11 or newer")
        shutil.rmtree(venv, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        command([python, "-m", "venv", str(venv)], cwd=place, log=place / "venv.log")
        pip = [str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        command([*pip, requirement], cwd=place, log=place / "pip.log")
        _mark(venv, requirement)
    return venv / "bin"


def from_npm(source: Path, place: Path) -> Path:
    """A copy of `source` with what its package-lock.json names."""
    npm = program("npm", missing="install Node.js 20 or newer")
    return _built(source, place, [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


def from_go(source: Path, place: Path) -> Path:
    """A copy of `source` with its program, named `server`."""
    go = program("go", missing="install Go 1.21 or newer")
    return _built(source, place, [go, "build", "-trimpath", "-o", "server", "."])


def from_maven(source: Path, place: Path) -> Path:
    """A copy of `source`, compiled to `classes`, with what its pom.xml names in `jars`."""
    javac = program("javac", missing="install a JDK, 17 or newer")
    maven = program("mvn", missing="install Maven")
    fetch = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"]
    compile_ = [javac, "-cp", "jars/*", "-d", "classes", "Main.java"]
    return _built(source, place, fetch, compile_)


def from_crates(crate: str, version: str, place: Path) -> Path:
    """The program of a crate; its own dependencies are the newest that fit."""
    cargo = program("cargo", missing="install Rust")
    built = place / "bin" / crate
    if not (built.exists() and _is_there(place, version)):
        place.mkdir(parents=True, exist_ok=True)
        argv = [cargo, "install", crate, "--version", version, "--root", ".", "--target-dir", "target"]
        command(argv, cwd=place, log=place / "cargo.log")
        shutil.rmtree(place / "target", ignore_errors=True)
        _mark(place, version)
    return built


def from_cargo(source: Path, place: Path) -> Path:
    """The program `server` of a Cargo project, built with its lock file."""
    cargo = program("cargo", missing="install Rust")
    target = place / "target"
    _built(source, place, [cargo, "build", "--release", "--locked", "--target-dir", str(target)])
    return target / "release/server"


def _built(source: Path, place: Path, *steps: Sequence[str]) -> Path:
    """A copy of `source` in which each step was run; made anew when `source` changed."""
    state = "".join(f"{path.name}\n{path.read_text(encoding='utf-8')}" for path in sorted(source.rglob("*.*")))
    copy = place / "built"
    if not _is_there(copy, state):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        for number, step in enumerate(steps):
            command(step, cwd=copy, log=place / f"step-{number}.log")
        _mark(copy, state)
    return copy


def _is_there(place: Path, state: str) -> bool:
    mark = place / ".obtained"
    return mark.exists() and mark.read_text(encoding="utf-8") == state


def _mark(place: Path, state: str) -> None:
    (place / ".obtained").write_text(state, encoding="utf-8")
