"""EMQX's acl.conf, read into rules: whom each means, what it is about, and its topics.

Whom a rule means is known here by the user name only. What EMQX asks besides (address, Client Identifier, zone, a
regular expression) is not: a condition is then neither true nor false, but has the name of what is not known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from bartizan.policy.contract import Action
from bartizan.policy.imports.erlang import Atom, List, Number, Term, Text, Tuple
from bartizan.policy.imports.imported import UnreadableLine
from bartizan.policy.imports.ordered import QOS_MAX

_EXACT = re.compile(r"\^((?:[A-Za-z0-9_@ :,=~-]|\\[.$^|()\[\]{}*+?/\\-])+)\$\Z")
"""A regular expression that one text alone matches, such as the `^dashboard$` of the file that EMQX ships."""

_UNKNOWN = {
    "ipaddr": "address-condition",
    "ipaddrs": "address-condition",
    "clientid": "client-id-condition",
    "client": "client-id-condition",
    "client_attr": "attribute-condition",
    "zone": "zone-condition",
    "listener": "listener-condition",
    "security_profile": "security-profile",
}
_ACTIONS = {
    "publish": (Action.PUBLISH,),
    "subscribe": (Action.SUBSCRIBE,),
    "all": (Action.PUBLISH, Action.SUBSCRIBE),
    "pubsub": (Action.PUBLISH, Action.SUBSCRIBE),
}

Truth: TypeAlias = bool | str
"""Whether a condition holds; the name of what is not known, where that decides."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """`all`."""


@dataclass(frozen=True, slots=True)
class Named:
    """The user of this name."""

    user: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a policy cannot ask: the name of the loss."""

    name: str


@dataclass(frozen=True, slots=True)
class Joined:
    """All of them, or any."""

    every: bool
    parts: "tuple[Who, ...]"


Who: TypeAlias = Everybody | Named | Unknown | Joined


def holds(who: Who, user: str | None) -> Truth:
    """Whether this means the user; None is somebody whom no rule names."""
    match who:
        case Everybody():
            return True
        case Named(name):
            return name == user
        case Unknown(name):
            return name
        case Joined(every, parts):
            found = [holds(part, user) for part in parts]
            if (not every) in found:
                return not every
            return next((each for each in found if isinstance(each, str)), every)


def users_of(who: Who) -> tuple[str, ...]:
    """The users that it names."""
    if isinstance(who, Joined):
        return tuple(user for part in who.parts for user in users_of(part))
    return (who.user,) if isinstance(who, Named) else ()


@dataclass(frozen=True, slots=True)
class TopicMatch:
    """One of a rule's topics: a filter, or exactly this text (`eq`)."""

    text: str
    exact: bool
    line: int


@dataclass(frozen=True, slots=True)
class EmqxRule:
    """One rule. `bounds` names a condition on QoS or RETAIN that a permit of ours cannot have."""

    allow: bool
    who: Who
    actions: tuple[Action, ...]
    topics: tuple[TopicMatch, ...]
    line: int
    qos_max: int = QOS_MAX
    retain: bool = True
    bounds: str = ""
    is_last_word: bool = False
    """`{allow, all}.` or `{deny, all}.`"""


