"""Syslog over TLS (RFC 5425): messages of RFC 5424, each with its length before it, the record as JSON in it.

Nobody acknowledges a message of syslog. What there is instead: the other system acknowledges octets, and a connection
stands, or has broken. Who delivers asks for both (`settled`), and sends again what a broken connection had taken.
"""

import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bartizan.audit.canonical import canonical
from bartizan.audit.severity import severity_of
from bartizan.audit.sinks import NotDelivered
from bartizan.config.audit_sinks import SyslogSink

FACILITY: Final = 13
"""Log audit."""

SETTLE_PAUSE_S: Final = 0.01

_SEVERITIES: Final = {"info": 6, "warning": 4, "error": 3}
_APP_NAME: Final = "bartizan"
_NIL: Final = "-"
_NAME_CHARS: Final = frozenset(map(chr, range(33, 127)))
_HOSTNAME_CHARS_MAX: Final = 255
_MSGID_CHARS_MAX: Final = 32

Record = Mapping[str, Any]


class Syslog:
    """`AuditSink` of a collector."""

    def __init__(self, settings: SyslogSink) -> None:
        host, _, port = settings.address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._deadline_s = settings.deadline_s
        self._context = ssl.create_default_context(cafile=settings.ca_file)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate_file is not None:
            self._context.load_cert_chain(settings.certificate_file, settings.key_file)
        self._hostname = _name(socket.getfqdn(), _HOSTNAME_CHARS_MAX)
        self._stream: ssl.SSLSocket | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """See `AuditSink`."""
        try:
            stream = self._stream = self._stream or self._connected()
            stream.sendall(b"".join(framed(message(each, self._hostname)) for each in records))
        except (OSError, ssl.SSLError) as error:
            self.close()
            raise NotDelivered(f"{self._place[0]}:{self._place[1]}: {error}") from None

    def settled(self) -> None:
        """See `Unacknowledged`."""
        stream = self._stream
        if stream is None:
            raise NotDelivered("there is no connection")
        ends = time.monotonic() + self._deadline_s
        while not _is_closed(stream, self._deadline_s) and time.monotonic() < ends:
            if not _is_on_its_way(stream):
                return
            time.sleep(SETTLE_PAUSE_S)
        self.close()
        raise NotDelivered(f"{self._place[0]}:{self._place[1]}: the connection is over")

    def close(self) -> None:
        """Closes the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._place, self._deadline_s)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._place[0])
        except BaseException:
            plain.close()
            raise


def message(record: Record, hostname: str) -> bytes:
    """A record as RFC 5424 writes it."""
    priority = FACILITY * 8 + _SEVERITIES[severity_of(record)]
    at = record["at"].replace("+00:00", "Z")
    head = f"<{priority}>1 {at} {hostname} {_APP_NAME} {_NIL} {_name(record['what'], _MSGID_CHARS_MAX)} {_NIL} "
    return head.encode() + canonical(record)


def framed(content: bytes) -> bytes:
    """With its length before it (RFC 5425, 4.3): no line break of a message ends it."""
    return b"%d %b" % (len(content), content)


def _name(text: str, chars_max: int) -> str:
    return "".join(char for char in text if char in _NAME_CHARS)[:chars_max] or _NIL


def _is_closed(stream: ssl.SSLSocket, deadline_s: float) -> bool:
    """Whether the other side has gone: it has nothing to say, so what can be read is its end."""
    stream.settimeout(0)
    try:
        return stream.recv(1) == b""
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
    except (OSError, ssl.SSLError):
        return True
    finally:
        stream.settimeout(deadline_s)


def _is_on_its_way(stream: ssl.SSLSocket) -> bool:
    """Whether there are octets that the other system has not acknowledged (SIOCOUTQ)."""
    try:
        (left,) = struct.unpack("i", fcntl.ioctl(stream.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    except (OSError, ValueError):
        return True
    return left > 0
