"""What a policy says in words for people: conditions, limits."""

from collections.abc import Mapping
from typing import Final

from bartizan.policy.condition import Condition
from bartizan.policy.tenants import Tenant
from bartizan.policy.windows import DAYS, Window

LIMIT_WORDS: Final[Mapping[str, str]] = {
    "publish_rate_per_s": "messages per second:",
    "publish_bytes_per_s": "octets per second:",
    "subscriptions_max": "subscriptions:",
    "queued_messages_max": "waiting messages:",
    "queued_bytes_max": "waiting octets:",
    "inflight_max": "unacknowledged messages:",
    "packet_bytes_max": "octets of a packet:",
    "retained_messages_max": "retained messages:",
    "retained_bytes_max": "retained octets:",
    "connections_max": "connections of an identity:",
}
"""Limits as a page names them; any other by its key."""

TENANT_LIMIT_WORDS: Final[Mapping[str, str]] = {
    **LIMIT_WORDS,
    "connections_max": "connections:",
}
TENANTS: Final = "Clients of a tenant see its root as if there were no other topics; topics above are as they see them."


def condition_words(when: Condition) -> str:
    """When a rule counts: `by listener mqtts, with mfa, with at most 1,024 octets`. Empty if it always does."""
    words = [f"where {name} is {_one_of(values)}" for name, values in when.attributes]
    lists = (("by listener", when.listeners), ("from", when.addresses), ("proved by", when.methods))
    words += [f"{name} {_one_of(values)}" for name, values in lists if values]
    words += [f"with {_one_of([strength.value for strength in when.strengths])}"] if when.strengths else []
    words += [f"in {_one_of(when.windows)}"] if when.windows else []
    return ", ".join([*words, *_of_message(when)])


def window_words(window: Window) -> str:
    """The hours of a time window: `mon, tue from 06:00 to 14:00, Europe/Berlin`."""
    days = ", ".join(DAYS[day] for day in window.days)
    begin, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (window.from_minute, window.to_minute))
    return f"{days} from {begin} to {end}, {window.zone}"


def tenant_words(tenant: Tenant) -> str:
    """Where its topics are, and what all its clients together may have."""
    limits = [f"{TENANT_LIMIT_WORDS.get(name, name)} {value:,}" for name, value in tenant.limits]
    return "; ".join([f"below {tenant.root}", *limits])


def _of_message(when: Condition) -> list[str]:
    words = [f"at QoS {_one_of([str(qos) for qos in when.qos])}"] if when.qos else []
    if when.retain is not None:
        words.append("with RETAIN" if when.retain else "without RETAIN")
    if when.payload_bytes_min is not None:
        words.append(f"with at least {when.payload_bytes_min:,} octets")
    if when.payload_bytes_max is not None:
        words.append(f"with at most {when.payload_bytes_max:,} octets")
    if when.content_types:
        words.append(f"as {_one_of(when.content_types)}")
    if when.utf8 is not None:
        words.append("marked as UTF-8" if when.utf8 else "not marked as UTF-8")
    return words


def _one_of(words: tuple[str, ...] | list[str]) -> str:
    return " or ".join(words)
