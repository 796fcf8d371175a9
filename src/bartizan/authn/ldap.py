"""A directory judges the password by a bind as the user, and says which groups the user is in.

Where the user is, is either written down (`user_dn`) or looked for (`search_base`). An empty password is refused
before anything is sent: a directory takes a bind with one for "nobody in particular" and agrees to it. Somebody whom
the search does not find is bound as nobody that exists, so that it costs the same questions as a wrong password.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bartizan.authn import ldap_wire as wire
from bartizan.authn.base import Authenticator, ConnectRequest, Denied, Proof, ProviderUnavailable
from bartizan.authn.fetch import trust
from bartizan.authn.ldap_connection import Directory, LdapConnection, LdapTrouble, Place
from bartizan.authn.outside import Provider, Tell
from bartizan.authn.vouching import Account, Vouching, given_attributes
from bartizan.config.accounts import Ldap
from bartizan.config.files import read_secret
from bartizan.config.ldap_names import Filter, Present, dn_key, fill_dn, parse_filter
from bartizan.errors import InvalidValue
from bartizan.model.ids import RoleName
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

USER_NAME_CHARS_MAX = 256
GROUPS_MAX = 1_024
ANYTHING = Present("objectClass")
NO_ATTRIBUTES = ("1.1",)
"""What asks for entries without their attributes (RFC 4511, 4.5.1.8)."""


class LdapAuthenticator:
    """Judges User Name and Password by a bind."""

    method: None = None
    takes_passwords = True

    def __init__(self, name: str, settings: Ldap, directory: Directory, vouching: Vouching, tell: Tell) -> None:
        self.name = name
        self._settings = settings
        self._directory = directory
        self._vouching = vouching
        self._provider = Provider(name, settings, tell)
        groups = (settings.group_attribute,) if settings.group_attribute else ()
        self._wanted = tuple({settings.identity_attribute, *groups, *settings.attribute_names.values()})
        self._user_filter = parse_filter(settings.search_filter, {"user_name"}) if settings.search_filter else ANYTHING
        self._group_filter = (
            parse_filter(settings.group_filter, {"user_dn", "identity"}) if settings.group_filter else ANYTHING
        )
        self._roles = {dn_key(group): roles for group, roles in settings.group_roles.items()}

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof, or `Denied` 0x86; a name that nobody has and a wrong password look alike."""
        name, password = request.user_name, request.password
        if name is None or password is None:
            return None
        if not password:
            raise _wrong("an empty password is none")
        if not 1 <= len(name) <= USER_NAME_CHARS_MAX or not name.isprintable():
            raise _wrong("no user of a directory is called so")
        account = await self._provider.ask(lambda: self._ask(name, password))
        if account is None:
            raise _wrong("the directory refuses the name and password")
        return await self._vouching.proof(account)

    async def aclose(self) -> None:
        """Closes connections."""
        self._directory.close()

    async def _ask(self, name: str, password: bytes) -> Account | None:
        try:
            if self._settings.user_dn is not None:
                return await self._by_name(fill_dn(self._settings.user_dn, name), password)
            return await self._by_search(name, password)
        except (LdapTrouble, wire.NotLdap, InvalidValue) as error:
            raise ProviderUnavailable(f"{self.name}: {error}") from None

    async def _by_name(self, dn: str, password: bytes) -> Account | None:
        async with self._as_user() as user:
            if not await user.bind(dn, password):
                return None
            found = await user.search(self._search(dn, wire.BASE, ANYTHING, self._wanted, 1), {})
            if len(found) != 1:
                raise LdapTrouble("a user may not read its own entry")
            return self._account(found[0], await self._groups(found[0], user))

    async def _by_search(self, name: str, password: bytes) -> Account | None:
        base = self._settings.search_base or ""
        wanted = self._search(base, wire.SUBTREE, self._user_filter, self._wanted, 2)
        found = await self._directory.find(wanted, {"user_name": name})
        if len(found) > 1:
            raise LdapTrouble("search_filter finds more than one entry for a User Name")
        dn = found[0].dn if found else f"cn={secrets.token_hex(8)},{base}"
        async with self._as_user() as user:
            is_right = await user.bind(dn, password)
        if not found or not is_right:
            return None
        return self._account(found[0], await self._groups(found[0], None))

    async def _groups(self, entry: wire.Entry, user: LdapConnection | None) -> list[str]:
        """The groups of an entry, as the user itself may see them or else as whoever looks for users does."""
        settings = self._settings
        if settings.group_attribute is not None:
            return wire.texts(entry.attributes.get(settings.group_attribute.lower(), ()))
        if settings.group_base is None:
            return []
        wanted = self._search(settings.group_base, wire.SUBTREE, self._group_filter, NO_ATTRIBUTES, GROUPS_MAX)
        values = {"user_dn": entry.dn, "identity": self._identity(entry)}
        found = await (self._directory.find(wanted, values) if user is None else user.search(wanted, values))
        return [group.dn for group in found]

    def _account(self, entry: wire.Entry, groups: Sequence[str]) -> Account:
        settings = self._settings
        name = self._identity(entry)
        if settings.identities == "stored":
            return Account(name)
        roles = dict.fromkeys(role for group in groups for role in self._roles.get(dn_key(group), ()))
        held = {key: _one(entry, attribute) for key, attribute in settings.attribute_names.items()}
        attributes = given_attributes({key: value for key, value in held.items() if value is not None})
        return Account(name, tuple(RoleName(role) for role in roles), attributes)

    def _identity(self, entry: wire.Entry) -> str:
        name = _one(entry, self._settings.identity_attribute)
        if name is None:
            raise LdapTrouble(f"the entry of a user has no {self._settings.identity_attribute}")
        return name

    @asynccontextmanager
    async def _as_user(self) -> AsyncIterator[LdapConnection]:
        user = await self._directory.open()
        try:
            yield user
        finally:
            user.close()

    def _search(
        self, base: str, scope: int, filter_: Filter, attributes: tuple[str, ...], entries_max: int
    ) -> wire.Search:
        return wire.Search(base, scope, filter_, attributes, entries_max, max(1, round(self._settings.deadline_s)))


def ldap_authenticators(name: str, settings: Ldap, directory: IdentityDirectory, tell: Tell) -> Sequence[Authenticator]:
    """The one that the settings describe. Reads the files of the CA and of the password."""
    account = None
    if settings.bind_dn is not None and settings.bind_password_file is not None:
        secret = read_secret(settings.bind_password_file, "the password of bind_dn")
        account = (settings.bind_dn, secret.encode())
    place = Place(
        settings.ldap_url,
        None if settings.danger_plaintext_ldap is not None else trust(settings.ca_file),
        settings.starts_tls,
    )
    asked = Directory(name, place, account, settings.concurrent_max)
    return [LdapAuthenticator(name, settings, asked, Vouching(settings, directory, "ldap"), tell)]


def _one(entry: wire.Entry, attribute: str) -> str | None:
    values = wire.texts(entry.attributes.get(attribute.lower(), ()))
    if len(values) > 1:
        raise LdapTrouble(f"{attribute} of a user's entry has more than one value")
    return values[0] if values else None


def _wrong(why: str) -> Denied:
    return Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, why)
