"""What went wrong in other brokers, as each advisory describes it, done to this one.

Each test is named by its CVE, or by its vendor's number where it has none. Those about bridges and
client libraries (CVE-2024-3935, the client half of CVE-2024-10525) have nothing here to be done to.
"""

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bartizan.identity import hashes
from tests.conformance.packets import Dialect, Will, frame, v5, v311
from tests.conformance.properties import Value, sized, variable
from tests.conformance.received import Connack, Disconnect, Puback, Pubcomp, Publish, Pubrec, Suback
from tests.conformance.websocket import WebSocket
from tests.conformance.wire import Wire
from tests.security.party import HOST, NOT_AUTHORIZED, OPEN, PLANT, Party, listener, party, plain
from tests.security.process import running

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
EXPIRY = {"session_expiry_interval": 300}
WIDE = {
    "topic_bytes_max": 65_535,
    "topic_levels_max": 65_536,
    "property_bytes_max": 1_000_000,
    "connect_bytes_max": 1_000_000,
}


@pytest.fixture(scope="module")
def _lab() -> Iterator[Party]:
    settings = (listener("lab"), listener("wide", limits=WIDE), listener("ws", protocol="websocket"))
    with party(OPEN, "broker.cores=2", *settings) as running_lab:
        yield running_lab


@pytest.fixture
def lab(_lab: Party) -> Iterator[Party]:
    """An open broker that must be alive after the test as it was before."""
    yield _lab
    client(_lab, "alive").expect_alive()
    assert _lab.number("bartizan_shards_alive") == 2


def client(lab: Party, client_id: str = "c", *, name: str = "lab", dialect: Dialect = v5, **more: Any) -> Wire:
    wire = lab.dial(listener=name, tls=False, dialect=dialect)
    wire.send(dialect.connect(client_id, **more))
    wire.expect(Connack, reason=0)
    return wire


def test_cve_2017_7651_a_client_that_never_connects_makes_the_broker_keep_little(lab: Party):
    """Mosquitto: a CONNECT of any announced length was read before anything was checked."""
    wire = lab.dial(listener="lab", tls=False)
    wire.send(b"\x10" + variable(268_435_455) + b"\x00\x04MQTT\x05")
    wire.expect_close()


@DIALECTS
@pytest.mark.parametrize("topic", ["$test/test", "$", "$$", "$SYSTEM", "$CONTROL/dynamic-security/v1"])
def test_cve_2018_12543_a_topic_that_begins_with_a_dollar(lab: Party, dialect: Dialect, topic: str):
    """Mosquitto: such a topic, not of $SYS, ended the process."""
    wire = client(lab, dialect=dialect)
    wire.send(dialect.publish(topic, b"x", qos=1, pid=1))
    if dialect is v5:
        wire.expect(Puback, reason=NOT_AUTHORIZED)
    else:
        wire.expect_close()


@pytest.mark.parametrize("how", ["policy", "removed"])
def test_cve_2018_12546_a_retained_message_ends_with_the_right_of_its_publisher(how: str):
    """Mosquitto: what a client had retained was delivered after its access had been revoked."""
    with party(PLANT) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("press-02", "press")
        plant.enrol("dash", "dashboard")
        for name in ("press-01", "press-02"):
            press = plant.connect(name)
            press.send(v5.publish(f"data/{name}/temperature", name.encode(), qos=1, pid=1, retain=True))
            press.expect(Puback)
        if how == "removed":
            plant.broker.remove("press-01")
        else:
            forbid = '\nforbid = [{ action = "publish", filter = "data/press-01/#" }]\n'
            plant.broker.apply_policy(PLANT.replace("[roles.press]\n", f"[roles.press]{forbid}"))
        dash = plant.connect("dash")
        dash.send(v5.subscribe(1, "data/+/temperature"))
        dash.expect(Suback)
        dash.expect(Publish, payload=b"press-02")
        dash.expect_nothing()
        plant.wait_for("denied", identity="press-01", topic="data/press-01/temperature")


