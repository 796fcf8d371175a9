"""Mosquitto's ACL file, read as Mosquitto 2.0 reads it: what it refuses is refused here, with the line.

Words are parted by spaces only, `#` begins a comment in the first column only, and a rule without a word for its
access takes the next word as its topic: `topic deny` allows everything to the topic `deny`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bartizan.model.difference import Difference, Weight
from bartizan.policy.contract import Action
from bartizan.policy.imports.imported import UnreadableLine
from bartizan.policy.imports.levels import is_filter

LEVELS_MAX = 200
"""Mosquitto's own bound of the levels of a topic."""


_READWRITE = (Action.PUBLISH, Action.SUBSCRIBE)
_ACCESS: Mapping[str, tuple[Action, ...]] = {
    "read": (Action.SUBSCRIBE,),
    "write": (Action.PUBLISH,),
    "readwrite": _READWRITE,
    "deny": (),
}


@dataclass(frozen=True, slots=True)
class AclRule:
    """A `topic` or `pattern` line."""

    allows: tuple[Action, ...]
    """Nothing: it denies both."""

    filter: str
    line: int


@dataclass(slots=True)
class AclFile:
    """The rules of each user, of clients without a user name (None), and the patterns of all."""

    name: str
    sections: dict[str | None, list[AclRule]] = field(default_factory=dict)
    patterns: list[AclRule] = field(default_factory=list)
    remarks: list[Difference] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    """Where a user's first section begins."""


def read_acl(content: bytes, name: str) -> AclFile:
    """The rules of a file; `UnreadableLine` for the first line that Mosquitto would not take."""
    acl = AclFile(name)
    user: str | None = None
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = _text(raw, name, number)
        if line.startswith("#"):
            continue
        words = line.lstrip(" ").split(" ", 1)
        rest = words[1].strip(" ") if len(words) > 1 else ""
        match words[0]:
            case "":
                continue
            case "user":
                if not rest.strip():
                    raise UnreadableLine("a user without a name", name, number, "write user NAME")
                user = rest.strip()
                acl.lines.setdefault(user, number)
                # A section without rules is a user who may do nothing of his own.
                acl.sections.setdefault(user, [])
            case "topic":
                acl.sections.setdefault(user, []).append(_rule(acl, rest, number))
            case "pattern":
                acl.patterns.append(_rule(acl, rest, number))
            case other:
                hint = "a line begins with user, topic or pattern; a comment with # in the first column"
                raise UnreadableLine(f"{other!r} begins no rule", name, number, hint)
    return acl


def _text(raw: bytes, name: str, number: int) -> str:
    # C's isspace, which Mosquitto strips lines by.
    octets = raw.rstrip(b" \t\n\v\f\r")
    if b"\0" in octets:
        raise UnreadableLine("a NUL in the line", name, number, "remove it: what follows it would be ignored")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise UnreadableLine("this is not UTF-8", name, number, "a topic is UTF-8 (MQTT 5, 1.5.4)") from None


def _rule(acl: AclFile, rest: str, number: int) -> AclRule:
    first, _, topic = rest.partition(" ")
    topic = topic.strip(" \t\v\f\r")
    if not first:
        raise UnreadableLine(
            "a rule without a topic", acl.name, number, "write topic [read|write|readwrite|deny] TOPIC"
        )
    if not topic:
        allows, topic = _READWRITE, first
        if first in _ACCESS:
            message = f"{first!r} stands where the topic is, so this allows everything to the topic {first!r}"
            acl.remarks.append(Difference(Weight.NOTED, "word-as-topic", acl.name, number, message))
    elif first in _ACCESS:
        allows = _ACCESS[first]
    else:
        hint = "it is read, write, readwrite or deny; a topic with spaces needs one of them before it"
        raise UnreadableLine(f"{first!r} is no access", acl.name, number, hint)
    if not is_filter(topic) or topic.count("/") > LEVELS_MAX:
        hint = "+ and # are whole levels, # is the last"
        raise UnreadableLine(f"{topic!r} is no Topic Filter", acl.name, number, hint)
    return AclRule(allows, topic, number)
