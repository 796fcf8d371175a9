"""`[dynsec]`: commands of Mosquitto's dynamic security, by MQTT."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DynsecSettings(BaseModel):
    """`[dynsec]`: commands of Mosquitto's dynamic security, by MQTT."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["off", "strict", "compatible"] = Field(
        "off",
        description=(
            "Whether clients may send commands to `$CONTROL/dynamic-security/v1`, if the policy permits it by that "
            "very name. `strict`: what cannot be exact here is refused, and the client that asked is answered alone. "
            "`compatible`: it is carried out with less, and everybody is answered who is subscribed to "
            "`$CONTROL/dynamic-security/v1/response`, as by Mosquitto."
        ),
    )
