"""Ports for a server that must be told its own before it starts."""

import secrets
import socket
from contextlib import suppress

from bench.process import HOST

PORTS = range(10_000, 32_768)
"""Below those that a system gives to outgoing connections and to whoever asks for any port: one of those could
take the port before the server does."""


def free_ports(count: int) -> list[int]:
    """So many different ports of loopback on which nobody listens."""
    found: set[int] = set()
    while len(found) < count:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server((HOST, port)):
            found.add(port)
    return list(found)
