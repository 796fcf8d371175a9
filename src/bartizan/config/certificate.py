"""`[authenticators.NAME] kind = "certificate"`: which identity a client certificate names, by rule."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bartizan.config.outside import Role

Source = Literal["cn", "san_dns", "san_uri", "san_email", "subject", "serial", "fingerprint"]

SEPARATORS = {
    "san_dns": re.compile(r"\."),
    "san_uri": re.compile("/"),
    # A value of a distinguished name lies between its type and the next one (RFC 4514): what is in it is escaped.
    "subject": re.compile(r"(?<!\\)[,+]?[A-Za-z][A-Za-z0-9-]*=|(?<!\\)[,+]?[0-9.]+="),
}
"""What parts names of this source into pieces, of which `{any}` stands for one."""

_PLACE = re.compile(r"(\{[a-z]*\})")
_PLACES = ("{identity}", "{any}")


class CertificateRule(BaseModel):
    """Where in a certificate the identity's name stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = Field(alias="from")
    pattern: Annotated[str, Field(min_length=1, max_length=512)] = "{identity}"
    prefix: Annotated[str, Field(max_length=64)] = ""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The pattern, cut where a place begins and ends."""
        return tuple(piece for piece in _PLACE.split(self.pattern) if piece)

    @model_validator(mode="after")
    def _places(self) -> Self:
        pieces = self.pieces
        if pieces.count("{identity}") != 1:
            raise ValueError(f"the pattern {self.pattern!r} has {{identity}} in it exactly once")
        if wrong := [piece for piece in pieces if piece not in _PLACES and set(piece) & set("{}*")]:
            raise ValueError(
                f"the pattern {self.pattern!r} has {wrong[0]!r} in it: places are {{identity}} and {{any}}"
            )
        separator = SEPARATORS.get(self.source)
        if "{any}" in pieces and separator is None:
            raise ValueError(f"{{any}} is one part of a DNS name, a URI or a subject: a {self.source} has no parts")
        # Else there would be several ways to read one name.
        if separator is not None and any("{any}" in part and part != "{any}" for part in separator.split(self.pattern)):
            raise ValueError(f"the pattern {self.pattern!r}: {{any}} is a whole part of a {self.source}")
        return self


class CertificateRules(BaseModel):
    """Client certificates that name identities in another way than those of `bartizan enrol`.

    Chain, dates and revocation are the listener's to check. All rules are looked at: a certificate that names two
    identities by them names none. The connection ends with the certificate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["certificate"] = Field(description="A client certificate that names its identity by rule.")
    rules: tuple[CertificateRule, ...] = Field(
        (),
        max_length=16,
        description=(
            'Where the name stands, such as `[{ from = "san_uri", pattern = "spiffe://plant/{identity}" }]`. `from` is '
            '"cn", "san_dns", "san_uri", "san_email", "subject" (the whole one, as RFC 4514 writes it), "serial" or '
            '"fingerprint"; the pattern has to fit from end to end; `{identity}` is the name, or, in a DNS name, URI '
            "or subject, one part of it (`{any}`: a part that does not matter); `prefix` is put before it. Default: the "
            "URI of `bartizan enrol`, or else the CN."
        ),
    )
    identities: Literal["stored", "certificate"] = Field(
        "stored",
        description=(
            "`stored`: the identity must be in the identity store and enabled; its roles and attributes come from "
            "there. `certificate`: it must not be there; the certificate alone says who it is, and `roles_by_ou` what "
            "it may."
        ),
    )
    roles_by_ou: dict[Annotated[str, Field(min_length=1, max_length=64)], tuple[Role, ...]] = Field(
        default_factory=dict,
        max_length=256,
        description=(
            'Roles by the subject\'s organizational units, such as `{ Presses = ["press"] }`; units that are not '
            'listed give none. With `identities = "certificate"`.'
        ),
    )
    pinned: bool = Field(
        default=False,
        description=(
            "Takes only the very certificates that are on record for the identity (by fingerprint, or by serial number "
            "and issuer: `bartizan enrol`, `bartizan credential pin`): another one of the same CA with the same name "
            "proves nothing."
        ),
    )

    PATHS: ClassVar[tuple[str, ...]] = ()

    @property
    def reads_subject(self) -> bool:
        """Whether a rule is about the whole subject."""
        return any(rule.source == "subject" for rule in self.rules)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.identities == "stored" and self.roles_by_ou:
            raise ValueError(
                'identities = "stored" takes roles from the identity store: remove roles_by_ou, or set '
                'identities = "certificate"'
            )
        if self.identities == "certificate" and self.pinned:
            raise ValueError('pinned needs certificates on record, and identities = "certificate" has none: remove one')
        if self.identities == "certificate" and not self.rules:
            raise ValueError('identities = "certificate" needs rules: say where the name stands')
        return self
