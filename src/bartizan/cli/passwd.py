"""`bartizan passwd`: a new password in place of all that were. Needs the data directory, not the old one."""

import asyncio
import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.config.layout import DataDirectory
from bartizan.config.load import read_file
from bartizan.config.schema import Settings
from bartizan.errors import InvalidValue
from bartizan.identity.passwords import PASSWORD_BYTES_MAX, generate_secret
from bartizan.identity.register import Register

PASSWORD_CHARS_MIN = 12
"""A shorter password that a person chose is refused."""


def passwd(
    name: str,
    /,
    *,
    password_file: Path | None = None,
    generate: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Give an identity a new password; all its earlier passwords end.

    For example:

        bartizan passwd admin

        bartizan passwd dash --generate

    Parameters
    ----------
    name
        The identity.
    password_file
        Read the password from the first line of this file. Default: ask.
    generate
        Make a password and show it once.
    data
        The broker's data directory.
    config
        The broker's configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print one JSON object.
    """
    directory = existing(data)
    password = generate_secret() if generate else _chosen(password_file)
    asyncio.run(_set(directory, settings_of(directory, config), name, password))
    shown = {"password": password} if generate else {}
    if json_output:
        print(json.dumps({"identity": name, **shown}))
    else:
        print(f"{name} has a new password" + (f", shown this once: {password}" if generate else ""))
    return 0


def _chosen(file: Path | None) -> str:
    if file is not None:
        password = read_file(file, "the password file").decode(errors="replace").split("\n", 1)[0].rstrip("\r")
    elif sys.stdin.isatty():
        password = getpass.getpass("new password: ")
        if getpass.getpass("once more:    ") != password:
            raise InvalidValue("the two passwords differ")
    else:
        raise InvalidValue("no terminal to ask on: use --generate or --password-file FILE")
    if len(password) < PASSWORD_CHARS_MIN or len(password.encode()) > PASSWORD_BYTES_MAX:
        raise InvalidValue(
            f"a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        )
    return password


async def _set(directory: DataDirectory, settings: Settings, name: str, password: str) -> None:
    async with identities(directory, settings) as store:
        await Register(store).set_password(name, password, at=datetime.now(UTC))
