"""`[api.oidc]`: an OpenID Provider at which operators log in, and what its tokens have to say."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.authenticators import ASYMMETRIC, Algorithm, ClaimPath, ClaimValue
from bartizan.config.passkeys import Origin
from bartizan.config.words import parse_url
from bartizan.model.operator import OperatorRole

OPENID = "openid"
EMAIL = "email"

Word = Annotated[str, Field(min_length=1, max_length=256)]


def _parse_issuer(text: str) -> str:
    parts = urlsplit(parse_url(text))
    if parts.scheme != "https" or parts.query:
        raise ValueError("an issuer is a URL of https without a query, such as https://id.example/realms/plant")
    return text


def _parse_scope(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or '"' in text or "\\" in text:
        raise ValueError("a scope is one word, such as groups")
    return text


class OidcSettings(BaseModel):
    """`[api.oidc]`: operators log in at an OpenID Provider (OpenID Connect: Authorization Code, PKCE).

    Its client there has the redirect URI `ORIGIN/api/v1/session/oidc/callback`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    PATHS: ClassVar[tuple[str, ...]] = ("client_secret_file", "ca_file")

    issuer: Annotated[str, Field(max_length=512), AfterValidator(_parse_issuer)] = Field(
        description=(
            "The provider, letter for letter as its tokens name it (`iss`); its `/.well-known/openid-configuration` "
            "says where what is. https alone."
        )
    )
    client_id: Word = Field(description="The name under which the broker is known there; tokens have to be for it.")
    client_secret_file: Path = Field(description="Its secret, in a file that others may not read.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the provider. Default: the system's.")
    origin: Origin | None = Field(
        None,
        description=(
            "The API as browsers reach it, such as https://broker.example:8444: there the provider sends them back. "
            "Default: https://localhost and the port of `bind`, where that is on loopback."
        ),
    )
    scopes: tuple[Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_parse_scope)], ...] = Field(
        (OPENID,), max_length=16, description="What is asked for; `openid` is always among it."
    )
    operator_claim: ClaimPath = Field(
        "sub",
        description=(
            "The claim of the ID token that names the operator, in lower case. With `email`, `email_verified` has to "
            "be true. Whoever came first under a name keeps it: another subject under the same name is refused."
        ),
    )
    operators: Literal["stored", "token"] = Field(
        "stored",
        description=(
            "`stored`: the operator was added beforehand, with its roles. `token`: it is added at its first login and "
            "has, at each, the roles that `roles` makes of the token; an operator that was added by hand is not taken "
            "over."
        ),
    )
    roles_claim: ClaimPath | None = Field(
        None, description='The claim that holds groups: a list of texts, or one text. With `operators = "token"`.'
    )
    roles: dict[OperatorRole, Annotated[tuple[Word, ...], Field(min_length=1, max_length=64)]] = Field(
        default_factory=dict,
        description=(
            'Which of these groups have which role, such as `{ admin = ["mqtt-admins"], viewer = ["staff"] }`. Who is '
            "in none of them is refused."
        ),
    )
    required_claims: dict[ClaimPath, ClaimValue] = Field(
        default_factory=dict,
        max_length=16,
        description='Claims that must have this value, or be a list that holds it, such as `{ hd = "plant.example" }`.',
    )
    mfa_amr: tuple[Word, ...] = Field(
        ("mfa",),
        max_length=16,
        description="A login has two factors if `amr` of the ID token holds one of these (RFC 8176).",
    )
    mfa_acr: tuple[Word, ...] = Field(
        (), max_length=16, description="The same if `acr` is one of these; they are asked for as `acr_values`."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        ASYMMETRIC, min_length=1, description="Signature algorithms of ID tokens; not HS256 to HS512."
    )
    leeway_s: Annotated[int, Field(strict=True, ge=0, le=300)] = Field(
        30, description="Seconds by which the clocks of the provider and of this machine may differ."
    )
    deadline_s: Annotated[float, Field(gt=0, le=4.5)] = Field(
        4.0, description="Time for one answer of the provider; then the login fails (503)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(name.startswith("HS") for name in self.algorithms):
            raise ValueError(
                "algorithms: an ID token is verified with the provider's public keys, not by HS256 to HS512"
            )
        mapping = (self.roles_claim is not None, bool(self.roles))
        if self.operators == "stored" and any(mapping):
            raise ValueError(
                'operators = "stored" takes roles from the store: remove roles_claim and roles, or set operators = "token"'
            )
        if self.operators == "token" and not all(mapping):
            raise ValueError('operators = "token" takes roles from the token: set roles_claim and roles')
        return self

    @property
    def scope(self) -> str:
        """What is asked for, as it is sent."""
        return " ".join(dict.fromkeys((OPENID, *self.scopes)))
