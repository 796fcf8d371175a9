"""`bartizan operator` at a broker elsewhere: the same, by its API, as far as one operator may do it for another."""

from collections.abc import Mapping, Sequence
from typing import Any

from bartizan.cli.paths import path_of
from bartizan.cli.remote import remote
from bartizan.errors import NotFound


def operators_there(server: str) -> list[dict[str, Any]]:
    """All of them."""
    with remote(server) as there:
        return there.every("/operators")


def operator_there(server: str, name: str) -> dict[str, Any]:
    """One, with its second factors."""
    with remote(server) as there:
        return there.get(path_of("operators", name))


def add_operator_there(server: str, name: str, roles: Sequence[str], tenant: str, note: str) -> dict[str, Any]:
    """Adds one there; its password is made there, and told this once."""
    body: dict[str, object] = {"operator": name, "tenant": tenant, "note": note}
    with remote(server) as there:
        return there.post("/operators", body | ({"roles": list(roles)} if roles else {}))


def change_operator_there(server: str, name: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Changes it there; what is not named stays."""
    with remote(server) as there:
        return there.patch(path_of("operators", name), {key: value for key, value in body.items() if value is not None})


def remove_operators_there(server: str, names: Sequence[str]) -> None:
    """Removes them there, one after the other, up to the first that cannot be removed."""
    with remote(server) as there:
        for name in names:
            there.delete(path_of("operators", name))


def new_password_there(server: str, name: str) -> dict[str, Any]:
    """A new password, made there, and told this once."""
    with remote(server) as there:
        return there.post(path_of("operators", name, "password"))


def reset_totp_there(server: str, name: str) -> dict[str, Any]:
    """Takes one-time codes and recovery codes away."""
    with remote(server) as there:
        return there.delete(path_of("operators", name, "totp"))


def remove_passkey_there(server: str, name: str, passkey: str) -> dict[str, Any]:
    """Takes the passkey away whose id begins so."""
    with remote(server) as there:
        fitting = [
            one["id"]
            for one in there.get(path_of("operators", name))["passkeys"]
            if passkey and one["id"].startswith(passkey)
        ]
        if len(fitting) != 1:
            raise NotFound(f"{name} has {len(fitting)} passkeys whose id begins with {passkey!r}")
        return there.delete(path_of("operators", name, "passkeys", fitting[0]))


def create_token_there(server: str, name: str, scopes: Sequence[str], lifetime_s: int, label: str) -> dict[str, Any]:
    """A token, told this once."""
    with remote(server) as there:
        return there.post(
            path_of("operators", name, "tokens"), {"scopes": list(scopes), "lifetime_s": lifetime_s, "label": label}
        )


def tokens_there(server: str, name: str) -> list[dict[str, Any]]:
    """Its tokens, without what proves them."""
    with remote(server) as there:
        return there.get(path_of("operators", name, "tokens"))


def revoke_token_there(server: str, name: str, id_: str) -> None:
    """Revokes one."""
    with remote(server) as there:
        there.delete(path_of("operators", name, "tokens", id_))
