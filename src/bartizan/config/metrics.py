"""`[metrics]`: under which names beside Bartizan's own the figures are told; `[metrics.otlp]`, `[traces]`: what an OpenTelemetry collector is sent."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bartizan.config.outside import require_https
from bartizan.config.words import Reason

_URL = re.compile(r"https?://[^/?#@\s]+([/?][^#\s]*)?\Z")
_SECTION = ConfigDict(frozen=True, extra="forbid")


class _Collector(BaseModel):
    """What both have that are sent to a collector, by OTLP over HTTP, as JSON."""

    model_config = _SECTION
    PATHS: ClassVar[tuple[str, ...]] = ("headers_file", "ca_file")

    headers_file: Path | None = Field(
        None, description="File of further headers, `Name: value` a line, such as a token; nobody else may read it."
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the collector. Default: the system's.")
    deadline_s: Annotated[float, Field(gt=0, le=60)] = Field(10.0, description="For a whole request.")


class OtlpMetrics(_Collector):
    """`[metrics.otlp]`: figures to an OpenTelemetry collector."""

    metrics_url: str = Field(description="URL (https) of the collector, such as https://otel.example:4318/v1/metrics.")
    interval_s: Annotated[float, Field(ge=1, le=3_600)] = Field(60.0, description="Seconds between two times.")
    danger_plaintext_metrics: Reason | None = Field(
        None,
        description="Allows a metrics_url of http; the value is the reason. Whoever is on the way reads every figure.",
    )

    @model_validator(mode="after")
    def _https(self) -> Self:
        _require_url(self.metrics_url, "metrics_url")
        require_https(self.metrics_url, self.danger_plaintext_metrics, "metrics_url", "danger_plaintext_metrics")
        return self


class OtlpTraces(_Collector):
    """`[traces]`: what operators ask for, at the API and the control socket, as spans to an OpenTelemetry collector."""

    traces_url: str = Field(description="URL (https) of the collector, such as https://otel.example:4318/v1/traces.")
    interval_s: Annotated[float, Field(ge=1, le=3_600)] = Field(5.0, description="Seconds between two times.")
    danger_plaintext_traces: Reason | None = Field(
        None,
        description="Allows a traces_url of http; the value is the reason. Whoever is on the way reads what was asked.",
    )

    @model_validator(mode="after")
    def _https(self) -> Self:
        _require_url(self.traces_url, "traces_url")
        require_https(self.traces_url, self.danger_plaintext_traces, "traces_url", "danger_plaintext_traces")
        return self


def _require_url(url: str, key: str) -> None:
    # Settings are shown: what proves us to a collector is no part of its address.
    if not _URL.match(url):
        raise ValueError(f"{key} is no URL of http or https without a user; what proves us goes into headers_file")


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
