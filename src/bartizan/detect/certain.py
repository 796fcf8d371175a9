"""Detectors that one signal is enough for."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from bartizan.errors import InvalidValue
from bartizan.model.finding import About, Finding
from bartizan.model.network import network_of
from bartizan.model.signal import Connected, CredentialEnding, Denied, Fresh, InTwoPlaces, LoginFailed, Signal
from bartizan.model.topics import TopicFilter

CERTAIN = 100
VALID_ACCOUNTS = "T0859"
POINT_AND_TAG_IDENTIFICATION = "T0861"


class Decoys:
    """Names and topics that nobody has a reason to touch."""

    name = "decoy"
    wants = (LoginFailed, Connected, Denied, Fresh)

    def __init__(self, identities: Collection[str], topics: Sequence[str]) -> None:
        self._identities = frozenset(identities)
        self._topics = tuple(TopicFilter.parse(topic) for topic in topics)

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        match signal:
            case LoginFailed(name=name, address=address) if name in self._identities:
                text = f"the decoy identity {name} was tried from {address or 'a Unix socket'}"
                yield self._found(About.NETWORK, network_of(address), text, signal.at_s, VALID_ACCOUNTS)
            case Connected(identity=identity, address=address) if identity in self._identities:
                text = f"the decoy identity {identity} connected from {address or 'a Unix socket'}: its credential is known"
                yield self._found(About.IDENTITY, identity, text, signal.at_s, VALID_ACCOUNTS)
            case Denied(identity=identity, action=action, topic=topic) if topic:
                if decoy := self._decoy(topic):
                    text = f"identity {identity} asked to {action} {topic}, of the decoy {decoy}"
                    yield self._found(About.IDENTITY, identity, text, signal.at_s, POINT_AND_TAG_IDENTIFICATION)
            case Fresh(identity=identity, action=action, topic=topic):
                if decoy := self._decoy(topic):
                    text = f"identity {identity} was granted to {action} {topic}, of the decoy {decoy}"
                    yield self._found(About.IDENTITY, identity, text, signal.at_s, POINT_AND_TAG_IDENTIFICATION)
            case _:
                pass

    def _decoy(self, topic: str) -> TopicFilter | None:
        if not self._topics:
            return None
        try:
            # A Topic Name is a Topic Filter that matches only itself.
            asked = TopicFilter.parse(topic)
        except InvalidValue:
            return None
        return next((decoy for decoy in self._topics if decoy.covers(asked)), None)

    def _found(self, about: About, name: str, text: str, at_s: float, technique: str) -> Finding:
        return Finding(self.name, about, name, CERTAIN, text, at_s, technique)


class WideSubscriptions:
    """Who asks for everything and is denied it."""

    name = "wide_subscription"
    wants = (Denied,)
    score = 50

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if isinstance(signal, Denied) and signal.action == "subscribe" and _is_wide(signal.topic):
            text = f"identity {signal.identity} asked for {signal.topic}, which is everything, and was denied"
            yield Finding(
                self.name, About.IDENTITY, signal.identity, self.score, text, signal.at_s, POINT_AND_TAG_IDENTIFICATION
            )


def _is_wide(topic: str) -> bool:
    """Whether a Topic Filter names no first level."""
    if topic.startswith("$share/"):
        topic = topic.split("/", 2)[-1]
    return topic.split("/", 1)[0] in {"#", "+"}


COPIED: Mapping[str, str] = {
    "certificate": "the certificate",
    "password": "a password",
    "scram": "a SCRAM credential",
    "token": "a token",
}
"""How a kind of credential is spoken of."""


class TwoPlaces:
    """One credential in two places at once."""

    name = "two_places"
    wants = (InTwoPlaces,)
    score = 70

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if isinstance(signal, InTwoPlaces):
            text = (
                f"{COPIED[signal.kind]} of identity {signal.identity} connected from {signal.address} while it was "
                f"connected from {signal.other_address}: somebody else has it too, or a device is in two places"
            )
            yield Finding(self.name, About.IDENTITY, signal.identity, self.score, text, signal.at_s, VALID_ACCOUNTS)


class CredentialsEnding:
    """A credential that has no successor and is near its end: the device will be out."""

    name = "credential_ending"
    wants = (CredentialEnding,)
    scores = ((0, 60), (1, 50), (7, 30))
    """So many days left at most, and the score; of more, `score_early`."""
    score_early = 10

    def see(self, signal: Signal, /) -> Iterator[Finding]:
        """See `Detector`."""
        if isinstance(signal, CredentialEnding):
            over = signal.days_left < 0
            left = "has ended" if over else f"ends in {signal.days_left} {'day' if signal.days_left == 1 else 'days'}"
            text = (
                f"the {signal.kind} {signal.credential} of identity {signal.identity} {left} ({signal.ends_at}), "
                "and it has no successor"
            )
            score = next((score for days, score in self.scores if signal.days_left <= days), self.score_early)
            yield Finding(self.name, About.TARGET, signal.identity, score, text, signal.at_s)
