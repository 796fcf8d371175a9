"""Adds, changes and removes identities. Time comes in as an argument (I1 holds here as well)."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.passwords import generate_secret, hash_password
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential
from bartizan.model.ids import AttributeName, IdentityName, RoleName, parse_attribute_value
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.ports import Create, IdentityStore, Remove, Replace

RESERVED: Final = frozenset({"anonymous"})
"""Names that mean something else in logs and policy."""


def new_identity(
    name: str,
    *,
    at: datetime,
    roles: Sequence[str] = (),
    attributes: Mapping[str, str] | None = None,
    note: str = "",
) -> Identity:
    """An identity not yet stored, from plain text; `InvalidValue` for a bad name, role or attribute."""
    parsed = IdentityName.parse(name)
    if parsed in RESERVED:
        raise InvalidValue(f"the name {name!r} is reserved")
    return Identity(
        name=parsed,
        created_at=at,
        roles=tuple(dict.fromkeys(RoleName.parse(role) for role in roles)),
        attributes=tuple(
            sorted(
                (AttributeName.parse(key), parse_attribute_value(value)) for key, value in (attributes or {}).items()
            )
        ),
        note=note,
    )


def password_credential(password: str, *, at: datetime, must_change: bool = False) -> PasswordCredential:
    """A password as it is kept."""
    return PasswordCredential(id=_credential_id(), hash=hash_password(password), created_at=at, must_change=must_change)


def certificate_credential(
    *, fingerprint_sha256: str, serial_hex: str, not_after: datetime, at: datetime
) -> CertificateCredential:
    """A certificate as it is kept."""
    return CertificateCredential(
        id=_credential_id(),
        fingerprint_sha256=fingerprint_sha256,
        serial_hex=serial_hex,
        created_at=at,
        not_after=not_after,
    )


def _credential_id() -> str:
    return secrets.token_hex(8)


class Register:
    """The identities of one store."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def add(self, identity: Identity) -> Identity:
        """Stores a new identity with its credentials; `AlreadyExists` if the name is taken."""
        revision = await self._store.commit([Create(identity)])
        return replace(identity, revision=revision)

    async def get(self, name: str) -> Identity:
        """The identity, or `NotFound`."""
        identity = await self._store.get(name)
        if identity is None:
            raise NotFound(f"there is no identity {name!r}")
        return identity

    async def add_credential(self, name: str, credential: Credential) -> Identity:
        """Adds a credential beside those that are there."""
        identity = await self.get(name)
        return await self._write(replace(identity, credentials=(*identity.credentials, credential)))

    async def set_password(self, name: str, password: str, *, at: datetime) -> Identity:
        """Makes this the only password: one-time secrets and older passwords end."""
        identity = await self.get(name)
        others = tuple(item for item in identity.credentials if not isinstance(item, PasswordCredential))
        return await self._write(replace(identity, credentials=(*others, password_credential(password, at=at))))

    async def reset_password(self, name: str, *, at: datetime) -> str:
        """Replaces all passwords by a generated one, returned this once."""
        secret = generate_secret()
        await self.set_password(name, secret, at=at)
        return secret

    async def set_state(self, name: str, state: IdentityState) -> Identity:
        """Enables or disables."""
        return await self._write(replace(await self.get(name), state=state))

    async def revoke_certificate(self, name: str, fingerprint_sha256: str, *, at: datetime) -> Identity:
        """Ends one certificate; `NotFound` if the identity has none of this fingerprint."""
        identity = await self.get(name)
        credentials = tuple(
            replace(item, revoked_at=at)
            if isinstance(item, CertificateCredential) and item.fingerprint_sha256 == fingerprint_sha256
            else item
            for item in identity.credentials
        )
        if credentials == identity.credentials:
            raise NotFound(f"identity {name!r} has no certificate {fingerprint_sha256}")
        return await self._write(replace(identity, credentials=credentials))

    async def remove(self, name: str) -> None:
        """Removes the identity: its certificates and passwords prove nothing any more."""
        await self._store.commit([Remove(IdentityName(name))])

    async def _write(self, identity: Identity) -> Identity:
        revision = await self._store.commit([Replace(identity)])
        return replace(identity, revision=revision)
