"""Adds, changes and removes identities. Time comes in as an argument (I1 holds here as well)."""

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.passwords import generate_secret, hash_password
from bartizan.identity.rotation import revoked, rotated
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import (
    AttributeName,
    GroupName,
    IdentityName,
    RoleName,
    parse_attribute_value,
    parse_remark,
)
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.ports import (
    Create,
    CreateGroup,
    IdentityStore,
    Order,
    Place,
    Remove,
    RemoveGroup,
    Replace,
    ReplaceGroup,
)

RESERVED: Final = frozenset({"anonymous"})
"""Names that mean something else in logs and policy."""

PAGE = 1_000
"""Identities read at once."""


def new_identity(  # noqa: PLR0913  every word that people give one
    name: str,
    *,
    at: datetime,
    roles: Sequence[str] = (),
    groups: Sequence[str] = (),
    attributes: Mapping[str, str] | None = None,
    owner: str = "",
    note: str = "",
) -> Identity:
    """An identity not yet stored, from plain text; `InvalidValue` for a bad name, role, group or attribute."""
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
        groups=tuple(dict.fromkeys(GroupName.parse(group) for group in groups)),
        owner=parse_remark(owner),
        note=parse_remark(note),
    )


def new_group(name: str, *, at: datetime, roles: Sequence[str] = (), note: str = "") -> Group:
    """A group not yet stored, from plain text."""
    return Group(
        name=GroupName.parse(name),
        created_at=at,
        roles=tuple(dict.fromkeys(RoleName.parse(role) for role in roles)),
        note=parse_remark(note),
    )


def password_credential(
    password: str, *, at: datetime, must_change: bool = False, note: str = ""
) -> PasswordCredential:
    """A password as it is kept."""
    return PasswordCredential(
        id=credential_id(), hash=hash_password(password), created_at=at, must_change=must_change, note=note
    )


def certificate_credential(
    *, fingerprint_sha256: str, serial_hex: str, not_after: datetime, at: datetime, note: str = ""
) -> CertificateCredential:
    """A certificate as it is kept."""
    return CertificateCredential(
        id=credential_id(),
        fingerprint_sha256=fingerprint_sha256,
        serial_hex=serial_hex,
        created_at=at,
        not_after=not_after,
        note=note,
    )


def credential_id() -> str:
    """A name for a credential that nobody else has."""
    return secrets.token_hex(8)


class Register:
    """The identities of one store."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    @property
    def store(self) -> IdentityStore:
        """Where they are kept."""
        return self._store

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
        return await self.change(name, lambda now: replace(now, credentials=(*now.credentials, credential)))

    async def change(self, name: str, change: Callable[[Identity], Identity]) -> Identity:
        """Writes what `change` makes of the identity; `Conflict` if someone else wrote it meanwhile."""
        before = await self.get(name)
        after = change(before)
        return before if after == before else await self.write(after)

    async def rotate(self, name: str, *new: Credential, at: datetime, overlap: timedelta) -> Identity:
        """Adds credentials; those of their kinds prove the identity for `overlap` still."""
        return await self.change(name, lambda now: rotated(now, *new, at=at, overlap=overlap))

    async def revoke_credentials(self, name: str, ids: Collection[str] | None, *, at: datetime) -> Identity:
        """Ends credentials now, or all of them; `NotFound` names one that the identity has not."""
        return await self.change(name, lambda now: revoked(now, ids, at=at))

    async def set_password(
        self, name: str, password: str, *, at: datetime, kept_as: Sequence[Credential] = ()
    ) -> Identity:
        """Makes this the only password: one-time secrets, older passwords and SCRAM keys end.

        `kept_as`: what is kept of it, if that is not just a hash.
        """
        identity = await self.get(name)
        new = tuple(kept_as) or (password_credential(password, at=at),)
        others = tuple(
            item for item in identity.credentials if not isinstance(item, PasswordCredential | ScramCredential)
        )
        return await self.write(replace(identity, credentials=(*others, *new)))

    async def reset_password(self, name: str, *, at: datetime) -> str:
        """Replaces all passwords by a generated one, returned this once."""
        secret = generate_secret()
        await self.set_password(name, secret, at=at)
        return secret

    async def set_state(self, name: str, state: IdentityState) -> Identity:
        """Puts it into this state; a quarantine lasts until it is enabled."""
        return await self.change(name, lambda now: replace(now.out_of_quarantine(), state=state))

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
        return await self.write(replace(identity, credentials=credentials))

    async def remove(self, name: str) -> None:
        """Removes the identity: its certificates and passwords prove nothing any more."""
        await self._store.commit([Remove(IdentityName(name))])

    async def group(self, name: str) -> Group:
        """The group, or `NotFound`."""
        found = next((group for group in await self._store.groups() if group.name == name), None)
        if found is None:
            raise NotFound(f"there is no group {name!r}")
        return found

    async def add_group(self, group: Group) -> Group:
        """Stores a new group; `AlreadyExists` if the name is taken."""
        return replace(group, revision=await self._store.commit([CreateGroup(group)]))

    async def change_group(
        self,
        name: str,
        change: Callable[[Group], Group],
        members: Sequence[Replace] = (),
        *,
        meets: Callable[[Group], None] | None = None,
    ) -> Group:
        """Writes what `change` makes of the group, and its members, in one transaction.

        `meets` raises if it is not the group that was meant; `Conflict` if someone else wrote it since.
        """
        before = await self.group(name)
        if meets is not None:
            meets(before)
        after = change(before)
        # Written also as it was: the store refuses it then if it is another one by now.
        is_written = after != before or meets is not None
        changes = [*([ReplaceGroup(after)] if is_written else []), *members]
        return replace(after, revision=await self._store.commit(changes)) if changes else before

    async def members(self, name: str) -> list[Identity]:
        """Who is in the group, in order of name."""
        return [identity async for identity in self.everyone() if name in identity.groups]

    async def remove_group(
        self, name: str, *, with_members: bool = False, meets: Callable[[Group], None] | None = None
    ) -> int:
        """Removes a group, taking its members out of it if so told; how many there were. `meets` as of a change."""
        group = await self.group(name)
        if meets is not None:
            meets(group)
        members = await self.members(name) if with_members else []
        taken = [replace(one, groups=tuple(other for other in one.groups if other != name)) for one in members]
        unmoved = [] if meets is None else [ReplaceGroup(group)]
        await self._store.commit([*unmoved, *map(Replace, taken), RemoveGroup(group.name)])
        return len(members)

    async def everyone(self) -> AsyncIterator[Identity]:
        """Every identity, in order of name."""
        after = ""
        while page := await self._store.page(after, PAGE):
            for identity in page:
                yield identity
            after = page[-1].name

    async def in_order(self, order: Order, behind: Place | None = None) -> AsyncIterator[Identity]:
        """Every identity, or those behind a place, in this order."""
        while page := await self._store.in_order(order, behind, PAGE):
            for identity in page:
                yield identity
            behind = order.place(page[-1])

    async def write(self, identity: Identity) -> Identity:
        """Writes the identity, changed or not; `Conflict` if someone else wrote it meanwhile."""
        revision = await self._store.commit([Replace(identity)])
        return replace(identity, revision=revision)
