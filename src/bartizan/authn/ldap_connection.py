"""One connection to a directory: TLS before anything else is said, then binds and searches, one after the other.

It belongs to the event loop, so that a directory that accepts a connection and then is silent holds up nobody
(docs/adr has why that is not a library's). Referrals are not followed: a password goes to the directory that was
named, and to no other.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from bartizan.authn import ldap_wire as wire
from bartizan.authn.base import ProviderUnavailable

MESSAGE_BYTES_MAX = 262_144
"""A larger message is refused unread."""

READ_BYTES_MAX = 1_048_576
"""All entries of one search together."""

HEAD_BYTES = 2
PORTS = {"ldaps": 636, "ldap": 389}

WRONG = frozenset({32, 34, 48, 49, 53})
"""Results of a bind that mean: not this name with this password. noSuchObject, invalidDNSyntax,
inappropriateAuthentication, invalidCredentials, unwillingToPerform."""


class LdapTrouble(Exception):  # noqa: N818  it says what there is
    """The directory is of no use: what is wrong, without anything that was sent."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a directory is, and how it is made sure that it is the one."""

    url: str
    trust: ssl.SSLContext | None
    starts_tls: bool

    @property
    def host(self) -> str:
        """Whose certificate it has to have."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Where it listens."""
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]


class LdapConnection:
    """An open connection; after any error it is closed for good."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    @classmethod
    async def open(cls, place: Place) -> "LdapConnection":
        """Connects; TLS is done when this returns."""
        at_once = None if place.starts_tls else place.trust
        try:
            reader, writer = await asyncio.open_connection(
                place.host,
                place.port,
                ssl=at_once,
                server_hostname=place.host if at_once else None,
                limit=2 * READ_BYTES_MAX,
            )
        except (OSError, ssl.SSLError) as error:
            raise LdapTrouble(f"no connection: {type(error).__name__}") from None
        made = cls(reader, writer)
        if place.starts_tls:
            try:
                await made._start_tls(place)
            except BaseException:
                made.close()
                raise
        return made

    @property
    def is_usable(self) -> bool:
        """Whether it is worth trying: the directory has not hung up."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def bind(self, dn: str, password: bytes) -> bool:
        """Whether it is this name's password. Neither may be empty: a directory takes that for "nobody", and agrees."""
        if not dn or not password:
            return False
        return await self._bind(dn, password)

    async def search(self, wanted: wire.Search, values: Mapping[str, str]) -> list[wire.Entry]:
        """What is found, but no more than one entry beyond what was asked for."""
        number = await self._send(wire.search(wanted, values))
        found: list[wire.Entry] = []
        read = 0
        while True:
            answer = await self._receive(number)
            read += len(answer.body)
            if read > READ_BYTES_MAX or len(found) > wanted.entries_max:
                raise LdapTrouble("a search found too much")
            try:
                if answer.kind == wire.ENTRY:
                    found.append(wire.read_entry(answer.body))
                elif answer.kind == wire.DONE:
                    code = wire.result_code(answer.body)
                    if code not in {wire.SUCCESS, wire.SIZE_LIMIT_EXCEEDED}:
                        raise LdapTrouble(f"a search failed with result {code}")
                    return found
                elif answer.kind != wire.REFERENCE:
                    raise LdapTrouble("an answer to something else")
            except wire.NotLdap as error:
                raise LdapTrouble(str(error)) from None

    def close(self) -> None:
        """Hangs up, without waiting for anybody."""
        with suppress(OSError, RuntimeError):
            if not self._writer.is_closing():
                self._writer.write(wire.message(self._number + 1, wire.unbind()))
        self._writer.transport.abort()

    async def _bind(self, dn: str, password: bytes) -> bool:
        code = await self._result(wire.bind(dn, password), wire.BIND_RESPONSE)
        if code == wire.SUCCESS:
            return True
        if code in WRONG:
            return False
        raise LdapTrouble(f"a bind failed with result {code}")

    async def _start_tls(self, place: Place) -> None:
        code = await self._result(wire.start_tls(), wire.EXTENDED_RESPONSE)
        if code != wire.SUCCESS or place.trust is None:
            raise LdapTrouble(f"StartTLS failed with result {code}")
        # What came in the clear behind the answer would be read as if TLS had protected it.
        if self._holds_more():
            raise LdapTrouble("the directory sent more than its answer before TLS")
        try:
            await self._writer.start_tls(place.trust, server_hostname=place.host)
        except (OSError, ssl.SSLError) as error:
            raise LdapTrouble(f"no TLS: {type(error).__name__}") from None

    def _holds_more(self) -> bool:
        return bool(getattr(self._reader, "_buffer", b""))

    async def _result(self, operation: bytes, kind: int) -> int:
        number = await self._send(operation)
        answer = await self._receive(number)
        if answer.kind != kind:
            raise LdapTrouble("an answer to something else")
        try:
            return wire.result_code(answer.body)
        except wire.NotLdap as error:
            raise LdapTrouble(str(error)) from None

    async def _send(self, operation: bytes) -> int:
        self._number += 1
        try:
            self._writer.write(wire.message(self._number, operation))
            await self._writer.drain()
        except (OSError, ssl.SSLError) as error:
            raise LdapTrouble(f"the connection broke: {type(error).__name__}") from None
        return self._number

    async def _receive(self, number: int) -> wire.Message:
        try:
            head = await self._reader.readexactly(HEAD_BYTES)
            if head[0] != wire.SEQUENCE:
                raise LdapTrouble("what answers is no directory")
            if head[1] > wire.LONG:
                head += await self._reader.readexactly(min(head[1] & ~wire.LONG, wire.LENGTH_BYTES_MAX))
            size, _ = wire.length_at(head, 1)
            if size > MESSAGE_BYTES_MAX:
                raise LdapTrouble(f"a message of {size} bytes")
            answer = wire.read_message(await self._reader.readexactly(size))
        except (OSError, ssl.SSLError, EOFError) as error:
            raise LdapTrouble(f"the connection broke: {type(error).__name__}") from None
        except wire.NotLdap as error:
            raise LdapTrouble(str(error)) from None
        if answer.number != number:
            # Number 0 is the directory's goodbye (RFC 4511, 4.4.1).
            raise LdapTrouble("the directory hung up" if answer.number == 0 else "an answer to something else")
        return answer


