"""A ban: who may not connect, whatever proves it. Why, by whom, and until when."""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from bartizan.errors import InvalidValue
from bartizan.model.ids import IdentityName, parse_remark

BANS_MAX: Final = 10_000
"""Of one store: further ones are refused."""

ID_CHARS: Final = 16
CLIENT_ID_CHARS_MAX: Final = 1_024
ISSUER_CHARS_MAX: Final = 1_024

_SERIAL = re.compile(r"[0-9a-f]{1,128}\Z")


class BanOf(StrEnum):
    """What is banned."""

    IDENTITY = "identity"
    """Whoever proves to be it."""
    SERIAL = "serial"
    """A certificate, by its serial number."""
    CLIENT_ID = "client_id"
    """A Client Identifier, whoever has it. Who may choose it may choose another one."""
    ADDRESS = "address"
    """An address, or all with the same first bits: closed before TLS."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban."""

    of: BanOf
    what: str
    """As `parse_banned` writes it."""
    created_at: datetime
    until: datetime | None = None
    """When it ends by itself; None: it lasts until it is removed."""
    issuer: str = ""
    """Of a serial number: the issuer's name as RFC 4514 writes it; empty: every one."""
    reason: str = ""
    by: str = ""

    @property
    def id(self) -> str:
        """Its name: the same thing banned again is the same ban."""
        return hashlib.sha256("\0".join((self.of, self.what, self.issuer)).encode()).hexdigest()[:ID_CHARS]

    def holds(self, at: datetime) -> bool:
        """Whether it is not over."""
        return self.until is None or at < self.until

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id,
            "of": self.of.value,
            "what": self.what,
            "issuer": self.issuer,
            "created_at": self.created_at.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "reason": self.reason,
            "by": self.by,
        }


def new_ban(  # noqa: PLR0913  every word that people give one
    of: BanOf,
    what: str,
    *,
    at: datetime,
    until: datetime | None = None,
    issuer: str = "",
    reason: str = "",
    by: str = "",
) -> Ban:
    """A ban from plain text; `InvalidValue` for what is none."""
    if issuer and of is not BanOf.SERIAL:
        raise InvalidValue("an issuer belongs to the serial number of a certificate")
    if len(issuer) > ISSUER_CHARS_MAX or not _is_plain(issuer):
        raise InvalidValue(f"an issuer has at most {ISSUER_CHARS_MAX} characters, none of them a control character")
    if until is not None and until <= at:
        raise InvalidValue("a ban ends after it begins")
    return Ban(of, parse_banned(of, what), at, until, issuer, parse_remark(reason), by)


def parse_banned(of: BanOf, text: str) -> str:
    """What is banned, in its one spelling."""
    match of:
        case BanOf.IDENTITY:
            return str(IdentityName.parse(text))
        case BanOf.SERIAL:
            return _serial(text)
        case BanOf.CLIENT_ID:
            if not 1 <= len(text) <= CLIENT_ID_CHARS_MAX or not _is_plain(text):
                raise InvalidValue(
                    f"a Client Identifier that is banned has 1 to {CLIENT_ID_CHARS_MAX} characters, none a control"
                )
            return text
        case BanOf.ADDRESS:
            return _network(text)


def _serial(text: str) -> str:
    serial = text.lower().replace(":", "").removeprefix("0x").lstrip("0")
    if not _SERIAL.match(serial):
        raise InvalidValue(f"serial number {text!r}: write it in hexadecimal, as `openssl x509 -serial` does")
    return serial


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidValue(
            f"address prefix {text!r}: such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64 ({error})"
        ) from None
    if isinstance(network, ipaddress.IPv6Network):
        if "%" in text:
            raise InvalidValue(f"address prefix {text!r}: without a zone")
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= _MAPPED_BITS:
            network = ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    is_one = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if is_one else str(network)


_MAPPED_BITS: Final = 96
"""An IPv4 address is an IPv6 address with so many bits in front (RFC 4291, 2.5.5.2)."""


def _is_plain(text: str) -> bool:
    return all(char.isprintable() for char in text)


def meets(ban: Ban, client: Mapping[str, Any], serials: Mapping[str, frozenset[str]]) -> bool:
    """Whether a client that is connected, as the engine lists it, is met by a ban.

    `serials`: those of the certificates that are on record for an identity. The engine, which is what cuts it,
    knows the very certificate; this is for a preview.
    """
    match ban.of:
        case BanOf.IDENTITY:
            return client["identity"] == ban.what
        case BanOf.CLIENT_ID:
            return client["client_id"] == ban.what
        case BanOf.SERIAL:
            return "certificate" in client["method"] and ban.what in serials.get(client["identity"], ())
        case BanOf.ADDRESS:
            try:
                address = ipaddress.ip_address(client["address"].partition("%")[0])
            except ValueError:
                return False
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            return address in ipaddress.ip_network(ban.what)
