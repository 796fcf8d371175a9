"""What every authenticator's settings have that asks somebody outside, and the types that its keys share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bartizan.model.ids import AttributeName, RoleName

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
