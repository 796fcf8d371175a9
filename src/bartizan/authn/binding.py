"""Which Client Identifiers and User Names an identity may use: what its roles say; and no Client Identifier of another's.

Of two identities `press` and `press-01`, `press-01` and `press-01-x` belong to the longer name:
a Client Identifier belongs to the identity with the longest name that fits, and to no other.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from bartizan.authn.base import Called, Certificate, ConnectRequest, Denied, Proof
from bartizan.errors import InvalidValue
from bartizan.model.ids import NAME_CHARS_MAX, ClientId
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode
from bartizan.policy.naming import DEFAULT, IDENTITY, SEPARATOR, Named, admits, in_namespace, is_assigned
from bartizan.store.ports import IdentityDirectory


class Names(Protocol):
    """What the policy in force says about names, and how old what proves them may be; `CompiledPolicy` is one."""

    def client_ids(self, roles: Iterable[str], /) -> tuple[str, ...]:
        """Which Client Identifiers an identity of these roles may use."""
        ...

    def user_names(self, roles: Iterable[str], /) -> tuple[str, ...]:
        """Which User Names it may present, whatever proves it."""
        ...

    def credential_days_max(self, roles: Iterable[str], /) -> Mapping[str, int]:
        """How many days old its credentials may become, by kind, as far as its roles say."""
        ...


class OwnNames:
    """What holds where no policy says anything: an identity's own name, and what begins with it and a `-`."""

    def client_ids(self, _roles: Iterable[str], /) -> tuple[str, ...]:
        """See `Names`."""
        return DEFAULT

    def user_names(self, _roles: Iterable[str], /) -> tuple[str, ...]:
        """See `Names`."""
        return DEFAULT

    def credential_days_max(self, _roles: Iterable[str], /) -> Mapping[str, int]:
        """See `Names`."""
        return {}


def possible_owners(client_id: str) -> list[str]:
    """Every name in whose namespace a Client Identifier lies, shortest first; bounded by the longest name."""
    head = client_id[: NAME_CHARS_MAX + 1]
    owners = [head[:at] for at, char in enumerate(head) if char == SEPARATOR and at]
    if len(client_id) <= NAME_CHARS_MAX:
        owners.append(client_id)
    return owners


def named(principal: Principal, certificate: Certificate | None) -> Named:
    """Whose names are asked for. A certificate counts that proved who it is, alone or with something else."""
    proved = certificate if "certificate" in principal.method.split("+") else None
    of_certificate = (
        frozenset({*proved.san_dns, *proved.san_uris, *proved.san_emails, *filter(None, [proved.common_name])})
        if proved is not None
        else frozenset[str]()
    )
    return Named(principal.identity, dict(principal.attributes), of_certificate)


def check_user_name(proof: Proof, request: ConnectRequest, names: Names) -> None:
    """Refuses a User Name that the principal's roles do not admit, whatever proved who it is."""
    # Who has no name of its own, as `anonymous`, has no User Name of its own either.
    if request.user_name is None or proof.user_name is Called.ANYTHING or proof.may_use_any_client_id:
        return
    namings = names.user_names(proof.principal.roles)
    if proof.user_name is Called.ACCOUNT and IDENTITY in namings:
        return
    if not admits(namings, request.user_name, named(proof.principal, request.certificate)):
        why = f"the User Name is none that {proof.principal.identity!r} may use ({', '.join(namings)})"
        raise Denied(ReasonCode.NOT_AUTHORIZED, why)


async def bind_client_id(
    proof: Proof, request: ConnectRequest, directory: IdentityDirectory, names: Names
) -> str | None:
    """Refuses a Client Identifier that is not the principal's; for an empty one, the prefix to assign."""
    name, client_id = proof.principal.identity, request.client_id
    if not client_id:
        return name + SEPARATOR
    if not proof.may_use_any_client_id and not request.again:
        _check(proof.principal, request, names)
    is_own = not proof.may_use_any_client_id and in_namespace(client_id, name)
    # Of two names that it lies in, the longer one has it.
    rivals = [owner for owner in possible_owners(client_id) if owner != name and (not is_own or len(owner) > len(name))]
    taken = await directory.known(rivals)
    if taken:
        raise Denied(ReasonCode.NOT_AUTHORIZED, f"the Client Identifier belongs to {max(taken, key=len)!r}")
    return None


def _check(principal: Principal, request: ConnectRequest, names: Names) -> None:
    namings = names.client_ids(principal.roles)
    if is_assigned(namings):
        why = "its roles have the broker assign Client Identifiers: it must send none"
        raise Denied(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, why)
    if not admits(namings, request.client_id, named(principal, request.certificate)):
        why = f"the Client Identifier is none that {principal.identity!r} may use ({', '.join(namings)})"
        raise Denied(ReasonCode.NOT_AUTHORIZED, why)
    try:
        ClientId.parse(request.client_id)
    except InvalidValue as error:
        raise Denied(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, str(error)) from None
