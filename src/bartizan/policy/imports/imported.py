"""What an import gives: a policy, identities, and every difference."""

from dataclasses import dataclass, field

from bartizan.errors import ConfigurationError, InvalidValue
from bartizan.model.difference import Difference
from bartizan.model.ids import IdentityName
from bartizan.model.principal import ANONYMOUS_ROLE
from bartizan.policy.contract import Role

CLIENT_IDS = (
    "here it is the identity's name, or begins with it and a `-`, unless client_id of its role says otherwise; others are "
    "refused with 0x87"
)
"""What becomes of Client Identifiers that clients choose: other brokers tie them to nobody."""


class UnreadableLine(ConfigurationError):  # noqa: N818  the name says what happened, as in `errors`
    """A line that the other broker would refuse too, or reads in a way that nobody can mean."""

    def __init__(self, what: str, file: str, line: int, fix: str) -> None:
        super().__init__(what, f"{file}:{line}", fix)


@dataclass(frozen=True, slots=True)
class ImportedIdentity:
    """Someone who may connect there, with what proves it there."""

    name: str
    roles: tuple[str, ...]
    password_hash: str = field(default="", repr=False)
    """As the other broker keeps it; empty: there is none."""

    enabled: bool = True
    note: str = ""
    place: str = ""

    @property
    def scheme(self) -> str:
        """How the password is hashed: `6`, `7`, `argon2id`; empty without one."""
        return self.password_hash.split("$")[1] if self.password_hash else ""


@dataclass(frozen=True, slots=True)
class Imported:
    """The whole: roles, who has them, and what is different."""

    roles: tuple[Role, ...]
    identities: tuple[ImportedIdentity, ...]
    differences: tuple[Difference, ...]


def why_no_name(user: str) -> str:
    """Why no identity can have this user's name; empty if one can."""
    if user == ANONYMOUS_ROLE:
        return f"the name {user!r} means who presents nothing"
    try:
        IdentityName.parse(user)
    except InvalidValue as error:
        return str(error)
    return ""
