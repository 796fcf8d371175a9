"""A verb: its name, where it is, and what the list of verbs says of it, so that the list imports none of them."""

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cyclopts import App


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb that is imported when it is called."""

    name: str
    target: str
    """`module:function`, or `module:app` of several verbs in one module."""
    summary: str
    """The first paragraph of its docstring, or the `help` of its app."""


@dataclass(frozen=True, slots=True)
class Family:
    """Several verbs under one name, each in a module of its own."""

    name: str
    verbs: tuple[Verb, ...]
    summary: str


def add(app: App, verbs: Iterable[Verb | Family], words: Sequence[str]) -> App:
    """Adds these verbs to an app, for a call with these words: those of the command line that are no options."""
    for verb in verbs:
        called = words[:1] == [verb.name]
        if isinstance(verb, Family):
            app.command(add(App(name=verb.name, help=verb.summary), verb.verbs, words[1:] if called else []))
        elif called:
            app.command(_imported(verb), name=verb.name)
        else:
            # Of the one that is called the docstring is its help, of the others this line in the list.
            app.command(verb.target, name=verb.name, help=verb.summary)
    return app


def _imported(verb: Verb) -> Callable[..., Any]:
    """The function or app of a verb."""
    module, _, name = verb.target.partition(":")
    if module not in sys.modules:
        _import_without_collecting(module)
    return getattr(sys.modules[module], name)


def _import_without_collecting(module: str) -> None:
    """Imports a module and all that it needs, without looking for garbage meanwhile.

    What is imported stays until the end: to look through all of it, again and again as it grows and
    once more at the end, is a third of the time that a verb takes to start.
    """
    gc.disable()
    try:
        import_module(module)
    finally:
        gc.freeze()
        gc.enable()
