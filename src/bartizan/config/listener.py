"""One listener: where it listens, what it speaks, who may try.

There is no `tls = false`: TLS is on unless `danger_plaintext` says why not.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from bartizan.config.limits import ListenerLimits
from bartizan.config.revocation import RevocationSettings
from bartizan.config.words import Reason

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)|(?P<name>localhost)):(?P<port>\d{1,5})\Z")

_ENTRY_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,63}\Z")

PORT_MAX = 65_535

BUILT_IN = ("certificate", "password")
"""Authenticators that are always there."""

AUTHENTICATION_MAX = 16
"""Entries of a listener's `authentication`."""

MqttVersion = Literal["3.1", "3.1.1", "5.0"]
REVOCATION_KEYS = tuple(RevocationSettings.model_fields)
TLS_KEYS = (
    "certificate_file", "key_file", "client_ca_file", "crl_files", "client_certificates", "tls_min", *REVOCATION_KEYS,
)  # fmt: skip
"""Keys that mean nothing without TLS: they are refused on a plaintext listener, not ignored."""


def parse_bind(text: str) -> str:
    """`127.0.0.1:8883`, `[::]:8883`, `localhost:8883` or `unix:/path`, in the engine's spelling."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError("a Unix socket needs an absolute path: unix:/run/bartizan/mqtt.sock")
        return text
    match = _HOST_PORT.match(text)
    if match is None:
        raise ValueError("write an address and a port, such as 127.0.0.1:8883 or [::]:8883, or unix:/path")
    port = int(match["port"])
    if port > PORT_MAX:
        raise ValueError("a port is at most 65535")
    if match["name"]:
        return f"127.0.0.1:{port}"
    try:
        if match["v6"]:
            return f"[{ipaddress.IPv6Address(match['v6'])}]:{port}"
        return f"{ipaddress.IPv4Address(match['v4'])}:{port}"
    except ipaddress.AddressValueError as error:
        raise ValueError(str(error)) from None


def bound_address(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a parsed `bind`; None for a Unix socket."""
    if bind.startswith("unix:"):
        return None
    return ipaddress.ip_address(bind.rpartition(":")[0].strip("[]"))


def is_local(bind: str) -> bool:
    """Whether only this machine can reach it."""
    address = bound_address(bind)
    return address is None or address.is_loopback


def _parse_network(value: object) -> str:
    if not isinstance(value, str):
        # pydantic turns only ValueError into an error with a place in the file.
        raise ValueError(  # noqa: TRY004
            'write networks as text, such as "10.0.0.0/8"'
        )
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"{error}: write networks such as 10.0.0.0/8 or 2001:db8::/32") from None


def parse_entry(text: str) -> str:
    """One entry of `authentication`: a name, or several that all have to prove, as `a + b`."""
    names = [name.strip() for name in text.split("+")]
    if not all(_ENTRY_NAME.match(name) for name in names):
        raise ValueError('write the name of an authenticator, or several as "certificate + plant-tokens"')
    if len(set(names)) != len(names):
        raise ValueError(f"{text!r} names one authenticator twice: one proof is one proof")
    return " + ".join(names)


Bind = Annotated[str, AfterValidator(parse_bind)]
Entry = Annotated[str, AfterValidator(parse_entry)]
Network = Annotated[str, BeforeValidator(_parse_network)]