class Directory:
    """Connections to one directory: those of whoever looks for users are kept, those of users are not."""

    def __init__(self, name: str, place: Place, account: tuple[str, bytes] | None, kept_max: int) -> None:
        self._name = name
        self._place = place
        self._account = account
        self._kept_max = kept_max
        self._kept: list[LdapConnection] = []
        self._is_closed = False

    async def find(self, wanted: wire.Search, values: Mapping[str, str]) -> list[wire.Entry]:
        """A search by whoever looks for users. A connection that was kept may have died meanwhile: then a new one."""
        while self._kept:
            kept = self._kept.pop()
            if not kept.is_usable:
                kept.close()
                continue
            with suppress(LdapTrouble):
                return await self._search(kept, wanted, values)
        return await self._search(await self._open_own(), wanted, values)

    async def open(self) -> LdapConnection:
        """A connection for one user; the caller closes it."""
        if self._is_closed:
            raise ProviderUnavailable(f"{self._name} is not asked any more: the broker stops")
        return await LdapConnection.open(self._place)

    def close(self) -> None:
        """Closes what is kept; nothing is kept any more."""
        self._is_closed = True
        while self._kept:
            self._kept.pop().close()

    async def _open_own(self) -> LdapConnection:
        made = await self.open()
        is_let_in = False
        try:
            is_let_in = self._account is None or await made.bind(*self._account)
        finally:
            if not is_let_in:
                made.close()
        if not is_let_in:
            raise LdapTrouble("the directory refuses bind_dn with the password in bind_password_file")
        return made

    async def _search(
        self, through: LdapConnection, wanted: wire.Search, values: Mapping[str, str]
    ) -> list[wire.Entry]:
        try:
            found = await through.search(wanted, values)
        except BaseException:
            through.close()
            raise
        if self._is_closed or len(self._kept) >= self._kept_max:
            through.close()
        else:
            self._kept.append(through)
        return found
