"""A broker to be broken: a policy without rates, and connections whose Sessions are kept."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.packets import v5
from tests.conformance.received import Connack
from tests.conformance.wire import Wire
from tests.security.party import HOST, plain, tls_context
from tests.security.process import LOOPBACK, Process, running

KEPT = {"session_expiry_interval": 3_600}
POLICY = """
[topics."{site}/{asset}/#"]
publish   = ["press"]
subscribe = ["dashboard"]
[roles.press]
[roles.dashboard]
"""
ROOM = (
    "limits.queued_messages_max=1000000",
    "limits.queued_bytes_max=1073741824",
    "limits.publish_rate_per_s=1000000",
    "limits.publish_burst=1000000",
    "limits.publish_bytes_per_s=1073741824",
    "broker.sys_interval_s=0",
)


@contextmanager
def plant(data: Path, *settings: str, binds: tuple[str, ...] = LOOPBACK) -> Iterator[Process]:
    """A broker on `data`, with a policy that sets no rates."""
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "policy.toml").write_text(POLICY, encoding="utf-8")
    with running(data, *ROOM, *settings, binds=binds) as broker:
        yield broker


def connect(
    stack: ExitStack, broker: Process, name: str, client_id: str, *, listener: str = "mqtts", **more: Any
) -> Wire:
    """A connection of a demo identity whose Session is kept."""
    bundle = broker.data / "demo" / name
    context = tls_context(str(broker.data / "pki" / "ca.crt"))
    context.load_cert_chain(str(bundle / f"{name}.crt"), str(bundle / f"{name}.key"))
    wire = Wire(context.wrap_socket(plain(broker.port(listener)), server_hostname=HOST))
    stack.callback(wire.drop)
    wire.send(v5.connect(client_id, clean=False, props=KEPT, **more))
    wire.expect(Connack, reason=0, within_s=5)
    return wire
