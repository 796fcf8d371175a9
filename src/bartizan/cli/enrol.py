"""`bartizan enrol`: an identity and the bundle it connects with."""

import asyncio
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bartizan.cli.bundle import Bundle, write_bundle
from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.config.layout import DataDirectory
from bartizan.config.listener import is_local
from bartizan.config.schema import Settings
from bartizan.errors import AlreadyExists
from bartizan.identity.passwords import generate_secret
from bartizan.identity.register import Register, certificate_credential, new_identity, password_credential
from bartizan.model.credential import Credential
from bartizan.model.ids import parse_attribute
from bartizan.model.principal import Identity
from bartizan.pki.ca import Authority
from bartizan.pki.client import issue_client_certificate
from bartizan.pki.profiles import certificate_pem
from bartizan.store.ports import IdentityStore


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an enrolment made. The password is here this once."""

    identity: Identity
    bundle: Path
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a client reaches the broker."""

    host: str
    port: int


def address_of(settings: Settings, host: str | None = None, port: int | None = None) -> Address:
    """The first MQTT-over-TLS listener's port; `localhost` unless said otherwise."""
    listeners = [
        listener for _, listener in sorted(settings.listeners.items()) if listener.tls and listener.protocol == "mqtt"
    ]
    binds = [listener.bind for listener in listeners]
    chosen = next((bind for bind in binds if not is_local(bind)), binds[0] if binds else ":8883")
    return Address(host or "localhost", port or int(chosen.rpartition(":")[2]))


async def enrol_device(
    store: IdentityStore,
    authority: Authority,
    identity: Identity,
    out: Path,
    address: Address,
    *,
    at: datetime,
) -> Enrolled:
    """An identity that proves itself by certificate.

    The bundle is written first: if the power goes between the two, a bundle without identity is
    left, which nothing accepts, and not an identity whose key nobody has.
    """
    await _refuse_duplicate(store, identity)
    issued = issue_client_certificate(authority, identity.name, at=at)
    bundle = Bundle(
        identity.name,
        address.host,
        address.port,
        certificate=f"{identity.name}.crt",
        key=f"{identity.name}.key",
    )
    write_bundle(out, bundle, certificate_pem(authority.certificate), issued)
    credential = certificate_credential(
        fingerprint_sha256=issued.fingerprint_sha256,
        serial_hex=issued.serial_hex,
        not_after=issued.not_after,
        at=at,
    )
    return await _store(store, identity, credential, Enrolled(identity, out))


async def enrol_with_password(
    store: IdentityStore,
    authority: Authority,
    identity: Identity,
    out: Path,
    address: Address,
    *,
    at: datetime,
) -> Enrolled:
    """An identity that proves itself by a generated password; its bundle holds the CA, not the password."""
    await _refuse_duplicate(store, identity)
    password = generate_secret()
    write_bundle(out, Bundle(identity.name, address.host, address.port), certificate_pem(authority.certificate), None)
    credential = password_credential(password, at=at)
    return await _store(store, identity, credential, Enrolled(identity, out, password))


async def _refuse_duplicate(store: IdentityStore, identity: Identity) -> None:
    if await store.get(identity.name) is not None:
        raise AlreadyExists(f"an identity {identity.name!r} exists already: choose another name")


async def _store(store: IdentityStore, identity: Identity, credential: Credential, enrolled: Enrolled) -> Enrolled:
    try:
        stored = await Register(store).add(replace(identity, credentials=(credential,)))
    except BaseException:
        shutil.rmtree(enrolled.bundle, ignore_errors=True)
        raise
    return replace(enrolled, identity=stored)


def enrol(
    name: str,
    /,
    *,
    role: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    attr: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    out: Path | None = None,
    password: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    note: Annotated[str, Parameter(show_default=False)] = "",
    host: str | None = None,
    port: int | None = None,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
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
    attr
        An attribute, NAME=VALUE, that the policy may use; may be given several times.
    out
        Directory of the bundle, made here. Default: the name.
    password
        Prove the identity by a generated password instead of a certificate. It is shown once.
    note
        A remark kept with the identity.
    host
        Name or address under which the client reaches the broker. Default: localhost.
    port
        Port. Default: that of the first MQTT-over-TLS listener.
    data
        The broker's data directory.
    config
        The broker's configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print one JSON object.
    """
    directory = existing(data)
    address = address_of(settings_of(directory, config), host, port)
    at = datetime.now(UTC)
    identity = new_identity(name, at=at, roles=role, attributes=dict(parse_attribute(item) for item in attr), note=note)
    enrolled = asyncio.run(_enrol(directory, identity, out or Path(name), address, at, by_password=password))
    _report(enrolled, address, json_output=json_output)
    return 0


async def _enrol(
    directory: DataDirectory,
    identity: Identity,
    out: Path,
    address: Address,
    at: datetime,
    *,
    by_password: bool,
) -> Enrolled:
    authority = Authority.load(directory.ca_certificate, directory.ca_key)
    async with identities(directory) as store:
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
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{identity.name}[/] is enrolled"
        + (f" with role {', '.join(identity.roles)}" if identity.roles else " without a role")
    )
    console.print(f"  bundle    {bundle}", markup=False)
    if enrolled.password:
        console.print(f"  user      {identity.name}", markup=False)
        console.print(f"  password  {enrolled.password}   (shown this once)", markup=False)
    extra = " -P PASSWORD" if enrolled.password else ""
    console.print(f"  try       XDG_CONFIG_HOME={_quoted(bundle)} mosquitto_sub{extra} -v -t 'data/#'", markup=False)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