@pytest.mark.parametrize("policy", ["", "# nothing\n", "[roles.press]\n"])
def test_cve_2018_12550_an_empty_policy_permits_nothing(policy: str):
    """Mosquitto: an ACL file without rules was taken for no ACL file, which permits everything."""
    with party(policy) as plant:
        plant.enrol("press-01", "press")
        wire = plant.connect("press-01")
        wire.send(v5.subscribe(1, "#", "a"))
        wire.expect(Suback, reasons=(NOT_AUTHORIZED,) * 2)
        wire.send(v5.publish("a", b"x", qos=1, pid=1))
        wire.expect(Puback, reason=NOT_AUTHORIZED)


@pytest.mark.parametrize(("username", "password"), [("", b""), ("half", b""), ("half", None), ("\u0001", b"x")])
def test_cve_2018_12551_an_identity_without_a_password_has_none_that_fits(username: str, password: bytes | None):
    """Mosquitto: a malformed line of the password file became a name that needs no password."""
    with party(PLANT) as plant:
        plant.enrol("half", "press")
        wire = plant.dial()
        wire.send(v5.connect("half", username=username, password=password))
        assert wire.expect(Connack, within_s=5).reason in (0x81, 0x82, 0x86, NOT_AUTHORIZED)


def test_cve_2019_11778_a_will_delay_longer_than_the_session(lab: Party):
    """Mosquitto: a Will Delay beyond the Session Expiry was used after it was freed."""
    watcher = client(lab, "watcher")
    watcher.send(v5.subscribe(1, "wills/delay"))
    watcher.expect(Suback)
    will = Will(topic="wills/delay", payload=b"gone", props={"will_delay_interval": 60})
    for _ in range(3):
        client(lab, "mortal", will=will, props={"session_expiry_interval": 1}).drop()
        watcher.expect(Publish, payload=b"gone", within_s=3)


@DIALECTS
@pytest.mark.parametrize(
    "text", ["/" * 65_535, "+/" * 32_767 + "+", "a/" * 32_767 + "#"], ids=["slashes", "pluses", "levels"]
)
def test_cve_2019_11779_a_filter_of_sixty_five_thousand_levels(lab: Party, dialect: Dialect, text: str):
    """Mosquitto: a recursion for each level of a SUBSCRIBE overflowed the stack."""
    wire = client(lab, f"deep{dialect.level}", name="wide", dialect=dialect)
    wire.send(dialect.subscribe(1, text))
    wire.expect(Suback, reasons=(0,))
    topic = "a/" * 32_767
    wire.send(dialect.publish(topic, b"x", qos=1, pid=1, retain=True))
    wire.expect(Puback, within_s=10) if "#" not in text and "+" not in text else wire.expect(Publish, within_s=10)
    narrow = client(lab, f"narrow{dialect.level}", dialect=dialect)
    narrow.send(dialect.subscribe(1, text))
    narrow.expect(Suback, reasons=(0x8F if dialect is v5 else 0x80,))
    wire.drop()
    again = client(lab, "clean", name="wide")
    again.send(v5.publish(topic, b"", qos=1, pid=1, retain=True))
    again.expect(Puback, within_s=10)


def test_cve_2020_13821_a_client_id_writes_nothing_of_its_own_into_the_log(lab: Party):
    """HiveMQ: a Client Identifier was shown as it was, markup included."""
    name = "x<script>\x1b[2J"
    wire = lab.dial(listener="lab", tls=False)
    wire.send(v5.connect(name))
    wire.next_packet()
    assert "\x1b" not in lab.text()


def test_cve_2020_13849_slowite_keep_alive_holds_no_connection_of_a_stranger():
    """MQTT 3.1.1: connections held open by the largest Keep Alive leave no room for others."""
    with party(PLANT, "listeners.mqtt.limits.connect_timeout_s=0.5") as plant:
        wire = plant.dial()
        wire.send(v311.connect("slow", keep_alive=65_535))
        wire.expect_refusal(Connack, 0x04, 0x05)


