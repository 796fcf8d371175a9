"""`[audit]`: the record of every change."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bartizan.config.audit_sinks import SinkSettings

_SINK_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


def _parse_sink_name(name: str) -> str:
    if not _SINK_NAME.match(name):
        raise ValueError("a sink's name is a lower-case letter, then letters, digits, '_' or '-' (32 at most)")
    return name


SinkName = Annotated[str, AfterValidator(_parse_sink_name)]


class AuditSettings(BaseModel):
    """`[audit]`: how the record of changes is signed, cut into files, and kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint_interval_s: Annotated[int, Field(strict=True, ge=1, le=86_400)] = Field(
        60,
        description=(
            "Records are signed after so many seconds at most: by the broker, or with the next record where none runs."
        ),
    )
    checkpoint_records_max: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        1_000, description="So many records without a signature at most."
    )
    segment_bytes_max: Annotated[int, Field(strict=True, ge=65_536, le=1_073_741_824)] = Field(
        16_777_216, description="A file that has reached this size is signed, and followed by the next one."
    )
    events: Literal["warnings", "connections", "off"] = Field(
        "warnings",
        description=(
            "Which events have a log of their own beside that of changes. `warnings`: refused, denied, limit_met and "
            "all else that is a warning or worse. `connections`: who connects and disconnects too."
        ),
    )
    event_bytes_per_minute_max: Annotated[int, Field(strict=True, ge=4_096, le=1_073_741_824)] = Field(
        262_144,
        description="So much is written of events in a minute; of what comes beyond, kinds and numbers are told.",
    )
    events_keep_days: Annotated[int, Field(strict=True, ge=1, le=36_500)] = Field(
        90, description="As keep_days, for events."
    )
    events_bytes_max: Annotated[int, Field(strict=True, ge=1_048_576, le=1_099_511_627_776)] = Field(
        1_073_741_824, description="Beyond this the oldest files of events are removed before their time."
    )
    sinks: dict[SinkName, SinkSettings] = Field(
        default_factory=dict, max_length=16, description="Where the record goes too: `[audit.sinks.NAME]`."
    )
    undelivered_bytes_max: Annotated[int, Field(strict=True, ge=1_048_576, le=1_099_511_627_776)] = Field(
        2_147_483_648,
        description=(
            "Files that a sink has not had yet are kept beyond their time, and beyond events_bytes_max, while their "
            "log is no larger than this. Beyond it they are removed all the same, and the sink never gets them: told."
        ),
    )
    keep_days: Annotated[int, Field(strict=True, ge=1, le=36_500)] = Field(
        400,
        description=(
            "Files whose last record is older are removed, which is itself recorded; never the newest, and none "
            "without a signature at its end."
        ),
    )
