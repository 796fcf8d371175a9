"""Payloads against the oracle: random schemas, expressions and message types, what fits them, and near misses."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy import check
from tests.oracle_messages import broken_by
from tests.oracle_payload import OCTETS, VARINTS

NUMBERS = (-1, 0, 1, 1.0, 2, 2.5, 3, 1e30)
TEXTS = ("", "a", "b", "ab", "é", "a\u0301", "\U0001f600")
KEYS = ("a", "b", "c")
TYPES = ("null", "boolean", "number", "integer", "string", "array", "object")

scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=6,
)
counts = st.integers(0, 3)
_words: dict[str, st.SearchStrategy[Any]] = {
    "type": st.one_of(st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True)),
    "enum": st.lists(st.one_of(scalars, values), min_size=1, max_size=4),
    "const": st.one_of(scalars, values),
    "$ref": st.just("#/$defs/d"),
    "uniqueItems": st.booleans(),
    "required": st.lists(st.sampled_from(KEYS), unique=True, max_size=2),
    "multipleOf": st.sampled_from((0.5, 1, 2)),
} | dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), st.sampled_from(NUMBERS))
_words |= dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), counts)


def _schema(inner: st.SearchStrategy[Any], *, refers: bool = True) -> st.SearchStrategy[Any]:
    more = {
        "items": inner,
        "additionalProperties": inner,
        "properties": st.dictionaries(st.sampled_from(KEYS), inner, min_size=1),
        "not": inner,
    } | dict.fromkeys(("anyOf", "allOf", "oneOf"), st.lists(inner, min_size=1, max_size=3))
    known = {word: said for word, said in (_words | more).items() if refers or word != "$ref"}
    chosen = st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=2, unique=True)
    # These two ask about each other.
    chosen = st.one_of(chosen, chosen, chosen, st.just(["additionalProperties", "properties"]))
    return chosen.flatmap(lambda words: st.fixed_dictionaries({word: known[word] for word in words}))


# What is referred to refers to nothing: in no circle.
flat = _schema(st.booleans(), refers=False)


def _defining(schema: dict[str, Any], defined: dict[str, Any]) -> dict[str, Any]:
    return schema | {"$defs": {"d": defined}}


schemas = st.builds(_defining, _schema(st.one_of(flat, _schema(st.one_of(st.booleans(), flat)))), flat)
# Of each type, and beside each value what nearly is it.
LIKELY = (
    *NUMBERS, *TEXTS, None, True, False, [], [1], [1, 1], [1, True], [0, False, None], ["a", 1.0], [[1], [1]], {}, {"a": 1},
    {"a": True}, {"b": 2.5}, {"a": "a", "b": 1}, {"a": 1, "b": 1, "c": 1}, {"d": 1}, {"a": None, "d": "a"}, {"a": {"a": 1}},
)  # fmt: skip

ODD = (
    b"", b" 1 ", b"01", b"-0", b"+1", b"1.", b".5", b"1e5", b"1E+2", b"1e999", b"-1e999", b"9" * 25, b"9" * 400, b"NaN",
    b"Infinity", b"-Infinity", b"nul", b"[1,]", b'{"a":1,}', b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}', b"{1:1}", b"'a'",
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\x01"', b'"\xff"', b'"\\x"', b"\xef\xbb\xbf1", b"1 2", b"// 1", b"\x0b1", b'"\x7f"',
    *(b"[" * depth + b"]" * depth for depth in (126, 127, 128, 129, 5_000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (127, 128)),
)  # fmt: skip


def told(said: dict[str, Any] | str, payload: str, files: dict[str, str], payloads: list[bytes]) -> None:
    """The engine says of each payload what the oracle does."""
    result = check(
        f"[topics.a]\npayload = {payload}\n", "p.toml", {name: text.encode() for name, text in files.items()}
    )
    assert result.compiled is not None, (files, [str(error) for error in result.errors])
    policy = {"topics": {"a": {"payload": said}}, "roles": {}}
    for each in payloads:
        assert result.compiled.examine("a", each).broken == broken_by(policy, "a", each, files), each


def spoilt(random: Random, octets: bytes) -> bytes:
    """Something taken out, put in or changed."""
    at = random.randint(0, len(octets))
    put = random.choice(
        (
            b"",
            bytes([random.choice(b'0"{}[],:.e- \x80\xff\x08')]),
            octets[at : at + 3],
            b"\xff" * 9 + b"\x01",
            b"\xff" * 9 + b"\x02",
        )
    )
    return octets[:at] + put + octets[at + random.choice((0, 0, 1, 2)) :]


@pytest.mark.timeout(600)
@settings(max_examples=400, deadline=None)
@given(schemas, st.lists(values, max_size=10), st.integers(0, 2**32).map(Random))
def test_json_fits_a_schema_where_the_oracle_says_so(schema, drawn, random):
    texts = [json.dumps(value, ensure_ascii=random.random() < 0.5).encode() for value in drawn]
    texts += [spoilt(random, text) for text in texts]
    texts += [json.dumps(value).encode() for value in LIKELY]
    said = {"format": "json", "schema": "s.json"}
    told(said, '{ format = "json", schema = "s.json" }', {"s.json": json.dumps(schema)}, texts)


@pytest.mark.parametrize("bytes_max", [0, 1, 2, 25, 10_000])
def test_what_is_json_at_all_is_what_the_oracle_says(bytes_max):
    said = {"format": "json", "bytes_max": bytes_max}
    told("json", '"json"', {}, list(ODD))
    told(said, f'{{ format = "json", bytes_max = {bytes_max} }}', {}, list(ODD))


_atoms = st.sampled_from(("a", "b", "é", ".", "[ab]", "[^a]", "\\d", "a*", "b?", "[0-9]{2}"))
patterns = st.recursive(
    st.lists(_atoms, max_size=3).map("".join),
    lambda inner: st.one_of(st.builds("(?:{})*".format, inner), st.builds("{}|{}".format, inner, inner)),
    max_leaves=3,
)
written = st.text(st.sampled_from("abé1٣\n"), max_size=5)


@settings(max_examples=300, deadline=None)
@given(patterns, st.lists(written, min_size=10, max_size=20), st.integers(0, 2**32).map(Random))
def test_a_text_matches_its_expression_as_a_whole_where_the_oracle_says_so(pattern, drawn, random):
    texts = [text.encode() for text in drawn]
    texts += [spoilt(random, text) for text in texts]
    said = {"format": "text", "pattern": pattern} if pattern else {"format": "text"}
    told(said, "{ " + ", ".join(f"{key} = {json.dumps(each)}" for key, each in said.items()) + " }", {}, texts)
    told("text", '"text"', {}, texts)


SCALARS = (*sorted(VARINTS), *OCTETS, "string", "bytes")
fields = st.lists(
    st.tuples(st.sampled_from(("optional", "optional", "required", "repeated")), st.sampled_from((*SCALARS, "M", "N"))),
    max_size=5,
)


def proto(messages: dict[str, list[tuple[str, str]]]) -> str:
    """The file of these messages."""
    text = 'syntax = "proto2";\npackage p;\n'
    for name, listed in messages.items():
        lines = [f"  {label} {kind} f{at} = {at};\n" for at, (label, kind) in enumerate(listed, 1)]
        text += f"message {name} {{\n{''.join(lines)}}}\n"
    return text


def varint(value: int) -> bytes:
    """As protobuf writes it."""
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value >= 0x80 else bytes([value])


def written_by(random: Random, messages: dict[str, list[tuple[str, str]]], name: str, deep: int = 0) -> bytes:
    """Mostly a message of this type."""
    found = b""
    for at, (label, kind) in enumerate(messages[name], 1):
        for _ in range({"required": 1, "optional": random.randint(0, 1), "repeated": random.randint(0, 2)}[label]):
            found += of_kind(random, messages, (at, kind, label == "repeated"), deep)
    return found


def of_kind(random: Random, messages: Any, field: tuple[int, str, bool], deep: int) -> bytes:
    """One field."""
    at, kind, is_list = field
    number = varint(random.choice((0, 1, 300, 2**63, 2**64 - 1)))
    if kind in VARINTS:
        return (
            varint(at << 3 | 2) + varint(2 * len(number)) + number * 2
            if is_list and random.random() < 0.5
            else varint(at << 3) + number
        )
    if kind in OCTETS:
        size = OCTETS[kind]
        if is_list and random.random() < 0.5:
            return varint(at << 3 | 2) + varint(3 * size) + bytes(3 * size)
        return varint(at << 3 | (5 if size == 4 else 1)) + bytes(size)
    value = (
        "aé".encode()
        if kind in {"string", "bytes"}
        else written_by(random, messages, kind, deep + 1)
        if deep < 3
        else b""
    )
    return varint(at << 3 | 2) + varint(len(value)) + value


@pytest.mark.timeout(600)
@settings(max_examples=300, deadline=None)
@given(fields, fields, st.integers(0, 2**32).map(Random))
def test_octets_are_a_message_where_the_oracle_says_so(first, second, random):
    messages = {"M": first, "N": second}
    payloads = [written_by(random, messages, "M") for _ in range(10)]
    payloads += [spoilt(random, octets) for octets in payloads * 2]
    said = {"format": "protobuf", "file": "m.proto", "type": "p.M"}
    told(said, '{ format = "protobuf", file = "m.proto", type = "p.M" }', {"m.proto": proto(messages)}, payloads)


def test_messages_are_nested_as_deep_as_the_oracle_says():
    nested, payloads = b"", []
    for _ in range(102):
        payloads.append(nested)
        nested = b"\x0a" + varint(len(nested)) + nested
    said = {"format": "protobuf", "file": "m.proto", "type": "p.M"}
    text = proto({"M": [("optional", "M")]})
    told(said, '{ format = "protobuf", file = "m.proto", type = "p.M" }', {"m.proto": text}, payloads)
