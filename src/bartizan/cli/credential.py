"""`bartizan credential`: what proves identities; a new one beside the old one; who still uses the old one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from bartizan.cli.credential_pin import NOTHING_KNOWN, Known, pinned
from bartizan.cli.credentials_there import list_there, revoke_there, rotate_there
from bartizan.cli.duration import parse_duration
from bartizan.cli.enrol import address_of
from bartizan.cli.listing import Config, Data, Flag, Json, Listing, Text, ends_at, minute, plain, print_json
from bartizan.cli.opening import (
    DEFAULT_DATA,
    age_limits,
    existing,
    identities,
    policy_there,
    register_of,
    settings_of,
)
from bartizan.cli.remote import Server
from bartizan.errors import InvalidValue
from bartizan.identity.ages import AgeLimits, endings
from bartizan.identity.records import credential_record, time_text
from bartizan.identity.register import Register
from bartizan.identity.renewal import earlier_end, renew_secret
from bartizan.identity.rotation import Held, held
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import parse_remark
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage
from bartizan.pki.ca import Authority
from bartizan.pki.enrolment import Address, rotate_certificate

app = App(name="credential", help="List, rotate or revoke what proves identities.")

Kind = Literal["password", "certificate", "scram"]

_COLUMNS = {
    "identity": "identity",
    "kind": "kind",
    "id": "credential",
    "created_at": "created",
    "ends": "ends",
    "last_used_at": "last used",
    "successor": "successor",
}


@app.command(name="list")
def list_(
    name: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    stale: Flag = False,
    expiring: Flag = False,
    ends_within: Text = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List live credentials: when each ends and was last used.

    For example:

        bartizan credential list press-01

        bartizan credential list --stale

        bartizan credential list --expiring

        bartizan credential list --ends-within 7d --json

    Parameters
    ----------
    name
        Only those of this identity, ended ones too.
    stale
        Only those that have a successor which their holder does not use yet: who still uses the old one.
    expiring
        Only those that end within 30 days, or are too old, and have no successor.
    ends_within
        Only those that end within so long, such as 30d.
    """
    until = None if ends_within is None else datetime.now(UTC) + parse_duration(ends_within)
    listing = Listing(_COLUMNS, "credentials", as_json=json_output)
    if server is None:
        asyncio.run(_gather(data, config, name, _Wanted(until, stale=stale, expiring=expiring), listing))
    else:
        list_there(server, name, listing, stale=stale, expiring=expiring, until=until)
    listing.end()
    return 0


