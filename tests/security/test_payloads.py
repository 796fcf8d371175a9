"""Payloads and schemas as weapons: each is refused, costs little, and harms nobody."""

import json
import time

import pytest

from bartizan.policy import check
from tests.conformance.packets import Will, v5, v311
from tests.conformance.received import Connack, Puback, Publish, Pubrec, Suback
from tests.security.party import NOT_AUTHORIZED_V311, Party, party

TOPIC_INVALID, FORMAT_INVALID, QUOTA = 0x90, 0x99, 0x97
POLICY = """
[contract]
enforce = "reject"

[topics."data/{asset}/t"]
publish   = ["press"]
subscribe = ["dash"]
payload   = { format = "json", schema = { type = "object", required = ["t"], properties = { t = { type = "number" }, n = { type = "string", pattern = "^(a+)+$" } } } }

[topics."data/{asset}/spb"]
publish   = ["press"]
subscribe = ["dash"]
payload   = "sparkplug"

[topics."data/{asset}/rare"]
publish    = ["press"]
subscribe  = ["dash"]
rate_per_s = 1

[roles.press]
binds  = { asset = "client_id" }
permit = [{ action = "publish", filter = "free/#" }]

[roles.dash]
"""
LOAD_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def plant():
    with party(POLICY) as running:
        running.enrol("press-01", "press")
        running.enrol("dash", "dash")
        yield running


def answer(plant: Party, topic: str, payload: bytes, qos: int = 1) -> int:
    wire = plant.connect("press-01")
    wire.send(v5.publish(topic, payload, qos=qos, pid=7))
    got = wire.expect(Puback if qos == 1 else Pubrec, pid=7)
    return got.reason


def test_what_fits_passes_and_what_does_not_is_refused_with_its_code(plant: Party):
    dash = plant.connect("dash")
    dash.send(v5.subscribe(1, "data/+/t"))
    dash.expect(Suback)
    for qos in (1, 2):
        assert answer(plant, "data/press-01/t", b'{"t": "hot"}', qos) == FORMAT_INVALID
        assert answer(plant, "free/x", b'{"t": 1}', qos) == TOPIC_INVALID
    dash.expect_nothing()
    assert answer(plant, "data/press-01/t", b'{"t": 21.5}') < 0x80
    dash.expect(Publish)
    told = plant.wait_for("contract_broken", broken="payload", identity="press-01")
    assert (told["declared"], told["effect"]) == ("data/{asset}/t", "refused")
    assert plant.wait_for("contract_broken", broken="topic", topic="free/x")["effect"] == "refused"


def test_no_event_shows_a_payload(plant: Party):
    for payload in (b'{"t": "hunter2"}', b'{"hunter2": 1, "t": "x"}', b"hunter2", b'{"hunter2": 1, "hunter2": 1}'):
        assert answer(plant, "data/press-01/t", payload) == FORMAT_INVALID
    plant.wait_for("contract_broken", broken="payload")
    assert "hunter2" not in plant.text()


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 200_000,
        b'{"t":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"t": 1e999}',
        b'{"t": ' + b"9" * 500_000 + b".",
        b'{"t": 1, "t": "x"}',
        b'{"t": 1, "n": "' + b"a" * 500_000 + b'b"}',
        b'{"t": NaN}',
        b'\xef\xbb\xbf{"t": 1}',
        b'{"t": 1}\x00',
        b'{"t": 1} {"t": 1}',
        b"",
    ],
    ids=["lists", "objects", "beyond", "digits", "twice", "pattern", "nan", "bom", "nul", "two", "empty"],
)
def test_a_bomb_is_a_misfit_and_costs_little(plant: Party, payload: bytes):
    begun = time.process_time()
    assert answer(plant, "data/press-01/t", payload) == FORMAT_INVALID
    assert time.process_time() - begun < LOAD_WITHIN_S
    plant.connect("dash", client_id="dash-after").expect_alive()


@pytest.mark.parametrize(
    "payload",
    [
        b"\x12" * 100_000,
        b"\xff" * 1_000,
        b"\x12\xff\xff\xff\xff\x0f",
        b"ONLINE",
        b"{}",
        b"\x12\x05\x92\x01\x02\x12\x00\x01",
    ],
)
def test_what_is_no_sparkplug_is_a_misfit(plant: Party, payload: bytes):
    assert answer(plant, "data/press-01/spb", payload) == FORMAT_INVALID


