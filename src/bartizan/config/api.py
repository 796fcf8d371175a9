"""`[api]`: where operators reach the REST API, and how long a login is good."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.listener import is_local, parse_bind
from bartizan.config.oidc import OidcSettings
from bartizan.config.passkeys import PasskeySettings, Place, origin_of
from bartizan.model.operator import OperatorRole

OFF = "off"
DEFAULT_BIND = "127.0.0.1:8444"


def _parse_place(text: str) -> str:
    if text == OFF:
        return text
    place = parse_bind(text)
    if place.startswith("unix:"):
        raise ValueError("the control socket is there already: write an address and a port, such as 127.0.0.1:8444")
    return place


class Act(StrEnum):
    """What `two_person` may name: done once a second operator agrees."""

    REVOKE = "revoke"
    """An identity, for ever; or removed."""
    REVOKE_ALL = "revoke-all"
    """Everybody with a role, or whose name fits a pattern."""
    QUARANTINE_ALL = "quarantine-all"
    POLICY_APPLY = "policy-apply"
    """Another policy in force: applied, promoted or rolled back."""
    OPERATORS = "operators"
    """Who runs the broker."""


class ApiSettings(BaseModel):
    """`[api]`: the REST API for operators, over TLS 1.3. It has a login; the control socket serves it without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bind: Annotated[str, AfterValidator(_parse_place)] = Field(
        DEFAULT_BIND,
        description='Address and port, such as "127.0.0.1:8444" or "[::]:8444". "off": the control socket alone.',
    )
    certificate_file: Path | None = Field(
        None, description="Certificate chain (PEM). Default: the data directory's own, made by its CA."
    )
    key_file: Path | None = Field(None, description="Private key of the certificate (PEM).")
    mfa_roles: tuple[OperatorRole, ...] = Field(
        (OperatorRole.SECURITY, OperatorRole.ADMIN),
        description=(
            "Roles that count only after a login with two factors, or by a passkey. Who logs in with a password alone "
            "has its other roles."
        ),
    )
    idle_s: Annotated[int, Field(strict=True, ge=60, le=86_400)] = Field(
        1_800, description="A login that was not used for so long ends."
    )
    session_s: Annotated[int, Field(strict=True, ge=300, le=604_800)] = Field(
        43_200, description="A login ends after so long, used or not."
    )
    proof_s: Annotated[int, Field(strict=True, ge=60, le=86_400)] = Field(
        900, description="What is dangerous asks for a proof that is not older than this: `POST /session/proof`."
    )
    two_person: tuple[Act, ...] = Field(
        (),
        description=(
            "What is done only once a second operator agrees, within `approval_s`: revoke, revoke-all, quarantine-all, "
            "policy-apply, operators. Who owns the data directory is not held to it."
        ),
    )
    approval_s: Annotated[int, Field(strict=True, ge=60, le=86_400)] = Field(
        3_600, description="So long a request waits for a second operator."
    )
    requests_per_s: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        50, description="Requests of one address per second; as many again may come at once. Beyond: 429."
    )
    body_bytes_max: Annotated[int, Field(strict=True, ge=1_024, le=268_435_456)] = Field(
        1_048_576, description="A larger body is refused (413)."
    )

    passkeys: PasskeySettings = Field(default_factory=PasskeySettings, description="Where operators log in by passkey.")
    oidc: OidcSettings | None = Field(None, description="An OpenID Provider at which operators log in.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        if self.idle_s > self.session_s:
            raise ValueError("idle_s is longer than session_s: it would never be met")
        if self.address is None and self.passkeys != PasskeySettings():
            raise ValueError('passkeys without a door: bind is "off", so nobody logs in')
        if self.address is None and self.oidc is not None:
            raise ValueError('oidc without a door: bind is "off", so nobody logs in')
        if self.oidc is not None and self.oidc_origin is None:
            raise ValueError("oidc.origin is missing: where does the provider send browsers back to?")
        _ = self.passkey_place  # what cannot work is told at the start
        return self

    @property
    def passkey_place(self) -> Place | None:
        """Where passkeys are good; None: nowhere."""
        if self.address is None:
            return None
        return self.passkeys.at(self._port, is_local=is_local(self.bind))

    @property
    def oidc_origin(self) -> str | None:
        """The API as browsers reach it for a login at the provider; None: not known, or no provider."""
        if self.oidc is None or self.address is None:
            return None
        is_known = is_local(self.bind) and self._port != 0
        return self.oidc.origin or (origin_of("localhost", self._port) if is_known else None)

    @property
    def _port(self) -> int:
        return int(self.bind.rpartition(":")[2])

    @property
    def address(self) -> str | None:
        """Where to listen; None where only the control socket serves."""
        return None if self.bind == OFF else self.bind
