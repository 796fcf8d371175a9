"""What a topic's messages are made of, and what becomes of one that is not: the values, and the files they name."""

import json
import posixpath
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from bartizan.policy.source import Position

SCHEMA_BYTES_MAX: Final = 1024 * 1024
SUFFIXES: Final[Mapping[str, str]] = {"schema": ".json", "file": ".proto"}
"""The keys of a payload that name a file, and what such a file ends in."""


class Enforce(StrEnum):
    """What becomes of a message that is not as declared."""

    OFF = "off"
    """It is counted, and goes on."""
    WARN = "warn"
    """It is told and counted, and goes on."""
    REJECT = "reject"
    """It is told, counted and refused."""


class PayloadFormat(StrEnum):
    """What a payload is made of."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"
    PROTOBUF = "protobuf"
    SPARKPLUG = "sparkplug"


TEXTUAL: Final = frozenset({PayloadFormat.JSON, PayloadFormat.TEXT})
"""Formats whose examples are written as they are; those of the others are Base64."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What the payloads of a topic are."""

    format: PayloadFormat
    at: Position
    schema: str = ""
    """The text of the JSON Schema, in one form, or of the `.proto`."""
    file: str = ""
    """The file that it is from, as the topic names it; empty where it stands in the policy."""
    origin: str = ""
    """That file, as messages name it."""
    type_name: str = ""
    pattern: str = ""
    bytes_max: int | None = None

    @property
    def asks_anything(self) -> bool:
        """False if every payload fits."""
        return self.format is not PayloadFormat.BYTES or self.bytes_max is not None

    def as_image(self) -> dict[str, object]:
        """Its form in a policy image (`policy/contract.rs`, `PayloadSpec`): what it does not say is not there."""
        image: dict[str, object] = {"format": self.format.value}
        parts = {"schema": self.schema, "type": self.type_name, "pattern": self.pattern, "bytes_max": self.bytes_max}
        return image | {key: value for key, value in parts.items() if value not in ("", None)}

    def __str__(self) -> str:
        words = [FORMAT_WORDS[self.format]]
        words += [f"message {self.type_name}"] if self.type_name else []
        words += [f"by {self.file}"] if self.file else ["by a schema"] if self.schema else []
        words += [f"that matches {self.pattern}"] if self.pattern else []
        words += [f"of at most {self.bytes_max:,} octets"] if self.bytes_max is not None else []
        return " ".join(words)


FORMAT_WORDS: Final[Mapping[PayloadFormat, str]] = {
    PayloadFormat.JSON: "JSON",
    PayloadFormat.TEXT: "text",
    PayloadFormat.BYTES: "octets",
    PayloadFormat.PROTOBUF: "protobuf",
    PayloadFormat.SPARKPLUG: "Sparkplug B",
}
"""Formats as people name them."""

ENFORCE_WORDS: Final[Mapping[Enforce, str]] = {
    Enforce.OFF: "counted, and passed on",
    Enforce.WARN: "told, and passed on",
    Enforce.REJECT: "refused",
}
"""What becomes of a message that is not as declared, in words."""


@dataclass(frozen=True, slots=True)
class Example:
    """A payload as a topic shows it."""

    text: str
    """As it is, or in Base64."""
    payload: bytes
    at: Position


def is_schema(name: str) -> bool:
    """True if a file of this name is what a payload names, and no policy."""
    return name.endswith(tuple(SUFFIXES.values()))


def schema_place(origin: str, name: str) -> str | None:
    """Where a file lies that a policy of this origin names: beside it or below. None if the name leads elsewhere."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        return None
    return posixpath.join(posixpath.dirname(origin), str(path))


def schema_files(texts: Iterable[tuple[str, str | bytes]]) -> tuple[str, ...]:
    """The files that the payloads of these policy texts name, each once. What is no TOML names none: `check` tells."""
    found: dict[str, None] = {}
    for origin, text in texts:
        for key, name in _named(text):
            place = schema_place(origin, name)
            if place is not None and name.endswith(SUFFIXES[key]):
                found[place] = None
    return tuple(found)


def _named(text: str | bytes) -> Iterable[tuple[str, str]]:
    try:
        root = tomllib.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        return
    topics = root.get("topics")
    for topic in topics.values() if isinstance(topics, dict) else ():
        payload = topic.get("payload") if isinstance(topic, dict) else None
        if isinstance(payload, dict):
            yield from ((key, payload[key]) for key in SUFFIXES if isinstance(payload.get(key), str))


def canonical(schema: object) -> str:
    """JSON in one form: the same schema gives the same policy. `ValueError` if it holds what JSON cannot."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
