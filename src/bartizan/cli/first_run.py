"""What `bartizan up` makes in an empty data directory, and keeps fresh in one that is there.

Every step looks first whether it is done, and every file is written whole or not at all: a first run
that was cut short is completed by the next. The mark `.complete` is written last; from then on
nothing that clients depend on (CA, identities, policy) is ever made anew, only renewed.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from bartizan.cli.opening import identities, trail_of
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError, NotFound, StoreUnavailable
from bartizan.identity.passwords import generate_secret
from bartizan.identity.register import Register, new_identity, password_credential
from bartizan.pki.bundle import DESCRIPTION
from bartizan.pki.ca import Authority
from bartizan.pki.crl import ensure_crl
from bartizan.pki.enrolment import Address, enrol_device
from bartizan.pki.files import DIRECTORY, PRIVATE, make_directory, write_durably
from bartizan.pki.server import ensure_server_certificate
from bartizan.policy import default_policy_text
from bartizan.store.ports import IdentityStore

ADMINISTRATOR = "admin"
DEMO = (("press-01", "press"), ("dash-01", "dashboard"))
"""The demo identities and their roles in the default policy, both of the site chicago."""

DEMO_SITE = "chicago"
TEMPLATE = "first_run.toml"
DEFAULT_ADDRESS = Address("localhost", 8883)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data directory that is ready."""

    data: DataDirectory
    ca_fingerprint: str
    first: bool
    """Whether this run made it."""
    administrator_secret: str | None = field(default=None, repr=False)
    """Shown once, after the first run; only its hash is kept."""
    server_certificate_renewed: bool = False


async def prepare(
    root: Path,
    *,
    at: datetime,
    names: Sequence[str] = (),
    address: Address = DEFAULT_ADDRESS,
    settings: Settings | None = None,
) -> Prepared:
    """Makes, completes or refreshes a data directory. `names` are further names of this server.

    Identities that several brokers share belong to all of them: nothing there is made anew, and no demo is added.
    """
    data = DataDirectory(Path.cwd() / root)
    first = not data.first_run_mark.exists()
    if first:
        _refuse_foreign(data)
    make_directory(data.root)
    if first:
        data.root.chmod(DIRECTORY)
    with _alone(data):
        make_directory(data.pki)
        if first and not data.ca_certificate.exists():
            name = f"Bartizan CA {os.uname().nodename[:40]}"
            with trail_of(data, settings or Settings()).changing("ca.create", f"ca/{name}"):
                Authority.create(data.ca_certificate, data.ca_key, name=name, at=at)
        authority = Authority.load(data.ca_certificate, data.ca_key)
        renewed = ensure_server_certificate(data, authority, at=at, names=names)
        secret = None
        async with identities(data, settings or Settings()) as store:
            shared = settings is not None and settings.store.identities is not None
            if first:
                _write_texts(data)
                if not shared or await store.get(ADMINISTRATOR) is None:
                    secret = await _make_administrator(store, at)
                if not shared:
                    await _make_demo(store, data, authority, address, at)
            ensure_crl(data, authority, await store.revoked_certificates(), at=at)
        if first:
            write_durably(data.first_run_mark, at.isoformat().encode() + b"\n", PRIVATE)
    return Prepared(data, authority.fingerprint, first, secret, server_certificate_renewed=renewed and not first)


def _refuse_foreign(data: DataDirectory) -> None:
    """A directory with other things in it is not made ours, and not closed to others by us."""
    ours = {
        data.pki.name,
        data.configuration.name,
        data.policy.name,
        data.demo.name,
        data.identities.name,
        data.store.name,
        data.audit.name,
    }
    try:
        entries = [entry.name for entry in data.root.iterdir()]
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise ConfigurationError(
            "the data directory is a file", str(data.root), "name a directory with --data"
        ) from None
    except PermissionError:
        raise ConfigurationError(
            "the data directory may not be read", str(data.root), "correct its owner, or use --data"
        ) from None
    foreign = [name for name in entries if name not in ours and not name.startswith((".", data.identities.name))]
    if foreign:
        raise ConfigurationError(
            f"the directory holds other things ({', '.join(sorted(foreign)[:3])})",
            str(data.root),
            "name an empty directory with --data",
        )


@contextmanager
def _alone(data: DataDirectory) -> Iterator[None]:
    descriptor = os.open(data.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreUnavailable(f"another process is setting up {data.root}: wait for it") from None
    finally:
        os.close(descriptor)


def _write_texts(data: DataDirectory) -> None:
    if not data.policy.exists():
        write_durably(data.policy, default_policy_text().encode(), PRIVATE)
    if not data.configuration.exists():
        write_durably(data.configuration, files("bartizan.config").joinpath(TEMPLATE).read_bytes(), PRIVATE)


async def _make_administrator(store: IdentityStore, at: datetime) -> str:
    """The administrator with a one-time secret; a new secret if an earlier run made one nobody saw."""
    register = Register(store)
    if await store.get(ADMINISTRATOR) is not None:
        await register.remove(ADMINISTRATOR)
    secret = generate_secret()
    identity = new_identity(ADMINISTRATOR, at=at, roles=["admin"], note="made by the first run")
    await register.add(identity)
    await register.add_credential(ADMINISTRATOR, password_credential(secret, at=at, must_change=True))
    return secret


async def _make_demo(
    store: IdentityStore, data: DataDirectory, authority: Authority, address: Address, at: datetime
) -> None:
    make_directory(data.demo)
    for name, role in DEMO:
        bundle = data.demo / name
        if (bundle / DESCRIPTION).exists() and await store.get(name) is not None:
            continue
        shutil.rmtree(bundle, ignore_errors=True)
        with suppress(NotFound):
            await Register(store).remove(name)
        identity = new_identity(
            name, at=at, roles=[role], attributes={"site": DEMO_SITE}, note="demo identity of the first run"
        )
        await enrol_device(store, authority, identity, bundle, address, at=at)
