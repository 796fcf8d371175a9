"""`bartizan group` and `role` at a broker elsewhere: the same, by its API."""

from collections.abc import Sequence
from typing import Any

from bartizan.cli.paths import path_of
from bartizan.cli.remote import remote
from bartizan.identity.edit import Names
from bartizan.model.group import Group
from bartizan.model.ids import IdentityName, RoleName


def groups_there(server: str) -> list[dict[str, Any]]:
    """All groups, with how many are in each."""
    with remote(server) as there:
        return there.every("/groups")


def group_there(server: str, name: str) -> dict[str, Any]:
    """One, with its members."""
    with remote(server) as there:
        return there.get(path_of("groups", name))


def add_group_there(server: str, made: Group) -> dict[str, Any]:
    """Adds it there."""
    with remote(server) as there:
        return there.post("/groups", {"group": made.name, "roles": list(made.roles), "note": made.note})


def change_group_there(
    server: str, name: str, roles: Names[RoleName], note: str | None, members: Names[IdentityName]
) -> dict[str, Any]:
    """Changes it, and who is in it, at once or not at all."""
    body = {
        "add_roles": list(roles.gained),
        "remove_roles": list(roles.lost),
        "add_members": list(members.gained),
        "remove_members": list(members.lost),
        "note": note,
    }
    with remote(server) as there:
        return there.patch(path_of("groups", name), body)


def remove_group_there(server: str, name: str, *, with_members: bool) -> int:
    """Removes it; how many were in it."""
    place = path_of("groups", name)
    with remote(server) as there:
        members = len(there.get(place)["members"])
        there.delete(place, with_members=str(with_members).lower())
    return members


def roles_there(server: str) -> list[dict[str, Any]]:
    """All roles, with how many have each."""
    with remote(server) as there:
        return there.every("/roles")


def role_there(server: str, name: str) -> dict[str, Any]:
    """Who has one."""
    with remote(server) as there:
        return there.get(path_of("roles", name))


def hold_there(server: str, name: str, identities: Sequence[str], groups: Sequence[str], *, gains: bool) -> None:
    """Gives or takes a role: all of them or none."""
    what = "grants" if gains else "revocations"
    with remote(server) as there:
        there.post(path_of("roles", name, what), {"identities": list(identities), "groups": list(groups)})