def test_a_rate_refuses_what_is_beyond_its_burst(plant: Party):
    wire = plant.connect("press-01")
    reasons = []
    for pid in range(1, 31):
        wire.send(v5.publish("data/press-01/rare", b"x", qos=1, pid=pid))
        reasons.append(wire.expect(Puback, pid=pid).reason)
    assert reasons[:10] == [r for r in reasons[:10] if r < 0x80]
    assert reasons.count(QUOTA) >= 10
    assert plant.wait_for("contract_broken", broken="rate")["topic"] == "data/press-01/rare"


def test_a_will_is_no_way_around_a_schema(plant: Party):
    for topic, payload, reason in (("data/press-01/t", b"no", FORMAT_INVALID), ("free/x", b"x", TOPIC_INVALID)):
        will = Will(topic=topic, payload=payload)
        plant.connect("press-01", expect=reason, will=will)
        plant.connect("press-01", dialect=v311, expect=NOT_AUTHORIZED_V311, will=will)


def test_a_client_of_3_1_1_is_closed(plant: Party):
    for topic, payload in (("data/press-01/t", b"no"), ("free/x", b"x")):
        wire = plant.connect("press-01", dialect=v311)
        wire.send(v311.publish(topic, payload, qos=1, pid=7))
        wire.expect_close()


def test_a_client_of_3_1_1_is_acknowledged_and_ignored_where_so_configured():
    with party(POLICY, "listeners.mqtt.denied_publish_v311=ignore") as plant:
        plant.enrol("press-01", "press")
        wire = plant.connect("press-01", dialect=v311)
        wire.send(v311.publish("data/press-01/t", b"no", qos=1, pid=7))
        wire.expect(Puback, pid=7)
        wire.expect_alive()


def test_an_alias_is_no_way_around_a_schema(plant: Party):
    wire = plant.dial(plant.names["press-01"])
    wire.send(v5.connect("press-01"))
    wire.expect(Connack)
    wire.send(v5.publish("data/press-01/t", b'{"t": 1}', qos=1, pid=1, props=[("topic_alias", 1)]))
    assert wire.expect(Puback, pid=1).reason < 0x80
    wire.send(v5.publish("", b"no", qos=1, pid=2, props=[("topic_alias", 1)]))
    assert wire.expect(Puback, pid=2).reason == FORMAT_INVALID


def refusal(schema: object) -> str:
    text = json.dumps(schema).encode()
    begun = time.process_time()
    policy = '[topics.a]\nenforce = "reject"\npayload = { format = "json", schema = "s.json" }'
    result = check(policy, "p.toml", {"s.json": text})
    assert time.process_time() - begun < LOAD_WITHIN_S
    assert result.compiled is None
    return str(result.errors[0])


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:1/x.json",
        "https://json-schema.org/draft/2020-12/schema",
        "file:///etc/passwd",
        "other.json",
        "#anchor",
    ],
)
def test_nothing_outside_a_schema_is_ever_read(reference: str):
    assert "only #/..." in refusal({"properties": {"a": {"$ref": reference}}})


def test_a_schema_cannot_be_a_bomb():
    doubling = {f"l{at}": {"allOf": [{"$ref": f"#/$defs/l{at + 1}"}] * 2} for at in range(30)} | {"l30": {}}
    chain = {f"l{at}": {"$ref": f"#/$defs/l{at + 1}"} for at in range(5_000)} | {"l5000": {}}
    assert "parts" in refusal({"$ref": "#/$defs/l0", "$defs": doubling})
    assert "deeper" in refusal({"$ref": "#/$defs/l0", "$defs": chain})
    assert "circle" in refusal({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}})
    assert "(at /pattern)" in refusal({"pattern": "((a{1000}){1000}){1000}"})
    assert "(at /pattern)" in refusal({"pattern": "(?=a)b"})
    deep: object = {}
    for _ in range(500):
        deep = {"not": deep}
    assert refusal(deep)