@app.command
def rotate(
    name: str,
    /,
    *,
    overlap: str = "14d",
    kind: Annotated[Kind | None, Parameter(show_default=False)] = None,
    out: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    note: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Give an identity a new credential. The old ones of its kind still work for the overlap, then no more.

    A certificate comes in a bundle, as from `bartizan enrol`; a password is made and shown once, also for SCRAM keys:
    these keep their mechanisms, and their salt, so that both passwords prove for the overlap.

    For example:

        bartizan credential rotate press-01 --overlap 14d --out press-01-new

        bartizan credential rotate dash --kind password --overlap 0d

    Parameters
    ----------
    name
        The identity.
    overlap
        How long the old ones still prove it, such as 14d; 0d ends them now.
    kind
        Default: that of its newest live credential, else a password.
    out
        Directory of the bundle, made here. Default: the name and the day, such as press-01-2026-11-21.
    host
        Name or address in the bundle under which the client reaches the broker. Default: localhost, or --server's.
    port
        Port in the bundle. Default: that of the first MQTT-over-TLS listener.
    note
        A remark kept with the credential.
    """
    at = datetime.now(UTC)
    wanted = _Rotation(at, parse_duration(overlap), parse_remark(note), out or Path(f"{name}-{at:%Y-%m-%d}"), kind)
    if server is None:
        made = asyncio.run(_rotate(data, config, name, wanted, (host, port)))
    else:
        made = rotate_there(
            server, name, kind, overlap=wanted.overlap, note=wanted.note, out=wanted.out, place=(host, port)
        )
    if json_output:
        print_json(made)
    else:
        _tell(name, made)
    return 0


@app.command
def revoke(
    name: str,
    credentials: Annotated[list[str] | None, Parameter(consume_multiple=True, show_default=False)] = None,
    /,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=(), show_default=False)] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """End credentials of an identity now. A revoked certificate ends its live connections too.

    For example:

        bartizan credential revoke press-01 1f8e3a9c0b7d6e52

        bartizan credential revoke press-01 --all

    Parameters
    ----------
    name
        The identity.
    credentials
        Their ids, as `bartizan credential list` shows them.
    all_
        All of them: nothing proves the identity any more.
    """
    if bool(credentials) == all_:
        raise InvalidValue("name credentials by their ids, or say --all")
    if server is None:
        asyncio.run(_revoke(data, config, name, None if all_ else credentials))
    else:
        revoke_there(server, name, None if all_ else credentials)
    if json_output:
        print_json({"identity": name, "revoked": "all" if all_ else credentials})
    else:
        print(f"{name}: {'all credentials' if all_ else ', '.join(credentials or [])} revoked")
    return 0


@app.command
def pin(
    name: str,
    file: Annotated[Path | None, Parameter(show_default=False)] = None,
    /,
    *,
    known: Known = NOTHING_KNOWN,
    note: Annotated[str, Parameter(show_default=False)] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json_output: Json = False,
) -> int:
    """Put a certificate that another CA issued on record: with `pinned` it, and no other, proves the identity.

    By its file, which gives its fingerprint; or by its serial number and its issuer, where only these are known.

    For example:

        bartizan credential pin press-01 press-01.crt

        bartizan credential pin press-01 --serial 4F:2A:99 --issuer "CN=Plant CA,O=Plant"

        bartizan credential pin press-01 --serial 4F2A99 --issuer-file plant-ca.crt

    Parameters
    ----------
    name
        The identity.
    file
        The certificate (PEM). No key is needed.
    note
        A remark kept with the credential.
    """
    credential = asyncio.run(_pin(data, config, name, (file, known), parse_remark(note)))
    if json_output:
        print_json({"identity": name, **credential_record(credential)})
    else:
        by = credential.fingerprint_sha256 or f"{credential.serial_hex} of {credential.issuer}"
        print(f"{name}: certificate {plain(by)} is on record ({credential.id})")
    return 0


def _tell(name: str, made: Mapping[str, Any]) -> None:
    ends = made["earlier_end_at"]
    print(f"{name} has a new {made['kind']}" + (f"; earlier ones end on {minute(ends)} UTC" if ends else ""))
    if "password" in made:
        print(f"  password  {made['password']}   (shown this once)")
    else:
        print(f"  bundle    {made['bundle']}")


async def _pin(
    data: Path, config: Path | None, name: str, what: tuple[Path | None, Known], note: str
) -> CertificateCredential:
    async with register_of(data, config) as register:
        credential = pinned(await register.get(name), *what, at=datetime.now(UTC), note=note)
        await register.add_credential(name, credential)
        return credential


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which credentials are listed."""

    until: datetime | None
    stale: bool
    expiring: bool

    def fits(self, one: Held, limits: AgeLimits, at: datetime) -> bool:
        """Whether this one is."""
        if self.stale and not one.is_stale:
            return False
        if self.expiring and all(
            found.credential.id != one.credential.id for found in endings(one.identity, limits, at=at)
        ):
            return False
        return self.until is None or _ends_by(one, self.until)


async def _gather(data: Path, config: Path | None, name: str | None, wanted: _Wanted, listing: Listing) -> None:
    at = datetime.now(UTC)
    directory = existing(data)
    settings = settings_of(directory, config)
    limits = age_limits(settings, policy_there(directory, settings))
    async with identities(directory, settings) as store:
        register = Register(store)
        used = dict[str, list[Usage]]()
        for usage in await register.store.usage(None if name is None else [name]):
            used.setdefault(usage.name, []).append(usage)
        if name is not None:
            for one in held([await register.get(name)], used.get(name, []), at=at):
                if wanted.fits(one, limits, at):
                    listing.add(_record(one))
            return
        async for identity in register.everyone():
            for one in held([identity], used.get(identity.name, []), at=at):
                if one.credential.is_live(at) and wanted.fits(one, limits, at):
                    listing.add(_record(one))


def _ends_by(one: Held, until: datetime) -> bool:
    not_after = one.credential.not_after if isinstance(one.credential, CertificateCredential) else None
    return any(end is not None and end <= until for end in (one.credential.expires_at, not_after))


def _record(one: Held) -> dict[str, Any]:
    return {
        "identity": str(one.identity.name),
        **credential_record(one.credential),
        "ends": ends_at(one.credential),
        "last_used_at": time_text(one.last_used_at),
        "successor": one.successor.id if one.successor else None,
        "stale": one.is_stale,
    }


@dataclass(frozen=True, slots=True)
class _Rotation:
    """What is asked for."""

    at: datetime
    overlap: timedelta
    note: str
    out: Path
    kind: Kind | None = field(default=None)

    def kind_for(self, identity: Identity) -> Kind:
        """As asked, else as it has."""
        live = sorted(
            (item for item in identity.credentials if item.is_live(self.at)), key=lambda item: item.created_at
        )
        if self.kind is not None or not live:
            return self.kind or "password"
        return live[-1].kind


async def _rotate(
    data: Path, config: Path | None, name: str, wanted: _Rotation, place: tuple[str | None, int | None]
) -> Mapping[str, Any]:
    directory = existing(data)
    settings = settings_of(directory, config)
    async with identities(directory, settings) as store:
        register = Register(store)
        identity = await register.get(name)
        kind = wanted.kind_for(identity)
        ends = earlier_end(identity, kind, at=wanted.at, overlap=wanted.overlap)
        told = {"identity": name, "kind": kind, "earlier_end_at": time_text(ends)}
        if kind != "certificate":
            secret = await renew_secret(
                register, identity, kind, at=wanted.at, overlap=wanted.overlap, note=wanted.note
            )
            return told | {"password": secret}
        address: Address = address_of(settings, *place)
        authority = Authority.load(directory.ca_certificate, directory.ca_key)
        await rotate_certificate(
            store, authority, identity, wanted.out, address, at=wanted.at, overlap=wanted.overlap, note=wanted.note
        )
        return told | {"bundle": str(wanted.out.absolute())}


async def _revoke(data: Path, config: Path | None, name: str, ids: list[str] | None) -> None:
    async with register_of(data, config) as register:
        await register.revoke_credentials(name, ids, at=datetime.now(UTC))
