"""Who asks, and what: a `Subject` and an `Ask` make a `Request`.

The tools ask for many subjects: identities of a store, sessions of a broker, principals of a test
file, and exemplars, which stand for whoever has a role and the attributes that it binds.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.principal import Identity
from bartizan.model.token_grant import TokenGrants
from bartizan.model.topics import TopicFilter, TopicName
from bartizan.policy.compiled import Asked, Circumstances, Request
from bartizan.policy.condition import PAYLOAD_BYTES_MAX
from bartizan.policy.contract import Policy

_NO_LEVEL: Final = frozenset("/+#\0")
_CONTENT_TYPE: Final = re.compile(r"""(?P<before>.*\S)\s+content_type=(?P<type>"(?:[^"\\]|\\.)*"|[^\s"]+)""", re.DOTALL)
_SHARED_PARTS: Final = 3
_DIGITS_MAX: Final = 9
_NOTHING: Final = (0, False, 0, None, False)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: `publish data/x qos=1 retain bytes=20 content_type=text/plain utf8`, `subscribe data/#`."""

    action: Asked
    topic: str
    qos: int = 0
    retain: bool = False
    payload_bytes: int = 0
    content_type: str | None = None
    utf8: bool = False

    def __post_init__(self) -> None:
        """`InvalidValue` if the topic is none, or a message is described where nothing is published."""
        (TopicFilter if self.action is Asked.SUBSCRIBE else TopicName).parse(self.topic)
        described = (self.qos, self.retain, self.payload_bytes, self.content_type, self.utf8)
        if self.action is not Asked.PUBLISH and described != _NOTHING:
            raise InvalidValue(f"qos, retain, bytes, content_type and utf8 are about publishing, not to {self.action}")

    @classmethod
    def parse(cls, text: str) -> "Ask":
        """Reads `ACTION TOPIC`, and behind it in any order `qos=N`, `retain`, `bytes=N`, `content_type=TYPE` and `utf8`.

        A topic may hold spaces; so may a type in quotes. `InvalidValue` if it is none.
        """
        action, _, rest = text.strip().partition(" ")
        topic, qos, retain, payload_bytes = rest.strip(), 0, False, 0
        content_type, utf8 = None, False
        while True:
            if found := _CONTENT_TYPE.fullmatch(topic):
                topic, content_type = found["before"].rstrip(), _content_type(found["type"])
                continue
            before, _, word = topic.rpartition(" ")
            key, _, value = word.partition("=")
            if before and word == "retain":
                retain = True
            elif before and word == "utf8":
                utf8 = True
            elif before and key == "qos":
                qos = _number(word, value, 2)
            elif before and key == "bytes":
                payload_bytes = _number(word, value, PAYLOAD_BYTES_MAX)
            else:
                break
            topic = before.rstrip()
        if action not in set(Asked) or not topic:
            raise InvalidValue(f'{text!r}: write it as "publish TOPIC", "subscribe FILTER" or "receive TOPIC"')
        return cls(Asked(action), topic, qos, retain, payload_bytes, content_type, utf8)

    @property
    def decided(self) -> str:
        """The topic that is decided: of `$share/GROUP/FILTER` the filter inside (4.8.2)."""
        parts = self.topic.split("/", 2)
        shared = self.action is Asked.SUBSCRIBE and parts[0] == "$share" and len(parts) == _SHARED_PARTS
        return parts[2] if shared and parts[1] and not _NO_LEVEL & set(parts[1]) else self.topic

    def __str__(self) -> str:
        words = [self.action.value, self.topic, *([f"qos={self.qos}"] if self.qos else [])]
        words += ["retain"] if self.retain else []
        words += [f"bytes={self.payload_bytes}"] if self.payload_bytes else []
        if self.content_type is not None:
            is_word = self.content_type and not set(self.content_type) & set(' "')
            shown = self.content_type if is_word else json.dumps(self.content_type, ensure_ascii=False)
            words.append(f"content_type={shown}")
        return " ".join([*words, *(["utf8"] if self.utf8 else [])])


def _content_type(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        raise InvalidValue(f"content_type={text}: in quotes it is a text as in JSON") from None


def _number(word: str, text: str, highest: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS_MAX or int(text) > highest:
        raise InvalidValue(f"{word}: a number from 0 to {highest}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: what a decision knows of a connection."""

    identity: str = ""
    client_id: str = ""
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    there: Circumstances | None = None
    """How it is connected; None asks at best: as the rules want it."""
    windows: tuple[str, ...] | None = None
    """Time windows that are open; None: all."""
    narrowed_to: tuple[TokenGrants, ...] = ()
    """What its tokens allow; each has to. Empty: no token says anything of that."""

    @classmethod
    def of(cls, identity: Identity, client_id: str = "") -> "Subject":
        """An identity of the store; its Client Identifier is its name if none is given."""
        return cls(identity.name, client_id or identity.name, tuple(identity.roles), dict(identity.attributes))

    def asks(self, ask: Ask, windows: Iterable[str] = ()) -> Request:
        """The request it makes. `windows`: all that the policy has."""
        return Request(
            ask.action,
            ask.decided,
            identity=self.identity,
            client_id=self.client_id,
            roles=self.roles,
            attributes=self.attributes,
            qos=ask.qos,
            retain=ask.retain,
            payload_bytes=ask.payload_bytes,
            content_type=ask.content_type,
            utf8=ask.utf8,
            there=self.there,
            windows=tuple(windows) if self.windows is None else self.windows,
            narrowed_to=self.narrowed_to,
        )

    def value(self, source: str) -> str | None:
        """Its own value of `client_id`, `identity` or `attr.NAME`, if that can stand as a level."""
        own = {"client_id": self.client_id, "identity": self.identity}
        found = own[source] if source in own else self.attributes.get(source.removeprefix("attr."))
        return None if not found or _NO_LEVEL & set(found) else found

    def undeclared(self, policy: Policy) -> tuple[str, ...]:
        """Its roles that the policy does not have."""
        known = {role.name for role in policy.roles}
        return tuple(role for role in self.roles if role not in known)

    def __str__(self) -> str:
        marks = [f"client_id {self.client_id}"] if self.client_id != self.identity else []
        marks += [f"roles {', '.join(self.roles)}" if self.roles else "no role"]
        marks += [f"{name}={value}" for name, value in self.attributes.items()]
        marks += [connection_words(self.there)] if self.there else []
        marks += [f"in {', '.join(self.windows)}"] if self.windows else []
        marks += ["narrowed by its token"] if self.narrowed_to else []
        return f"{self.identity or 'nobody'} ({'; '.join(marks)})"


def connection_words(there: Circumstances) -> str:
    """How a client is connected, in words."""
    words = [f"by {there.listener}"] if there.listener else []
    words += [f"from {there.address}"] if there.address else []
    words += [f"proved by {there.method}"] if there.method else []
    return ", ".join([*words, *(strength.value for strength in there.strengths)]) or "connected"
