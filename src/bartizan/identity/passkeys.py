"""Passkeys (WebAuthn) of operators: ceremonies of two steps each, as functions of values.

What a ceremony waits for is a `Ceremony`: whoever begins one keeps it on the server, for one answer, until it ends.
The browser gets `options` alone. The authenticator has to have verified its user (PIN, finger, face): a passkey
is two factors, so it stands by itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from bartizan.errors import InvalidValue, NotFound
from bartizan.model.ids import parse_remark
from bartizan.model.operator import Operator, OperatorName, Passkey

PASSKEYS_MAX: Final = 16
ANSWER_CHARS_MAX: Final = 65_536
ENDS_AFTER: Final = timedelta(minutes=5)

_NO_ANSWER: Final = (WebAuthnException, ValueError, KeyError, TypeError)
"""What the library raises: for a public key that lacks a part, not its own kind."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Where operators log in: the host that keys are made for, and the origins that may use them."""

    id: str
    """A host name, such as `broker.example`; a key for it is good for nothing else."""
    name: str
    origins: tuple[str, ...]
    """Such as `https://broker.example:8080`."""


class Purpose(Enum):
    """What a question is for: an answer is good for nothing else."""

    REGISTRATION = "registration"
    LOGIN = "login"
    PROOF = "proof"
    """Somebody who is logged in shows again what proves it."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A question that was asked of a browser. Good for one answer."""

    purpose: Purpose
    operator: OperatorName | None
    """Who is asked; None: a login, in which the key says whose it is."""
    ends_at: datetime
    challenge: bytes = field(repr=False)
    options: str = field(repr=False)
    """JSON for `navigator.credentials`: what the browser gets."""

    def is_registration_of(self, operator: OperatorName, at: datetime) -> bool:
        """Whether a key of this operator may be registered by it now."""
        return self.purpose is Purpose.REGISTRATION and self.operator == operator and at < self.ends_at

    def may_prove(self, operator: OperatorName, at: datetime) -> bool:
        """Whether this operator may be proved by it now."""
        asked = self.purpose is Purpose.LOGIN or (self.purpose is Purpose.PROOF and self.operator == operator)
        return asked and at < self.ends_at


def begin_registration(operator: Operator, party: RelyingParty, *, at: datetime) -> Ceremony:
    """Asks for a new key; `InvalidValue` for somebody who has too many."""
    if len(operator.passkeys) >= PASSKEYS_MAX:
        raise InvalidValue(f"{operator.name} has {PASSKEYS_MAX} passkeys: remove one first")
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_name=operator.name,
        user_id=operator.name.encode(),
        # Kept by the authenticator with the name, so that a login need not ask who it is, nor tell who is here.
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key.id) for key in operator.passkeys],
    )
    return Ceremony(Purpose.REGISTRATION, operator.name, at + ENDS_AFTER, options.challenge, options_to_json(options))


def end_registration(
    operator: Operator, answer: str, ceremony: Ceremony, party: RelyingParty, *, at: datetime, label: str = ""
) -> Operator:
    """The operator with the key that the browser made; `InvalidValue` for any other answer."""
    if not ceremony.is_registration_of(operator.name, at):
        raise InvalidValue("this registration is over, or is somebody else's: begin again")
    try:
        made = verify_registration_response(
            credential=_parsed(answer),
            expected_challenge=ceremony.challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            require_user_verification=True,
        )
    except _NO_ANSWER as error:
        raise InvalidValue(f"the passkey cannot be registered: {error}") from None
    if any(key.id == made.credential_id for key in operator.passkeys):
        raise InvalidValue("this passkey is registered already")
    key = Passkey(made.credential_id, made.credential_public_key, made.sign_count, at, parse_remark(label))
    return replace(operator, passkeys=(*operator.passkeys, key))


def begin_login(party: RelyingParty, *, at: datetime) -> Ceremony:
    """Asks for a proof by whatever key the browser has for this place."""
    options = generate_authentication_options(rp_id=party.id, user_verification=UserVerificationRequirement.REQUIRED)
    return Ceremony(Purpose.LOGIN, None, at + ENDS_AFTER, options.challenge, options_to_json(options))


def begin_proof(operator: Operator, party: RelyingParty, *, at: datetime) -> Ceremony:
    """Asks somebody who is logged in for another proof by one of its own keys; `InvalidValue` if it has none."""
    if not operator.passkeys:
        raise InvalidValue(f"{operator.name} has no passkey")
    options = generate_authentication_options(
        rp_id=party.id,
        user_verification=UserVerificationRequirement.REQUIRED,
        allow_credentials=[PublicKeyCredentialDescriptor(id=key.id) for key in operator.passkeys],
    )
    return Ceremony(Purpose.PROOF, operator.name, at + ENDS_AFTER, options.challenge, options_to_json(options))


def claimed_operator(answer: str) -> str:
    """Whose key the browser says that it used; empty if it says nothing that is a name. Proves nothing."""
    try:
        response = _parsed(answer).get("response")
        handle = response.get("userHandle") if isinstance(response, Mapping) else None
        return OperatorName.parse(base64url_to_bytes(str(handle or "")).decode())
    except (InvalidValue, ValueError):
        return ""


def after_login(
    operator: Operator, answer: str, ceremony: Ceremony, party: RelyingParty, *, at: datetime
) -> tuple[Operator, Passkey] | None:
    """The operator as it is afterwards, and the key that was used; None if the answer proves nothing.

    An authenticator that counts has to have counted on: one that did not was copied.
    """
    if not ceremony.may_prove(operator.name, at):
        return None
    try:
        said = _parsed(answer)
        used = base64url_to_bytes(str(said.get("id", "")))
        key = next((item for item in operator.passkeys if item.id == used), None)
        if key is None:
            return None
        shown = verify_authentication_response(
            credential=said,
            expected_challenge=ceremony.challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )
    except (*_NO_ANSWER, InvalidValue):
        return None
    after = replace(key, sign_count=shown.new_sign_count, last_used_at=at)
    return replace(operator, passkeys=tuple(after if item is key else item for item in operator.passkeys)), after


def without_passkey(operator: Operator, id_: bytes) -> Operator:
    """The operator without this key, and without recovery codes where nothing is left to recover."""
    left = tuple(key for key in operator.passkeys if key.id != id_)
    if len(left) == len(operator.passkeys):
        raise NotFound(f"{operator.name} has no such passkey")
    kept = operator.recovery_codes if left or operator.has_totp else ()
    return replace(operator, passkeys=left, recovery_codes=kept)


def _parsed(answer: str) -> dict[str, Any]:
    if len(answer) > ANSWER_CHARS_MAX:
        raise InvalidValue("the answer of the browser is too long")
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        raise InvalidValue("the answer of the browser is no JSON") from None
    if not isinstance(said, Mapping):
        raise InvalidValue("the answer of the browser is no JSON object")
    return dict(said)
