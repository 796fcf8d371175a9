"""Commands about what no rule is about, and about the whole."""

from collections.abc import Mapping
from dataclasses import replace

from bartizan.policy.dynsec.fields import Fields, Refused
from bartizan.policy.dynsec.state import DEFAULT_KINDS, State
from bartizan.policy.dynsec.step import Addresses, Command, Step


def _set(now: State, fields: Fields, _: Addresses) -> Step:
    entries = fields.entries("acls")
    if entries is None:
        raise Refused("Missing/invalid actions array")
    defaults = dict(now.defaults)
    for entry in entries:
        if not isinstance(entry, Fields):
            continue
        text, allow = entry.given("acltype"), entry.values.get("allow")
        kind = next((kind for kind in DEFAULT_KINDS if text is not None and kind.lower() == text.lower()), None)
        if kind is not None and isinstance(allow, bool):
            defaults[kind] = allow
    return Step(replace(now, defaults=defaults))


def _get(now: State, _fields: Fields, _: Addresses) -> Step:
    return Step(now, {"acls": [{"acltype": kind, "allow": now.defaults[kind]} for kind in DEFAULT_KINDS]})


def _details(now: State, _fields: Fields, _: Addresses) -> Step:
    counts = {"clientCount": len(now.clients), "groupCount": len(now.groups), "roleCount": len(now.roles)}
    return Step(now, {**counts, "changeIndex": now.changes})


COMMANDS: Mapping[str, Command] = {
    "setDefaultACLAccess": _set,
    "getDefaultACLAccess": _get,
    "getDetails": _details,
}
