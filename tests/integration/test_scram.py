"""SCRAM by a real client, the one in examples/: both sides prove themselves, and again on an open connection."""

import importlib.util
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from OpenSSL import SSL

from bartizan.model.credential import SCRAM_MECHANISMS, ScramMechanism
from bartizan.testing import Broker
from tests.conformance.packets import v5
from tests.conformance.received import Auth, Connack
from tests.conformance.wire import Wire
from tests.scram import BOUND_SETTING, SETTING, Client, accepts, give_keys

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/scram/scram_client.py"
NOT_AUTHORIZED, BAD_METHOD = 0x87, 0x8C
POLICY = """
[topics."data/{asset}/temperature"]
publish   = ["press"]
subscribe = ["press"]

[roles.press]
binds = { asset = "client_id" }
"""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load(EXAMPLE)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(POLICY, settings=[SETTING, accepts("certificate", "password", "keys")]) as running:
        running.enrol("press-01", "press")
        running.enrol("press-02", "press")
        yield running


@pytest.fixture
def clients() -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack:

        def make(broker: Broker, name: str, password: str, *more: str) -> Any:
            client = example.ScramClient(name, password, *more)
            client.tls_set(broker.ca_file)
            stack.callback(client.close)
            return client

        yield make


@pytest.mark.parametrize("mechanism", SCRAM_MECHANISMS)
def test_a_client_gets_in_does_its_work_and_proves_itself_again(broker, clients, mechanism):
    client = clients(broker, "press-01", give_keys(broker, "press-01", mechanism), mechanism)
    assert client.open(broker.host, broker.port) == 0
    client.renew()
    client.renew()
    told: list[bytes] = []

    def keep(_client: object, _data: object, message: Any) -> None:
        told.append(message.payload)

    client.on_message = keep
    client.subscribe("data/press-01/temperature", qos=1)
    for number in range(100):
        client.publish("data/press-01/temperature", str(number), qos=1).wait_for_publish(10)
        if told:
            break
    assert told
    assert not client.ended.is_set()


def test_the_page_shows_the_example():
    page = (ROOT / "docs/reference/authentication.md").read_text()
    shown = page.partition("client = ScramClient(")[2].partition("```")[0]
    lines = [line.partition("  #")[0].strip() for line in shown.splitlines()[1:]]
    assert len(lines) > 2
    assert all(line in (example.__doc__ or "") for line in lines)


@pytest.mark.parametrize("name", ["press-01", "nobody"])
def test_a_wrong_password_opens_nothing(broker, clients, name):
    give_keys(broker, "press-01")
    assert clients(broker, name, "a-wrong-password").open(broker.host, broker.port) == NOT_AUTHORIZED


def test_another_identitys_client_id_stays_closed(broker, clients):
    password = give_keys(broker, "press-01")
    client = clients(broker, "press-01", password, "SCRAM-SHA-256", "press-02")
    assert client.open(broker.host, broker.port) == NOT_AUTHORIZED


def test_a_new_password_ends_the_connection_of_the_old_one(broker, clients):
    client = clients(broker, "press-01", give_keys(broker, "press-01"))
    assert client.open(broker.host, broker.port) == 0
    give_keys(broker, "press-01")
    assert client.ended.wait(10)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"r=%s,s=c2FsdA==,i=1", "iterations"),
        (b"r=%s,s=c2FsdA==,i=1000000000", "iterations"),
        (b"r=other,s=c2FsdA==,i=4096", "nonce"),
    ],
)
def test_the_client_gives_no_proof_to_who_asks_for_less(said, why):
    exchange = example.Exchange("SCRAM-SHA-256", "press-01", "pencil")
    nonce = exchange.first().partition(b",r=")[2] + b"x"
    with pytest.raises(example.Untrusted, match=why):
        exchange.final(said.replace(b"%s", nonce))


def test_the_client_does_not_stay_with_a_broker_that_does_not_know_the_keys():
    exchange = example.Exchange("SCRAM-SHA-256", "press-01", "pencil")
    with pytest.raises(example.Untrusted):
        exchange.check(b"")
    exchange.final(b"r=%sx,s=c2FsdA==,i=4096" % exchange.first().partition(b",r=")[2])
    with pytest.raises(example.Untrusted):
        exchange.check(b"v=AAAA")


