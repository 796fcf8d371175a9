"""Messages held to what their topics declare, by real clients of both protocols: the codes they see, and what passes."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.api.metrics import exposition
from bartizan.testing import Broker, Bundle
from tests.integration.conftest import run
from tests.integration.recorder import Place, Proof, Recorder

TOPIC_INVALID, FORMAT_INVALID = 0x90, 0x99
POLICY = """
[contract]
enforce = "reject"

[topics."data/{asset}/state"]
publish     = ["press"]
subscribe   = ["dash"]
payload     = { format = "json", schema = { type = "object", required = ["t"], properties = { t = { type = "number" } } } }
retention_s = 3_600

[topics."data/{asset}/birth"]
publish   = ["press"]
subscribe = ["dash"]
payload   = "sparkplug"

[topics."data/{asset}/note"]
publish   = ["press"]
subscribe = ["dash"]
payload   = { format = "text", pattern = "[A-Z ]+", bytes_max = 20 }
enforce   = "warn"

[roles.press]
binds  = { asset = "client_id" }
permit = [{ action = "publish", filter = "scratch/#" }]

[roles.dash]
"""
FITS = [("state", '{"t": 21.5}'), ("birth", b"\x08\x01\x18\x00"), ("note", "DOOR OPEN"), ("note", "told only: 1")]
MISFITS = [("state", '{"t": "hot"}'), ("state", "21.5"), ("birth", "ONLINE")]


@pytest.fixture(scope="module")
def plant() -> Iterator[tuple[Broker, Bundle, Bundle]]:
    with Broker(POLICY) as broker:
        yield broker, broker.enrol("press-01", "press"), broker.enrol("dash-01", "dash")


def client(broker: Broker, bundle: Bundle, version: str = "5") -> Recorder:
    assert bundle.certificate_file
    assert bundle.key_file
    proof = Proof(certificate_file=Path(bundle.certificate_file), key_file=Path(bundle.key_file))
    place = Place(broker.port, ca_file=bundle.ca_file)
    return Recorder(place, bundle.client_id, version=version, proof=proof).open()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_fits_passes(plant, version: str, qos: int):
    broker, press, dash = plant
    reader, writer = client(broker, dash), client(broker, press, version)
    reader.subscribe("data/+/state", "data/+/birth", "data/+/note")
    for topic, payload in FITS:
        assert writer.publish(f"data/press-01/{topic}", payload, qos) < 0x80
    got = reader.receive(len(FITS))
    assert [message.payload for message in got] == [p if isinstance(p, bytes) else p.encode() for _, p in FITS]
    # What is of no use after an hour says so to subscribers.
    assert 3_500 < got[0].properties["MessageExpiryInterval"] <= 3_600
    assert "MessageExpiryInterval" not in got[1].properties
    writer.close()
    reader.close()


def test_mqtt_5_is_told_by_0x99_and_0x90(plant):
    """At QoS 2 paho goes on as if PUBREC had taken the message; tests/security/test_payloads.py looks at the bytes."""
    broker, press, _ = plant
    writer = client(broker, press)
    for topic, payload in MISFITS:
        assert writer.publish(f"data/press-01/{topic}", payload) == FORMAT_INVALID
    assert writer.publish("scratch/x", b"") == TOPIC_INVALID
    assert writer.ended is None
    writer.close()


def test_mqtt_3_1_1_is_closed(plant):
    broker, press, _ = plant
    for topic, payload in (("data/press-01/state", "{}"), ("scratch/x", "")):
        writer = client(broker, press, "3.1.1")
        writer.send(topic, payload, 1)
        writer.wait_end()
        writer.close()


def metrics(broker: Broker) -> dict[str, float]:
    lines = exposition(broker._running.broker, "")[0].decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(("contract", "undeclared"), [('[contract]\nenforce = "off"', 1), ("", 0)])
def test_off_counts_what_is_not_as_declared_and_refuses_nothing(version: str, contract: str, undeclared: int):
    policy = POLICY.replace('enforce   = "warn"\n', "").replace('[contract]\nenforce = "reject"', contract)
    with Broker(policy) as broker:
        writer = client(broker, broker.enrol("press-01", "press"), version)
        for topic, payload in MISFITS + FITS:
            assert writer.publish(f"data/press-01/{topic}", payload) < 0x80
        assert writer.publish("scratch/x", b"") < 0x80
        assert writer.ended is None
        writer.close()
        told = metrics(broker)
    misfits = len(MISFITS) + 1  # and the note of FITS that `warn` lets pass
    assert told["bartizan_payload_misfits_total"] == misfits
    assert told["bartizan_topics_undeclared_total"] == undeclared
    effects = [told[f"bartizan_contract_{effect}_total"] for effect in ("counted", "warned", "refused")]
    assert effects == [misfits + undeclared, 0, 0]
    assert told["broker_contract_counted"] <= misfits + undeclared


def test_another_policy_holds_for_the_next_message():
    with Broker(POLICY) as broker:
        writer = client(broker, broker.enrol("press-01", "press"))
        assert writer.publish("data/press-01/state", '{"t": 1}') < 0x80
        broker.apply_policy(POLICY.replace('"number"', '"string"'))
        assert writer.publish("data/press-01/state", '{"t": 1}') == FORMAT_INVALID
        assert writer.publish("data/press-01/state", '{"t": "1"}') < 0x80
        writer.close()


def test_the_command_line_tells_what_is_wrong_with_schema_and_payload(tmp_path: Path):
    schema, policy, sample = tmp_path / "press.json", tmp_path / "policy.toml", tmp_path / "sample"
    policy.write_text(
        '[topics."data/{asset}"]\npublish = ["press"]\nenforce = "reject"\n'
        'payload = { format = "json", schema = "press.json" }\n[roles.press]\nbinds = { asset = "client_id" }\n'
    )
    schema.write_text('{\n  "type": "object",\n  "required": "t"\n}\n')
    done = run("policy", "check", policy)
    assert done.returncode == 2
    assert f"{schema}:3:" in done.stderr
    schema.write_text('{"type": "object", "required": ["t"]}')
    assert run("policy", "check", policy).returncode == 0
    words = ("policy", "explain", "--policy", policy, "--role", "press", "--client-id", "p", "publish", "data/p")
    sample.write_bytes(b'{"u": 1}')
    done = run(*words, "--payload", sample)
    assert done.returncode == 1, done.stderr
    assert "it does not meet /required of the schema" in done.stdout
    assert "it is not as declared: refused" in done.stdout
    told = json.loads(run(*words, "--payload", sample, "--json").stdout)
    assert (told["allow"], told["passes"], told["contract"]["broken"]) == (True, False, "payload")
    sample.write_bytes(base64.b64decode("eyJ0IjogMX0="))
    done = run(*words, "--payload", sample)
    assert (done.returncode, done.stderr) == (0, "")
    assert "what is not as declared: refused" in done.stdout
