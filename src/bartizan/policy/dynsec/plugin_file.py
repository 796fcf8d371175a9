"""The state file of the plugin, `dynamic-security.json`: all that commands have said there, and what proves its clients."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bartizan.errors import InvalidValue
from bartizan.policy.dynsec.fields import Fields, NotJsonError, Refused, read_json
from bartizan.policy.dynsec.memory import client_from, group_from, role_from
from bartizan.policy.dynsec.state import State
from bartizan.policy.imports.dynsec_state import DEFAULTS
from bartizan.policy.imports.passwords import HASH


@dataclass(frozen=True, slots=True)
class PluginFile:
    """What the file says."""

    state: State
    hashes: Mapping[str, str] = field(repr=False)
    """What is kept of the password of each client that has one."""


def read_plugin_file(content: bytes) -> PluginFile:
    """The state of this file; `InvalidValue` for what is none."""
    try:
        root = read_json(content)
        if not isinstance(root, Fields):
            raise InvalidValue("this is not the state of the dynamic security plugin")
        return _read(root)
    except NotJsonError:
        raise InvalidValue("this is not JSON: it is the file that the plugin writes") from None
    except Refused as error:
        raise InvalidValue(f"in a rule of the file: {error}") from None


def _read(root: Fields) -> PluginFile:
    roles = {role.name: role for role in map(role_from, _objects(root, "roles")) if role.name}
    bodies = {body.given("username") or "": body for body in reversed(_objects(root, "clients"))}
    bodies.pop("", None)
    clients = {
        name: replace(client_from(body), is_own=True, disabled=body.flag("disabled", default=False))
        for name, body in bodies.items()
    }
    groups = {group.name: group for group in map(group_from, _objects(root, "groups")) if group.name}
    anonymous, access = root.given("anonymousgroup"), root.values.get("defaultaclaccess")
    if not isinstance(access, Fields):
        access = Fields({})
    state = State(
        {name: replace(each, roles=_there(each.roles, roles)) for name, each in clients.items()},
        {
            name: replace(each, roles=_there(each.roles, roles), clients=_there(each.clients, clients))
            for name, each in groups.items()
        },
        roles,
        {kind: access.flag(kind.lower(), default=default) for kind, default in DEFAULTS.items()},
        anonymous if anonymous in groups else None,
        root.whole("changeindex", 0),
    )
    return PluginFile(state, {name: text for name, body in bodies.items() if (text := _hash(body))})


def _objects(root: Fields, key: str) -> list[Fields]:
    return [entry for entry in root.entries(key) or () if isinstance(entry, Fields)]


def _there(priorities: Mapping[str, int], known: Mapping[str, object]) -> Mapping[str, int]:
    """What is named and not there the plugin passes over."""
    return {name: priority for name, priority in priorities.items() if name in known}


def _hash(body: Fields) -> str:
    """The password as a password file writes it; empty if there is none."""
    text = body.given("encoded_password")
    if text is None and (body.given("password") and body.given("salt")):
        text = f"$7${body.whole('iterations', 101)}${body.given('salt')}${body.given('password')}"
    return text if text is not None and HASH.match(text) else ""
