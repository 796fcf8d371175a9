"""The floors of the Rust half: what Cargo lists, what a module of core may use, what no shipped code does."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, RUST, is_test, name_of, shipped_rust

CORE = ROOT / "crates/bartizan-core"
ENGINE = ROOT / "crates/bartizan-engine"
BENCH = ROOT / "crates/bartizan-bench"
SEAM = ROOT / "crates/bartizan-python"

# Core reads no clock, draws no entropy, does no I/O and knows no Python (I1).
NOT_IN_CORE = {
    "tokio",
    "mio",
    "pyo3",
    "rand",
    "getrandom",
    "fastrand",
    "chrono",
    "time",
    "rustls",
    "socket2",
    "libc",
    "rustix",
}

# Which modules of core each may use; a module may always use itself.
CORE_MODULES: dict[str, set[str]] = {
    "octets": set(),
    "wire": {"octets"},
    "topic": {"octets"},
    "message": {"topic", "wire"},
    "parcel": {"topic", "wire", "message"},
    "limits": {"message"},
    "durable": {"wire", "message"},
    "policy": {"topic", "wire", "message", "parcel", "limits"},
    "event": {"topic", "wire", "message", "policy"},
    "session": {"topic", "wire", "message", "limits", "durable", "policy", "event"},
    "route": {"topic", "wire", "message", "durable", "policy", "session", "event"},
    "server": {
        "topic",
        "wire",
        "message",
        "parcel",
        "limits",
        "durable",
        "policy",
        "session",
        "event",
        "route",
        "output",
    },
    "output": {"topic", "wire", "message", "policy", "session", "event"},
}


def dependencies(crate: Path) -> set[str]:
    return set(tomllib.loads((crate / "Cargo.toml").read_text(encoding="utf-8")).get("dependencies", {}))


def core_module(path: Path) -> str:
    return path.relative_to(CORE / "src").parts[0].removesuffix(".rs")


def test_core_depends_on_nothing_that_does_io_or_reads_a_clock() -> None:
    assert dependencies(CORE) & NOT_IN_CORE == set()
    assert not any(name.startswith("bartizan") for name in dependencies(CORE))


def test_core_names_no_clock_no_entropy_and_no_socket() -> None:
    forbidden = re.compile(r"std::(net|fs|process|thread|env)\b|SystemTime|Instant::now|std::io::(Read|Write|stdin)")
    found = [
        name_of(path)
        for path in RUST
        if path.is_relative_to(CORE) and forbidden.search(shipped_rust(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_only_the_seam_knows_python() -> None:
    assert "pyo3" not in dependencies(ENGINE)
    assert "pyo3" in dependencies(SEAM)


def test_the_generator_stands_on_core_alone() -> None:
    """It measures any broker alike, so it may not know the engine."""
    ours = {name for name in dependencies(BENCH) if name.startswith("bartizan")}
    assert ours == {"bartizan-core"}
    assert "pyo3" not in dependencies(BENCH)


def test_core_forbids_unsafe_code() -> None:
    assert "#![forbid(unsafe_code)]" in (CORE / "src/lib.rs").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [path for path in RUST if path.is_relative_to(CORE)], ids=name_of)
def test_a_module_of_core_uses_only_modules_below_it(path: Path) -> None:
    module = core_module(path)
    if module == "lib":
        return
    used = set(re.findall(r"\bcrate::(\w+)", shipped_rust(path.read_text(encoding="utf-8"))))
    for group in re.findall(r"\bcrate::\{([^;]*)\};", shipped_rust(path.read_text(encoding="utf-8"))):
        used |= set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\{[^{}]*\}", "", group)))
    assert module in CORE_MODULES, f"{module} has no floor yet: give it one in CORE_MODULES"
    assert used - {module} <= CORE_MODULES[module]


@pytest.mark.parametrize("crate", [CORE, ENGINE, BENCH], ids=lambda crate: crate.name)
def test_shipped_code_does_not_panic_on_purpose(crate: Path) -> None:
    """Clippy denies these words; this denies switching clippy off as well."""
    words = re.compile(
        r"\.unwrap\(\)|\.expect\(|\bpanic!|\btodo!|\bunimplemented!|\bunreachable!"
        r"|allow\(clippy::(unwrap_used|expect_used|panic|indexing_slicing)"
    )
    found = {
        name_of(path): sorted({hit.group() for hit in words.finditer(shipped_rust(path.read_text(encoding="utf-8")))})
        for path in RUST
        if path.is_relative_to(crate) and not is_test(path)
    }
    assert {path: hits for path, hits in found.items() if hits} == {}


def test_every_rust_file_opens_with_its_map() -> None:
    assert [name_of(path) for path in RUST if not path.read_text(encoding="utf-8").startswith("//! ")] == []


def test_the_seam_stays_thin() -> None:
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in RUST if path.is_relative_to(SEAM))
    assert lines <= 1000
