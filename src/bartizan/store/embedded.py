"""The engine's own store, while no broker runs on it: Sessions, queues, Retained Messages, Wills.

The engine alone knows its files. Here its words become values, and its refusals our errors.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan import _engine
from bartizan.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call has come that another thread makes."""

    what: str
    done: int
    of: int
    """0: not known."""


class EmbeddedStore:
    """The store in a directory. Every call but `progress` waits until it is done."""

    def __init__(self, path: Path) -> None:
        self._tool = _engine.StoreTool(path=path)

    def check(self) -> dict[str, Any]:
        """Counts, segments and damage of everything stored; nothing is changed."""
        return _value(self._tool.check)

    def export_to(self, file: Path) -> dict[str, Any]:
        """Writes everything into a file of lines; how many of each kind."""
        return _value(self._tool.export_to, file=file)

    def import_from(self, file: Path) -> dict[str, Any]:
        """Makes the store of such a file, in place of none or an empty one; how many of each kind."""
        return _value(self._tool.import_from, file=file)

    def compact(self) -> dict[str, Any]:
        """Gives free room back to the disk; bytes before and after."""
        return _value(self._tool.compact)

    def progress(self) -> Progress:
        """How far the call that another thread makes has come."""
        return Progress(*self._tool.progress())


def _value(call: Callable[..., bytes], **words: Path) -> dict[str, Any]:
    try:
        return json.loads(call(**words))
    except _engine.StoreError as error:
        raise StoreUnavailable(str(error)) from None
