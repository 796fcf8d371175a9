"""Which Client Identifiers an identity may use: its own name, or its name, `-` and more.

Of two identities `press` and `press-01`, `press-01` and `press-01-x` belong to the longer name:
a Client Identifier belongs to the identity with the longest name that fits, and to no other.
"""

from bartizan.authn.base import Denied, Proof
from bartizan.errors import InvalidValue
from bartizan.model.ids import NAME_CHARS_MAX, ClientId
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

SEPARATOR = "-"


def in_namespace(client_id: str, name: str) -> bool:
    """Whether `client_id` is `name`, or `name`, `-` and more."""
    return client_id == name or client_id.startswith(name + SEPARATOR)


def possible_owners(client_id: str) -> list[str]:
    """Every name in whose namespace a Client Identifier lies, shortest first; bounded by the longest name."""
    head = client_id[: NAME_CHARS_MAX + 1]
    owners = [head[:at] for at, char in enumerate(head) if char == SEPARATOR and at]
    if len(client_id) <= NAME_CHARS_MAX:
        owners.append(client_id)
    return owners


async def bind_client_id(proof: Proof, client_id: str, directory: IdentityDirectory) -> str | None:
    """Refuses a Client Identifier that is not the principal's; for an empty one, the prefix to assign."""
    name = proof.principal.identity
    if not client_id:
        return name + SEPARATOR
    if not proof.may_use_any_client_id:
        if not in_namespace(client_id, name):
            raise Denied(
                ReasonCode.NOT_AUTHORIZED,
                f"the Client Identifier is neither {name!r} nor begins with {name + SEPARATOR!r}",
            )
        try:
            ClientId.parse(client_id)
        except InvalidValue as error:
            raise Denied(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, str(error)) from None
    rivals = [owner for owner in possible_owners(client_id) if proof.may_use_any_client_id or len(owner) > len(name)]
    taken = await directory.known(rivals)
    if taken:
        raise Denied(ReasonCode.NOT_AUTHORIZED, f"the Client Identifier belongs to {max(taken, key=len)!r}")
    return None
