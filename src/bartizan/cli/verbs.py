"""A verb: its name, where it is, and what the list of verbs says of it, so that the list imports none of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
        else:
            # Of the one that is called all of the docstring is shown, of the others a line in the list.
            app.command(verb.target, name=verb.name, help=None if called else verb.summary)
    return app
