"""Puts imported identities into a data directory's store: all of them, or none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from bartizan.cli.opening import existing, identities, settings_of
from bartizan.identity.register import new_identity
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Identity, IdentityState
from bartizan.policy.imports import ImportedIdentity
from bartizan.store.ports import Create


async def add_identities(data: Path, found: Sequence[ImportedIdentity], *, at: datetime) -> None:
    """One transaction; `AlreadyExists` if one of the names is taken."""
    directory = existing(data)
    async with identities(directory, settings_of(directory, None)) as store:
        await store.commit([Create(stored(each, at=at)) for each in found])


def stored(found: ImportedIdentity, *, at: datetime) -> Identity:
    """The identity as it is kept: a hash of another broker is kept as it is read."""
    identity = new_identity(found.name, at=at, roles=found.roles, note=found.note)
    credentials = (
        (PasswordCredential(id=token_hex(8), hash=found.password_hash, created_at=at),) if found.password_hash else ()
    )
    state = IdentityState.ENABLED if found.enabled else IdentityState.DISABLED
    return replace(identity, credentials=credentials, state=state)
