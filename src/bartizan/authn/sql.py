"""User Names and hashes of passwords in a database of the operator's own: one query, one row, nothing written.

The password itself is judged here and sent nowhere. A name that the query does not find costs the same hashes as a
wrong password (`verification`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bartizan.authn.base import Authenticator, ConnectRequest, Denied, Proof, ProviderUnavailable
from bartizan.authn.outside import Provider, Tell
from bartizan.authn.rows import Row, Rows, parameters, rows_of
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.authn.verification import Verification
from bartizan.authn.vouching import Account, Vouching, given_attributes, given_roles
from bartizan.config.accounts import Sql
from bartizan.errors import InvalidValue
from bartizan.identity import hashes
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

ASKED_CHARS_MAX = 1_024
"""A longer User Name is nobody's: the database is not asked for it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a row says."""

    account: Account
    hash: str | None = field(repr=False)


class SqlAuthenticator:
    """Judges User Name and Password by a row."""

    method: None = None
    takes_passwords = True

    def __init__(self, name: str, settings: Sql, rows: Rows, vouching: Vouching, tell: Tell) -> None:
        self.name = name
        self._settings = settings
        self._asks_by = parameters(settings.query)
        self._rows = rows
        self._vouching = vouching
        self._provider = Provider(name, settings, tell)
        self._verification = Verification()

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof, or `Denied` 0x86; the two kinds of wrong look alike."""
        if request.user_name is None or request.password is None:
            return None
        values = {"user_name": request.user_name, "client_id": request.client_id}
        known = None
        if all(len(value) <= ASKED_CHARS_MAX and "\0" not in value for value in values.values()):
            asked = {name: value for name, value in values.items() if name in self._asks_by}
            known = await self._provider.ask(lambda: self._find(asked))
        stored = [known.hash] if known is not None and known.hash is not None else []
        found = await self._verification.matching(stored, request.password)
        if known is None or found is None:
            raise Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, _why(known))
        return await self._vouching.proof(known.account)

    async def aclose(self) -> None:
        """Closes connections."""
        await self._rows.aclose()

    async def _find(self, asked: Mapping[str, str]) -> Stored | None:
        rows = await self._rows.find(asked)
        try:
            return self._read(rows)
        except (NotStrict, InvalidValue) as error:
            raise ProviderUnavailable(f"{self.name}: the query's answer cannot be used: {error}") from None

    def _read(self, rows: Sequence[Row]) -> Stored | None:
        if not rows:
            return None
        if len(rows) > 1:
            raise InvalidValue("more than one row for one User Name")
        row = rows[0]
        for column in ("identity", "hash"):
            if column not in row:
                raise InvalidValue(f"it has no column {column!r}")
        name, hash_ = row["identity"], row["hash"]
        if not isinstance(name, str) or not (hash_ is None or isinstance(hash_, str)):
            raise InvalidValue("`identity` and `hash` have to be texts")
        if self._settings.identities == "stored":
            return Stored(Account(name), hash_)
        roles = given_roles(self._settings.roles_allowed, _roles(row.get("roles")))
        return Stored(Account(name, roles, given_attributes(_attributes(row.get("attributes")))), hash_)


def sql_authenticators(name: str, settings: Sql, directory: IdentityDirectory, tell: Tell) -> Sequence[Authenticator]:
    """The one that the settings describe. Connects when it is first asked."""
    return [SqlAuthenticator(name, settings, rows_of(name, settings), Vouching(settings, directory, "sql"), tell)]


def _why(known: Stored | None) -> str:
    if known is None:
        return "no such account"
    if known.hash is not None and hashes.shape(known.hash) is None:
        return "the account's hash is of no kind that can be checked"
    return "wrong password" if known.hash is not None else "the account has no password"


def _roles(said: Any) -> list[str]:  # noqa: ANN401  whatever a database holds
    """A list of texts (PostgreSQL's `text[]`), a JSON list in a text, or texts with spaces between them."""
    if said is None:
        return []
    if isinstance(said, str) and said.lstrip().startswith("["):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            raise InvalidValue("`roles` is no list") from None
    listed = said.split() if isinstance(said, str) else said
    if not isinstance(listed, list) or not all(isinstance(role, str) for role in listed):
        raise InvalidValue("`roles` is no list of texts")
    return listed


def _attributes(said: Any) -> dict[str, str]:  # noqa: ANN401  likewise
    """A JSON object of texts; what is null in it is not there."""
    if said is None:
        return {}
    found = strict_object(said.encode()) if isinstance(said, str) else said
    if not isinstance(found, dict):
        raise InvalidValue("`attributes` is no JSON object")
    held = {name: value for name, value in found.items() if value is not None}
    if not all(isinstance(value, str) for value in held.values()):
        raise InvalidValue("`attributes` is no JSON object of texts")
    return held
