"""`[authenticators.NAME]`: further ways to prove an identity, one model for each kind; and how guessing is slowed.

`password` and `certificate` are always there and need no table; certificates that name identities otherwise have one. A listener names what it accepts in
`authentication`; secrets are read from files, never from the configuration.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.accounts import Ldap, Sql, Webhook
from bartizan.config.certificate import CertificateRules
from bartizan.config.listener import BUILT_IN
from bartizan.config.outside import Attribute, Outside, Role, require_https
from bartizan.config.words import Reason, Url
from bartizan.model.credential import (
    SCRAM_ITERATIONS,
    SCRAM_ITERATIONS_MAX,
    SCRAM_ITERATIONS_MIN,
    SCRAM_MECHANISMS,
    ScramMechanism,
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")

ASYMMETRIC = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448",
)  # fmt: skip
"""Algorithms whose verifier can forge nothing. `none` is no algorithm here."""

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "HS256", "HS384", "HS512",
]  # fmt: skip


def parse_authenticator_name(name: str) -> str:
    """The name of an authenticator, as listeners write it."""
    if not _NAME.match(name):
        raise ValueError(
            "an authenticator's name is a lower-case letter, then letters, digits, '_' or '-' (32 at most)"
        )
    if name in BUILT_IN:
        raise ValueError(f"{name!r} is built in and needs no table: choose another name")
    return name


AuthenticatorName = Annotated[str, AfterValidator(parse_authenticator_name)]
ClaimPath = Annotated[str, Field(min_length=1, max_length=256)]
ClaimValue = Annotated[str, Field(max_length=1024)] | bool | int


class Claims(Outside):
    """What is made of a token's claims."""

    audience: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        min_length=1, max_length=16, description="Names of this broker: a token has to be for one of them (`aud`)."
    )
    leeway_s: Annotated[int, Field(strict=True, ge=0, le=300)] = Field(
        30, description="Seconds by which the clocks of the issuer and of this machine may differ (`exp`, `nbf`)."
    )
    required_claims: dict[ClaimPath, ClaimValue] = Field(
        default_factory=dict,
        max_length=16,
        description=(
            'Claims that must have this value, or be a list that holds it, such as `{ azp = "presses" }`. '
            "`a.b` is `b` in `a`."
        ),
    )
    identity_claim: ClaimPath = Field("sub", description="The claim that holds the identity's name.")
    identity_prefix: Annotated[str, Field(max_length=64)] = Field(
        "", description="Put before that name, so that two issuers never name the same identity."
    )
    identities: Literal["stored", "token"] = Field(
        "stored",
        description=(
            "`stored`: the identity must be in the identity store and enabled; its roles and attributes come from "
            "there. `token`: it must not be there; the token alone says who it is, and `roles_claim` what it may."
        ),
    )
    roles_claim: ClaimPath | None = Field(
        None,
        description='The claim that holds roles: a list of texts, or one text with spaces between them. With `identities = "token"`.',
    )
    roles_allowed: tuple[Role, ...] = Field(
        (), max_length=256, description="The roles that a token may give; all others in it count for nothing."
    )
    attribute_claims: dict[Attribute, ClaimPath] = Field(
        default_factory=dict,
        max_length=64,
        description='Attributes and the claims that hold them, such as `{ site = "plant.site" }`. With `identities = "token"`.',
    )
    grants_claim: ClaimPath | None = Field(
        None,
        description=(
            'The claim that holds what the token allows: a list of `{ "action": "publish", "filter": "a/+/b" }` (or '
            "`subscribe`, `all`), or a text of scopes such as `publish:a/+/b`. It narrows what the roles permit and "
            "widens nothing; a token without that claim is refused, an empty list allows nothing."
        ),
    )
    user_name: Literal["roles", "subject", "free"] = Field(
        "roles",
        description=(
            "The User Name beside a token, if there is one: `roles`: one that the identity's roles admit, which is its "
            "own name (or that, `-` and more) unless they say otherwise; `subject`: in Password, the identity's name "
            "alone; `free`: anything."
        ),
    )
    token_bytes_max: Annotated[int, Field(strict=True, ge=256, le=65_535)] = Field(
        8_192, description="A longer token is refused unread."
    )

    @model_validator(mode="after")
    def _mapping(self) -> Self:
        if self.identities == "stored" and (self.roles_claim or self.roles_allowed or self.attribute_claims):
            raise ValueError(
                'identities = "stored" takes roles and attributes from the identity store: remove roles_claim, '
                'roles_allowed and attribute_claims, or set identities = "token"'
            )
        if bool(self.roles_claim) != bool(self.roles_allowed):
            raise ValueError("roles_claim and roles_allowed belong together: set both or neither")
        return self