def test_cve_2021_28166_a_connack_sent_to_the_broker(lab: Party):
    """Mosquitto: a CONNACK from an authenticated client dereferenced nothing."""
    for packet in ("20 03 00 00 00", "20 02 00 00", "20 00", "20 06 00 00 03 21 00 0a"):
        wire = client(lab)
        wire.send(packet)
        wire.expect_refusal(Disconnect, 0x81, 0x82)


def test_cve_2021_33175_and_33176_a_length_is_no_order_for_memory(lab: Party):
    """EMQX and VerneMQ: lengths inside a packet were allocated for before they were read."""
    for body in (
        b"\xff\xff",
        sized("MQTT") + b"\x05\x02\x00\x3c\x00\xff\xff",
        sized("MQTT") + b"\x05\x02\x00\x3c\xff\xff\xff\x7f",
    ):
        wire = lab.dial(listener="lab", tls=False)
        wire.send(frame(0x10, body))
        with suppress(AssertionError):
            wire.expect_refusal(Connack, 0x81, silent=True)
        wire.drop()


@pytest.mark.parametrize(
    "properties", [b"\x15\x00\x01a", b"\x16\x00\x01a", b"\x15\x00\x01a\x15\x00\x01a", b"\x15\x00\xffa"]
)
def test_cve_2021_34431_a_crafted_connect_is_refused_and_forgotten(lab: Party, properties: bytes):
    """Mosquitto: CONNECT with authentication properties in disorder leaked memory."""
    for _ in range(20):
        wire = lab.dial(listener="lab", tls=False)
        wire.send(v5.connect("crafted", props=variable(len(properties)) + properties))
        wire.expect_refusal(Connack, 0x81, 0x82, 0x8C)
        wire.drop()


@pytest.mark.parametrize("qos", [0, 1, 2])
@DIALECTS
def test_cve_2021_34432_a_publish_without_a_topic(lab: Party, dialect: Dialect, qos: int):
    """Mosquitto: a PUBLISH with a topic of no length ended the process."""
    wire = client(lab, dialect=dialect)
    wire.send(dialect.publish("", b"x", qos=qos, pid=1 if qos else None))
    if dialect is v5:
        wire.expect_refusal(Disconnect, 0x82, 0x90, 0x81)
    else:
        wire.expect_close()


def test_cve_2021_34434_a_durable_subscription_ends_with_its_permission():
    """Mosquitto's dynamic security: an offline Session kept a Subscription that had been revoked."""
    with party(PLANT) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash", clean=False, props=EXPIRY)
        dash.send(v5.subscribe(1, ("data/+/temperature", 1)))
        dash.expect(Suback)
        dash.drop()
        plant.wait_for("disconnected", client_id="dash")
        plant.broker.apply_policy(
            "[roles.dashboard]\n"
            + PLANT.replace('subscribe = ["dashboard"]', "subscribe = []").replace("[roles.dashboard]\n", "")
        )
        press = plant.connect("press-01")
        press.send(v5.publish("data/press-01/temperature", b"x", qos=1, pid=1))
        press.expect(Puback, reason=0x10)
        plant.connect("dash", clean=False, props=EXPIRY).expect_nothing()


