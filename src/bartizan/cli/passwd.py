"""`bartizan passwd`: a new password in place of all that were. Needs the data directory, not the old one."""

import asyncio
import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.config.authenticators import Scram as ScramSettings
from bartizan.config.files import read_file
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import InvalidValue
from bartizan.identity.passwords import PASSWORD_BYTES_MAX, generate_secret
from bartizan.identity.register import Register, password_credential
from bartizan.identity.scram import check_name, scram_credential
from bartizan.model.credential import SCRAM_ITERATIONS, SCRAM_MECHANISMS, Credential, ScramMechanism

Scram = Literal["sha-256", "sha-512", "both"]

_MECHANISMS: Mapping[str, Sequence[ScramMechanism]] = {
    "sha-256": ("SCRAM-SHA-256",),
    "sha-512": ("SCRAM-SHA-512",),
    "both": SCRAM_MECHANISMS,
}

PASSWORD_CHARS_MIN = 12
"""A shorter password that a person chose is refused."""


def passwd(
    name: str,
    /,
    *,
    password_file: Path | None = None,
    generate: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    scram: Annotated[Scram | None, Parameter(show_default=False)] = None,
    with_hash: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Give an identity a new password; all its earlier passwords and SCRAM keys end.

    For example:

        bartizan passwd admin

        bartizan passwd dash --generate

        bartizan passwd press-01 --generate --scram sha-256

    Parameters
    ----------
    name
        The identity.
    password_file
        Read the password from the first line of this file. Default: ask.
    generate
        Make a password and show it once.
    scram
        Keep SCRAM keys of this mechanism instead of a hash: the password is then proved by AUTH and never sent.
    with_hash
        With --scram: keep a hash too, so that it may also be presented as Password.
    data
        The broker's data directory.
    config
        The broker's configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print one JSON object.
    """
    if with_hash and scram is None:
        raise InvalidValue("--with-hash goes with --scram: without it a hash is all that is kept")
    directory = existing(data)
    settings = settings_of(directory, config)
    if scram is not None:
        check_name(name)
    password = generate_secret() if generate else chosen_password(password_file)
    asyncio.run(_set(directory, settings, name, password, (_MECHANISMS[scram] if scram else ()), with_hash=with_hash))
    shown = {"password": password} if generate else {}
    if json_output:
        print(json.dumps({"identity": name, **shown}))
    else:
        print(f"{name} has a new password" + (f", shown this once: {password}" if generate else ""))
    return 0


def chosen_password(file: Path | None) -> str:
    """The password in a file, else what somebody types."""
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


async def _set(
    directory: DataDirectory,
    settings: Settings,
    name: str,
    password: str,
    mechanisms: Sequence[ScramMechanism],
    *,
    with_hash: bool,
) -> None:
    at = datetime.now(UTC)
    rounds = iterations_of(settings)
    kept: list[Credential] = [scram_credential(password, one, at=at, iterations=rounds) for one in mechanisms]
    if with_hash or not mechanisms:
        kept.append(password_credential(password, at=at))
    async with identities(directory, settings) as store:
        await Register(store).set_password(name, password, at=at, kept_as=kept)


def iterations_of(settings: Settings) -> int:
    """What the configuration's SCRAM authenticators make names that do not exist pretend to have."""
    configured = [kind.iterations for kind in settings.authenticators.values() if isinstance(kind, ScramSettings)]
    return max(configured, default=SCRAM_ITERATIONS)
