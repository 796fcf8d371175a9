"""What somebody outside says of an account, once it is known to be his word -> a proof, or a refusal."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bartizan.authn.base import Called, Denied, Proof
from bartizan.authn.binding import possible_owners
from bartizan.config.accounts import Accounts
from bartizan.errors import InvalidValue
from bartizan.identity.register import RESERVED
from bartizan.model.ids import AttributeName, IdentityName, RoleName, parse_attribute_value
from bartizan.model.principal import Factor, Principal
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

ATTRIBUTES_MAX = 64
PASSWORD = frozenset({Factor.PASSWORD})


@dataclass(frozen=True, slots=True)
class Account:
    """Whom they know; roles that they may give, and attributes, count where the answer alone says who it is."""

    name: str
    roles: tuple[RoleName, ...] = ()
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    lasts_s: int | None = None


def given_roles(allowed: Iterable[str], given: Iterable[str]) -> tuple[RoleName, ...]:
    """Those of the roles given that may be given."""
    named = set(given)
    return tuple(RoleName(role) for role in allowed if role in named)


def given_attributes(given: Mapping[str, str]) -> tuple[tuple[AttributeName, str], ...]:
    """Attributes in order of name; `InvalidValue` for what cannot be one."""
    if len(given) > ATTRIBUTES_MAX:
        raise InvalidValue(f"an account has at most {ATTRIBUTES_MAX} attributes, not {len(given)}")
    return tuple((AttributeName.parse(name), parse_attribute_value(value)) for name, value in sorted(given.items()))


class Vouching:
    """Makes proofs of accounts; `method` is the word by which such a connection is known."""

    def __init__(
        self,
        settings: Accounts,
        directory: IdentityDirectory,
        method: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._method = method
        self._now = now

    async def proof(self, account: Account, factors: frozenset[Factor] = PASSWORD) -> Proof:
        """Who it is, for at most `session_max_s`."""
        settings, now = self._settings, self._now()
        name = self._name(account.name)
        lasts_s = min(settings.session_max_s, account.lasts_s or settings.session_max_s)
        expires_at = now + timedelta(seconds=lasts_s)
        identity = await self._directory.get(name)
        if settings.identities == "answer":
            # Else whoever answers could make anyone one of ours, or give them a Client Identifier that is theirs.
            taken = await self._directory.known(possible_owners(name))
            if identity is not None or taken:
                raise _refuse(
                    f"{name!r} is the name of, or belongs to, the identity store's {max(taken, default=name)!r}"
                )
            principal = Principal(name, account.roles, account.attributes, self._method)
        elif identity is None:
            raise _refuse(f"{name!r} is no identity")
        elif refusal := identity.refusal(now):
            raise _refuse(refusal)
        else:
            principal = identity.principal(self._method)
        return Proof(
            principal,
            expires_at,
            managed=identity is not None,
            user_name=Called.ACCOUNT,
            remembered_s=settings.remembered_s,
            factors=factors,
        )

    def _name(self, said: str) -> IdentityName:
        try:
            name = IdentityName.parse(self._settings.identity_prefix + said)
        except InvalidValue as error:
            raise _refuse(str(error)) from None
        if name in RESERVED:
            raise _refuse(f"the name {name!r} is reserved")
        return name


def _refuse(why: str) -> Denied:
    return Denied(ReasonCode.NOT_AUTHORIZED, why)
