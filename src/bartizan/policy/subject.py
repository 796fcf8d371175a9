"""Who asks, and what: a `Subject` and an `Ask` make a `Request`.

The tools ask for many subjects: identities of a store, sessions of a broker, principals of a test
file, and exemplars, which stand for whoever has a role and the attributes that it binds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.principal import Identity
from bartizan.model.topics import TopicFilter, TopicName
from bartizan.policy.compiled import Asked, Circumstances, Request
from bartizan.policy.contract import Policy, Role

_NO_LEVEL: Final = frozenset("/+#\0")
_SHARED_PARTS: Final = 3
_QOS: Final = ("0", "1", "2")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: `publish data/x qos=1 retain`, `subscribe data/#`, `receive data/x`."""

    action: Asked
    topic: str
    qos: int = 0
    retain: bool = False

    def __post_init__(self) -> None:
        """`InvalidValue` if the topic is none, or QoS and RETAIN are given where nothing is published."""
        (TopicFilter if self.action is Asked.SUBSCRIBE else TopicName).parse(self.topic)
        if self.action is not Asked.PUBLISH and (self.qos or self.retain):
            raise InvalidValue(f"qos and retain are about publishing, not to {self.action}")

    @classmethod
    def parse(cls, text: str) -> "Ask":
        """Reads `ACTION TOPIC [qos=N] [retain]`; a topic may hold spaces. `InvalidValue` if it is none."""
        action, _, rest = text.strip().partition(" ")
        topic, qos, retain = rest.strip(), 0, False
        while True:
            before, _, word = topic.rpartition(" ")
            if before and word == "retain":
                retain = True
            elif before and word.startswith("qos="):
                if word[4:] not in _QOS:
                    raise InvalidValue(f"{word}: a QoS is 0, 1 or 2")
                qos = int(word[4:])
            else:
                break
            topic = before.rstrip()
        if action not in set(Asked) or not topic:
            raise InvalidValue(f'{text!r}: write it as "publish TOPIC", "subscribe FILTER" or "receive TOPIC"')
        return cls(Asked(action), topic, qos, retain)

    @property
    def decided(self) -> str:
        """The topic that is decided: of `$share/GROUP/FILTER` the filter inside (4.8.2)."""
        parts = self.topic.split("/", 2)
        shared = self.action is Asked.SUBSCRIBE and parts[0] == "$share" and len(parts) == _SHARED_PARTS
        return parts[2] if shared and parts[1] and not _NO_LEVEL & set(parts[1]) else self.topic

    def __str__(self) -> str:
        words = [self.action.value, self.topic, *([f"qos={self.qos}"] if self.qos else [])]
        return " ".join([*words, *(["retain"] if self.retain else [])])


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

    @classmethod
    def of(cls, identity: Identity, client_id: str = "") -> "Subject":
        """An identity of the store; its Client Identifier is its name if none is given."""
        return cls(identity.name, client_id or identity.name, tuple(identity.roles), dict(identity.attributes))

    @classmethod
    def exemplar(cls, role: Role) -> "Subject":
        """Whoever has this role and every attribute that it binds."""
        sources = [source for _, source in role.binds if source.startswith("attr.")]
        attributes = {source[5:]: f"{source[5:]}-1" for source in sources}
        return cls(f"{role.name}-1", f"{role.name}-1", (role.name,), attributes)

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
            there=self.there,
            windows=tuple(windows) if self.windows is None else self.windows,
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
        return f"{self.identity or 'nobody'} ({'; '.join(marks)})"
