"""Whether a payload is what its topic says, defined: one rule of RFC 8259, JSON Schema and protobuf after the other.

Of JSON Schema the words that `of_schema` has, of draft 2020-12; of protobuf files in proto2, one field a line, of
scalars and messages.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

JSON_DEPTH_MAX, MESSAGE_DEPTH_MAX = 127, 100
VARINTS = {"int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool"}
OCTETS = {"fixed32": 4, "sfixed32": 4, "float": 4, "fixed64": 8, "sfixed64": 8, "double": 8}
Fields = dict[int, tuple[str, str]]
"""Of a message: `optional`, `required` or `repeated`, and the type, by number."""


def fits(said: Any, payload: bytes, files: Mapping[str, str]) -> bool:
    """Whether it is as `payload` of a topic says; `files` are those that it names."""
    said = said if isinstance(said, dict) else {"format": said}
    if len(payload) > said.get("bytes_max", len(payload)):
        return False
    if said["format"] == "bytes":
        return True
    of_format = {"text": is_text, "json": is_json, "protobuf": is_message}[said["format"]]
    try:
        return of_format(said, payload, files)
    except (ValueError, RecursionError):
        return False


def is_text(said: dict[str, Any], payload: bytes, files: Mapping[str, str]) -> bool:
    """UTF-8, and as a whole what the expression says."""
    text = payload.decode()
    return "pattern" not in said or re.fullmatch(said["pattern"], text) is not None


def is_json(said: dict[str, Any], payload: bytes, files: Mapping[str, str]) -> bool:
    """JSON, by the schema if there is one."""
    schema = json.loads(files[said["schema"]]) if "schema" in said else True
    return of_schema(schema, json_value(payload.decode()), schema)


def is_message(said: dict[str, Any], payload: bytes, files: Mapping[str, str]) -> bool:
    """A message of this type."""
    return of_type(types(files[said["file"]]), said["type"], payload)


# ---- JSON ---------------------------------------------------------------------------------------


def json_value(text: str) -> Any:
    """What RFC 8259 reads, and no key twice, no number that is too large, no half of a character, not too deep."""
    value = json.loads(text, object_pairs_hook=unambiguous, parse_int=number, parse_float=number, parse_constant=number)
    json.dumps(value, ensure_ascii=False).encode()
    if depth(value) > JSON_DEPTH_MAX:
        raise ValueError("too deep")
    return value


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; ValueError where a key is there twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def number(text: str) -> float:
    """A number of 64 bits; ValueError for what is too large, and for words that are none in JSON."""
    if text.lstrip("-")[0] not in "0123456789" or abs(float(text)) == float("inf"):
        raise ValueError("no number")
    return float(text)


def depth(value: Any) -> int:
    """How many lists and objects stand inside of each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def of_schema(schema: Any, value: Any, root: Any) -> bool:
    """Whether a value meets a JSON Schema."""
    if isinstance(schema, bool):
        return schema
    return all(meets(word, said, schema, value, root) for word, said in schema.items())