def read_rules(terms: Sequence[Term], file: str) -> list[EmqxRule]:
    """The rules of these terms; `UnreadableLine` for the first that is none."""
    return [_Reader(file).rule(term) for term in terms]


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file

    def rule(self, term: Term) -> EmqxRule:
        """The rule that this term is."""
        items = term.items if isinstance(term, Tuple) else ()
        permission = items[0].name if items and isinstance(items[0], Atom) else ""
        if permission not in ("allow", "deny"):
            self._wrong("a rule is {allow, ...} or {deny, ...}", term)
        allow = permission == "allow"
        everything = (TopicMatch("#", exact=False, line=term.line),)
        match items[1:]:
            case (who,):
                whom = self._who(who)
                last = isinstance(whom, Everybody)
                return EmqxRule(allow, whom, _ACTIONS["all"], everything, term.line, is_last_word=last)
            case (who, action, topics):
                return self._whole(allow, term, who, action, topics)
            case _:
                return self._wrong("a rule has two or four parts", term)

    def _whole(self, allow: bool, term: Term, who: Term, action: Term, topics: Term) -> EmqxRule:  # noqa: FBT001
        name, options = action, ()
        if isinstance(action, Tuple) and len(action.items) == 2 and isinstance(action.items[1], List):  # noqa: PLR2004
            name, options = action.items[0], action.items[1].items
        if not isinstance(name, Atom) or name.name not in _ACTIONS:
            self._wrong("an action is publish, subscribe or all", action)
        qos_max, retain, bounds = self._bounds(options)
        if isinstance(topics, Atom) and topics.name == "all":
            matches: tuple[TopicMatch, ...] = (TopicMatch("#", exact=False, line=topics.line),)
        elif isinstance(topics, List):
            matches = tuple(self._topic(item) for item in topics.items)
        else:
            self._wrong("topics are a list", topics)
        actions = _ACTIONS[name.name]
        return EmqxRule(allow, self._who(who), actions, matches, term.line, qos_max, retain, bounds)

    def _who(self, term: Term) -> Who:
        match term:
            case Atom("all"):
                return Everybody()
            case Tuple((Atom("user" | "username"), Text(name))):
                return Named(name)
            case Tuple((Atom("user" | "username"), Tuple((Atom("re"), Text(pattern))))):
                found = _EXACT.match(pattern)
                return Named(re.sub(r"\\(.)", r"\1", found[1])) if found else Unknown("regex")
            case Tuple((Atom("and" | "or" as word), List(parts))):
                return Joined(word == "and", tuple(self._who(part) for part in parts))
            case Tuple((Atom(name), *_)) if name in _UNKNOWN:
                return Unknown(_UNKNOWN[name])
        return self._wrong("this says not whom the rule means", term)

    def _topic(self, term: Term) -> TopicMatch:
        match term:
            case Text(text) if text.startswith("eq "):
                return TopicMatch(text.removeprefix("eq "), exact=True, line=term.line)
            case Text(text) if text:
                return TopicMatch(text, exact=False, line=term.line)
            case Tuple((Atom("eq"), Text(text))) if text:
                return TopicMatch(text, exact=True, line=term.line)
            case _:
                return self._wrong("a topic is a text or {eq, text}", term)

    def _bounds(self, options: Sequence[Term]) -> tuple[int, bool, str]:
        """The highest QoS, whether RETAIN may be set, and the name of a condition that is neither."""
        qos: set[int] = set()
        retain: str | None = None
        for option in options:
            match option:
                case Tuple((Atom("qos"), Number() | List() as wanted)):
                    numbers = wanted.items if isinstance(wanted, List) else (wanted,)
                    qos.update(number.value for number in numbers if isinstance(number, Number))
                    if not numbers or any(not isinstance(number, Number) for number in numbers) or not qos <= {0, 1, 2}:
                        self._wrong("a QoS is 0, 1 or 2", option)
                case Tuple((Atom("retain"), Atom("true" | "false" | "all" as word))):
                    # Of several, EMQX takes the first.
                    retain = retain or word
                case _:
                    self._wrong("an action has {qos, N} and {retain, true|false|all}", option)
        wanted_qos = sorted(qos) or [0, 1, QOS_MAX]
        is_ladder = wanted_qos == list(range(len(wanted_qos)))
        name = "" if is_ladder and retain != "true" else "qos-or-retain-condition"
        return wanted_qos[-1], retain != "false", name

    def _wrong(self, what: str, term: Term) -> NoReturn:
        raise UnreadableLine(what, self._file, term.line, "see the comments of the acl.conf that EMQX ships")