def test_cve_2021_41039_thousands_of_user_properties_cost_no_time(lab: Party):
    """Mosquitto: user properties of CONNECT were compared each with each."""
    many: list[tuple[str, Value]] = [("user_property", ("k", "v"))] * 60_000
    took_s: dict[int, list[float]] = {len(many) // 8: [], len(many): []}
    for _ in range(5):
        for count, times in took_s.items():
            wire = lab.dial(listener="wide", tls=False)
            began = time.monotonic()
            wire.send(v5.connect("many", props=many[:count]))
            wire.expect(Connack, reason=0, within_s=60)
            times.append(time.monotonic() - began)
            wire.drop()
    few_s, many_s = (min(times) for times in took_s.values())
    # Eight times as many cost about eight times as much; each with each, that would be 64 times.
    assert many_s < 30 * few_s
    refused = lab.dial(listener="lab", tls=False)
    refused.send(v5.connect("many", props=many[:5_000]))
    refused.expect_refusal(Connack, 0x95)


def test_cve_2021_46434_a_name_that_exists_is_answered_like_one_that_does_not(monkeypatch: pytest.MonkeyPatch):
    """EMQX: the answer told which user names there are."""
    spent: list[str | None] = []
    verify = hashes.verify

    def counted(hash_: str, password: bytes) -> bool:
        spent.append(hashes.shape(hash_))
        return verify(hash_, password)

    monkeypatch.setattr(hashes, "verify", counted)
    with party(PLANT, "passwords.free_failures=100") as plant:
        plant.enrol("dash", "dashboard", password=True)
        answers: dict[str, list[tuple[object, ...]]] = {"dash": [], "nobody": []}
        for _ in range(3):
            for name, told in answers.items():
                spent.clear()
                wire = plant.dial()
                wire.send(v5.connect("dash", username=name, password=b"wrong"))
                connack = wire.expect(Connack, within_s=20)
                # What takes time is hashes: as many, of the same kind and cost.
                told.append((connack.reason, connack.properties.get("reason_string"), sorted(map(str, spent))))
        assert answers["dash"] == answers["nobody"]
        assert all(told == (0x86, None, [str(hashes.our_shape())]) for told in answers["dash"])


@pytest.mark.parametrize("first", [0x30, 0x82, 0xE0, 0xF0, 0xC0, 0x00, 0x20])
def test_cve_2023_0809_a_first_packet_that_is_no_connect_is_given_no_memory(lab: Party, first: int):
    """Mosquitto: memory was taken for any first packet, as much as its header said."""
    wire = lab.dial(listener="wide", tls=False)
    wire.send(bytes([first]) + variable(1_000_001) + b"x" * 1_000)
    wire.expect_close()


def test_cve_2023_28366_the_same_qos_2_message_again_and_again(lab: Party):
    """Mosquitto: each copy of a QoS 2 PUBLISH that was never released was kept."""
    wire, watcher = client(lab, "again"), client(lab, "watcher")
    watcher.send(v5.subscribe(1, ("again", 0)))
    watcher.expect(Suback)
    for number in range(500):
        wire.send(v5.publish("again", b"x" * 1_000, qos=2, pid=9, dup=number > 0))
        wire.expect(Pubrec, pid=9)
    watcher.expect(Publish)
    watcher.expect_nothing()
    wire.send(v5._answer(0x62, 9, None, None))
    wire.expect(Pubcomp, pid=9)


@pytest.mark.parametrize(
    "properties", [b"\x11\x00\x00\x00\x01", b"\x21\x00\x01", b"\xff\x00", b"\x18\x00\x00\x00\x01" * 2, b"\x03\x00\xff"]
)
def test_cve_2023_3592_a_will_with_properties_that_are_none_of_a_will(lab: Party, properties: bytes):
    """Mosquitto: the Will of such a CONNECT leaked."""
    for _ in range(20):
        wire = lab.dial(listener="lab", tls=False)
        wire.send(
            v5.connect("will", will=Will(topic="a", payload=b"x" * 100, props=variable(len(properties)) + properties))
        )
        wire.expect_refusal(Connack, 0x81, 0x82)
        wire.drop()


def test_cve_2023_5632_connections_that_say_nothing_cost_no_processor(tmp_path: Path):
    """Mosquitto: a silent connection was asked for over and over whether it could be written to."""
    with running(tmp_path / "data") as broker:
        port = broker.port("mqtts")
        streams = [socket.create_connection((HOST, port)) for _ in range(50)]
        try:
            time.sleep(1.0)
            before = processor_s(broker.pid)
            time.sleep(2.0)
            assert processor_s(broker.pid) - before < 0.5
        finally:
            for stream in streams:
                stream.close()


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_cve_2024_8376_sequences_of_packets_in_any_order(lab: Party):
    """Mosquitto: certain sequences of CONNECT, DISCONNECT, SUBSCRIBE, UNSUBSCRIBE and PUBLISH used freed memory."""
    chance = random.Random(20_248_376)
    for number in range(60):
        dialect = chance.choice([v5, v311])
        said = [
            dialect.subscribe(1, ("a/b", 2)),
            dialect.subscribe(2, ("$share/g/a/b", 1)),
            dialect.unsubscribe(3, "a/b"),
            dialect.unsubscribe(4, "$share/g/a/b", "never"),
            dialect.publish("a/b", b"x", qos=1, pid=5),
            dialect.publish("a/b", b"x", qos=2, pid=6),
            dialect.publish("a/b", b"", retain=True),
            dialect.disconnect(),
            dialect.connect("again"),
        ]
        with plain(lab.port("lab")) as stream:
            packets = [chance.choice(said) for _ in range(12)]
            with suppress(OSError):
                stream.sendall(dialect.connect(f"s{number % 7}", clean=chance.random() < 0.5) + b"".join(packets))
                if chance.random() < 0.5:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_cve_2024_10525_a_suback_without_reason_codes(lab: Party):
    """libmosquitto read a SUBACK without codes out of bounds; sent to a broker it is a Protocol Error."""
    for packet in ("90 03 00 01 00", "90 02 00 01", "90 00"):
        wire = client(lab)
        wire.send(packet)
        wire.expect_refusal(Disconnect, 0x81, 0x82)


def test_cve_2024_48077_a_flood_on_many_connections_leaves_room_for_others(lab: Party):
    """NanoMQ: what came faster than it was handled was queued until nothing worked any more."""
    streams = [plain(lab.port("lab")) for _ in range(20)]
    try:
        for number, stream in enumerate(streams):
            stream.sendall(v5.connect(f"flood{number}"))
            stream.setblocking(False)
        ends, batch = time.monotonic() + 2, v5.publish("flood", b"x" * 200) * 100
        calm = client(lab, "calm")
        while time.monotonic() < ends:
            for stream in streams:
                with suppress(BlockingIOError):
                    stream.send(batch)
            calm.expect_alive()
    finally:
        for stream in streams:
            stream.close()


def test_cve_2025_59946_and_2026_22040_reconnects_and_subscriptions_in_a_storm(lab: Party):
    """NanoMQ: the same Client Identifier again and again, with Subscriptions coming and going, used freed memory."""
    publisher = client(lab, "storm-publisher")
    for number in range(150):
        with plain(lab.port("lab")) as stream:
            churn = b"".join(
                v5.subscribe(pid, (f"storm/{pid}", 1)) + v5.unsubscribe(pid, f"storm/{pid}") for pid in range(1, 9)
            )
            stream.sendall(
                v5.connect("storm", clean=number % 2 == 0, props=EXPIRY) + v5.subscribe(1, ("storm/#", 1)) + churn
            )
            publisher.send(v5.publish(f"storm/{number % 9}", b"x", qos=1, pid=1))
            publisher.expect(Puback)


@pytest.mark.parametrize(
    "body",
    [sized("MQTT") + b"\x05\x02\x00\x3c\x80\x80\x80\x80\x01", sized("MQTT") + b"\x05\x02\x00\x3c\xff\xff\xff\xff\xff"],
)
def test_cve_2026_21888_a_variable_byte_integer_of_five_bytes(lab: Party, body: bytes):
    """NanoMQ: a length of five bytes was read past the end."""
    wire = lab.dial(listener="lab", tls=False)
    wire.send(frame(0x10, body))
    wire.expect_refusal(Connack, 0x81)
    wire = lab.dial(listener="lab", tls=False)
    wire.send(b"\x10\xff\xff\xff\xff\x01")
    wire.expect_close()


def test_cve_2026_25627_a_websocket_frame_shorter_than_the_packet_it_begins(lab: Party):
    """NanoMQ: a Remaining Length beyond the WebSocket frame was copied from whatever lay behind it."""
    websocket = WebSocket(HOST, lab.port("ws"), "/mqtt")
    lab.keep(websocket)  # type: ignore[type-var]
    wire = Wire(websocket)
    wire.send(v5.connect("ws"))
    wire.expect(Connack, reason=0)
    wire.send(b"\x32" + variable(4_096) + b"\x00\x01a")
    wire.expect_nothing()
    wire.send(b"\x00\x01\x00" + b"x" * (4_096 - 6))
    wire.expect(Puback, pid=1)


@DIALECTS
def test_cve_2026_33215_a_client_id_is_no_key_to_somebody_elses_session(plant: Party, dialect: Dialect):
    """NATS: whoever named a Client Identifier got its Session and its messages."""
    kept: dict[str, Any] = {"clean": False, "props": EXPIRY} if dialect is v5 else {"clean": False}
    owner = plant.connect("dash", client_id="dash-nats", dialect=dialect, **kept)
    owner.send(dialect.subscribe(1, ("data/+/temperature", 1)))
    owner.expect(Suback)
    thief = plant.dial(plant.names["press-01"], dialect=dialect)
    thief.send(dialect.connect("dash-nats", **kept))
    thief.expect_refusal(Connack, NOT_AUTHORIZED if dialect is v5 else 0x05)
    owner.expect_alive()


@pytest.mark.parametrize("filter_", ["$MQTT/#", "$MQTT/sess/#", "$SYS/#", "$share/g/$MQTT/#", "$control/#"])
def test_cve_2026_33217_no_namespace_of_the_server_is_outside_the_policy(lab: Party, filter_: str):
    """NATS: the subjects in which it kept Sessions were open to every client."""
    wire = client(lab)
    wire.send(v5.subscribe(1, filter_))
    wire.expect(Suback, reasons=(NOT_AUTHORIZED,))


def test_nats_2026_26_what_is_replayed_is_decided_like_what_is_live():
    """NATS: Retained Messages and replays of QoS 1 reached subscribers that a deny rule kept from the live ones."""
    forbid = '\nforbid = [{ action = "subscribe", filter = "data/press-02/#" }]\n'
    readable = '\n[roles.reader]\npermit = [{ action = "subscribe", filter = "data/#" }]\n'
    with party(PLANT + readable) as plant:
        plant.enrol("press-02", "press")
        plant.enrol("reader", "reader")
        reader = plant.connect("reader", clean=False, props=EXPIRY)
        reader.send(v5.subscribe(1, ("data/#", 1)))
        reader.expect(Suback)
        reader.drop()
        plant.wait_for("disconnected", client_id="reader")
        press = plant.connect("press-02")
        press.send(v5.publish("data/press-02/temperature", b"x", qos=1, pid=1, retain=True))
        press.expect(Puback, reason=0)
        plant.broker.apply_policy(PLANT + readable.rstrip() + forbid)
        reader = plant.connect("reader", clean=False, props=EXPIRY)
        reader.send(v5.subscribe(1, ("data/#", 1)))
        reader.expect(Suback, reasons=(1,))
        reader.expect_nothing()


def test_nats_2026_18_a_share_name_does_not_change_what_is_forbidden(plant: Party):
    """NATS: a queue group that no rule named overrode the rule about the subject."""
    auditor = plant.connect("auditor")
    auditor.send(
        v5.subscribe(1, *(f"$share/{name}/data/secret/temperature" for name in ("g", "data", "$SYS", "a.b", "*", ">")))
    )
    auditor.expect(Suback, reasons=(NOT_AUTHORIZED,) * 6)