def meets(word: str, said: Any, schema: dict[str, Any], value: Any, root: Any) -> bool:  # noqa: PLR0911
    """Whether a value meets one word of a schema. What a word is not about meets it."""
    if word == "type":
        return any(is_of(name, value) for name in (said if isinstance(said, list) else [said]))
    if word in {"enum", "const"}:
        return any(same(each, value) for each in (said if word == "enum" else [said]))
    if word in {"anyOf", "allOf", "oneOf", "not"}:
        met = [of_schema(each, value, root) for each in ([said] if word == "not" else said)]
        return {"anyOf": any(met), "allOf": all(met), "oneOf": sum(met) == 1, "not": not any(met)}[word]
    if word == "$ref":
        return of_schema(root["$defs"][said.removeprefix("#/$defs/")], value, root)
    if word in {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return (
            not is_of("number", value)
            or {
                "minimum": lambda: value >= said,
                "maximum": lambda: value <= said,
                "exclusiveMinimum": lambda: value > said,
                "exclusiveMaximum": lambda: value < said,
                "multipleOf": lambda: value % said == 0,
            }[word]()
        )
    if word in {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}:
        counted = {"Length": str, "Items": list, "Properties": dict}[word[3:]]
        return not isinstance(value, counted) or (len(value) >= said if word[:3] == "min" else len(value) <= said)
    if isinstance(value, list):
        pairs = [(one, other) for at, one in enumerate(value) for other in value[:at]]
        return {
            "items": lambda: all(of_schema(said, each, root) for each in value),
            "uniqueItems": lambda: not said or not any(same(*pair) for pair in pairs),
        }.get(word, lambda: True)()
    if isinstance(value, dict):
        rest = [each for key, each in value.items() if key not in schema.get("properties", {})]
        return {
            "required": lambda: all(key in value for key in said),
            "properties": lambda: all(of_schema(each, value[key], root) for key, each in said.items() if key in value),
            "additionalProperties": lambda: all(of_schema(said, each, root) for each in rest),
        }.get(word, lambda: True)()
    return True


def is_of(name: str, value: Any) -> bool:
    """Whether a value is of this type. A number without a fraction is an integer, however it is written."""
    if name == "integer":
        return is_of("number", value) and value == int(value)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {"null": type(None), "boolean": bool, "string": str, "array": list, "object": dict}
    return isinstance(value, kinds[name])


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal: `1` and `1.0` are, `1` and `true` are not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and one == other


# ---- protobuf -----------------------------------------------------------------------------------


def types(text: str) -> dict[str, Fields]:
    """The messages of a `.proto`, by full name."""
    package = re.findall(r"package (.*);", text)[0]
    return {
        f"{package}.{name}": {
            int(number): (label, kind)
            for label, kind, number in re.findall(r"(optional|required|repeated) (\w+) \w+ = (\d+);", body)
        }
        for name, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.DOTALL)
    }


def of_type(known: dict[str, Fields], name: str, octets: bytes, nested: int = 1) -> bool:
    """Whether these are a message of this type, which says of each field that comes what it is. ValueError: cut off."""
    seen = set()
    while octets:
        key, octets = varint(octets)
        if key >> 3 not in known[name]:
            return False
        seen.add(key >> 3)
        label, kind = known[name][key >> 3]
        kind = (
            kind
            if kind in VARINTS or kind in OCTETS or kind in {"string", "bytes"}
            else f"{name.rpartition('.')[0]}.{kind}"
        )
        value, octets = value_of(key & 7, octets)
        if key & 7 == wire_type(kind):
            if kind == "string":
                value.decode()
            if kind in known and not of_type(known, kind, value, nested + 1):
                return False
        elif label != "repeated" or key & 7 != 2 or not is_packed(kind, value):
            return False
    return nested <= MESSAGE_DEPTH_MAX and all(
        label != "required" or each in seen for each, (label, _) in known[name].items()
    )


def wire_type(kind: str) -> int:
    """How values of this type are written."""
    return 0 if kind in VARINTS else {4: 5, 8: 1}[OCTETS[kind]] if kind in OCTETS else 2


def value_of(written: int, octets: bytes) -> tuple[bytes, bytes]:
    """The value that is written so, and what comes behind it."""
    if written == 0:
        _, rest = varint(octets)
        return b"", rest
    if written == 2:
        length, octets = varint(octets)
    elif written in {1, 5}:
        length = 8 if written == 1 else 4
    else:
        raise ValueError("a group, or nothing")
    if length > len(octets):
        raise ValueError("cut off")
    return octets[:length], octets[length:]


def is_packed(kind: str, octets: bytes) -> bool:
    """Whether these are values of a scalar, one behind the other."""
    if kind in OCTETS:
        return len(octets) % OCTETS[kind] == 0
    while octets:
        _, octets = varint(octets)
    return kind in VARINTS


def varint(octets: bytes) -> tuple[int, bytes]:
    """Seven bits of each octet, the lowest first, to the one without the eighth: of 64 bits at most. And the rest."""
    found = re.match(rb"[\x80-\xff]{0,9}[\x00-\x7f]", octets)
    if found is None:
        raise ValueError("cut off")
    value = sum((octet & 0x7F) << (7 * at) for at, octet in enumerate(found[0]))
    if value >= 2**64:
        raise ValueError("more than 64 bits")
    return value, octets[found.end() :]
