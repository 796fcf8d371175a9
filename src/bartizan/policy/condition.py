"""When a rule counts: circumstances of the connection, and properties of the message."""

from dataclasses import dataclass, replace
from enum import StrEnum

PAYLOAD_BYTES_MAX = 268_435_455
"""No payload is longer (MQTT 5, 2.1.4)."""


class Strength(StrEnum):
    """How strongly an identity was proved."""

    CERTIFICATE = "certificate"
    """By a client certificate, alone or with something else."""
    MFA = "mfa"
    """By two different factors."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Every part that is there must hold; of a list, one entry. An empty one holds always."""

    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    listeners: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """Networks, or `local`: a Unix socket."""
    methods: tuple[str, ...] = ()
    strengths: tuple[Strength, ...] = ()
    windows: tuple[str, ...] = ()
    qos: tuple[int, ...] = ()
    retain: bool | None = None
    payload_bytes_min: int | None = None
    payload_bytes_max: int | None = None
    content_types: tuple[str, ...] = ()
    utf8: bool | None = None

    @property
    def of_connections(self) -> "Condition":
        """The part that does not look at messages: all that a subscription can ask for."""
        return replace(
            self, qos=(), retain=None, payload_bytes_min=None, payload_bytes_max=None, content_types=(), utf8=None
        )

    @property
    def is_about_messages(self) -> bool:
        """True if it asks for properties of a message."""
        return self != self.of_connections

    def __bool__(self) -> bool:
        return self != ALWAYS

    def as_image(self) -> dict[str, object]:
        """Its form in a policy image (`policy/format.rs`, `WhenText`): what it does not ask for is not there."""
        return {key: value for key, value in self._parts().items() if value not in (None, [], {})}

    def _parts(self) -> dict[str, object]:
        return {
            "attr": {name: list(values) for name, values in self.attributes},
            "listener": list(self.listeners),
            "address": list(self.addresses),
            "method": list(self.methods),
            "strength": [strength.value for strength in self.strengths],
            "window": list(self.windows),
            "qos": list(self.qos),
            "retain": self.retain,
            "payload_bytes_min": self.payload_bytes_min,
            "payload_bytes_max": self.payload_bytes_max,
            "content_type": list(self.content_types),
            "utf8": self.utf8,
        }


ALWAYS = Condition()
"""Holds always."""
