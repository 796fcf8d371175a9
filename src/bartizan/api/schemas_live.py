"""What the API answers with about what is going on: Sessions, Retained Messages, topics, traces."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bartizan.api.schemas import Client


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Subscription(_Told):
    """A Subscription, with its options."""

    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    id: int | None = Field(description="The Subscription Identifier.")
    per_delivery: bool = Field(description="A rule that forbids overlaps it: each delivery is decided by itself.")


class HeldSubscription(Subscription):
    """A Subscription, and whose it is."""

    client_id: str
    tenant: str | None
    identity: str
    is_connected: bool


class Will(_Told):
    """A Will, without what it says."""

    topic: str
    qos: int
    retain: bool
    payload_bytes: int
    delay_s: int
    due_at: datetime | None = Field(description="When it is published, once the connection has ended.")


class SessionDenial(_Told):
    """What its client was denied lately."""

    number: int
    action: str
    topic: str
    rule: str
    why: str
    qos: int
    retain: bool
    count: int
    last_at: datetime


class Session(_Told):
    """All that is kept for a client, connected or away."""

    client_id: str
    tenant: str | None
    identity: str
    roles: list[str]
    is_connected: bool
    version: str
    session_expiry_s: int | None = Field(description="So long it stays while its client is away; null: for ever.")
    ends_at: datetime | None = Field(description="When it ends, while its client is away.")
    queued: int
    queued_bytes: int
    queued_messages_max: int
    queued_bytes_max: int
    inflight: int
    received: int = Field(description="Messages of QoS 2 that came and were not released yet.")
    will: Will | None
    subscription_count: int
    subscriptions: list[Subscription] = Field(description="The first of them, by filter.")
    denials: list[SessionDenial] = Field(description="The last ten, the last first.")


class Rates(_Told):
    """Per second, between two looks."""

    over_s: float
    messages_in_per_s: float
    messages_out_per_s: float
    bytes_in_per_s: float
    bytes_out_per_s: float


class ClientInFull(Client):
    """A connected client, with its Session, and its rates where these are asked for."""

    session: Session | None = Field(description="Null where it has gone meanwhile.")
    rates: Rates | None


class RetainedMessage(_Told):
    """A Retained Message, without what it says."""

    topic: str
    qos: int
    payload_bytes: int
    identity: str
    client_id: str
    tenant: str | None
    expires_at: datetime | None


class RetainedMessageInFull(RetainedMessage):
    """A Retained Message, with what it says: as text, or else base64."""

    properties: dict[str, Any] = Field(default_factory=dict)
    payload: str | None = None
    payload_base64: str | None = None


class Cleared(_Told):
    """How many Retained Messages were removed."""

    count: int


class Branch(_Told):
    """What is at a topic and below it."""

    retained: int
    retained_bytes: int
    subscriptions: int
    used: int = Field(description="Pairs of an identity and a rule of the policy that were first used here.")
    messages_per_s: float | None = Field(None, description="What was published, where `over_s` asks for it.")
    bytes_per_s: float | None = None


class TopicTree(_Told):
    """Topics level by level."""

    topics: dict[str, Branch]
    left_out: Branch = Field(description="The sums of what is at further topics, of which there are too many to tell.")


class TraceUnderWay(_Told):
    """A trace that somebody reads."""

    trace: int
    client_id: str
    tenant: str | None
    payloads: bool
    by: str
    began_at: datetime
    until: datetime
