"""What a topic says about its messages: `payload`, `enforce`, `rate_per_s`, `retention_s`, `provenance`, `examples`."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from bartizan.policy.condition import PAYLOAD_BYTES_MAX
from bartizan.policy.contract import Topic
from bartizan.policy.fields import Reader
from bartizan.policy.json_places import JsonError, parse_json
from bartizan.policy.payload import (
    SCHEMA_BYTES_MAX,
    SUFFIXES,
    TEXTUAL,
    Enforce,
    Example,
    Payload,
    PayloadFormat,
    canonical,
    schema_place,
)
from bartizan.policy.source import Problem
from bartizan.policy.syntax import Path

KEYS: Final = ("payload", "enforce", "rate_per_s", "retention_s", "provenance", "examples")
"""The keys of a topic that are read here."""
RATE_MAX: Final = 1_000_000
RETENTION_MAX: Final = 2**32 - 1
EXAMPLES_MAX: Final = 64

_PAYLOAD_KEYS: Final = ("format", "schema", "file", "type", "pattern", "bytes_max")
_CONTRACT_KEYS: Final = ("enforce",)
_OF_FORMAT: Final[Mapping[str, frozenset[PayloadFormat]]] = {
    "schema": frozenset({PayloadFormat.JSON}),
    "file": frozenset({PayloadFormat.PROTOBUF}),
    "type": frozenset({PayloadFormat.PROTOBUF}),
    "pattern": frozenset({PayloadFormat.TEXT}),
}
"""Keys that mean something to these formats alone."""

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Messages:
    """What was read."""

    payload: Payload | None
    enforce: Enforce | None
    rate_per_s: int | None
    retention_s: int | None
    provenance: bool
    examples: tuple[Example, ...]


def messages(reader: Reader, path: Path, body: Mapping[str, object]) -> Messages:
    """What the topic of this table says about its messages."""
    payload = _payload(reader, (*path, "payload"), body)
    return Messages(
        payload,
        enforcement(reader, (*path, "enforce"), body),
        _bound(reader, (*path, "rate_per_s"), body, RATE_MAX),
        _bound(reader, (*path, "retention_s"), body, RETENTION_MAX),
        reader.flag((*path, "provenance"), body, default=False),
        _examples(reader, (*path, "examples"), body, payload),
    )


def contract(reader: Reader, body: object) -> Enforce | None:
    """The `[contract]` table: what holds for topics that are not declared, and for those that say nothing of their own."""
    table = reader.table(("contract",), body)
    reader.refuse_unknown(("contract",), table, _CONTRACT_KEYS)
    return enforcement(reader, ("contract", "enforce"), table)


def enforcement(reader: Reader, path: Path, body: Mapping[str, object]) -> Enforce | None:
    """This word; None if there is none."""
    return _word(reader, path, body, Enforce)


def alike(reader: Reader, topics: Iterable[Topic]) -> None:
    """Of topics that differ in names of variables only, one may say what messages are: a message cannot tell them apart."""
    first: dict[str, Topic] = {}
    for topic in topics:
        if not topic.says_what_messages_are:
            continue
        other = first.setdefault(topic.template.widest_filter, topic)
        if other is not topic:
            message = f"a message cannot tell this topic from {other.template.text}, which says what its messages are"
            reader.wrong(("topics", topic.template.text), message, f"one of the two may have {', '.join(KEYS[:4])}")


def _word(reader: Reader, path: Path, body: Mapping[str, object], words: type[_Word]) -> _Word | None:
    key = str(path[-1])
    if key not in body:
        return None
    value, known = body[key], [word.value for word in words]
    if isinstance(value, str) and value in known:
        return words(value)
    hint = reader.did_you_mean(value, known) if isinstance(value, str) else ""
    reader.wrong_value(path, f"{key} is one of {', '.join(known)}", hint)
    return None


def _bound(reader: Reader, path: Path, body: Mapping[str, object], most: int, least: int = 1) -> int | None:
    return reader.whole(path, body, least, (least, most)) if str(path[-1]) in body else None


def _payload(reader: Reader, path: Path, body: Mapping[str, object]) -> Payload | None:
    if "payload" not in body:
        return None
    value = body["payload"]
    # A format alone is written without a table.
    if not isinstance(value, (str, Mapping)):
        reader.wrong_value(path, "payload is a format or a table", 'write payload = "json"')
        return None
    table = {"format": value} if isinstance(value, str) else reader.table(path, value)
    reader.refuse_unknown(path, table, _PAYLOAD_KEYS)
    if "format" not in table:
        reader.wrong_value(path, "a payload has a format", 'write payload = { format = "json", schema = "press.json" }')
        return None
    form = _word(reader, (*path, "format"), table, PayloadFormat)
    if form is None:
        return None
    for key, formats in _OF_FORMAT.items():
        if key in table and form not in formats:
            reader.wrong((*path, key), f"a payload of format {form} has no {key}", f"it is for {', '.join(formats)}")
    if form is PayloadFormat.PROTOBUF and not {"file", "type"} <= table.keys():
        hint = 'write payload = { format = "protobuf", file = "press.proto", type = "plant.Press" }'
        reader.wrong_value(path, "a protobuf payload has a file and a type", hint)
    schema, file, origin = _schema(reader, path, table, form)
    return Payload(
        form,
        reader.at(path),
        schema,
        file,
        origin,
        reader.text((*path, "type"), table),
        reader.text((*path, "pattern"), table),
        _bound(reader, (*path, "bytes_max"), table, PAYLOAD_BYTES_MAX, 0),
    )


def _schema(reader: Reader, path: Path, table: Mapping[str, object], form: PayloadFormat) -> tuple[str, str, str]:
    """The schema's text, the file that is named, and where that lies."""
    key = "file" if form is PayloadFormat.PROTOBUF else "schema"
    place, value = (*path, key), table.get(key)
    if value is None or form not in _OF_FORMAT[key]:
        return "", "", ""
    if isinstance(value, str):
        return _from_file(reader, place, value, key)
    if key == "schema" and isinstance(value, (Mapping, bool)):
        try:
            return canonical(value), "", ""
        except (TypeError, ValueError, RecursionError):
            reader.wrong_value(place, "the schema holds what JSON cannot: a date, a time, nan or inf", "quote it")
            return "", "", ""
    expected = "a file's name, or a JSON Schema as a table" if key == "schema" else "a file's name"
    reader.wrong_value(place, f"{key} is {expected}", f'write {key} = "press{SUFFIXES[key]}"')
    return "", "", ""


