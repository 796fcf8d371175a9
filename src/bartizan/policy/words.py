"""Words of the pages: a role's share of a topic, and limits."""

from collections.abc import Mapping
from typing import Final

from bartizan.policy.page import Party

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


def party_words(party: Party) -> str:
    """What of the topic this role may: its own values, the wildcard that lets it, what is forbidden. Code in backticks."""
    parts = []
    if party.own:
        parts.append("of its own " + " and ".join(f"`{{{name}}}` ({what})" for name, what in party.own))
    if party.by:
        parts.append(f"by `{party.by}`")
    if party.but:
        parts.append("but for " + ", ".join(f"`{text}`" for text in party.but))
    return ", ".join(parts)
