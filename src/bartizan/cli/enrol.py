"""`bartizan enrol`: an identity and the bundle it connects with."""

import asyncio
import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bartizan.cli.console import plain_console
from bartizan.cli.credentials_there import enrol_there
from bartizan.cli.listing import Config, Data, Json
from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.cli.remote import Server
from bartizan.config.layout import DataDirectory
from bartizan.config.listener import is_local
from bartizan.config.schema import Settings
from bartizan.identity.register import new_identity
from bartizan.model.ids import parse_attribute
from bartizan.model.principal import Identity
from bartizan.pki.ca import Authority
from bartizan.pki.enrolment import Address, Enrolled, enrol_device, enrol_with_password


def address_of(settings: Settings, host: str | None = None, port: int | None = None) -> Address:
    """The first MQTT-over-TLS listener's port; `localhost` unless said otherwise."""
    listeners = [
        listener for _, listener in sorted(settings.listeners.items()) if listener.tls and listener.protocol == "mqtt"
    ]
    binds = [listener.bind for listener in listeners]
    chosen = next((bind for bind in binds if not is_local(bind)), binds[0] if binds else ":8883")
    return Address(host or "localhost", port or int(chosen.rpartition(":")[2]))


def enrol(
    name: str,
    /,
    *,
    role: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    group: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    attr: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    out: Path | None = None,
    password: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    note: Annotated[str, Parameter(show_default=False)] = "",
    host: str | None = None,
    port: int | None = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Make an identity and the bundle it connects with. A running broker knows it at once.

    For example:

        bartizan enrol press-01 --role press --attr site=chicago

        bartizan enrol dash --role dashboard --attr site=chicago --password

    Parameters
    ----------
    name
        The identity's name. Its client ids are this name, or begin with it and a '-'.
    role
        A role of the policy; may be given several times.
    group
        A group whose roles it has too; may be given several times.
    attr
        An attribute, NAME=VALUE, that the policy may use; may be given several times.
    out
        Directory of the bundle, made here. Default: the name.
    password
        Prove the identity by a generated password instead of a certificate. It is shown once.
    note
        A remark kept with the identity.
    host
        Name or address under which the client reaches the broker. Default: localhost, or --server's.
    port
        Port. Default: that of the first MQTT-over-TLS listener.
    """
    at = datetime.now(UTC)
    attributes = {str(key): value for key, value in map(parse_attribute, attr)}
    identity = new_identity(name, at=at, roles=role, groups=group, attributes=attributes, note=note)
    bundle = out or Path(name)
    if server is not None:
        enrolled, address = enrol_there(server, identity, bundle, (host, port), by_password=password)
    else:
        directory = existing(data)
        settings = settings_of(directory, config)
        address = address_of(settings, host, port)
        enrolled = asyncio.run(_enrol(directory, settings, identity, bundle, address, at, by_password=password))
    _report(enrolled, address, json_output=json_output)
    return 0


async def _enrol(
    directory: DataDirectory,
    settings: Settings,
    identity: Identity,
    out: Path,
    address: Address,
    at: datetime,
    *,
    by_password: bool,
) -> Enrolled:
    authority = Authority.load(directory.ca_certificate, directory.ca_key)
    async with identities(directory, settings) as store:
        make = enrol_with_password if by_password else enrol_device
        return await make(store, authority, identity, out, address, at=at)


def _report(enrolled: Enrolled, address: Address, *, json_output: bool) -> None:
    identity, bundle = enrolled.identity, enrolled.bundle.absolute()
    if json_output:
        fields = {
            "identity": identity.name,
            "roles": identity.roles,
            "attributes": dict(identity.attributes),
            "bundle": str(bundle),
            "host": address.host,
            "port": address.port,
        }
        print(json.dumps(fields | ({"password": enrolled.password} if enrolled.password else {})))
        return
    console = plain_console(soft_wrap=True)
    console.print(
        f"[bold]{identity.name}[/] is enrolled"
        + (f" with role {', '.join(identity.roles)}" if identity.roles else " without a role")
    )
    console.print(f"  bundle    {bundle}", markup=False)
    if enrolled.password:
        console.print(f"  user      {identity.name}", markup=False)
        console.print(f"  password  {enrolled.password}   (shown this once)", markup=False)
    extra = " -P PASSWORD" if enrolled.password else ""
    # What it may do is the policy's to say, so the topic is left open.
    home = f"XDG_CONFIG_HOME={_quoted(bundle)}"
    console.print(f"  read      {home} mosquitto_sub{extra} -v -t FILTER", markup=False)
    console.print(f"  write     {home} mosquitto_pub{extra} -t TOPIC -m TEXT", markup=False)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
