"""`[api.passkeys]`: for which host operators' keys are made, and from which pages they may be used."""

import ipaddress
import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

HTTPS_PORT = 443

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")


def _parse_host(text: str) -> str:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        pass
    else:
        raise ValueError("no browser makes a passkey for an IP address: name the host")
    # Of digits alone is the last part of an address, whatever stands before it.
    if not _HOST.match(text) or text.rpartition(".")[2].isdigit():
        raise ValueError("write a host name in lower case, such as broker.example, without scheme or port")
    return text


def parse_origin(text: str) -> str:
    """`https://broker.example:8444`, as browsers write it; `ValueError` for anything else."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("this is no origin: write https://broker.example:8444") from None
    host = parts.hostname or ""
    if parts.scheme != "https" or text != origin_of(host, HTTPS_PORT if port is None else port):
        raise ValueError(
            "write an origin as browsers do: https://, a host in lower case, and the port unless it is 443"
        )
    return text


Origin = Annotated[str, AfterValidator(parse_origin)]


def origin_of(host: str, port: int) -> str:
    """The origin of pages of this host and port, as browsers write it."""
    return f"https://{host}" if port == HTTPS_PORT else f"https://{host}:{port}"


class Place(NamedTuple):
    """Where passkeys are good."""

    host: str
    origins: tuple[str, ...]


class PasskeySettings(BaseModel):
    """`[api.passkeys]`: where operators log in by passkey. A key is made for one host, and is good nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_parse_host)] | None = Field(
        None,
        description=(
            "The host that keys are made for (relying party id), such as broker.example: that of the address in the "
            "browser, or a domain above it; no IP address. With another one, keys that were made before are good no "
            "longer. Default: localhost where `bind` is on loopback, else none, and no passkeys."
        ),
    )
    origins: tuple[Origin, ...] = Field(
        (),
        max_length=16,
        description=(
            'Pages that may ask for a key, such as "https://console.broker.example". Default: the host, at the port of '
            "`bind`."
        ),
    )

    def at(self, port: int, *, is_local: bool) -> Place | None:
        """Where passkeys are good for an API at this port; None: nowhere. `ValueError` where they cannot work."""
        host = self.host or ("localhost" if is_local else None)
        if host is None:
            if self.origins:
                raise ValueError("passkeys.origins need passkeys.host")
            return None
        for origin in self.origins:
            named = urlsplit(origin).hostname or ""
            if named != host and not named.endswith(f".{host}"):
                raise ValueError(f"passkeys.origins: a page at {origin} cannot use a key for {host}")
        if self.origins:
            return Place(host, self.origins)
        if port == 0:  # the system chooses it, so nothing is known to compare with
            if self.host is not None:
                raise ValueError("passkeys.host needs passkeys.origins where bind has no port of its own")
            return None
        return Place(host, (origin_of(host, port),))
