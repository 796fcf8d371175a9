"""What becomes of messages that rules permit, defined: which declaration of their topic holds, and what it asks.

As `tests.oracle`, of which it is the other half: slow and obvious lines over the policy as `tomllib` reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle import ANY, REST, matches
from tests.oracle_payload import fits

BURST_S = 10
OWN = "bartizan-"
BOUNDS = ("payload", "enforce", "rate_per_s", "retention_s")


@dataclass(frozen=True)
class Published:
    """A PUBLISH of one client that a rule permits."""

    at_ms: int
    topic: str
    payload: bytes = b""
    expiry_s: int | None = None
    said: tuple[tuple[str, str], ...] = ()
    """Its User Properties."""


@dataclass(frozen=True)
class Passed:
    """What becomes of it."""

    refused: bool
    broken: tuple[tuple[str, str], ...]
    """How it is not as declared, and what is made of each: `off`, `warn`, `reject`."""
    expiry_s: int | None = None
    said: tuple[tuple[str, str], ...] = ()
    is_stamped: bool = False
    """The broker says behind these whose it is."""


def passed(policy: dict[str, Any], sent: Sequence[Published]) -> list[Passed]:
    """What becomes of the messages of one connection, in the order in which they came."""
    found: list[Passed] = []
    counted: dict[str | None, list[int]] = {}
    for each in sent:
        declared = declaration(policy, each.topic)
        topic = policy["topics"].get(declared, {})
        broken: list[tuple[str, str]] = []
        word = enforced(policy, each.topic) or "off"
        if in_time(topic.get("rate_per_s"), counted.get(declared, []), each.at_ms):
            counted.setdefault(declared, []).append(each.at_ms)
        else:
            broken.append(("rate", word))
        # What its rate refuses nobody looks at any further.
        if ("rate", "reject") not in broken and (misfit := broken_by(policy, each.topic, each.payload)):
            broken.append((misfit, word))
        if "reject" in [effect for _, effect in broken]:
            found.append(Passed(True, tuple(broken)))
            continue
        ends = [end for end in (each.expiry_s, topic.get("retention_s")) if end is not None]
        said = each.said
        if any(other.get("provenance", False) for other in policy["topics"].values()):
            said = tuple((name, value) for name, value in said if not name.lower().startswith(OWN))
        found.append(Passed(False, tuple(broken), min(ends, default=None), said, topic.get("provenance", False)))
    return found


def in_time(rate_per_s: int | None, before_ms: Sequence[int], now_ms: int) -> bool:
    """Not too soon after those that were in time: in no stretch of time more than its rate and ten seconds' worth."""
    if rate_per_s is None:
        return True
    times = [*before_ms, now_ms]
    return all(
        1000 * len([at for at in times if at >= begin]) <= rate_per_s * (1000 * BURST_S + now_ms - begin)
        for begin in times
    )


def declaration(policy: dict[str, Any], topic: str) -> str | None:
    """Of the topics whose template means this one the most specific: a word says more than a variable, that more than `#`.

    Of two that differ in names of variables only, the one that says what messages are.
    """
    topics = policy.get("topics", {})
    found = [
        (declared_kinds(template), not says_what_messages_are(topics[template]), template)
        for template in topics
        if matches([REST if part == "#" else ANY if part[:1] == "{" else part for part in template.split("/")], topic)
    ]
    return min(found)[2] if found else None


def declared_kinds(template: str) -> list[int]:
    """What its levels are, from the left."""
    return [2 if part == "#" else 1 if part[:1] == "{" else 0 for part in template.split("/")]


def says_what_messages_are(topic: dict[str, Any]) -> bool:
    """It asks something of messages, beside who may send them."""
    return topic.get("provenance", False) or any(key in topic for key in BOUNDS)


def enforced(policy: dict[str, Any], topic: str) -> str | None:
    """What becomes of a message to this topic that is not as declared; None: nobody looks."""
    everywhere = policy.get("contract", {}).get("enforce")
    declared = declaration(policy, topic)
    return everywhere if declared is None else policy["topics"][declared].get("enforce", everywhere or "off")


def broken_by(policy: dict[str, Any], topic: str, payload: bytes, files: Mapping[str, str] | None = None) -> str | None:
    """How a message is not as declared, where anybody looks: `topic`, `payload`, or not at all."""
    if topic.startswith("$") or enforced(policy, topic) is None:
        return None
    declared = declaration(policy, topic)
    if declared is None:
        return "topic"
    said = policy["topics"][declared].get("payload", "bytes")
    return None if fits(said, payload, files or {}) else "payload"