def test_with_a_certificate_it_is_two_factors(clients):
    settings = [SETTING, accepts("certificate + keys")]
    policy = """
[roles.press]
permit = [{ action = "all", filter = "data/#", when = { strength = ["mfa"] } }]
"""
    with Broker(policy, settings=settings) as broker:
        bundle = broker.enrol("press-01", "press")
        password = give_keys(broker, "press-01")
        assert clients(broker, "press-01", password).open(broker.host, broker.port) == NOT_AUTHORIZED
        client = example.ScramClient("press-01", password)
        client.tls_set(broker.ca_file, bundle.certificate_file, bundle.key_file)
        assert client.open(broker.host, broker.port) == 0
        answers: list[int] = []

        def keep(_client: object, _data: object, _mid: int, reason: Any, _properties: object) -> None:
            answers.append(reason.value)

        client.on_publish = keep
        client.publish("data/x", "1", qos=1).wait_for_publish(10)
        client.publish("data/x", "1", qos=1).wait_for_publish(10)
        client.close()
        assert answers
        assert NOT_AUTHORIZED not in answers


# ---- bound to the TLS connection ------------------------------------------------------------------


class Bindable:
    """A TLS connection that knows its `tls-exporter` value: Python's own `ssl` tells none."""

    def __init__(self, broker: Broker, *, newest: int = SSL.TLS1_3_VERSION) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(broker.ca_file)
        context.set_verify(SSL.VERIFY_PEER)
        context.set_max_proto_version(newest)
        self._raw = socket.create_connection((broker.host, broker.port), timeout=5)
        self._raw.setblocking(False)
        self._tls = SSL.Connection(context, self._raw)
        self._tls.set_connect_state()
        self._until(self._tls.do_handshake)

    @property
    def exported(self) -> bytes:
        return self._tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")

    def settimeout(self, seconds: float, /) -> None:
        self._timeout = seconds

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        self._raw.setsockopt(level, option, value)

    def sendall(self, octets: bytes, /) -> None:
        self._until(lambda: self._tls.sendall(octets))

    def recv(self, count: int, /) -> bytes:
        try:
            return self._until(lambda: self._tls.recv(count))
        except SSL.ZeroReturnError:
            return b""

    def close(self) -> None:
        self._raw.close()

    _timeout = 5.0

    def _until(self, act):
        while True:
            try:
                return act()
            except SSL.WantReadError:
                if not select.select([self._raw], [], [], self._timeout)[0]:
                    raise TimeoutError from None


def answer_to(wire: Wire, method: str, client: Client) -> Connack:
    """What the broker says to a whole exchange."""
    said = {"authentication_method": method}
    wire.send(v5.connect("press-01", props={**said, "authentication_data": client.first()}))
    packet = wire.next_packet()
    if isinstance(packet, Auth):
        challenge = packet.properties["authentication_data"]
        assert isinstance(challenge, bytes)
        wire.send(v5.auth(0x18, {**said, "authentication_data": client.final(challenge)}))
        packet = wire.next_packet()
    assert isinstance(packet, Connack)
    return packet


@pytest.fixture(scope="module")
def bound() -> Iterator[tuple[Broker, str]]:
    with Broker(POLICY, settings=[BOUND_SETTING, accepts("keys")]) as running:
        running.enrol("press-01", "press")
        yield running, give_keys(running, "press-01")


@pytest.mark.parametrize("mechanism", SCRAM_MECHANISMS)
def test_an_exchange_is_bound_to_its_connection(bound: tuple[Broker, str], mechanism: ScramMechanism):
    broker, password = bound
    stream = Bindable(broker)
    client = Client(mechanism, "press-01", password, flag="p=tls-exporter", binding=stream.exported)
    with Wire(stream) as wire:
        accepted = answer_to(wire, f"{mechanism}-PLUS", client)
        assert accepted.reason == 0
        final = accepted.properties["authentication_data"]
        assert isinstance(final, bytes)
        assert client.trusts(final)


def test_an_exchange_of_another_connection_is_refused(bound: tuple[Broker, str]):
    broker, password = bound
    stream, between = Bindable(broker), Bindable(broker)
    client = Client("SCRAM-SHA-256", "press-01", password, flag="p=tls-exporter", binding=stream.exported)
    with Wire(between) as wire:
        assert answer_to(wire, "SCRAM-SHA-256-PLUS", client).reason == NOT_AUTHORIZED
    stream.close()


def test_without_binding_nobody_gets_in_where_it_is_required(bound: tuple[Broker, str]):
    broker, password = bound
    with Wire(Bindable(broker)) as wire:
        client = Client("SCRAM-SHA-256", "press-01", password)
        assert answer_to(wire, "SCRAM-SHA-256", client).reason == BAD_METHOD


def test_there_is_nothing_to_bind_to_in_tls_1_2(bound: tuple[Broker, str]):
    broker, password = bound
    stream = Bindable(broker, newest=SSL.TLS1_2_VERSION)
    client = Client("SCRAM-SHA-256", "press-01", password, flag="p=tls-exporter", binding=stream.exported)
    with Wire(stream) as wire:
        assert answer_to(wire, "SCRAM-SHA-256-PLUS", client).reason == NOT_AUTHORIZED
