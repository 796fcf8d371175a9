"""What every authenticator's settings have that asks somebody outside, and the types that its keys share."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bartizan.model.ids import AttributeName, RoleName


def parse_url(text: str) -> str:
    """A URL of https, or of http where a `danger_*` setting allows that; without user, password or fragment."""
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("write a URL such as https://id.example/certs")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("a URL here has neither user, password nor fragment: secrets are read from files")
    return text


Url = Annotated[str, AfterValidator(parse_url)]
Role = Annotated[str, AfterValidator(lambda text: str(RoleName.parse(text)))]
Attribute = Annotated[str, AfterValidator(lambda text: str(AttributeName.parse(text)))]


class Outside(BaseModel):
    """What every authenticator has that asks somebody outside: its own gate (`authn/outside.py`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: Annotated[float, Field(gt=0, le=4.5)] = Field(
        3.0,
        description="Time for one answer from outside, waiting for a turn included; then 0x88 Server unavailable.",
    )
    concurrent_max: Annotated[int, Field(strict=True, ge=1, le=256)] = Field(
        16, description="Requests under way at once."
    )
    waiting_max: Annotated[int, Field(strict=True, ge=0, le=512)] = Field(
        128, description="Clients that wait for their turn beside those; further ones get 0x89 Server busy at once."
    )


def require_https(url: str | None, danger: str | None, key: str, danger_key: str) -> None:
    """Refuses http without its danger, and the danger without http."""
    plain = url is not None and url.startswith("http:")
    if plain and danger is None:
        raise ValueError(f'{key} is not https: correct it, or say why in {danger_key} = "reason"')
    if danger is not None and not plain:
        raise ValueError(f"{danger_key} without a {key} of http: remove it")
