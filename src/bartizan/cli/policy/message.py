"""The message of a request, as options say it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.cli.policy.files import Flag
from bartizan.policy.compiled import Asked
from bartizan.policy.subject import Ask


@Parameter(name="*")
@dataclass(frozen=True)
class Message:
    """What is published, beside its topic."""

    qos: Literal[0, 1, 2] = 0
    """QoS of the message."""
    retain: Flag = False
    """The message carries RETAIN."""
    payload_bytes: Annotated[int, Parameter(name="--bytes", show_default=False)] = 0
    """Octets of its payload."""
    content_type: str | None = None
    """Its Content Type. Default: it has none."""
    utf8: Flag = False
    """It says that its payload is UTF-8 (Payload Format Indicator 1)."""

    def asked(self, action: str, topic: str, payload: bytes | None = None) -> Ask:
        """The request to do this with it; of a payload that is there the octets are counted."""
        size = self.payload_bytes if payload is None else len(payload)
        return Ask(Asked(action), topic, self.qos, self.retain, size, self.content_type, self.utf8)


NO_MESSAGE = Message()
