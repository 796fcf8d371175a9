"""Enrolment: an identity, what proves it, and the bundle its client gets. All three, or none."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from bartizan.errors import AlreadyExists
from bartizan.identity.passwords import generate_secret
from bartizan.identity.register import Register, certificate_credential, password_credential
from bartizan.model.credential import CertificateCredential, Credential
from bartizan.model.principal import Identity
from bartizan.pki.bundle import Bundle, write_bundle
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
    credential = _issue(authority, identity, out, address, at=at)
    return await _store(store, identity, credential, Enrolled(identity, out))


async def rotate_certificate(  # noqa: PLR0913  as `enrol_device`, and how the old one ends
    store: IdentityStore,
    authority: Authority,
    identity: Identity,
    out: Path,
    address: Address,
    *,
    at: datetime,
    overlap: timedelta,
    note: str = "",
) -> Identity:
    """A further certificate, in a bundle of its own; earlier ones prove the identity for `overlap` still."""
    credential = _issue(authority, identity, out, address, at=at, note=note)
    try:
        return await Register(store).rotate(identity.name, credential, at=at, overlap=overlap)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


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


def _issue(
    authority: Authority, identity: Identity, out: Path, address: Address, *, at: datetime, note: str = ""
) -> CertificateCredential:
    """A certificate, its bundle, and what is recorded of it."""
    issued = issue_client_certificate(authority, identity.name, at=at)
    bundle = Bundle(
        identity.name,
        address.host,
        address.port,
        certificate=f"{identity.name}.crt",
        key=f"{identity.name}.key",
    )
    write_bundle(out, bundle, certificate_pem(authority.certificate), issued)
    return certificate_credential(
        fingerprint_sha256=issued.fingerprint_sha256,
        serial_hex=issued.serial_hex,
        not_after=issued.not_after,
        at=at,
        note=note,
    )


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
