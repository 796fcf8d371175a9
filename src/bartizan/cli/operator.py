"""`bartizan operator`: the people who run the broker, and what proves them; of this broker or of one elsewhere."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import segno
from cyclopts import App, Parameter

from bartizan.cli.listing import Config, Data, Flag, Json, Listing, Text, Words, print_json, show_record, show_table
from bartizan.cli.opening import DEFAULT_DATA, operator_named, operators_of
from bartizan.cli.operator_token import token
from bartizan.cli.operators_there import (
    add_operator_there,
    change_operator_there,
    new_password_there,
    operator_there,
    operators_there,
    remove_operators_there,
    remove_passkey_there,
    reset_totp_there,
)
from bartizan.cli.passwd import chosen_password
from bartizan.cli.remote import Server
from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.operators import (
    new_operator,
    parse_roles,
    totp_uri,
    with_confirmed_totp,
    with_new_totp,
    with_password,
    with_recovery_codes,
    without_totp,
)
from bartizan.identity.passkeys import without_passkey
from bartizan.identity.passwords import generate_secret
from bartizan.identity.records import operator_record
from bartizan.model.ids import parse_remark
from bartizan.model.operator import Operator

app = App(name="operator", help="The people who run the broker: roles, passwords, second factors.")

app.command(token)

Action = Literal["enrol", "confirm", "reset"]

ISSUER = "Bartizan"

_LIST = {
    "operator": "operator",
    "roles": "roles",
    "tenant": "tenant",
    "enabled": "enabled",
    "second_factor": "second factor",
    "created_at": "created",
}
_SHOW = _LIST | {
    "totp": "one-time codes",
    "recovery_codes_left": "recovery codes",
    "subject": "OpenID Provider",
    "note": "note",
}
_PASSKEYS = {"id": "passkey", "label": "label", "created_at": "created", "last_used_at": "last used"}


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False) -> int:
    """List operators, in order of name.

    For example:

        bartizan operator list
    """
    listing = Listing(_LIST, "operators", as_json=json_output)
    for record in asyncio.run(_everyone(data, config)) if server is None else operators_there(server):
        listing.add(record)
    listing.end()
    return 0


@app.command
def show(
    name: str, /, *, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False
) -> int:
    """Show an operator and its second factors. No secret is shown.

    For example:

        bartizan operator show alice

    Parameters
    ----------
    name
        The operator.
    """
    record = asyncio.run(_one(data, config, name)) if server is None else operator_there(server, name)
    if json_output:
        print_json(record)
        return 0
    show_record(record, _SHOW)
    passkeys: list[dict[str, Any]] = record["passkeys"]
    if passkeys:
        print()
        show_table(passkeys, _PASSKEYS, f"{len(passkeys)} passkeys")
    return 0


@app.command
def add(
    name: str,
    /,
    *,
    role: Words = (),
    tenant: Annotated[str, Parameter(show_default=False)] = "",
    note: Annotated[str, Parameter(show_default=False)] = "",
    password_file: Path | None = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Add an operator. Without a file of one, a password is made and shown once.

    For example:

        bartizan operator add alice --role security --role operator

    Parameters
    ----------
    name
        The operator's name, such as alice or alice@plant.example.
    role
        viewer, operator, security or admin; may be given several times. Default: viewer.
    tenant
        The only tenant that it sees. Default: all.
    note
        A remark kept with it.
    password_file
        Read the password from the first line of this file.
    """
    if server is not None:
        if password_file is not None:
            raise InvalidValue("a broker elsewhere makes the password: --password-file does not go with --server")
        told = add_operator_there(server, name, role, tenant, note)
        _tell(told, f"{name} is added", {}, as_json=json_output)
        return 0
    made = new_operator(name, at=datetime.now(UTC), roles=role, tenant=tenant, note=note)
    password, shown = _password(password_file)
    made = with_password(made, password, must_change=bool(shown))
    asyncio.run(_add(data, config, made))
    _tell(operator_record(made), f"{name} is added", shown, as_json=json_output)
    return 0


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    role: Words = (),
    tenant: Text = None,
    note: Text = None,
    enable: Flag = False,
    disable: Flag = False,
    unlink: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Change an operator. What is not named stays.

    For example:

        bartizan operator set alice --role admin

        bartizan operator set bob --disable

    Parameters
    ----------
    name
        The operator.
    role
        The roles that it has from now on; may be given several times.
    tenant
        The only tenant that it sees; "" for all.
    note
        A remark; "" removes it.
    enable
        It may log in.
    disable
        It may not log in.
    unlink
        Forget who it is to the OpenID Provider: its logins by that end, and the next to come under its name is it.
    """
    enabled = _enabled(enable=enable, disable=disable)

    def change(operator: Operator) -> Operator:
        return replace(
            operator,
            roles=parse_roles(role) or operator.roles,
            tenant=operator.tenant if tenant is None else parse_remark(tenant),
            note=operator.note if note is None else parse_remark(note),
            is_enabled=operator.is_enabled if enabled is None else enabled,
            subject="" if unlink else operator.subject,
        )

    if server is None:
        told = asyncio.run(_change(data, config, name, change))
    else:
        words = {"roles": list(role) or None, "tenant": tenant, "note": note, "enabled": enabled, "unlink": unlink}
        told = change_operator_there(server, name, words)
    _tell(told, f"{name} is changed", {}, as_json=json_output)
    return 0


@app.command
def remove(
    names: Annotated[list[str], Parameter(consume_multiple=True)],
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Remove operators; with --server one after the other, up to the first that cannot be removed.

    For example:

        bartizan operator remove bob

    Parameters
    ----------
    names
        The operators.
    """
    every = list(dict.fromkeys(names))
    if server is None:
        asyncio.run(_remove(data, config, every))
    else:
        remove_operators_there(server, every)
    if json_output:
        print_json({"removed": names})
    else:
        print(f"{', '.join(names)}: removed")
    return 0


