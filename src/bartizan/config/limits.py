"""Every bound on what the network can grow: its unit in its name, a default, and what meeting it does.

`[limits]` holds for all listeners; `[listeners.NAME.limits]` overrides single keys. The descriptions
become docs/reference/settings.md.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Positive = Annotated[int, Field(strict=True, ge=1, le=2**53)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
U16 = Annotated[int, Field(strict=True, ge=0, le=65_535)]
U32 = Annotated[int, Field(strict=True, ge=0, le=4_294_967_295)]

KIB = 1024
MIB = 1024 * 1024


class Limits(BaseModel):
    """Bounds, as they hold when neither `[limits]` nor the listener says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections_max: Positive = Field(
        10_000, description="Network Connections of one listener at once. Beyond it new ones are closed before TLS."
    )
    connections_per_identity_max: Positive = Field(
        100,
        description=(
            "Network Connections of one identity at once. Beyond it CONNECT is refused with 0x97. "
            "`anonymous` is not counted as one identity."
        ),
    )
    connections_per_prefix_max: Positive = Field(
        1_000,
        description=(
            "Network Connections at once from one address prefix (IPv4 /32, IPv6 /64). Beyond it new ones "
            "are closed before TLS."
        ),
    )
    connection_rate_per_prefix_per_s: Positive = Field(
        50,
        description=(
            "New Network Connections per second from one address prefix, on average. Beyond it they are "
            "closed before TLS."
        ),
    )
    connection_burst_per_prefix: Positive = Field(
        200, description="New Network Connections from one address prefix that may come at once."
    )
    handshake_timeout_s: Seconds = Field(
        10.0,
        description=("Time for PROXY header, TLS and WebSocket upgrade. Then the Network Connection is closed."),
    )
    connect_timeout_s: Seconds = Field(
        10.0,
        description=(
            "Time from the end of the handshake to a whole CONNECT, and for the answer of the "
            "authenticators. Then closed, or CONNACK 0x88."
        ),
    )
    connect_bytes_max: Annotated[int, Field(strict=True, ge=128, le=268_435_460)] = Field(
        64 * KIB,
        description=(
            "Size of CONNECT, and of AUTH before CONNACK: what a client may make the broker keep before it has "
            "proved who it is. A larger one is closed as soon as its header is read, which tells no version to "
            "answer in."
        ),
    )
    packet_bytes_max: Annotated[int, Field(strict=True, ge=128, le=268_435_460)] = Field(
        1 * MIB,
        description=(
            "Size of one Control Packet from a client. A larger one is refused with 0x95 as soon as its header is read."
        ),
    )
    topic_levels_max: Annotated[int, Field(strict=True, ge=1, le=65_536)] = Field(
        32, description="Levels of a Topic Name or Topic Filter. More: 0x90 for a name, 0x8F for a filter."
    )
    topic_bytes_max: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        1_024, description="Length of a Topic Name or Topic Filter. More: 0x90 for a name, 0x8F for a filter."
    )
    subscriptions_per_session_max: Positive = Field(
        100, description="Subscriptions of one Session. Beyond it SUBACK carries 0x97."
    )
    inflight_max: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        64,
        description=(
            "QoS 1 and 2 messages sent to one client and not yet acknowledged; its Receive Maximum may "
            "lower it. Further ones wait in the queue."
        ),
    )
    queued_messages_max: Count = Field(
        1_000,
        description=("Messages waiting for one Session. Beyond it new ones for that Session are dropped and counted."),
    )
    queued_bytes_max: Count = Field(
        8 * MIB,
        description=("Bytes waiting for one Session. Beyond it new ones for that Session are dropped and counted."),
    )
    retained_messages_max: Count = Field(
        100_000, description="Retained Messages in all. Beyond it a new one is refused with 0x97."
    )
    retained_bytes_max: Count = Field(
        256 * MIB, description="Bytes of Retained Messages in all. Beyond it a new one is refused with 0x97."
    )
    retained_messages_per_identity_max: Count = Field(
        1_000,
        description=("Retained Messages that one identity published. Beyond it a new one is refused with 0x97."),
    )
    retained_bytes_per_identity_max: Count = Field(
        16 * MIB,
        description=(
            "Bytes of Retained Messages that one identity published. Beyond it a new one is refused with 0x97."
        ),
    )
    publish_rate_per_s: Positive = Field(
        1_000,
        description=(
            "PUBLISH packets per second of one Network Connection, on average. Beyond it the broker reads "
            "it later; if that lasts for publish_excess_max_s, DISCONNECT 0x96."
        ),
    )
    publish_burst: Positive = Field(2_000, description="PUBLISH packets that one Network Connection may send at once.")
    publish_bytes_per_s: Positive = Field(
        10 * MIB,
        description=(
            "Bytes of PUBLISH per second of one Network Connection, on average. Beyond it as for publish_rate_per_s."
        ),
    )
    publish_excess_max_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0,
        description=(
            "Time for which a client may send faster than its rates allow, so that it is held back most of "
            "the time. Then DISCONNECT 0x96."
        ),
    )
    keep_alive_min_s: U16 = Field(
        0,
        description=(
            "Smallest Keep Alive. A shorter one (not 0) is raised to it: by Server Keep Alive in v5, "
            "silently in v3.1.1."
        ),
    )
    keep_alive_max_s: U16 = Field(
        3_600,
        description=(
            "Largest Keep Alive; 0 from the client counts as none and is lowered to it as well. A 3.1.1 client "
            "cannot be told, so its own stands; TCP keepalive finds it when it is gone. 0 here sets no bound."
        ),
    )
    property_bytes_max: Annotated[int, Field(strict=True, ge=64, le=268_435_455)] = Field(
        16 * KIB, description="Length of the properties of one Control Packet. More: 0x95 and close."
    )
    session_expiry_max_s: U32 = Field(
        604_800,
        description=(
            "Longest Session Expiry Interval. A longer one is lowered to it and CONNACK says so; 4294967295 "
            "allows Sessions without end."
        ),
    )
    topic_alias_max: U16 = Field(
        32, description="Topic Aliases that a client may use, and most that the broker assigns to one client."
    )
    receive_max: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        64,
        description=(
            "QoS 1 and 2 messages from one client and not yet acknowledged (Receive Maximum). More: DISCONNECT 0x93."
        ),
    )
    out_buffer_bytes_max: Annotated[int, Field(strict=True, ge=4 * KIB, le=2**32)] = Field(
        1 * MIB,
        description=(
            "Bytes waiting in memory for the socket of one client. Beyond it QoS 0 messages for it are "
            "dropped, others wait in the queue."
        ),
    )
    will_delay_max_s: U32 = Field(86_400, description="Longest Will Delay Interval. A longer one is lowered to it.")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.keep_alive_max_s and self.keep_alive_min_s > self.keep_alive_max_s:
            raise ValueError("keep_alive_min_s is above keep_alive_max_s")
        if self.property_bytes_max > self.packet_bytes_max:
            raise ValueError("property_bytes_max is above packet_bytes_max")
        return self

    def override(self, other: "ListenerLimitsBase") -> "Limits":
        """These limits with what `other` sets in place of the same keys."""
        return Limits.model_validate({**self.model_dump(), **other.model_dump(exclude_none=True)})


BROKER_WIDE = frozenset({"retained_messages_max", "retained_bytes_max"})
"""Limits of the broker as a whole: they have no meaning for one listener."""


class ListenerLimitsBase(BaseModel):
    """Overrides of one listener: every key of `[limits]` but the broker-wide ones, all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _overrides() -> dict[str, Any]:
    """The fields of `Limits` that one listener may set, each optional."""
    fields: dict[str, Any] = {}
    for name, field in Limits.model_fields.items():
        if name not in BROKER_WIDE:
            bounded: Any = field.annotation
            for bound in field.metadata:
                bounded = Annotated[bounded, bound]
            fields[name] = (bounded | None, None)
    return fields


ListenerLimits = create_model("ListenerLimits", __base__=ListenerLimitsBase, **_overrides())
