"""`[roles.NAME]` tables -> `Role`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.policy.contract import CONTROL_TOPIC, Action, Effect, Owned, Pattern, Role, Rule, is_value_source
from bartizan.policy.fields import Reader
from bartizan.policy.limits import LIMITS
from bartizan.policy.naming import parse_naming
from bartizan.policy.syntax import Path
from bartizan.policy.validate_conditions import condition, texts

_KEYS: Final = ("includes", "client_id", "user_name", "credentials", "binds", "owns", "permit", "forbid", "limits")
CREDENTIAL_KINDS: Final = ("certificate", "password", "scram")
DAYS_MAX: Final = 36_500
_PERMIT_KEYS: Final = ("action", "filter", "qos_max", "retain", "when", "reason")
_FORBID_KEYS: Final = ("action", "filter", "when", "reason")
_EXAMPLE: Final = '{ action = "subscribe", filter = "data/#" }'
_ACTIONS: Final[Mapping[str, tuple[Action, ...]]] = {
    "publish": (Action.PUBLISH,),
    "subscribe": (Action.SUBSCRIBE,),
    "all": (Action.PUBLISH, Action.SUBSCRIBE),
}


def role(reader: Reader, path: Path, body: Mapping[str, object], windows: Collection[str] = ()) -> Role | None:
    """The role of this table; None, and a problem, if its name is none."""
    reader.refuse_unknown(path, body, _KEYS)
    name = path[-1]
    is_named = reader.role_name(path, name)
    binds = _binds(reader, (*path, "binds"), body)
    known = _Known({variable for variable, _ in binds}, windows)
    read = Role(
        name=str(name),
        at=reader.at(path),
        includes=reader.role_names((*path, "includes"), body),
        binds=binds,
        owns=_owns(reader, (*path, "owns"), body, known.bound),
        permit=_rules(reader, (*path, "permit"), body, Effect.PERMIT, known),
        forbid=_rules(reader, (*path, "forbid"), body, Effect.FORBID, known),
        limits=_limits(reader, (*path, "limits"), body),
        client_ids=_namings(reader, (*path, "client_id"), body, may_be_assigned=True),
        user_names=_namings(reader, (*path, "user_name"), body, may_be_assigned=False),
        credential_days_max=_credentials(reader, (*path, "credentials"), body),
    )
    return read if is_named else None


def _binds(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    binds: list[tuple[str, str]] = []
    for variable, source in reader.table(path, body.get("binds", {})).items():
        if isinstance(source, str) and is_value_source(source):
            binds.append((variable, source))
        else:
            hint = 'it is "client_id", "identity" or "attr.NAME"'
            reader.wrong_value((*path, variable), f"the variable {{{variable}}} has no such source", hint)
    return tuple(binds)


def _owns(reader: Reader, path: Path, body: Mapping[str, object], bound: Collection[str]) -> tuple[Owned, ...]:
    """A filter, `{ filter, shared }`, or a list of these."""
    value = body.get("owns", [])
    entries = _numbered(path, value) if isinstance(value, list) else [(path, value)]
    found: list[Owned] = []
    for place, entry in entries:
        table = {"filter": entry} if isinstance(entry, str) else entry
        if not isinstance(table, dict):
            reader.wrong_value(
                place, "an entry of owns is a filter", 'write "a/{name}/#", or { filter = "...", shared = true }'
            )
            continue
        reader.refuse_unknown(place, table, ("filter", "shared"))
        shared = reader.flag((*place, "shared"), table, default=False)
        pattern = reader.pattern(place, reader.text((*place, "filter"), table), reader.wrong_value)
        if pattern is None:
            continue
        _check_filter(reader, place, pattern, bound)
        if pattern.begins_with_dollar:
            reader.wrong_value(place, "topics that begin with $ are the server's: nobody owns them", "remove it")
        found.append(Owned(pattern, reader.tree.value_at(place), shared))
    return tuple(found)


def _numbered(path: Path, entries: Sequence[object]) -> list[tuple[Path, object]]:
    return [((*path, index), entry) for index, entry in enumerate(entries)]


def _limits(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[tuple[str, int], ...]:
    table = reader.table(path, body.get("limits", {}))
    reader.refuse_unknown(path, table, LIMITS)
    known = [key for key in table if key in LIMITS]
    return tuple((key, reader.whole((*path, key), table, LIMITS[key][0], LIMITS[key])) for key in sorted(known))


@dataclass(frozen=True, slots=True)
class _Known:
    """Names that a rule may use."""

    bound: Collection[str]
    windows: Collection[str]


def _namings(reader: Reader, path: Path, body: Mapping[str, object], *, may_be_assigned: bool) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts(reader, path, body):
        try:
            found.append(parse_naming(text, may_be_assigned=may_be_assigned))
        except InvalidValue as error:
            reader.wrong_value(path, f"{path[-1]} is no naming", str(error))
    return tuple(found)


def _credentials(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[tuple[str, int], ...]:
    table = reader.table(path, body.get("credentials", {}))
    keys = {f"{kind}_days_max": kind for kind in CREDENTIAL_KINDS}
    reader.refuse_unknown(path, table, keys)
    ages = {kind: reader.whole((*path, key), table, 1, (1, DAYS_MAX)) for key, kind in keys.items() if key in table}
    return tuple(sorted(ages.items()))


def _rules(reader: Reader, path: Path, body: Mapping[str, object], effect: Effect, known: _Known) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for index, entry in enumerate(reader.entries(path, body.get(effect.value, []))):
        place = (*path, index)
        if not isinstance(entry, dict):
            reader.wrong(place, f"an entry of {effect} is a table", f"write {_EXAMPLE}")
        elif (rule := _rule(reader, place, entry, effect, known)) is not None:
            rules.append(rule)
    return tuple(rules)


def _rule(reader: Reader, path: Path, body: Mapping[str, object], effect: Effect, known: _Known) -> Rule | None:
    _refuse_keys(reader, path, body, effect)
    for key in ("action", "filter"):
        if key not in body:
            reader.wrong(path, f"{key} is missing", f"write {_EXAMPLE}")
    actions = _actions(reader, (*path, "action"), body.get("action", "all"))
    text = reader.text((*path, "filter"), body, "invalid")
    pattern = reader.pattern((*path, "filter"), text, reader.wrong_value)
    if pattern is not None:
        _check_filter(reader, (*path, "filter"), pattern, known.bound)
        if _is_of_the_server(pattern) and effect is Effect.PERMIT and Action.PUBLISH in actions:
            message = "topics that begin with $ are the server's: no client may publish to them"
            reader.wrong_value((*path, "action"), message, 'write action = "subscribe"')
    qos_max = reader.whole((*path, "qos_max"), body, 2, (0, 2))
    retain = reader.flag((*path, "retain"), body, default=True)
    for key in ("qos_max", "retain"):
        if key in body and effect is Effect.PERMIT and Action.PUBLISH not in actions:
            reader.wrong((*path, key), f"{key} is about publishing, and this rule is not", "remove it")
    when = condition(reader, (*path, "when"), body, known.windows)
    if when.is_about_messages and Action.PUBLISH not in actions:
        reader.wrong((*path, "when"), "the condition is about publishing, and this rule is not", "remove that part")
    reason = reader.text((*path, "reason"), body)
    if pattern is None or not actions:
        return None
    return Rule(effect, actions, pattern, reader.at(path), qos_max, retain, when, reason)


def _is_of_the_server(pattern: Pattern) -> bool:
    return pattern.begins_with_dollar and pattern.text != CONTROL_TOPIC


def _refuse_keys(reader: Reader, path: Path, body: Mapping[str, object], effect: Effect) -> None:
    if effect is Effect.PERMIT:
        reader.refuse_unknown(path, body, _PERMIT_KEYS)
        return
    for key in ("qos_max", "retain"):
        if key in body:
            hint = f"to allow less, put {key} in the permit"
            reader.wrong((*path, key), f"a forbid holds for every message: it has no {key}", hint)
    reader.refuse_unknown(path, {k: v for k, v in body.items() if k not in {"qos_max", "retain"}}, _FORBID_KEYS)


def _actions(reader: Reader, path: Path, value: object) -> tuple[Action, ...]:
    words = value if isinstance(value, list) else [value]
    found: set[Action] = set()
    for index, word in enumerate(words):
        place = (*path, index) if isinstance(value, list) else path
        if isinstance(word, str) and word in _ACTIONS:
            found.update(_ACTIONS[word])
        else:
            hint = reader.did_you_mean(str(word), _ACTIONS) or "or a list of them"
            reader.wrong_value(place, 'an action is "publish", "subscribe" or "all"', hint)
    if not words:
        reader.wrong_value(path, "action is empty", 'write "publish", "subscribe" or "all"')
    return tuple(action for action in Action if action in found)


def _check_filter(reader: Reader, path: Path, pattern: Pattern, bound: Collection[str]) -> None:
    for name in pattern.variables:
        if name not in bound:
            hint = reader.did_you_mean(name, bound) or f'bind it: binds = {{ {name} = "attr.{name}" }}; or write +'
            reader.wrong_value(path, f"the variable {{{name}}} is not bound by this role", hint)
