"""SIGTERM: everybody is told, what was accepted is kept, and the next start goes on from there."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Suback
from tests.conformance.wire import Wire
from tests.security.party import HOST, plain, tls_context
from tests.security.process import Process, running

EXPIRY = {"session_expiry_interval": 300}
OWN = "data/chicago/hall/press-01/temperature"
FILTER = "data/chicago/+/+/temperature"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def demo(
    stack: ExitStack, broker: Process, name: str, client_id: str, dialect: Dialect = v5, **more: Any
) -> tuple[Wire, Connack]:
    """A connection of a demo identity."""
    bundle = broker.data / "demo" / name
    context = tls_context(str(broker.data / "pki" / "ca.crt"))
    context.load_cert_chain(str(bundle / f"{name}.crt"), str(bundle / f"{name}.key"))
    wire = Wire(context.wrap_socket(plain(broker.port("mqtts")), server_hostname=HOST), dialect=dialect)
    stack.callback(wire.drop)
    wire.send(dialect.connect(client_id, **more))
    return wire, wire.expect(Connack, reason=0)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_tells_v5_clients_closes_the_others_and_exits_0(tmp_path: Path, stack: ExitStack, by: signal.Signals):
    # Longer than the test waits: nobody waits for a connection that is silent.
    with running(tmp_path / "data", "broker.drain_timeout_s=300") as broker:
        new, _ = demo(stack, broker, "dash-01", "dash-01")
        old, _ = demo(stack, broker, "dash-01", "dash-01-old", v311)
        silent = stack.enter_context(plain(broker.port("mqtts")))
        broker.process.send_signal(by)
        new.expect_refusal(Disconnect, 0x8B, within_s=5)
        old.expect_close(within_s=5)
        silent.settimeout(15)
        assert broker.process.wait(60) == 0
        assert silent.recv(1) in (b"", b"\x15"), "the end, or the TLS alert that announces it"


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
def test_a_restart_resumes_sessions_with_what_waited_for_them(
    tmp_path: Path, stack: ExitStack, by: signal.Signals, dialect: Dialect
):
    kept = {"clean": False, "props": EXPIRY} if dialect is v5 else {"clean": False}
    with running(tmp_path / "data") as broker:
        dash, _ = demo(stack, broker, "dash-01", "dash-01", dialect, **kept)
        dash.send(dialect.subscribe(1, (FILTER, 1)))
        dash.expect(Suback)
        dash.drop()
        press, _ = demo(stack, broker, "press-01", "press-01")
        press.send(v5.publish(OWN, b"waits", qos=1, pid=1, retain=True))
        press.expect(Puback)
        broker.end(by)
    with running(tmp_path / "data") as broker:
        dash, connack = demo(stack, broker, "dash-01", "dash-01", dialect, **kept)
        assert connack.session_present
        dash.expect(Publish, payload=b"waits", retain=False)
        dash.send(dialect.subscribe(2, (OWN, 1)))
        dash.expect(Suback)
        dash.expect(Publish, payload=b"waits", retain=True)


def test_who_is_being_refused_while_it_stops_is_told_so(tmp_path: Path, stack: ExitStack):
    with running(tmp_path / "data") as broker:
        wires = [demo(stack, broker, "dash-01", f"dash-01-{number}")[0] for number in range(20)]
        broker.process.send_signal(signal.SIGTERM)
        for wire in wires:
            wire.expect_refusal(Disconnect, 0x8B, within_s=5)
        assert broker.process.wait(60) == 0