class Listener(RevocationSettings):
    """`[listeners.NAME]`: one place where clients connect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bind: Bind = Field(
        description=(
            'Address and port, such as "[::]:8883" (all IPv6 and IPv4 addresses) or "127.0.0.1:8883", or '
            '"unix:/path" for a Unix socket.'
        )
    )
    protocol: Literal["mqtt", "websocket"] = Field("mqtt", description="MQTT directly, or MQTT over WebSocket.")
    danger_plaintext: Reason | None = Field(
        None,
        description=(
            "Turns TLS off; the value is the reason. Everyone on the way can read and change everything. A "
            "Unix socket has no TLS and needs no reason."
        ),
    )
    danger_anonymous: Reason | None = Field(
        None,
        description=(
            "Lets clients in that present nothing; the value is the reason. They get the role `anonymous`, "
            "which grants nothing until the policy says so."
        ),
    )
    authentication: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=AUTHENTICATION_MAX)] | None = Field(
        None,
        description=(
            "What proves who a client is: each entry by itself, and of an entry such as "
            '"certificate + plant-tokens" every part, all naming the same identity. Names are `certificate`, '
            "`password` and those of `[authenticators.NAME]`. Default: certificate, password, and authenticators "
            "given by a program that embeds the broker. `danger_anonymous` comes last by itself."
        ),
    )
    danger_ignore_credentials: Reason | None = Field(
        None,
        description=(
            "Lets every client in as `anonymous`, whatever User Name and Password it presents; the value is the "
            "reason. Needs `danger_anonymous`. Certificates are still looked at."
        ),
    )
    response_information: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None,
        description=(
            "What a client gets that asks for Response Information (MQTT 5, 3.2.2.3.15), as a base for its "
            'Response Topics; `{client_id}` in it is replaced, as in "responses/{client_id}". The policy must '
            "permit these topics. Default: none is sent."
        ),
    )
    loopback_only: bool = Field(
        default=False,
        description=(
            "Refuses to start when `bind` is reachable from another machine: a safety catch for open test brokers."
        ),
    )
    unix_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        "0660", description="Access rights of a Unix socket."
    )
    certificate_file: Path | None = Field(
        None,
        description=(
            "Server certificate chain (PEM). Default: the data directory's own, made by its CA and renewed at start."
        ),
    )
    key_file: Path | None = Field(None, description="Private key of the server certificate (PEM).")
    client_ca_file: Path | None = Field(
        None,
        description=("CA certificates that may sign client certificates (PEM). Default: the data directory's own CA."),
    )
    crl_files: tuple[Path, ...] | None = Field(
        None,
        description=(
            "Certificate Revocation Lists (PEM), read again when one changes. Default: that of the data directory's own CA, "
            "when that CA is used."
        ),
    )
    client_certificates: Literal["required", "optional", "off"] = Field(
        "optional",
        description=(
            "Whether a client must, may or cannot prove itself by certificate. A presented certificate is "
            "always checked."
        ),
    )
    tls_min: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS version accepted.")
    mqtt_versions: tuple[MqttVersion, ...] = Field(
        ("3.1.1", "5.0"),
        min_length=1,
        description=('Versions of MQTT accepted. "3.1" only when it is named here. Others get CONNACK 0x84 (or 0x01).'),
    )
    denied_publish_v311: Literal["close", "ignore"] = Field(
        "close",
        description=(
            "MQTT 3.1.1 has no word for a refused PUBLISH: close the Network Connection, or acknowledge and "
            "drop the message."
        ),
    )
    proxy_protocol_from: tuple[Network, ...] = Field(
        (),
        description=(
            "Networks of load balancers that send a PROXY protocol header; then only they may connect. "
            "Empty: no header is ever read."
        ),
    )
    origins: tuple[str, ...] = Field(
        (),
        description=(
            'WebSocket: values of Origin that browsers may come from, such as "https://hmi.example". '
            "Clients that send none, or the address they connect to, are let in."
        ),
    )
    websocket_path: Annotated[str, Field(pattern=r"^/[\x21-\x7e]*$")] = Field(
        "/mqtt", description="WebSocket: path of the upgrade request."
    )
    durability: Literal["fsync", "interval", "os"] | None = Field(
        None,
        description=(
            "When this listener acknowledges, in place of `durability` of `[store]`: stricter for alarms, laxer for "
            "telemetry that comes again."
        ),
    )
    limits: ListenerLimits = Field(
        default_factory=ListenerLimits, description="Limits of this listener in place of `[limits]`."
    )

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.bind.startswith("unix:")

    @property
    def tls(self) -> bool:
        """Whether TLS guards it."""
        return self.danger_plaintext is None and not self.is_unix

    @property
    def takes_certificates(self) -> bool:
        """Whether a client can present a certificate."""
        return self.tls and self.client_certificates != "off"

    @property
    def proofs(self) -> tuple[tuple[str, ...], ...] | None:
        """`authentication` as names: any of the rows, all of a row. None: the default."""
        if self.authentication is None:
            return None
        return tuple(tuple(entry.split(" + ")) for entry in self.authentication)

    @model_validator(mode="after")
    def _authentication(self) -> Self:
        named = {name for entry in self.proofs or () for name in entry}
        if "certificate" in named and not self.takes_certificates:
            why = 'client_certificates = "off"' if self.tls else "no TLS"
            raise ValueError(f'authentication names "certificate", but this listener has {why}: remove one of the two')
        if self.authentication is not None and len(set(self.authentication)) != len(self.authentication):
            raise ValueError("authentication has the same entry twice: remove one")
        return self

    @model_validator(mode="after")
    def _client_ca(self) -> Self:
        needless = {"client_ca_file", "crl_files", *REVOCATION_KEYS} & self.model_fields_set
        if self.client_certificates == "off" and needless:
            raise ValueError(
                f'client_certificates = "off" makes {min(needless)} useless: remove it, or allow certificates'
            )
        if self.crl_urls and self.client_ca_file is None:
            raise ValueError("crl_urls are those of other CAs than our own: set client_ca_file, or remove them")
        if self.ocsp != "off" and self.client_ca_file is None:
            raise ValueError("ocsp is for other CAs than our own: set client_ca_file, or remove it")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tls:
            useless = [key for key in TLS_KEYS if key in self.model_fields_set]
            if useless:
                kind = "a Unix socket has no TLS" if self.is_unix else "danger_plaintext turns TLS off"
                raise ValueError(f"{useless[0]} is a TLS setting, but {kind}: remove one of the two")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: set both or neither")
        if self.danger_ignore_credentials is not None and self.danger_anonymous is None:
            raise ValueError("danger_ignore_credentials needs danger_anonymous: set both, each with its reason")
        if self.client_certificates == "required" and self.danger_anonymous is not None:
            raise ValueError('danger_anonymous contradicts client_certificates = "required": remove one of the two')
        if self.loopback_only and not is_local(self.bind):
            raise ValueError(
                f"loopback_only is set, but bind = {self.bind!r} can be reached from other machines: bind "
                f"127.0.0.1 or [::1]"
            )
        if self.protocol != "websocket" and {"origins", "websocket_path"} & self.model_fields_set:
            raise ValueError('origins and websocket_path need protocol = "websocket"')
        return self
