"""A Detector: who still speaks the protocol of before, in a plant that has moved to MQTT 5."""

from collections.abc import Iterator

from bartizan.detect import About, Finding
from bartizan.model.signal import Connected, Signal


class OldProtocol:
    """Finds identities that connect with anything but MQTT 5."""

    name = "old_protocol"
    wants = (Connected,)

    def see(self, signal: Signal) -> Iterator[Finding]:
        if isinstance(signal, Connected) and signal.version != "5.0":
            text = f"identity {signal.identity} connected with MQTT {signal.version}"
            yield Finding(self.name, About.IDENTITY, signal.identity, score=20, text=text, at_s=signal.at_s)
