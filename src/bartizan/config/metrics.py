"""`[metrics]`: under which names beside Bartizan's own the figures are told; `[metrics.otlp]`: who is told them by OpenTelemetry."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bartizan.config.outside import require_https
from bartizan.config.words import Reason

_SECTION = ConfigDict(frozen=True, extra="forbid")


class OtlpMetrics(BaseModel):
    """`[metrics.otlp]`: figures to an OpenTelemetry collector, by OTLP over HTTP, as JSON."""

    model_config = _SECTION
    PATHS: ClassVar[tuple[str, ...]] = ("headers_file", "ca_file")

    metrics_url: str = Field(description="URL (https) of the collector, such as https://otel.example:4318/v1/metrics.")
    interval_s: Annotated[float, Field(ge=1, le=3_600)] = Field(60.0, description="Seconds between two times.")
    headers_file: Path | None = Field(
        None, description="File of further headers, `Name: value` a line, such as a token; nobody else may read it."
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the collector. Default: the system's.")
    deadline_s: Annotated[float, Field(gt=0, le=60)] = Field(10.0, description="For a whole request.")
    danger_plaintext_metrics: Reason | None = Field(
        None,
        description="Allows a metrics_url of http; the value is the reason. Whoever is on the way reads every figure.",
    )

    @model_validator(mode="after")
    def _https(self) -> Self:
        if not self.metrics_url.startswith(("http://", "https://")):
            raise ValueError("metrics_url is no URL of http or https")
        require_https(self.metrics_url, self.danger_plaintext_metrics, "metrics_url", "danger_plaintext_metrics")
        return self


class MetricsSettings(BaseModel):
    """`[metrics]`: names of other brokers, for dashboards that exist."""

    model_config = _SECTION

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
    otlp: OtlpMetrics | None = Field(None, description="`[metrics.otlp]`: a collector that is sent them.")