def _from_file(reader: Reader, place: Path, name: str, key: str) -> tuple[str, str, str]:
    origin = schema_place(reader.at(place).origin or reader.tree.source.origin, name)
    if origin is None or not name.endswith(SUFFIXES[key]):
        hint = f"it lies beside the policy's file or below, and ends in {SUFFIXES[key]}"
        reader.wrong_value(place, f"{name!r} is no place of a schema", hint)
        return "", "", ""
    content = reader.tree.schemas.get(origin)
    if content is None:
        reader.wrong_value(place, f"there is no file {origin}", "correct the name, or put the file there")
        return "", "", ""
    if len(content) > SCHEMA_BYTES_MAX:
        reader.wrong_value(place, f"{origin} has more than {SCHEMA_BYTES_MAX} octets")
        return "", "", ""
    try:
        text = content.decode()
        return (canonical(parse_json(text)) if key == "schema" else text), name, origin
    except UnicodeDecodeError:
        reader.problems.append(Problem(origin, 1, 1, "this is not UTF-8", "save the file as UTF-8"))
    except JsonError as error:
        reader.problems.append(Problem(origin, error.line, error.column, error.message, "a schema is JSON"))
    except ValueError as error:
        reader.problems.append(Problem(origin, 1, 1, str(error), "a schema is JSON"))
    return "", "", ""


def _examples(reader: Reader, path: Path, body: Mapping[str, object], payload: Payload | None) -> tuple[Example, ...]:
    if "examples" not in body:
        return ()
    entries = reader.entries(path, body["examples"])
    if len(entries) > EXAMPLES_MAX:
        reader.wrong_value(path, f"examples has at most {EXAMPLES_MAX} entries")
    found = (_example(reader, (*path, at), entry, payload) for at, entry in enumerate(entries[:EXAMPLES_MAX]))
    return tuple(example for example in found if example is not None)


def _example(reader: Reader, place: Path, entry: object, payload: Payload | None) -> Example | None:
    at = reader.tree.value_at(place)
    if not isinstance(entry, str):
        try:
            text = canonical(entry)
        except (TypeError, ValueError, RecursionError):
            reader.wrong_value(place, "this example cannot be written as JSON", "write it as a text")
            return None
        return Example(text, text.encode(), at)
    if payload is None or payload.format in TEXTUAL:
        return Example(entry, entry.encode(), at)
    try:
        return Example(entry, base64.b64decode(entry, validate=True), at)
    except (binascii.Error, ValueError):
        reader.wrong_value(place, f"an example of format {payload.format} is Base64", "base64 < payload.bin")
        return None
