"""The sources under their budgets, and just enough reading of Rust to measure them."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = sorted((ROOT / "src").rglob("*.py"))
RUST = sorted((ROOT / "crates").glob("*/src/**/*.rs"))
BUDGETS = tomllib.loads((Path(__file__).parent / "budgets.toml").read_text(encoding="utf-8"))

_FN = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:default |const |async |unsafe |extern \"C\" )*fn (\w+)")
_NOISE = re.compile(
    r"""r(?P<hashes>\#*)".*?"(?P=hashes)   # raw strings
      | "(?:\\.|[^"\\])*"                # strings
      | '(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'   # characters, not lifetimes
      | //[^\n]*                         # comments
      | /\*.*?\*/""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Function:
    """A function and how long it is."""

    path: str
    name: str
    lines: int


def name_of(path: Path) -> str:
    """The path as budgets.toml spells it."""
    return path.relative_to(ROOT).as_posix()


def is_test(path: Path) -> bool:
    """A file of tests beside the code it tests; a contract is the suite that every adapter of a port runs."""
    return path.stem in {"tests", "contract"} or path.stem.endswith("_tests")


def bare_rust(text: str) -> str:
    """The text with strings, characters and comments blanked, its line breaks kept."""
    return _NOISE.sub(lambda hit: "\n" * hit.group().count("\n"), text)


def shipped_rust(text: str) -> str:
    """The bare text without its `#[cfg(test)]` modules, which by custom end a file."""
    return re.split(
        r"^#\[cfg\(test\)\]\s*\n(?:#\[.*\]\s*\n)*(?:pub\(\w+\) )?mod \w+ \{",
        bare_rust(text),
        flags=re.MULTILINE,
    )[0]


def rust_functions(path: Path) -> Iterator[Function]:
    """Every function of a Rust file outside its tests."""
    lines = shipped_rust(path.read_text(encoding="utf-8")).splitlines()
    for start, line in enumerate(lines):
        if found := _FN.match(line):
            length = _length(lines[start:])
            if length:
                yield Function(name_of(path), found.group(1), length)


def _length(lines: list[str]) -> int:
    depth = 0
    for count, line in enumerate(lines, start=1):
        if depth == 0 and line.rstrip().endswith(";") and "{" not in line:
            return 0
        depth += line.count("{") - line.count("}")
        if depth <= 0 and "}" in line:
            return count
    return len(lines)


def python_functions(path: Path) -> Iterator[Function]:
    """Every function of a Python file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(name_of(path), node.name, (node.end_lineno or node.lineno) - node.lineno + 1)


def functions() -> list[Function]:
    """Every function that ships."""
    return [
        *(each for path in PYTHON for each in python_functions(path)),
        *(each for path in RUST for each in rust_functions(path)),
    ]


def file_lines() -> dict[str, int]:
    """Lines of every file that ships, without the tests inside Rust files."""
    python = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    rust = {name_of(path): len(shipped_rust(path.read_text(encoding="utf-8")).splitlines()) for path in RUST}
    return python | rust
