"""The stub of the seam says what the built engine is: every member, every argument, and nothing else."""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from types import BuiltinFunctionType
from typing import Any

import pytest

from bartizan import _engine
from tests.architecture.sources import ROOT

STUB = ROOT / "src/bartizan/_engine.pyi"
TREE = ast.parse(STUB.read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
# What every object has, and is not the seam's own.
INHERITED = set(dir(object)) | set(dir(Exception)) | {"__module__", "__weakref__"}


def attributes() -> Iterator[tuple[str, str | None]]:
    """Every attribute of the stub, as `Class.name`, and the text beneath it."""
    for name, node in CLASSES.items():
        for each, beneath in pairwise([*node.body, node]):
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                text = beneath.value if isinstance(beneath, ast.Expr) else None
                yield f"{name}.{each.target.id}", str(text.value) if isinstance(text, ast.Constant) else None


def members() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function and method of the stub, as `name` or `Class.name`."""
    for node in TREE.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if isinstance(each, ast.FunctionDef))


def built(name: str) -> Any:
    """What the engine has under this name."""
    found: Any = _engine
    for part in name.split("."):
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
    return found


def decorated(node: ast.FunctionDef, word: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == word for each in node.decorator_list)


def stub_arguments(node: ast.FunctionDef) -> list[tuple[str, str, bool]]:
    """Name, kind and whether it may be left out, of every argument but `self` and `cls`."""
    optional = {name.arg for name, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default}
    plain = [arg.arg for arg in node.args.args if arg.arg not in {"self", "cls"}]
    return [(name, "positional", False) for name in plain] + [
        (arg.arg, "keyword", arg.arg in optional) for arg in node.args.kwonlyargs
    ]


def built_arguments(function: Any) -> list[tuple[str, str, bool]]:
    return [
        (
            each.name,
            "keyword" if each.kind is inspect.Parameter.KEYWORD_ONLY else "positional",
            each.default is not inspect.Parameter.empty,
        )
        for each in inspect.signature(function).parameters.values()
        if each.name not in {"self", "cls"}
    ]


@pytest.mark.parametrize(("name", "node"), list(members()), ids=[name for name, _ in members()])
def test_a_member_of_the_stub_is_in_the_engine_as_it_says(name: str, node: ast.FunctionDef) -> None:
    found = built(name)
    assert ast.get_docstring(node), "the stub is the seam's documentation"
    assert isinstance(found, staticmethod) == decorated(node, "staticmethod")
    called = built(name.partition(".")[0]) if node.name == "__new__" else found
    function = called.__func__ if isinstance(called, staticmethod) else called
    assert built_arguments(function) == stub_arguments(node)


@pytest.mark.parametrize(("name", "text"), list(attributes()), ids=[name for name, _ in attributes()])
def test_an_attribute_of_the_stub_is_in_the_engine(name: str, text: str | None) -> None:
    assert text, "the stub is the seam's documentation"
    assert inspect.isdatadescriptor(built(name))


def test_the_engine_has_nothing_that_the_stub_does_not_say() -> None:
    stubbed = {name for name, _ in members()} | {name for name, _ in attributes()} | CLASSES.keys()
    found: set[str] = set()
    for name, value in vars(_engine).items():
        if inspect.isclass(value):
            found |= {name} | {f"{name}.{each}" for each in vars(value) if each not in INHERITED}
        elif isinstance(value, BuiltinFunctionType):
            found.add(name)
    assert found == {name for name in stubbed if name.rpartition(".")[2] not in INHERITED}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_has_the_base_and_the_finality_that_the_stub_says(name: str) -> None:
    node, found = CLASSES[name], built(name)
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)] or ["object"]
    assert [base.__name__ for base in found.__bases__] == bases
    final = any(isinstance(each, ast.Name) and each.id == "final" for each in node.decorator_list)
    may_be_inherited = bool(found.__flags__ & (1 << 10))  # Py_TPFLAGS_BASETYPE
    assert final != may_be_inherited


def test_arguments_are_keywords_so_that_a_call_says_what_it_passes() -> None:
    positional = [name for name, node in members() for _, kind, _ in stub_arguments(node) if kind == "positional"]
    assert positional == []


def test_the_stub_stays_small() -> None:
    assert len(STUB.read_text(encoding="utf-8").splitlines()) <= 300
