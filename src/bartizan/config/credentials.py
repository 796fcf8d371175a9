"""`[credentials]`: how old what proves an identity may become."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Days = Annotated[int, Field(strict=True, ge=1, le=36_500)]


class CredentialSettings(BaseModel):
    """`[credentials]`: how old what proves an identity may become. A role of the policy may say otherwise for its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ages: Literal["warn", "enforce"] = Field(
        "warn",
        description=(
            "What becomes of a credential that is too old. `warn`: it is told, 30, 7 and 1 days before and afterwards "
            "(`credential_expiring`, `bartizan doctor`, `bartizan_credentials_expiring`). `enforce`: that, and from then on "
            "it proves nothing; connections that it opened end at that moment."
        ),
    )
    password_days_max: Days = Field(
        90, description="Days after which a password is too old, SCRAM's too, where no role says `password_days_max`."
    )
    certificate_days_max: Days = Field(
        365, description="Days after which a certificate is too old, where no role says `certificate_days_max`."
    )

    @property
    def days_max(self) -> Mapping[str, int]:
        """The same, by kind of credential."""
        return {
            "password": self.password_days_max,
            "scram": self.password_days_max,
            "certificate": self.certificate_days_max,
        }
