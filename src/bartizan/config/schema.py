"""All settings as frozen values. What is not written here does not exist: unknown keys are errors."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.alerts import Alert
from bartizan.config.api import ApiSettings
from bartizan.config.audit import AuditSettings
from bartizan.config.authenticators import AuthenticatorName, AuthenticatorSettings, PasswordSettings
from bartizan.config.certificate import CertificateRules
from bartizan.config.credentials import CredentialSettings
from bartizan.config.database import parse_database_url
from bartizan.config.detect import DetectSettings
from bartizan.config.dynsec import DynsecSettings
from bartizan.config.limits import Limits
from bartizan.config.listener import Bind, Listener, is_local
from bartizan.config.metrics import MetricsSettings, OtlpTraces
from bartizan.config.proofs import check_proofs
from bartizan.config.respond import Name, Playbook, check_playbooks
from bartizan.config.runbooks import Runbook, check_runbooks
from bartizan.config.words import Reason

_SECTION = ConfigDict(frozen=True, extra="forbid")
_LISTENER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")

DEFAULT_LISTENERS = {
    "mqtts": {"bind": "[::]:8883", "protocol": "mqtt"},
    "wss": {"bind": "[::]:8443", "protocol": "websocket"},
}
"""What listens when the configuration names no listener: MQTT over TLS and over WSS, nothing else."""


def _parse_listener_name(name: str) -> str:
    if not _LISTENER_NAME.match(name):
        raise ValueError("a listener's name is a lower-case letter, then letters, digits, '_' or '-' (32 at most)")
    return name


ListenerName = Annotated[str, AfterValidator(_parse_listener_name)]


class BrokerSettings(BaseModel):
    """`[broker]`: the process as a whole."""

    model_config = _SECTION

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        "bartizan", description="Name in logs and metrics."
    )
    cores: Annotated[int, Field(strict=True, ge=0, le=1024)] = Field(
        0, description="Reactors, one thread each. 0: one per processor that the process may use."
    )
    sys_interval_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        10.0, description="Seconds between updates of `$SYS/broker/...`. 0: none are published."
    )
    drain_timeout_s: Annotated[float, Field(ge=0, le=600)] = Field(
        10.0, description="Time to say goodbye to all clients at SIGTERM before the process ends."
    )
    success_remembered_s: Annotated[int, Field(strict=True, ge=0, le=86_400)] = Field(
        3_600,
        description=(
            "A password or certificate that was found good lets the same Client Identifier in again from the same "
            "address without being looked up, for so many seconds: a storm of reconnects then costs no password "
            "hashes. Kept in memory as a keyed hash; forgotten at once when policy, identities or certificates "
            "change. 0: every CONNECT is looked up."
        ),
    )


class PolicySettings(BaseModel):
    """`[policy]`: who may do what."""

    model_config = _SECTION

    file: Path | tuple[Path, ...] | None = Field(
        None,
        description=(
            "The policy: a file, a directory of `.toml` files, a pattern such as `policy/*.toml`, or a list of these, "
            "which together are one policy. What ends in `.test.toml` is none. Default: policy.toml in the data "
            "directory. Read again at SIGHUP; a bad one changes nothing."
        ),
    )
    history_max: Annotated[int, Field(strict=True, ge=2, le=10_000)] = Field(
        100,
        description="Versions of the policy that `bartizan policy history` keeps, to go back to; the oldest give way.",
    )


class StoreSettings(BaseModel):
    """`[store]`: what survives a crash."""

    model_config = _SECTION

    kind: Literal["embedded", "memory"] = Field(
        "embedded",
        description=("`embedded`: on disk, in the data directory. `memory`: everything is lost when the process ends."),
    )
    durability: Literal["fsync", "interval", "os"] = Field(
        "fsync",
        description=(
            "When QoS 1 and 2 are acknowledged. `fsync`: once on disk. `interval`: once written, synced "
            "every interval_ms. `os`: once written; a power cut loses what the system still held."
        ),
    )
    interval_ms: Annotated[int, Field(strict=True, ge=1, le=60_000)] = Field(
        100,
        description='Time between syncs with durability = "interval", here or on a listener: what a power cut can lose.',
    )
    identities: Annotated[str, AfterValidator(parse_database_url)] | None = Field(
        None,
        description=(
            "PostgreSQL database of the identities, such as "
            '"postgresql://bartizan@db.example/bartizan": several brokers may share it (`pip install bartizan[pg]`). '
            "To another machine TLS is verified (`sslmode=verify-full`, CA in `PGSSLROOTCERT` or "
            "`~/.postgresql/root.crt`). Default: SQLite, in the data directory."
        ),
    )
    identities_password_file: Path | None = Field(
        None,
        description=(
            "File whose first line is the password of that database's user; nobody else may read it. Default: "
            "`PGPASSFILE`, or `~/.pgpass`."
        ),
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "memory" and "durability" in self.model_fields_set:
            raise ValueError('kind = "memory" keeps nothing: remove durability, or use kind = "embedded"')
        if self.identities_password_file is not None and self.identities is None:
            raise ValueError("identities_password_file needs identities: the address of the database")
        return self


class HttpSettings(BaseModel):
    """`[http]`: metrics and health for monitoring; off unless bound."""

    model_config = _SECTION

    bind: Bind | None = Field(
        None,
        description=(
            'Address of /metrics, /health/live and /health/ready, such as "127.0.0.1:9883". Default: none. '
            "It has no login, so it stays on loopback."
        ),
    )
    danger_public_http: Reason | None = Field(
        None,
        description=(
            "Allows an address that other machines reach; the value is the reason. Everyone there can read the metrics."
        ),
    )

    @model_validator(mode="after")
    def _loopback(self) -> Self:
        if self.bind is not None and not is_local(self.bind) and self.danger_public_http is None:
            raise ValueError(
                f"bind = {self.bind!r} is reachable from other machines: bind 127.0.0.1, or say why in "
                f'danger_public_http = "reason"'
            )
        return self


class LogSettings(BaseModel):
    """`[log]`: what is written to standard error."""

    model_config = _SECTION

    format: Literal["human", "json"] = Field("human", description="For eyes, or one JSON object a line.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity written.")


def _default_listeners() -> dict[str, Listener]:
    return {name: Listener.model_validate(raw) for name, raw in DEFAULT_LISTENERS.items()}


class Settings(BaseModel):
    """Everything the operator decided; defaults are safe."""

    model_config = _SECTION

    broker: BrokerSettings = Field(default_factory=BrokerSettings, description="The process as a whole.")
    listeners: dict[ListenerName, Listener] = Field(
        default_factory=_default_listeners, min_length=1, description="Where clients connect."
    )
    authenticators: dict[AuthenticatorName, AuthenticatorSettings] = Field(
        default_factory=dict, max_length=32, description="Ways to prove an identity, beside certificate and password."
    )
    passwords: PasswordSettings = Field(default_factory=PasswordSettings, description="How guessing is slowed down.")
    credentials: CredentialSettings = Field(
        default_factory=CredentialSettings, description="How old what proves an identity may become."
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds for all listeners.")
    policy: PolicySettings = Field(default_factory=PolicySettings, description="Who may do what.")
    dynsec: DynsecSettings = Field(default_factory=DynsecSettings, description="Commands by MQTT.")
    store: StoreSettings = Field(default_factory=StoreSettings, description="What survives a crash.")
    detect: DetectSettings = Field(default_factory=DetectSettings, description="What is more than usual.")
    alerts: dict[Name, Alert] = Field(default_factory=dict, max_length=32, description="Who is told of findings.")
    playbooks: dict[Name, Playbook] = Field(
        default_factory=dict, max_length=64, description="What is done about findings."
    )
    runbooks: dict[Name, Runbook] = Field(
        default_factory=dict, max_length=64, description="What is done about one identity or address, step by step."
    )
    api: ApiSettings = Field(default_factory=ApiSettings, description="The REST API for operators.")
    audit: AuditSettings = Field(default_factory=AuditSettings, description="The record of every change.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Metrics and health.")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Names of figures.")
    traces: OtlpTraces | None = Field(None, description="Spans of what operators ask for.")
    log: LogSettings = Field(default_factory=LogSettings, description="What is written to standard error.")

    @model_validator(mode="after")
    def _no_clash(self) -> Self:
        seen: dict[str, str] = {}
        places = [(name, listener.bind) for name, listener in self.listeners.items()]
        if self.http.bind is not None:
            places.append(("[http]", self.http.bind))
        if self.api.address is not None:
            places.append(("[api]", self.api.address))
        for name, bind in places:
            if bind in seen and not bind.endswith(":0"):
                raise ValueError(f"{seen[bind]} and {name} both bind {bind}: give each an address of its own")
            seen[bind] = name
        for name, listener in self.listeners.items():
            try:
                self.limits.override(listener.limits)
            except ValueError as error:
                raise ValueError(
                    f"listeners.{name}.limits: {error.errors()[0]['msg']}" if hasattr(error, "errors") else str(error)
                ) from None
        return self

    @model_validator(mode="after")
    def _authenticators(self) -> Self:
        """An authenticator that nobody asks would be read as a guard that is none."""
        asked = {name for listener in self.listeners.values() for entry in listener.proofs or () for name in entry}
        for name in sorted(self.authenticators.keys() - asked):
            raise ValueError(
                f"authenticators.{name} is named by no listener: add it to a listener's authentication, or remove it"
            )
        for name, listener in self.listeners.items():
            check_proofs(name, listener, self.authenticators)
        return self

    @model_validator(mode="after")
    def _playbooks(self) -> Self:
        check_playbooks(self.playbooks, self.alerts)
        check_runbooks(self.runbooks, self.playbooks)
        return self

    @model_validator(mode="after")
    def _durability(self) -> Self:
        """What would be read as a promise and is none is refused."""
        own = {name: listener.durability for name, listener in self.listeners.items() if listener.durability}
        if self.store.kind == "memory" and own:
            raise ValueError(
                f'listeners.{min(own)}: [store] kind = "memory" keeps nothing: remove durability, or use '
                f'kind = "embedded"'
            )
        if "interval_ms" in self.store.model_fields_set and "interval" not in {self.store.durability, *own.values()}:
            raise ValueError('store: interval_ms needs durability = "interval", here or on a listener')
        return self

    def needs_chain(self, listener: str) -> bool:
        """Whether something has to look into a listener's client certificates beyond their names."""
        at = self.listeners[listener]
        named = [self.authenticators.get(name) for entry in at.proofs or () for name in entry]
        return at.ocsp != "off" or any(
            isinstance(kind, CertificateRules) and (kind.roles_by_ou or kind.pinned or kind.reads_subject)
            for kind in named
        )

    def limits_of(self, listener: str) -> Limits:
        """The limits that hold on one listener."""
        return self.limits.override(self.listeners[listener].limits)
