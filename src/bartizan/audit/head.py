"""The head of a log: how far it goes, signed, in a file of its own. It is locked by whoever appends.

It is written after the segment is synced: it never promises a record that a power cut could take, but may lag behind
one. It has one size, and fits one sector: a power cut leaves the old one, or the new one.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

from bartizan.audit.canonical import canonical
from bartizan.audit.keys import Purpose, SigningKey
from bartizan.audit.record import GENESIS

HEAD: Final = "head"
HEAD_BYTES: Final = 512
HEAD_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log goes, and since when no checkpoint was made."""

    seq: int = 0
    hash: str = GENESIS
    checkpoint_seq: int = 0
    checkpoint_ms: int = 0
    """When the last checkpoint was made."""
    interval_s: int = 0
    """How soon the next one was to follow then."""
    key: str = ""
    """The name of the key that signed this."""
    signature: str = ""

    @classmethod
    def read(cls, content: bytes) -> Self | None:
        """From its file; None if that says nothing."""
        try:
            told = json.loads(content)
            head = cls(**told)
            return head if all(type(value) is type(getattr(cls(), key)) for key, value in told.items()) else None
        except (ValueError, TypeError, RecursionError):
            return None

    @classmethod
    def of(cls, directory: Path) -> Self | None:
        """The head of a log, or of a copy of one."""
        try:
            return cls.read((directory / HEAD).read_bytes()[:HEAD_BYTES_MAX])
        except OSError:
            return None

    def statement(self, log: str) -> bytes:
        """What is signed: all that it says, and of which log."""
        said = {name: value for name, value in asdict(self).items() if name not in {"key", "signature"}}
        return canonical(said | {"log": log})

    def signed(self, key: SigningKey, log: str) -> Self:
        """The same, signed."""
        name, signature = key.sign(self.statement(log), Purpose.HEAD)
        return replace(self, key=name, signature=signature)

    def write(self, descriptor: int) -> None:
        """In place of what is there."""
        content = json.dumps(asdict(self)).encode().ljust(HEAD_BYTES - 1) + b"\n"
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
