"""What topics say about messages: read with every mistake in its place, and checked by the engine."""

import json
from pathlib import Path

import pytest

from bartizan.broker.reading import check_files
from bartizan.policy import check
from bartizan.policy.json_places import json_places, place_of
from bartizan.policy.payload import Enforce, schema_files, schema_place

TOPIC = '[topics."a/{x}"]\n'
SCHEMA = '{\n  "type": "object",\n  "properties": {\n    "t": {"type": "number"}\n  }\n}\n'
PROTO = 'syntax = "proto3";\npackage plant;\nmessage Press { double t = 1; }\n'


def errors(text: str, **schemas: str) -> list[tuple[str, int, int, str]]:
    files = {name.replace("__", "/").replace("_", "."): content.encode() for name, content in schemas.items()}
    result = check(text, "p.toml", files)
    assert (result.policy is None) == bool(result.errors)
    return [(error.origin, error.line, error.column, error.message) for error in result.errors]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("payload = 1", 2, 11, "payload is a format or a table"),
        ('payload = "jsno"', 2, 1, "format is one of json, text, bytes, protobuf, sparkplug"),
        ("payload = {}", 2, 11, "a payload has a format"),
        ('payload = { format = "xml" }', 2, 22, "format is one of"),
        ('payload = { format = "json", shema = "x.json" }', 2, 30, "unknown key shema"),
        ('payload = { format = "text", schema = "x.json" }', 2, 30, "a payload of format text has no schema"),
        ('payload = { format = "json", pattern = "a" }', 2, 30, "a payload of format json has no pattern"),
        ('payload = { format = "json", schema = 1 }', 2, 39, "schema is a file's name, or a JSON Schema as a table"),
        ('payload = { format = "json", schema = "../x.json" }', 2, 39, "'../x.json' is no place of a schema"),
        ('payload = { format = "json", schema = "/x.json" }', 2, 39, "'/x.json' is no place of a schema"),
        ('payload = { format = "json", schema = "x.toml" }', 2, 39, "'x.toml' is no place of a schema"),
        ('payload = { format = "json", schema = "x.json" }', 2, 39, "there is no file x.json"),
        ('payload = { format = "json", schema = { at = 2026-01-01 } }', 2, 39, "the schema holds what JSON cannot"),
        ('payload = { format = "protobuf", type = "A" }', 2, 11, "a protobuf payload has a file and a type"),
        ('payload = { format = "bytes", bytes_max = -1 }', 2, 43, "bytes_max is a whole number"),
        ('payload = { format = "text", pattern = "(" }', 2, 1, "regex parse error"),
        ('payload = { format = "json", schema = { type = "nubmer" } }', 2, 1, "the schema is refused (at /type)"),
        ('payload = { format = "json", schema = { "$ref" = "http://x/" } }', 2, 1, "the schema is refused (at /$ref)"),
        ('enforce = "strict"', 2, 11, "enforce is one of off, warn, reject"),
        ("rate_per_s = 0", 2, 14, "rate_per_s is a whole number from 1 to 1000000"),
        ("retention_s = 0.5", 2, 15, "retention_s is a whole number"),
        ("examples = 1", 2, 12, "examples is a list"),
        ('payload = "bytes"\nexamples = ["AA==", "?"]', 3, 21, "an example of format bytes is Base64"),
        ('payload = "json"\nexamples = ["{}", "{"]', 3, 19, "this example does not fit: it is no JSON"),
        ('payload = { format = "json", schema = { type = "number" } }\nexamples = [21.5, true]', 3, 19, "this example does not"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place(text: str, line: int, column: int, message: str):
    (told,) = errors(TOPIC + text)
    assert told[:3] == ("p.toml", line, column), told
    assert told[3].startswith(message), told


def test_the_contract_says_what_holds_where_a_topic_says_nothing():
    text = '[contract]\nenforce = "warn"\n[topics.a]\n[topics.b]\nenforce = "reject"\n'
    result = check(text, "p.toml")
    assert result.policy is not None
    assert [result.policy.enforced(topic) for topic in result.policy.topics] == [Enforce.WARN, Enforce.REJECT]
    assert errors('[contract]\nenforced = "warn"') == [("p.toml", 2, 1, "unknown key enforced")]


def test_a_mistake_in_a_schemas_file_is_told_there():
    json_topic = TOPIC + 'payload = { format = "json", schema = "s/x.json" }'
    assert errors(json_topic, s__x_json=SCHEMA) == []
    assert errors(json_topic, s__x_json='{\n "type": }')[0][:3] == ("s/x.json", 2, 10)
    twice = errors(json_topic, s__x_json='{"type": "object", "type": "array"}')
    assert (twice[0][0], twice[0][3]) == ("s/x.json", "the key 'type' is there twice in one object")
    wrong = errors(json_topic, s__x_json=SCHEMA.replace("number", "nubmer"))
    assert wrong[0][:3] == ("s/x.json", 4, 11), wrong
    proto_topic = TOPIC + 'payload = { format = "protobuf", file = "x.proto", type = "plant.Press" }'
    assert errors(proto_topic, x_proto=PROTO) == []
    assert errors(proto_topic, x_proto=PROTO.replace("double t", "doubel t"))[0][:2] == ("x.proto", 3)
    assert errors(proto_topic, x_proto=PROTO.replace("Press", "Pres"))[0][:2] == ("p.toml", 2)


def test_the_same_schema_is_the_same_policy_however_it_is_laid_out():
    def digest(text: str, content: str = "") -> str:
        result = check(text, "p.toml", {"x.json": content.encode()})
        assert result.compiled is not None, result.errors
        return result.compiled.digest

    said = TOPIC + 'enforce = "warn"\npayload = { format = "json", schema = %s }'
    by_file = digest(said % '"x.json"', SCHEMA)
    assert by_file == digest(said % '"x.json"', json.dumps(json.loads(SCHEMA), indent=8))
    assert by_file == digest(said % '{ properties = { t = { type = "number" } }, type = "object" }')
    assert by_file != digest(said % '"x.json"', SCHEMA.replace("number", "integer"))


def image(said: str, before: str = "") -> dict[str, object]:
    result = check(before + TOPIC + said, "p.toml")
    assert result.compiled is not None, result.errors
    return json.loads(result.compiled.image)


def test_a_policy_that_asks_nothing_of_messages_is_as_small_as_before():
    assert image("").keys() == image('payload = "bytes"\nenforce = "reject"').keys() == {"format", "roles"}
    assert image("retention_s = 60")["topics"] == [
        {"name": "a/{x}", "pattern": [{"lit": "a"}, "one"], "retention_s": 60}
    ]


def test_a_topic_that_asks_whose_messages_are_is_in_the_image():
    assert image("provenance = true")["topics"] == [
        {"name": "a/{x}", "pattern": [{"lit": "a"}, "one"], "provenance": True}
    ]
    assert image("provenance = false").keys() == {"format", "roles"}
    assert [(line, column) for _, line, column, _ in errors(TOPIC + "provenance = 1")] == [(2, 14)]


def test_what_a_topic_declares_is_looked_at_where_it_is_only_counted():
    asked = {"name": "a/{x}", "pattern": [{"lit": "a"}, "one"], "payload": 0, "rate_per_s": 1}
    for enforce in ("", '\nenforce = "off"'):
        told = image('payload = "json"\nrate_per_s = 1' + enforce)
        assert (told["topics"], told["payloads"]) == ([asked], [{"format": "json"}])
        assert "undeclared" not in told
    # Of undeclared topics only [contract] speaks, and `off` is a word too.
    assert image("", '[contract]\nenforce = "off"\n')["undeclared"] == "off"
    assert image("", "[contract]\n").keys() == {"format", "roles"}


def test_of_topics_that_a_message_cannot_tell_apart_one_says_what_messages_are():
    other = '[topics."a/{y}"]\n'
    assert errors(TOPIC + 'payload = "json"\n' + other) == []
    told = errors(TOPIC + 'payload = "json"\n' + other + "rate_per_s = 1")
    assert [(line, column) for _, line, column, _ in told] == [(3, 9)]
    assert "a/{x}" in told[0][3]
    result = check(other + TOPIC + 'enforce = "reject"\npayload = "json"\n', "p.toml")
    assert result.compiled is not None
    assert result.compiled.examine("a/1", b"no").broken == "payload"


@pytest.mark.parametrize(
    ("form", "examples"),
    [
        ("sparkplug", '["CAEYAA=="]'),
        ("json", "[{ t = 1 }, 2, '3', [1]]"),
        ("text", "['µ', 21.5]"),
        ("bytes", '["", "AA=="]'),
    ],
)
def test_an_example_is_written_as_its_form_wants_it(form: str, examples: str):
    assert errors(TOPIC + f'payload = "{form}"\nexamples = {examples}') == []


def test_an_example_that_does_not_fit_is_a_mistake():
    ((_, line, _, message),) = errors(TOPIC + 'payload = "sparkplug"\nexamples = ["T05MSU5F"]')
    assert (line, message.partition(":")[0]) == (3, "this example does not fit")


def test_files_are_found_beside_the_policy(tmp_path: Path):
    folder = tmp_path / "policy"
    (folder / "schemas").mkdir(parents=True)
    (folder / "a.toml").write_text(
        TOPIC + 'enforce = "reject"\npayload = { format = "json", schema = "schemas/x.json" }'
    )
    result = check_files(folder)
    assert result.errors[0].message == f"there is no file {folder}/schemas/x.json"
    (folder / "schemas/x.json").write_text(SCHEMA)
    result = check_files(folder)
    assert result.compiled is not None, result.errors
    assert result.compiled.examine("a/1", b'{"t": 1}').broken is None
    told = result.compiled.examine("a/1", b'{"t": "secret"}')
    assert (told.declared, told.enforce, told.broken) == ("a/{x}", Enforce.REJECT, "payload")
    assert "secret" not in told.why
    (folder / "schemas/x.json").write_text("{")
    assert check_files(folder).errors[0].origin == f"{folder}/schemas/x.json"


def test_no_name_leads_out_of_the_policys_directory():
    for name in ("", "/etc/passwd.json", "../x.json", "a/../../x.json", "a\\..\\x.json", "a\0.json"):
        assert schema_place("policy/p.toml", name) is None, name
    assert schema_place("policy/p.toml", "a/x.json") == "policy/a/x.json"
    assert schema_place("p.toml", "./x.json") == "x.json"
    texts = [("d/p.toml", '[topics.a.payload]\nschema = "x.json"\nfile = "/etc/y.proto"'), ("q.toml", b"\xff = "), ("r", "a ="),
             ("s", '[topics]\na = 1\n[topics.b]\npayload = "json"'), ("t", "topics = 1")]  # fmt: skip
    assert schema_files(texts) == ("d/x.json",)


@pytest.mark.parametrize(
    "text", ["1", ' {"a": [1, {"b/c~": "x,]}"}], "d": -1e5 , "e":[ ],"f":{ }, "g" : null}', '[[["a\\"b", true]]]']
)
def test_every_part_of_a_json_text_has_its_place(text: str):
    def parts(value: object, pointer: str = ""):
        yield pointer, value
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in inner:
            yield from parts(each, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    places = json_places(text)
    told = dict(parts(json.loads(text)))
    assert places.keys() == told.keys()
    for pointer, at in places.items():
        is_member = isinstance(told.get(pointer.rpartition("/")[0]), dict) and pointer
        begun = json.JSONDecoder().raw_decode(text, at)[0]
        assert begun == (
            pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~") if is_member else told[pointer]
        )


def test_a_place_that_is_not_there_is_that_of_the_part_above_it():
    assert place_of(SCHEMA, "/properties/t/type") == (4, 11)
    assert place_of(SCHEMA, "/properties/nothing/at/all") == (3, 3)
    assert place_of(SCHEMA, "/nothing") == (1, 1)
