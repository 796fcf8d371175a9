"""The engine of Bartizan, in Rust. Keyword-only; values in, values out; no callbacks, no async."""

from collections.abc import Mapping, Sequence
from typing import final

class PolicyImageError(ValueError):
    """These bytes are not a policy image."""

@final
class Decision:
    """Allowed or not, by which rule, and why."""

    @property
    def allow(self) -> bool:
        """True if the request is granted."""

    @property
    def per_delivery(self) -> bool:
        """For a subscription: a forbid overlaps its filter, so each delivery is decided."""

    @property
    def rule(self) -> str | None:
        """The stable name of the rule that decided; None where none matched."""

    @property
    def why(self) -> str:
        """`permitted`, `forbidden`, `no_permit`, `qos_above_max`, `retain_not_allowed` or `server_topic`."""

@final
class CompiledPolicy:
    """A policy as the engine evaluates it. Immutable."""

    @staticmethod
    def load(*, image: bytes) -> CompiledPolicy:
        """Loads what the policy compiler wrote; PolicyImageError if it is anything else."""

    @property
    def digest(self) -> str:
        """SHA-256 of the image, in hexadecimal: the name of this policy."""

    def decide(
        self,
        *,
        identity: str,
        client_id: str,
        roles: Sequence[str],
        attributes: Mapping[str, str],
        action: str,
        topic: str,
        qos: int,
        retain: bool,
    ) -> Decision:
        """Decides one request: `publish` or `receive` a Topic Name, `subscribe` to a Topic Filter."""

def parse_topic_name(*, text: str) -> str:
    """The Topic Name of this text, as it is; ValueError where it is none."""

def parse_topic_filter(*, text: str) -> str:
    """The Topic Filter of this text, as it is; ValueError where it is none."""

def filter_matches(*, filter: str, name: str) -> bool:
    """True if the filter matches the name."""

def filter_covers(*, filter: str, other: str) -> bool:
    """True if the filter matches every name that the other filter matches."""
