"""`[metrics]`: under which names beside Bartizan's own the figures are told."""

from pydantic import BaseModel, ConfigDict, Field


class MetricsSettings(BaseModel):
    """`[metrics]`: names of other brokers, for dashboards that exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mosquitto_names: bool = Field(
        default=True,
        strict=True,
        description="`/metrics` has the numbers of `$SYS/broker/...` under the names of Mosquitto's exporter too.",
    )
    emqx_names: bool = Field(
        default=False,
        strict=True,
        description="`/metrics` has the names of EMQX too, for what means the same in both.",
    )