@app.command
def passwd(
    name: str,
    /,
    *,
    password_file: Path | None = None,
    generate: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Give an operator a new password. Second factors stay. With --server it is made there, and shown once.

    For example:

        bartizan operator passwd alice

    Parameters
    ----------
    name
        The operator.
    password_file
        Read the password from the first line of this file. Default: ask.
    generate
        Make a password and show it once.
    """
    if server is not None:
        if not generate:
            raise InvalidValue("a broker elsewhere makes the password: say --generate")
        _tell(new_password_there(server, name), f"{name} has a new password", {}, as_json=json_output)
        return 0
    password, shown = _password(None) if generate else (chosen_password(password_file), {})
    changed = asyncio.run(
        _change(data, config, name, lambda one: with_password(one, password, must_change=bool(shown)))
    )
    _tell(changed, f"{name} has a new password", shown, as_json=json_output)
    return 0


@app.command
def totp(
    action: Action,
    name: str,
    code: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Enrol, confirm or reset the one-time codes (TOTP) of an operator.

    `enrol` shows a secret once, for an authenticator app; it counts once `confirm` has seen a code of it, which also
    makes recovery codes. `reset` takes both away; with --server it is all there is: operators enrol their own.

    For example:

        bartizan operator totp enrol alice

        bartizan operator totp confirm alice 123456

    Parameters
    ----------
    action
        What to do.
    name
        The operator.
    code
        With confirm: the code that the app shows.
    """
    if (action == "confirm") != (code is not None):
        raise InvalidValue("a code goes with confirm, and with nothing else")
    if server is not None and action != "reset":
        raise InvalidValue(
            "at a broker elsewhere operators enrol their codes themselves (POST /session/totp): only reset"
        )
    at = datetime.now(UTC)
    if action == "enrol":
        uris: list[str] = []
        asyncio.run(_change(data, config, name, lambda one: _enrolled(one, at, uris)))
        _show_uri(name, uris[0], as_json=json_output)
    elif action == "confirm":
        codes: list[str] = []
        changed = asyncio.run(_change(data, config, name, lambda one: _confirmed(one, code or "", at, codes)))
        _tell(changed, f"{name} is asked for one-time codes from now on", _once(codes), as_json=json_output)
    else:
        changed = (
            asyncio.run(_change(data, config, name, without_totp)) if server is None else reset_totp_there(server, name)
        )
        _tell(changed, f"{name} has no one-time codes", {}, as_json=json_output)
    return 0


@app.command
def recovery(name: str, /, *, data: Data = DEFAULT_DATA, config: Config = None, json_output: Json = False) -> int:
    """Make new recovery codes; all earlier ones end. Each is good once, in place of a one-time code.

    For example:

        bartizan operator recovery alice

    Parameters
    ----------
    name
        The operator.
    """
    codes: list[str] = []
    changed = asyncio.run(_change(data, config, name, lambda one: _recoverable(one, codes)))
    _tell(changed, f"{name} has new recovery codes", _once(codes), as_json=json_output)
    return 0


@app.command(name="passkey-remove")
def passkey_remove(
    name: str,
    passkey: str,
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Take a passkey from an operator. Passkeys are added in the browser.

    For example:

        bartizan operator passkey-remove alice 5d0c7c3f

    Parameters
    ----------
    name
        The operator.
    passkey
        Its id, or the beginning of it, as `bartizan operator show` shows it.
    """
    if server is None:
        changed = asyncio.run(_change(data, config, name, lambda one: _without(one, passkey)))
    else:
        changed = remove_passkey_there(server, name, passkey)
    _tell(changed, f"{name}: passkey removed", {}, as_json=json_output)
    return 0


def _enabled(*, enable: bool, disable: bool) -> bool | None:
    """None: as it is."""
    if enable and disable:
        raise InvalidValue("--enable or --disable, not both")
    return enable if enable or disable else None


def _enrolled(operator: Operator, at: datetime, uris: list[str]) -> Operator:
    pending = with_new_totp(operator, at=at)
    uris[:] = [totp_uri(pending, ISSUER)]
    return pending


def _confirmed(operator: Operator, code: str, at: datetime, codes: list[str]) -> Operator:
    confirmed = with_confirmed_totp(operator, code, at=at)
    if confirmed is None:
        raise InvalidValue("that is not the code of this moment: look at the app, and at this machine's clock")
    return _recoverable(confirmed, codes)


def _recoverable(operator: Operator, codes: list[str]) -> Operator:
    if not operator.has_second_factor:
        raise InvalidValue(f"{operator.name} has no second factor that could be lost")
    made, shown = with_recovery_codes(operator)
    codes[:] = shown
    return made


def _without(operator: Operator, passkey: str) -> Operator:
    fitting = [key for key in operator.passkeys if passkey and key.id.hex().startswith(passkey)]
    if len(fitting) != 1:
        raise NotFound(f"{operator.name} has {len(fitting)} passkeys whose id begins with {passkey!r}")
    return without_passkey(operator, fitting[0].id)


def _password(file: Path | None) -> tuple[str, dict[str, Any]]:
    """The password, and what of it is to be shown."""
    if file is not None:
        return chosen_password(file), {}
    password = generate_secret()
    return password, {"password": password}


def _once(codes: Sequence[str]) -> dict[str, Any]:
    return {"recovery_codes": list(codes)}


def _tell(record: Mapping[str, Any], what: str, shown: dict[str, Any], *, as_json: bool) -> None:
    shown = {**record, **shown}
    if as_json:
        print_json(shown)
        return
    print(what)
    if shown.get("password"):
        print(f"  password  {shown['password']}   (shown this once)")
    if codes := shown.get("recovery_codes"):
        print("  recovery codes, each good once (shown this once):")
        print("\n".join(f"    {code}" for code in codes))


def _show_uri(name: str, uri: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"operator": name, "uri": uri})
        return
    if sys.stdout.isatty():
        segno.make(uri, error="m").terminal(compact=True)
    print(f"{uri}\n(shown this once) then: bartizan operator totp confirm {name} CODE")


async def _everyone(data: Path, config: Path | None) -> list[dict[str, Any]]:
    async with operators_of(data, config) as store:
        return [operator_record(one) for one in await store.operators()]


async def _one(data: Path, config: Path | None, name: str) -> dict[str, Any]:
    async with operators_of(data, config) as store:
        return operator_record(await operator_named(store, name))


async def _add(data: Path, config: Path | None, operator: Operator) -> None:
    async with operators_of(data, config) as store:
        await store.add_operator(operator)


async def _change(data: Path, config: Path | None, name: str, change: Callable[[Operator], Operator]) -> dict[str, Any]:
    async with operators_of(data, config) as store:
        return operator_record(await store.replace_operator(change(await operator_named(store, name))))


async def _remove(data: Path, config: Path | None, names: Sequence[str]) -> None:
    async with operators_of(data, config) as store:
        for name in names:
            await store.remove_operator(name)
