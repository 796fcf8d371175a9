"""What a token says, once it is known to be genuine: for whom, until when, who that is, and what it may."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bartizan.authn.base import Called, Denied, Proof
from bartizan.authn.binding import possible_owners
from bartizan.config.authenticators import Claims
from bartizan.errors import InvalidValue
from bartizan.identity.register import RESERVED
from bartizan.model.ids import AttributeName, IdentityName, RoleName, parse_attribute_value
from bartizan.model.principal import Factor, IdentityState, Principal
from bartizan.model.reason import ReasonCode
from bartizan.model.token_grant import TokenGrants, parse_token_grants
from bartizan.store.ports import IdentityDirectory

SECONDS_MAX = 253_402_300_799 - 86_400
"""The end of the year 9999, but for a day of leeway: later dates are no dates here."""

TOKEN = frozenset({Factor.TOKEN})


def refuse(why: str) -> Denied:
    """A token that does not hold: it was one, so nobody need try it as a password."""
    return Denied(ReasonCode.NOT_AUTHORIZED, why, conclusive=True)


def claim_at(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """The claim of this name, or, for `a.b`, `b` in the claim `a`; None if there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, 2)."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refuse(f"the token's {name} is no date")
    if not 0 <= value <= SECONDS_MAX:
        raise refuse(f"the token's {name} is out of range")
    return float(value)


def check_dates(claims: Mapping[str, Any], leeway_s: int, now: datetime) -> float | None:
    """When the token ends, as it says; refused if that is past, or if it has not begun."""
    at = now.timestamp()
    begins, ends = seconds(claims, "nbf"), seconds(claims, "exp")
    if begins is not None and at < begins - leeway_s:
        raise refuse("the token is not valid yet")
    if ends is not None and at >= ends + leeway_s:
        raise refuse("the token has expired")
    return ends


def check_audience(claims: Mapping[str, Any], audience: tuple[str, ...]) -> None:
    """Refused if it is for somebody else."""
    said = claims.get("aud")
    named = [said] if isinstance(said, str) else said
    if not isinstance(named, list) or not any(isinstance(name, str) and name in audience for name in named):
        raise refuse("the token is for another audience")


def check_required(claims: Mapping[str, Any], required: Mapping[str, str | bool | int]) -> None:
    """Refused if a claim lacks the value it must have; `true` is not 1 here."""
    for path, wanted in required.items():
        said = claim_at(claims, path)
        values = said if isinstance(said, list) else [said]
        if not any(type(value) is type(wanted) and value == wanted for value in values):
            raise refuse(f"the token's {path} is not what is required")


class Subject:
    """Makes a proof of claims that were checked."""

    def __init__(self, settings: Claims, directory: IdentityDirectory, method: str) -> None:
        self._settings = settings
        self._directory = directory
        self._method = method

    async def proof(self, claims: Mapping[str, Any], user_name: str | None, ends_s: float) -> Proof:
        """Who it is, until `ends_s` and the leeway after it. `user_name` is that of a CONNECT with the token in Password."""
        settings = self._settings
        name = self._name(claims)
        if settings.user_name == "subject" and user_name is not None and user_name != name:
            raise refuse("the User Name is not the token's subject")
        called = Called.ANYTHING if settings.user_name == "free" else Called.IDENTITY
        expires_at = datetime.fromtimestamp(ends_s + settings.leeway_s, UTC)
        identity = await self._directory.get(name)
        if settings.identities == "token":
            # Else an issuer could make itself anyone of ours, or take a Client Identifier that is theirs.
            taken = await self._directory.known(possible_owners(name))
            if identity is not None or taken:
                raise refuse(
                    f"the token names {name!r}, which belongs to the identity store's {max(taken, default=name)!r}"
                )
            principal = Principal(
                name, self._roles(claims), self._attributes(claims), self._method, narrowed_to=self._narrowed_to(claims)
            )
            return Proof(principal, expires_at, called, managed=False, factors=TOKEN)
        if identity is None:
            raise refuse(f"the token names {name!r}, which is no identity")
        if identity.state is not IdentityState.ENABLED:
            raise refuse(f"the identity is {identity.state}")
        principal = replace(identity.principal(self._method), narrowed_to=self._narrowed_to(claims))
        return Proof(principal, expires_at, called, factors=TOKEN)

    def _name(self, claims: Mapping[str, Any]) -> IdentityName:
        said = claim_at(claims, self._settings.identity_claim)
        if not isinstance(said, str):
            raise refuse(f"the token's {self._settings.identity_claim} names nobody")
        try:
            name = IdentityName.parse(self._settings.identity_prefix + said)
        except InvalidValue as error:
            raise refuse(str(error)) from None
        if name in RESERVED:
            raise refuse(f"the name {name!r} is reserved")
        return name

    def _narrowed_to(self, claims: Mapping[str, Any]) -> tuple[TokenGrants, ...]:
        path = self._settings.grants_claim
        if path is None:
            return ()
        try:
            # A claim that is missing is none of those: who asks for grants gets no token that is free of them.
            return (parse_token_grants(claim_at(claims, path)),)
        except InvalidValue as error:
            raise refuse(f"the token's {path}: {error}") from None

    def _roles(self, claims: Mapping[str, Any]) -> tuple[RoleName, ...]:
        if self._settings.roles_claim is None:
            return ()
        said = claim_at(claims, self._settings.roles_claim)
        listed = said.split() if isinstance(said, str) else said
        given = {item for item in listed if isinstance(item, str)} if isinstance(listed, list) else set[str]()
        return tuple(RoleName(role) for role in self._settings.roles_allowed if role in given)

    def _attributes(self, claims: Mapping[str, Any]) -> tuple[tuple[AttributeName, str], ...]:
        found: list[tuple[AttributeName, str]] = []
        for name, path in sorted(self._settings.attribute_claims.items()):
            said = claim_at(claims, path)
            if said is None:
                continue
            if isinstance(said, bool) or not isinstance(said, str | int):
                raise refuse(f"the token's {path} is no attribute")
            try:
                found.append((AttributeName(name), parse_attribute_value(str(said))))
            except InvalidValue as error:
                raise refuse(str(error)) from None
        return tuple(found)
