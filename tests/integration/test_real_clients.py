"""The main job with the clients that people use: over TLS and WSS, both versions, certificate and password."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.integration.conftest import Up, port_of, run, started
from tests.integration.crew import (
    AiomqttClient,
    Berth,
    Client,
    Got,
    MosquittoClient,
    MqttJsClient,
    PahoClient,
    together,
)
from tests.integration.recorder import Place, Proof, Will

KINDS = ["paho", "paho-wss", "aiomqtt", "mqtt.js", "mosquitto"]
VERSIONS = ["3.1.1", "5"]
PROOFS = ["certificate", "password"]
POLICY = '[roles.crew]\npermit = [{ action = "all", filter = "#" }]\n'


@dataclass(frozen=True)
class Harbour:
    """A running broker and the two identities that all clients here are."""

    up: Up
    mqtts: Place
    wss: Place
    proofs: dict[str, Proof]
    names: dict[str, str]


def harbour_of(running: Up, directory: Path) -> Harbour:
    """Enrols an identity for each kind of proof."""
    ca = str(running.data / "pki" / "ca.crt")
    ports = {place["name"]: port_of(place) for place in running.summary["places"]}
    for name, more in (("anne", ()), ("bert", ("--password", "--json"))):
        done = run("enrol", name, "--role", "crew", "--data", running.data, "--out", directory / name, *more)
        assert done.returncode == 0, done.stderr
    secret = json.loads(done.stdout)["password"]
    return Harbour(
        running,
        Place(ports["mqtts"], ca_file=ca),
        Place(ports["wss"], ca_file=ca, websocket=True),
        {
            "certificate": Proof(
                certificate_file=directory / "anne" / "anne.crt", key_file=directory / "anne" / "anne.key"
            ),
            "password": Proof(user_name="bert", password=secret),
        },
        {"certificate": "anne", "password": "bert"},
    )


@pytest.fixture(scope="session")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """`bartizan up` with a policy that lets its crew do everything."""
    directory = tmp_path_factory.mktemp("harbour")
    (directory / "data").mkdir(mode=0o700)
    (directory / "data" / "policy.toml").write_text(POLICY)
    with started() as start:
        yield harbour_of(start(directory), directory)


@pytest.fixture
def aboard(harbour: Harbour, name: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Connects clients; they are closed at the end."""
    made: list[Client] = []

    def make(
        kind: str,
        suffix: str = "a",
        *,
        version: str = "5",
        proof: str = "certificate",
        clean: bool = True,
        will: Will | None = None,
    ) -> Client:
        client_id = f"{harbour.names[proof]}-{name}-{suffix}"
        berth = Berth(harbour.mqtts, harbour.proofs[proof], client_id, version, clean, will)
        made.append(client_of(kind, berth, harbour.wss, request.getfixturevalue))
        return made[-1]

    yield make
    together(made)


