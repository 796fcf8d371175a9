"""dynamic-security.json, read: clients, groups, roles and defaults, each with the line that it begins on."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from bartizan.policy.imports.imported import UnreadableLine
from bartizan.policy.imports.levels import is_filter
from bartizan.policy.imports.passwords import HASH

PRIORITY_MAX = 100_000
KINDS = ("publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern", "unsubscribeLiteral",
         "unsubscribePattern")  # fmt: skip
DEFAULTS = {"publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\n]')


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object, and where it begins."""

    line: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Acl:
    """One rule of a role."""

    kind: str
    topic: str
    allow: bool
    line: int


@dataclass(frozen=True, slots=True)
class DynsecRole:
    """A role, its rules in the order in which they are tried."""

    name: str
    wildcards: bool
    acls: tuple[Acl, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Client:
    """Who may connect; roles and groups in the order in which they are tried."""

    name: str
    line: int
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    hash: str = field(default="", repr=False)
    client_id: str = ""
    enabled: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The whole file."""

    file: str
    defaults: Mapping[str, bool]
    roles: Mapping[str, DynsecRole]
    groups: Mapping[str, tuple[str, ...]]
    """The roles of each, in the order in which they are tried."""

    clients: tuple[Client, ...]
    anonymous_group: str


def read_state(content: bytes, file: str) -> State:
    """The state of this file; `UnreadableLine` for what is none."""
    try:
        text = content.decode()
        ends = iter(_lines_of_objects(text))
        root = json.loads(text, object_pairs_hook=lambda pairs: Object(next(ends), dict(pairs)))
    except UnicodeDecodeError:
        raise UnreadableLine("this is not UTF-8", file, 1, "it is the file that the plugin writes") from None
    except json.JSONDecodeError as error:
        raise UnreadableLine(f"this is not JSON: {error.msg}", file, error.lineno, "correct it") from None
    except RecursionError:
        raise UnreadableLine("lists are nested too deep", file, 1, "it is the file that the plugin writes") from None
    return _Reader(file).state(root)


def _lines_of_objects(text: str) -> list[int]:
    """Where each object begins, in the order in which they end: that is how the parser makes them."""
    found: list[int] = []
    opened: list[int] = []
    line = 1
    for mark in _MARKS.finditer(text):
        match mark[0]:
            case "\n":
                line += 1
            case "{":
                opened.append(line)
            case "}" if opened:
                found.append(opened.pop())
    return found


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file

    def state(self, root: object) -> State:
        """All of it."""
        if not isinstance(root, Object):
            return self._wrong("the state is an object", 1)
        defaults = root.fields.get("defaultACLAccess")
        known = defaults.fields if isinstance(defaults, Object) else {}
        groups = self._objects(root, "groups")
        return State(
            file=self._file,
            defaults={key: bool(known.get(key, default)) for key, default in DEFAULTS.items()},
            roles={role.name: role for role in map(self._role, self._objects(root, "roles"))},
            groups={self._text(group, "groupname"): self._sorted(group, "roles", "rolename") for group in groups},
            clients=tuple(self._client(body, groups) for body in self._objects(root, "clients")),
            anonymous_group=self._anonymous(root),
        )

    def _anonymous(self, root: Object) -> str:
        group = root.fields.get("anonymousGroup", "")
        return self._text(group, "groupname") if isinstance(group, Object) else str(group)

    def _role(self, body: Object) -> DynsecRole:
        acls = sorted(self._objects(body, "acls"), key=lambda acl: -self._priority(acl))
        wildcards = body.fields.get("allowwildcardsubs", True) is not False
        return DynsecRole(self._text(body, "rolename"), wildcards, tuple(map(self._acl, acls)), body.line)

    def _acl(self, body: Object) -> Acl:
        kind, topic = self._text(body, "acltype"), self._text(body, "topic")
        found = next((known for known in KINDS if known.lower() == kind.lower()), None)
        if found is None:
            self._wrong(f"{kind!r} is no acltype", body.line)
        if not is_filter(topic):
            self._wrong(f"{topic!r} is no Topic Filter", body.line)
        return Acl(str(found), topic, body.fields.get("allow") is True, body.line)

    def _client(self, body: Object, groups: list[Object]) -> Client:
        name = self._text(body, "username")
        member = {
            self._text(group, "groupname"): self._priority(entry)
            for group in groups
            for entry in self._objects(group, "clients")
            if entry.fields.get("username") == name
        }
        return Client(
            name=name,
            line=body.line,
            roles=self._sorted(body, "roles", "rolename"),
            groups=tuple(sorted(member, key=lambda group: (-member[group], group))),
            hash=self._hash(body),
            client_id=str(body.fields.get("clientid") or ""),
            enabled=body.fields.get("disabled") is not True,
            note=" ".join(str(body.fields.get("textname") or "").split()),
        )

    def _hash(self, body: Object) -> str:
        """The password as a password file writes it; empty if there is none."""
        fields = body.fields
        text = str(fields.get("encoded_password") or "")
        if not text and fields.get("password") and fields.get("salt"):
            text = f"$7${fields.get('iterations', 101)}${fields['salt']}${fields['password']}"
        return text if HASH.match(text) else ""

    def _sorted(self, body: Object, key: str, name: str) -> tuple[str, ...]:
        """Names of a list by their priority, and by name where that is the same."""
        entries = {self._text(entry, name): self._priority(entry) for entry in self._objects(body, key)}
        return tuple(sorted(entries, key=lambda each: (-entries[each], each)))

    def _priority(self, body: Object) -> int:
        value = body.fields.get("priority", 0)
        if not isinstance(value, int):
            return self._wrong("a priority is a whole number", body.line)
        return max(-PRIORITY_MAX, min(value, PRIORITY_MAX))

    def _objects(self, body: Object, key: str) -> list[Object]:
        value = body.fields.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, Object) for item in value):
            self._wrong(f"{key} is a list of objects", body.line)
        return list(value) if isinstance(value, list) else []

    def _text(self, body: Object, key: str) -> str:
        value = body.fields.get(key)
        return value if isinstance(value, str) and value else self._wrong(f"{key} is missing", body.line)

    def _wrong(self, what: str, line: int) -> NoReturn:
        raise UnreadableLine(what, self._file, line, "it is the file that the dynamic security plugin writes")
