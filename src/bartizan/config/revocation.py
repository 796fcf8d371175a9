"""How a listener learns that a client certificate was revoked: CRLs from URLs, OCSP."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bartizan.config.words import Reason, Url

URLS_MAX = 16

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?\Z")


def _parse_host(text: str) -> str:
    if not _HOST.match(text):
        raise ValueError("write the name of a host in small letters, such as ocsp.ca.example, without scheme")
    return text


Host = Annotated[str, AfterValidator(_parse_host)]


class RevocationSettings(BaseModel):
    """The part of `[listeners.NAME]` that is about revoked client certificates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crl_urls: Annotated[tuple[Url, ...], Field(max_length=URLS_MAX)] = Field(
        (),
        description=(
            "Where the CAs of `client_ca_file` publish their Certificate Revocation Lists (PEM or DER). Plain http will "
            "do: a list is signed. Each counts up to its own end; of a CA without one, no certificate is accepted."
        ),
    )
    crl_refresh_s: Annotated[int, Field(strict=True, ge=60, le=604_800)] = Field(
        3_600, description="A list of `crl_urls` is fetched again so often, and every minute once its end is near."
    )
    crl_leeway_s: Annotated[int, Field(strict=True, ge=0, le=604_800)] = Field(
        3_600, description="While a newer list cannot be had, one of `crl_urls` counts so long beyond its own end."
    )
    danger_stale_crl: Reason | None = Field(
        None,
        description=(
            "Accepts certificates of a CA though its list of `crl_urls` is missing or out of date; the value is the "
            "reason. A certificate that was revoked since proves its identity as before."
        ),
    )
    ocsp: Literal["off", "required", "soft"] = Field(
        "off",
        description=(
            "Whether a responder of the CA is asked about each client certificate at CONNECT (OCSP). `required`: "
            "without a good answer nobody is let in by it (0x88). `soft`: only who is said to be revoked is refused."
        ),
    )
    ocsp_url: Url | None = Field(
        None,
        description="The responder. Default: the one that the certificate names, if its host is one of `ocsp_hosts`.",
    )
    ocsp_hosts: Annotated[tuple[Host, ...], Field(max_length=16)] = Field(
        (),
        description=(
            "Hosts of responders that a certificate may name, at the usual port unless one is given "
            "(`ocsp.ca.example:8080`): others are not asked, so that no certificate makes the broker call elsewhere."
        ),
    )

    @model_validator(mode="after")
    def _revocation(self) -> Self:
        if not self.crl_urls:
            for key in ("crl_refresh_s", "crl_leeway_s", "danger_stale_crl"):
                if key in self.model_fields_set and getattr(self, key) is not None:
                    raise ValueError(f"{key} is about crl_urls: set those too, or remove it")
        if len(set(self.crl_urls)) != len(self.crl_urls):
            raise ValueError("crl_urls has the same URL twice: remove one")
        if self.ocsp == "off" and (self.ocsp_url is not None or self.ocsp_hosts):
            raise ValueError('ocsp_url and ocsp_hosts need ocsp = "required" or "soft"')
        if self.ocsp != "off" and self.ocsp_url is None and not self.ocsp_hosts:
            raise ValueError(f'ocsp = "{self.ocsp}" needs ocsp_url, or ocsp_hosts that certificates may name')
        return self