class Jwt(Claims):
    """Tokens of an issuer, verified with its public keys: as Password, or as Authentication Data of `OAUTH2-JWT`."""

    kind: Literal["jwt"] = Field(description="A signed token (JWT).")
    issuer: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Who must have issued the token (`iss`), letter for letter."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        ASYMMETRIC,
        min_length=1,
        description="Signature algorithms accepted; the key's type must fit. HS256 to HS512 only with `secret_file`.",
    )
    jwks_url: Url | None = Field(
        None, description="Where the issuer publishes its keys (JWKS). Redirects are not followed."
    )
    jwks_file: Path | None = Field(None, description="Its keys in a file; a changed file is read again.")
    secret_file: Path | None = Field(
        None,
        description="The secret shared with the issuer, for HS algorithms: at least 32 bytes; others may not read it.",
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for `jwks_url`. Default: the system's.")
    danger_plaintext_jwks: Reason | None = Field(
        None,
        description=(
            "Allows a `jwks_url` of http; the value is the reason. Whoever is on the way can replace the keys, and "
            "then be anyone."
        ),
    )
    refresh_s: Annotated[int, Field(strict=True, ge=10, le=86_400)] = Field(
        300, description="Age at which keys are fetched again, in the background."
    )
    refetch_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = Field(
        10, description="An unknown key, or a failed fetch, causes another one at most every so many seconds."
    )
    keys_age_max_s: Annotated[int, Field(strict=True, ge=60, le=2_592_000)] = Field(
        86_400, description="While fetching fails, the last good keys count up to this age; then 0x88."
    )
    jwks_bytes_max: Annotated[int, Field(strict=True, ge=1024, le=4_194_304)] = Field(
        262_144, description="A larger JWKS is refused."
    )
    keys_max: Annotated[int, Field(strict=True, ge=1, le=1024)] = Field(
        64, description="A JWKS with more keys is refused."
    )

    PATHS: ClassVar[tuple[str, ...]] = ("jwks_file", "secret_file", "ca_file")

    @model_validator(mode="after")
    def _keys(self) -> Self:
        sources = [key for key in ("jwks_url", "jwks_file", "secret_file") if getattr(self, key) is not None]
        if len(sources) != 1:
            raise ValueError("where the keys come from is one of jwks_url, jwks_file and secret_file: set exactly one")
        if self.secret_file is not None and not all(name.startswith("HS") for name in self.algorithms):
            raise ValueError('secret_file is for HS algorithms: set algorithms = ["HS256"], or name the issuer\'s keys')
        if self.secret_file is None and any(name.startswith("HS") for name in self.algorithms):
            raise ValueError("HS algorithms need secret_file: with public keys, everyone could sign")
        require_https(self.jwks_url, self.danger_plaintext_jwks, "jwks_url", "danger_plaintext_jwks")
        if self.ca_file is not None and not (self.jwks_url or "").startswith("https:"):
            raise ValueError("ca_file is for a jwks_url of https: remove it")
        return self


class Introspection(Claims):
    """Tokens that say nothing by themselves: their issuer is asked about each (RFC 7662).

    As Password, or as Authentication Data of the method `OAUTH2-INTROSPECTION`.
    """

    kind: Literal["introspection"] = Field(description="A token that its issuer is asked about.")
    introspection_url: Url = Field(description="The issuer's introspection endpoint. Redirects are not followed.")
    client_id: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="The name under which the broker asks."
    )
    client_secret_file: Path = Field(
        description="Its secret, in a file that others may not read (`client_secret_basic`)."
    )
    audience: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        max_length=16,
        description=(
            "Names of this broker: the answer has to be for one of them (`aud`). An empty list asks for none, for "
            "issuers that name none: then a token that was issued for any other service is good here too."
        ),
    )
    issuer: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Who must have issued the token, if the answer says so (`iss`)."
    )
    token_in: Literal["auth", "password", "both"] = Field(
        "auth",
        description=(
            "Where tokens are looked for. What stands in Password is sent to the issuer: a listener that takes "
            "passwords too cannot have `password` or `both`."
        ),
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the endpoint. Default: the system's.")
    danger_plaintext_introspection: Reason | None = Field(
        None,
        description=(
            "Allows an `introspection_url` of http; the value is the reason. Whoever is on the way reads every "
            "token and the secret, and can be anyone."
        ),
    )
    remembered_s: Annotated[int, Field(strict=True, ge=0, le=3600)] = Field(
        60,
        description=(
            "Seconds for which an answer counts without asking again, and never longer than the token: a token "
            "revoked meanwhile is still good for a new connection. 0: ask every time."
        ),
    )
    session_max_s: Annotated[int, Field(strict=True, ge=10, le=604_800)] = Field(
        3_600, description="A connection ends after so many seconds where the answer names no end (`exp`)."
    )

    PATHS: ClassVar[tuple[str, ...]] = ("client_secret_file", "ca_file")

    @property
    def takes_passwords(self) -> bool:
        """Whether what stands in Password is sent to the issuer."""
        return self.token_in in {"password", "both"}

    @model_validator(mode="after")
    def _endpoint(self) -> Self:
        danger = self.danger_plaintext_introspection
        require_https(self.introspection_url, danger, "introspection_url", "danger_plaintext_introspection")
        if self.ca_file is not None and not self.introspection_url.startswith("https:"):
            raise ValueError("ca_file is for an introspection_url of https: remove it")
        return self


class Scram(BaseModel):
    """Passwords that are proved and never sent: SCRAM (RFC 5802, RFC 7677), an exchange by AUTH of MQTT 5.

    It proves identities that have keys for it (`bartizan passwd NAME --scram both`). The Authentication Methods are the
    names of the mechanisms; with `-PLUS` at the end they are bound to the TLS connection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["scram"] = Field(description="A password, proved by keys.")
    mechanisms: tuple[ScramMechanism, ...] = Field(
        SCRAM_MECHANISMS,
        min_length=1,
        max_length=2,
        description="What clients may use. None of them stands for the other.",
    )
    channel_binding: Literal["offered", "required"] = Field(
        "offered",
        description=(
            "`offered`: with and without. `required`: only the `-PLUS` methods, so that nobody in between can pass an "
            "exchange on; it takes TLS 1.3 (`tls-exporter`, RFC 9266)."
        ),
    )
    iterations: Annotated[int, Field(strict=True, ge=SCRAM_ITERATIONS_MIN, le=SCRAM_ITERATIONS_MAX)] = Field(
        SCRAM_ITERATIONS,
        description=(
            "Rounds of PBKDF2 that a client computes at each login: what new keys are made with, and what a name that "
            "does not exist pretends to have. Keys with other numbers tell that their names exist."
        ),
    )

    PATHS: ClassVar[tuple[str, ...]] = ()


AuthenticatorSettings = Annotated[
    Jwt | Introspection | Scram | Ldap | Webhook | Sql | CertificateRules, Field(discriminator="kind")
]
"""Every kind there is. A further one joins this union, `KINDS`, and the table of `authn/kinds.py`."""

KINDS: Mapping[str, type[BaseModel]] = {
    "jwt": Jwt,
    "introspection": Introspection,
    "scram": Scram,
    "ldap": Ldap,
    "webhook": Webhook,
    "sql": Sql,
    "certificate": CertificateRules,
}
"""The same, by name. `PATHS` of each are the keys that hold paths."""


class PasswordSettings(BaseModel):
    """`[passwords]`: how guessing is slowed down. What is refused by it costs no hash, and is told 0x89 Server busy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    free_failures: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        3, description="Wrong passwords for one name from one network before its clients have to wait."
    )
    free_failures_per_network: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        30, description="Wrong passwords for any names from one network before its clients have to wait."
    )
    wait_max_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        60.0, description="The wait doubles with each further failure, from one second up to this."
    )
    forgiven_every_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        60.0, description="One failure is forgotten after so many seconds without a further one."
    )
    network_ipv4_bits: Annotated[int, Field(strict=True, ge=8, le=32)] = Field(
        24, description="What one network is, of IPv4. Of IPv6 it is always a /64."
    )
