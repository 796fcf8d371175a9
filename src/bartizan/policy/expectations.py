"""What a policy is expected to decide, in TOML files beside it (`*.test.toml`): text -> expectations with places.

[principals.press-01]
roles      = ["press"]
attributes = { site = "chicago" }

[tests."a press writes its own topics only"]
as    = "press-01"
allow = ["publish data/chicago/hall-2/press-01/temperature qos=1 retain"]
deny  = ["publish data/chicago/hall-2/press-02/temperature"]
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from bartizan.errors import InvalidValue
from bartizan.policy.compiled import Circumstances
from bartizan.policy.condition import Strength
from bartizan.policy.fields import Reader
from bartizan.policy.source import Position, Problem, read
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.syntax import Path, Tree, parse

_CONNECTION = ("listener", "address", "method", "strength")
_PRINCIPAL = ("identity", "client_id", "roles", "attributes", *_CONNECTION, "windows")
_STRENGTHS = [strength.value for strength in Strength]
_TEST = ("as", "allow", "deny", "note")
_EXAMPLE = '"publish data/press-01/temperature qos=1 retain"'


@dataclass(frozen=True, slots=True)
class Expectation:
    """One request and what is to become of it."""

    test: str
    subject: Subject
    ask: Ask
    allow: bool
    file: str
    at: Position


@dataclass(frozen=True, slots=True)
class Expectations:
    """What one file expects; or what is wrong with it."""

    file: str
    expected: tuple[Expectation, ...]
    problems: tuple[Problem, ...] = ()


def read_expectations(
    text: str | bytes, file: str, roles: Collection[str], windows: Collection[str] = ()
) -> Expectations:
    """The expectations of a file. `roles` and `windows` are those of the policy: any other is a misspelling."""
    source = read(text, file)
    tree = source if isinstance(source, Problem) else parse(source)
    if isinstance(tree, Problem):
        return Expectations(file, (), (tree,))
    return _File(tree, roles, windows).read()


class _File:
    def __init__(self, tree: Tree, roles: Collection[str], windows: Collection[str]) -> None:
        self._reader = Reader(tree)
        self._roles = roles
        self._windows = windows
        self._principals: dict[str, Subject] = {}

    def read(self) -> Expectations:
        """Everything in the file, or all that is wrong with it."""
        reader, root = self._reader, self._reader.tree.root
        reader.refuse_unknown((), root, ("principals", "tests"))
        for name, body in reader.table(("principals",), root.get("principals", {})).items():
            path = ("principals", name)
            self._principals[name] = self._principal(path, reader.table(path, body), name)
        found = [
            each
            for name, body in reader.table(("tests",), root.get("tests", {})).items()
            for each in self._test(("tests", name), reader.table(("tests", name), body))
        ]
        problems = tuple(sorted(reader.problems, key=lambda each: each.place))
        return Expectations(reader.tree.source.origin, () if problems else tuple(found), problems)

    def _principal(self, path: Path, body: Mapping[str, object], name: str) -> Subject:
        reader = self._reader
        reader.refuse_unknown(path, body, _PRINCIPAL)
        identity = reader.text((*path, "identity"), body, name)
        roles = reader.role_names((*path, "roles"), body)
        for index, role in enumerate(roles):
            if role not in self._roles:
                hint = reader.did_you_mean(role, self._roles) or "a role that is not there is denied everything"
                reader.wrong_value((*path, "roles", index), f"the policy has no role {role}", hint)
        attributes = reader.table((*path, "attributes"), body.get("attributes", {}))
        plain = {key: reader.text((*path, "attributes", key), attributes) for key in attributes}
        client_id = reader.text((*path, "client_id"), body, identity)
        windows = self._words((*path, "windows"), body, self._windows)
        return Subject(identity, client_id, roles, plain, self._there(path, body), windows)

    def _there(self, path: Path, body: Mapping[str, object]) -> Circumstances | None:
        """How the principal is connected; left open where nothing of it is said."""
        if not set(_CONNECTION) & set(body):
            return None
        texts = {key: self._reader.text((*path, key), body) for key in _CONNECTION if key != "strength"}
        strengths = tuple(Strength(word) for word in self._words((*path, "strength"), body, _STRENGTHS))
        address = texts["address"]
        try:
            ip_address(address or "::")
        except ValueError as error:
            self._reader.wrong_value((*path, "address"), str(error), 'write it as "10.0.0.7"')
            address = ""
        return Circumstances(texts["listener"], address or None, texts["method"], strengths)

    def _words(self, path: Path, body: Mapping[str, object], known: Collection[str]) -> tuple[str, ...]:
        found: list[str] = []
        for index, word in enumerate(self._reader.entries(path, body.get(str(path[-1]), []))):
            if isinstance(word, str) and word in known:
                found.append(word)
            else:
                hint = self._reader.did_you_mean(str(word), known) or f"known are {', '.join(sorted(known)) or 'none'}"
                self._reader.wrong_value((*path, index), f"{path[-1]} has no {word}", hint)
        return tuple(found)

    def _test(self, path: Path, body: Mapping[str, object]) -> list[Expectation]:
        reader = self._reader
        reader.refuse_unknown(path, body, _TEST)
        subjects = self._subjects((*path, "as"), body)
        if not body.get("allow") and not body.get("deny"):
            reader.wrong(path, "this test expects nothing", f"add allow = [{_EXAMPLE}], or deny")
        found: list[Expectation] = []
        for key in ("allow", "deny"):
            for index, entry in enumerate(reader.entries((*path, key), body.get(key, []))):
                place = (*path, key, index)
                ask = self._ask(place, entry)
                at = reader.tree.value_at(place)
                file = reader.tree.source.origin
                found += [
                    Expectation(str(path[-1]), subject, ask, key == "allow", file, at)
                    for subject in subjects
                    if ask is not None
                ]
        return found

    def _subjects(self, path: Path, body: Mapping[str, object]) -> list[Subject]:
        """`as`: the name of a principal, a principal itself, or a list of these."""
        reader = self._reader
        if "as" not in body:
            reader.wrong(path[:-1], "as is missing", 'write as = "press-01", and its roles in [principals.press-01]')
            return []
        value = body["as"]
        places = [((*path, at), each) for at, each in enumerate(value)] if isinstance(value, list) else [(path, value)]
        return [subject for place, each in places if (subject := self._subject(place, each)) is not None]

    def _subject(self, path: Path, value: object) -> Subject | None:
        if isinstance(value, dict):
            return self._principal(path, value, "")
        if isinstance(value, str) and value in self._principals:
            return self._principals[value]
        hint = self._reader.did_you_mean(str(value), self._principals) or f"add [principals.{value}]"
        self._reader.wrong_value(path, f"there is no principal {value}", hint)
        return None

    def _ask(self, path: Path, entry: object) -> Ask | None:
        try:
            if isinstance(entry, str):
                return Ask.parse(entry)
            self._reader.wrong_value(path, "an expectation is a text", _EXAMPLE)
        except InvalidValue as error:
            self._reader.wrong_value(path, str(error), "")
        return None
