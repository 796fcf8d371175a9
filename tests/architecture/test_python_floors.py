"""The floors of the Python half that import-linter cannot see, and the words a name may not be made of."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PYTHON, ROOT, name_of

PACKAGE = ROOT / "src/bartizan"
MAY_IMPORT_ENGINE = {"model/topics.py", "policy/compiled.py", "store/embedded.py", "broker/native.py"}
# The load generator is in the same module of Rust, and is no part of the broker.
MAY_IMPORT_GENERATOR = {"cli/bench.py"}
VAGUE = {"manager", "helper", "helpers", "util", "utils", "common", "data", "info", "misc"}
# Pure rooms: no clock, no network, no files (`config/files.py` alone reads files).
PURE_ROOMS = {"model", "policy", "sparkplug", "config"}
IMPURE = {"socket", "asyncio", "time", "random", "secrets", "subprocess", "threading", "urllib", "httpx2"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def in_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_engine_is_imported_by_exactly_four_modules_and_the_generator_by_one() -> None:
    importers = {
        in_package(path) for path in PYTHON if any(name.startswith("bartizan._engine") for name in imports(path))
    }
    assert importers == MAY_IMPORT_ENGINE | MAY_IMPORT_GENERATOR
    for path in MAY_IMPORT_GENERATOR:
        names = {name for name in imports(PACKAGE / path) if name.startswith("bartizan._engine")}
        assert names == {"bartizan._engine", "bartizan._engine.bench"}


def test_the_languages_are_pure() -> None:
    impure = {
        in_package(path): sorted(set(imports(path)) & IMPURE)
        for path in PYTHON
        if path.is_relative_to(PACKAGE) and path.relative_to(PACKAGE).parts[0] in PURE_ROOMS
    }
    assert {path: names for path, names in impure.items() if names} == {}


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_every_python_file_opens_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_module_or_class_has_a_vague_name(path: Path) -> None:
    classes = [
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)
    ]
    assert path.stem not in VAGUE
    assert path.parent.name not in VAGUE
    assert [name for name in classes if name.lower().endswith(tuple(VAGUE - {"data", "info"}))] == []


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