def client_of(kind: str, berth: Berth, wss: Place, program: Callable[[str], Path]) -> Client:
    """A client of this kind; `program` finds what is installed beside Python."""
    match kind:
        case "paho":
            return PahoClient(berth)
        case "paho-wss":
            return PahoClient(replace(berth, place=wss))
        case "aiomqtt":
            return AiomqttClient(berth)
        case "mqtt.js":
            return MqttJsClient(program("node"), replace(berth, place=wss))
        case _:
            return MosquittoClient(program("mosquitto_pub"), program("mosquitto_sub"), berth)


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_each_qos_come_back_and_a_retained_one_is_kept(aboard, topic, kind, version, proof):
    reader = aboard(kind, "reader", version=version, proof=proof)
    writer = aboard(kind, "writer", version=version, proof=proof)
    reader.subscribe(f"{topic}/+")
    sent = [Got(f"{topic}/{qos}", bytes(range(256)) + b"%d" % qos, qos) for qos in (0, 1, 2)]
    for message in sent:
        writer.publish(message.topic, message.payload, message.qos)
    assert sorted(reader.receive(3)) == sent
    writer.publish(f"{topic}/kept", b"kept", 1, retain=True)
    assert reader.receive() == [Got(f"{topic}/kept", b"kept", 1, retain=False)]
    late = aboard(kind, "late", version=version, proof=proof)
    late.subscribe(f"{topic}/kept")
    assert late.receive() == [Got(f"{topic}/kept", b"kept", 1, retain=True)]
    writer.publish(f"{topic}/kept", b"", 1, retain=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_will_is_published_when_a_client_vanishes_and_not_when_it_says_goodbye(aboard, topic, kind, version):
    heir = aboard("paho", "heir", proof="password")
    heir.subscribe(topic)
    if (kind, version) != ("mosquitto", "5"):  # its goodbye is DISCONNECT 0x04, with Will
        aboard(kind, "polite", version=version, will=Will(topic, "unsaid", 1)).close()
    gone = aboard(kind, "gone", version=version, will=Will(topic, "gone", 1))
    gone.drop()
    assert heir.receive() == [Got(topic, b"gone", 1)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mosquitto"])  # it subscribes at each start
def test_a_session_waits_for_its_client(aboard, topic, kind, version):
    away = aboard(kind, "away", version=version, clean=False)
    away.subscribe(f"{topic}/+")
    away.drop()
    writer = aboard("paho", "writer", version=version, proof="password")
    for number in range(20):
        writer.publish(f"{topic}/{number}", b"%d" % number, 1 + number % 2)
    back = aboard(kind, "away", version=version, clean=False)
    got = back.receive(20)
    # Order holds for each QoS; some clients hand a QoS 2 message over only at its PUBREL.
    for qos in (1, 2):
        assert [int(one.payload) for one in got if one.qos == qos] == list(range(qos - 1, 20, 2))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_waits_for_mosquitto_sub(aboard, topic, version):
    will = Will(f"{topic}/unused", "")
    away = aboard("mosquitto", "away", version=version, clean=False, will=will)
    away.drop()
    first = aboard("mosquitto", "away", version=version, clean=False, will=will)
    first.subscribe(f"{topic}/+")
    first.drop()
    writer = aboard("paho", "writer", version=version, proof="password")
    writer.publish(f"{topic}/1", b"1", 1)
    writer.publish(f"{topic}/2", b"2", 2)
    back = aboard("mosquitto", "away", version=version, clean=False, will=will)
    back.subscribe(f"{topic}/+")
    assert sorted(back.receive(2)) == [Got(f"{topic}/1", b"1", 1), Got(f"{topic}/2", b"2", 2)]


def test_everyone_hears_everyone(aboard, topic):
    crew = {kind: aboard(kind, kind.replace(".", "")) for kind in KINDS}
    for client in crew.values():
        client.subscribe(f"{topic}/#")
    for kind, client in crew.items():
        for qos in (0, 1, 2):
            client.publish(f"{topic}/{kind}", b"%d" % qos, qos)
    said = sorted(Got(f"{topic}/{kind}", b"%d" % qos, qos) for kind in KINDS for qos in (0, 1, 2))
    for kind, client in crew.items():
        assert sorted(client.receive(len(said))) == said, kind


@pytest.mark.parametrize("version", VERSIONS)
def test_the_members_of_a_group_share_each_message_once(aboard, topic, version):
    crew = {kind: aboard(kind, kind.replace(".", ""), version=version) for kind in KINDS}
    for client in crew.values():
        client.subscribe(f"$share/crew/{topic}/+", 1)
        client.subscribe(f"{topic}/end/of/it", 1)
    writer = aboard("paho", "writer", proof="password")
    for number in range(50):
        writer.publish(f"{topic}/{number}", b"%d" % number, 1)
    got: list[int] = []
    shares = set[str]()
    # Order is promised within a topic, not between two: the last of them may come behind the first end.
    for _ in range(5):
        writer.publish(f"{topic}/end/of/it", b"end", 1)
        for kind, client in crew.items():
            while (payload := client.receive()[0].payload) != b"end":
                shares.add(kind)
                got.append(int(payload))
        if len(got) >= 50:
            break
    assert shares == set(crew), "each of them got some"
    assert sorted(got) == list(range(50))


def payload_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("kind", ["paho", "paho-wss", "aiomqtt", "mqtt.js", "mosquitto"])
@pytest.mark.parametrize("size", [256 * 1024, 1024 * 1024 - 512])
def test_large_payloads_come_back_as_they_were(aboard, topic, kind, size):
    reader, writer = aboard(kind, "reader"), aboard(kind, "writer")
    reader.subscribe(topic)
    for qos in (1, 2):
        writer.publish(topic, payload_of(size), qos)
        (message,) = reader.receive()
        assert message.payload == payload_of(size)


@pytest.mark.parametrize("kind", ["paho", "paho-wss", "aiomqtt", "mqtt.js", "mosquitto"])
def test_topics_and_payloads_of_any_script(aboard, topic, kind):
    reader, writer = aboard(kind, "reader"), aboard(kind, "writer")
    reader.subscribe(f"{topic}/Ж/+/🌡️")
    writer.publish(f"{topic}/Ж/ 空 /🌡️", "21,5 °C ✓".encode(), 1)
    assert reader.receive() == [Got(f"{topic}/Ж/ 空 /🌡️", "21,5 °C ✓".encode(), 1)]
