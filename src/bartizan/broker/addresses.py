"""Whether a broker could listen where its settings say: asked before a first start makes anything.

The engine binds for good later, and says so itself if somebody was faster.
"""

import errno
import os
import socket
from ipaddress import IPv6Address

from bartizan.config.listener import bound_address
from bartizan.config.schema import Settings
from bartizan.errors import StartRefused

PROBLEMS = {
    errno.EADDRINUSE: "already in use; stop the other process or choose another address",
    errno.EACCES: "permission denied; choose a port above 1023, or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own, 0.0.0.0 or [::]",
}


def require_free(settings: Settings) -> None:
    """Binds every address of an MQTT listener for a moment, or raises `StartRefused` for the first that cannot be."""
    for name, listener in settings.listeners.items():
        try:
            probe = bound_socket(listener.bind)
        except OSError as error:
            problem = PROBLEMS.get(error.errno or 0, os.strerror(error.errno or 0))
            raise StartRefused(
                f"listener {name} on {listener.bind}: {problem} (--set listeners.{name}.bind=ADDRESS:PORT)"
            ) from None
        if probe is not None:
            probe.close()


def bound_socket(bind: str) -> socket.socket | None:
    """A TCP socket that is bound and does not listen yet; `OSError` if it cannot be. None for a Unix socket: one that
    a crash left behind is no obstacle, and what is one only the engine tells.
    """
    address, port = bound_address(bind), bind.rpartition(":")[2]
    if address is None:
        return None
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    # Of one that does not say that it is TCP, asyncio holds the end of an answer back for 40 ms (no TCP_NODELAY).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # As the engine does: connections of a broker that just stopped are no obstacle, and [::] is IPv4 too.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not address.is_unspecified))
        bound.bind((str(address), int(port)))
    except OSError:
        bound.close()
        raise
    return bound
