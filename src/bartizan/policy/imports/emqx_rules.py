"""EMQX's acl.conf, read into rules: whom each means, what it is about, and its topics.

Whom a rule means is known by the user name, or becomes a condition of ours: address, attribute. What EMQX asks besides
(Client Identifier, zone, a regular expression) is not known: it has the name of what is lost.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from bartizan.errors import InvalidValue
from bartizan.model.ids import AttributeName
from bartizan.policy.condition import ALWAYS, Condition
from bartizan.policy.contract import Action
from bartizan.policy.imports.erlang import Atom, List, Number, Term, Text, Tuple
from bartizan.policy.imports.imported import UnreadableLine
from bartizan.policy.imports.ordered import QOS_MAX

_EXACT = re.compile(r"\^((?:[A-Za-z0-9_@ :,=~-]|\\[.$^|()\[\]{}*+?/\\-])+)\$\Z")
"""A regular expression that one text alone matches, such as the `^dashboard$` of the file that EMQX ships."""

_UNKNOWN = {
    "clientid": "client-id-condition",
    "client": "client-id-condition",
    "client_attr": "attribute-condition",  # by a regular expression, or with a name that no attribute has here
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

Truth: TypeAlias = bool | str | Condition
"""Whether a rule means somebody, or when; the name of what is not known, where that decides."""


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
class When:
    """Whoever fulfils this."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Joined:
    """All of them, or any."""

    every: bool
    parts: "tuple[Who, ...]"


Who: TypeAlias = Everybody | Named | Unknown | When | Joined


def holds(who: Who, user: str | None) -> Truth:
    """Whether this means the user; None is somebody whom no rule names."""
    match who:
        case Everybody():
            return True
        case Named(name):
            return name == user
        case Unknown(name):
            return name
        case When(condition):
            return condition
        case Joined(every, parts):
            found = [holds(part, user) for part in parts]
            if (not every) in found:
                return not every
            unknown = next((each for each in found if isinstance(each, str)), None)
            return unknown or _joined([each for each in found if isinstance(each, Condition)], every=every)


def _joined(conditions: Sequence[Condition], *, every: bool) -> Truth:
    """One condition of several: a policy asks for all parts of one, and for one entry of each part."""
    if len(conditions) < 2:  # noqa: PLR2004
        return conditions[0] if conditions else every
    addresses = [each.addresses for each in conditions if each.addresses]
    attributes = [pair for each in conditions for pair in each.attributes]
    names = {name for name, _ in attributes}
    if every and len(addresses) < 2 and len(names) == len(attributes):  # noqa: PLR2004
        return Condition(attributes=tuple(sorted(attributes)), addresses=addresses[0] if addresses else ())
    if not every and not attributes:
        return Condition(addresses=tuple(dict.fromkeys(network for each in addresses for network in each)))
    if not every and not addresses and len(names) == 1:
        values = tuple(dict.fromkeys(value for _, values in attributes for value in values))
        return Condition(attributes=((attributes[0][0], values),))
    return "address-condition" if addresses else "attribute-condition"


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
    """One rule. `when`: which messages a PUBLISH of it is about."""

    allow: bool
    who: Who
    actions: tuple[Action, ...]
    topics: tuple[TopicMatch, ...]
    line: int
    qos_max: int = QOS_MAX
    retain: bool = True
    when: Condition = ALWAYS
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
        qos_max, retain, when = self._bounds(options, allow=allow)
        if isinstance(topics, Atom) and topics.name == "all":
            matches: tuple[TopicMatch, ...] = (TopicMatch("#", exact=False, line=topics.line),)
        elif isinstance(topics, List):
            matches = tuple(self._topic(item) for item in topics.items)
        else:
            self._wrong("topics are a list", topics)
        actions = _ACTIONS[name.name]
        return EmqxRule(allow, self._who(who), actions, matches, term.line, qos_max, retain, when)

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
        return self._when(term)

    def _when(self, term: Term) -> Who:
        """What becomes a condition, and what is not known."""
        match term:
            case Tuple((Atom("ipaddr"), Text() as network)):
                return When(Condition(addresses=(self._network(network),)))
            case Tuple((Atom("ipaddrs"), List(networks))) if networks:
                return When(Condition(addresses=tuple(map(self._network, networks))))
            case Tuple((Atom("client_attr"), Text(name), Text(value))) if is_attribute(name):
                return When(Condition(attributes=((name, (value,)),)))
            case Tuple((Atom(name), *_)) if name in _UNKNOWN:
                return Unknown(_UNKNOWN[name])
        return self._wrong("this says not whom the rule means", term)

    def _network(self, term: Term) -> str:
        try:
            return str(ipaddress.ip_network(term.text if isinstance(term, Text) else "", strict=False))
        except ValueError:
            return self._wrong("this is no address or network", term)

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

    def _bounds(self, options: Sequence[Term], *, allow: bool) -> tuple[int, bool, Condition]:
        """The highest QoS and whether RETAIN may be set, which a permit says by itself; else the condition."""
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
        if allow and is_ladder and retain != "true":
            return wanted_qos[-1], retain != "false", ALWAYS
        flag = None if retain in (None, "all") else retain == "true"
        return QOS_MAX, True, Condition(qos=tuple(wanted_qos) if len(wanted_qos) <= QOS_MAX else (), retain=flag)

    def _wrong(self, what: str, term: Term) -> NoReturn:
        raise UnreadableLine(what, self._file, term.line, "see the comments of the acl.conf that EMQX ships")


def is_attribute(name: str) -> bool:
    """True if an identity can have an attribute of this name."""
    try:
        AttributeName.parse(name)
    except InvalidValue:
        return False
    return True
