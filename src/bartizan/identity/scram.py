"""SCRAM (RFC 5802, RFC 7677): what is kept of a password, and the arithmetic that proves it.

What is kept lets the server recognise the password and proves the server to the client; it cannot be presented in the
password's place, and does not give it away but to whoever tries passwords one by one.
"""

import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.credential import (
    SCRAM_ITERATIONS,
    SCRAM_ITERATIONS_MAX,
    SCRAM_ITERATIONS_MIN,
    SCRAM_MECHANISMS,
    ScramCredential,
    ScramMechanism,
)
from bartizan.model.principal import Identity

SALT_BYTES: Final = 16

_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}

# RFC 4013, 2.3: what a prepared string may not hold.
_PROHIBITED: Final[tuple[Callable[[str], bool], ...]] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


@dataclass(frozen=True, slots=True)
class Keys:
    """What proves the password, and the server."""

    stored: bytes
    server: bytes

    @classmethod
    def of_password(cls, mechanism: ScramMechanism, password: str, salt: bytes, iterations: int) -> "Keys":
        """The keys of a password; `InvalidValue` for one that cannot be prepared (RFC 4013)."""
        name = _HASHES[mechanism]
        salted = hashlib.pbkdf2_hmac(name, saslprep(password).encode(), salt, iterations)
        client = hmac.digest(salted, b"Client Key", name)
        return cls(hashlib.new(name, client).digest(), hmac.digest(salted, b"Server Key", name))


def scram_credential(
    password: str,
    mechanism: ScramMechanism,
    *,
    at: datetime,
    iterations: int = SCRAM_ITERATIONS,
    salt: bytes | None = None,
    note: str = "",
) -> ScramCredential:
    """What is kept of a password for this mechanism; `salt`: that of a credential which it is to stand beside."""
    if not SCRAM_ITERATIONS_MIN <= iterations <= SCRAM_ITERATIONS_MAX:
        raise InvalidValue(f"SCRAM takes {SCRAM_ITERATIONS_MIN} to {SCRAM_ITERATIONS_MAX} iterations, not {iterations}")
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    keys = Keys.of_password(mechanism, password, salt, iterations)
    return ScramCredential(
        id=secrets.token_hex(8),
        mechanism=mechanism,
        iterations=iterations,
        salt=salt,
        stored_key=keys.stored,
        server_key=keys.server,
        created_at=at,
        note=note,
    )


def live_credentials(identity: Identity | None, mechanism: ScramMechanism, at: datetime) -> list[ScramCredential]:
    """Those of this mechanism, the newest first."""
    of_it = [
        item
        for item in (identity.credentials if identity else ())
        if isinstance(item, ScramCredential) and item.mechanism == mechanism and item.is_live(at)
    ]
    return sorted(of_it, key=lambda item: item.created_at, reverse=True)


def check_name(name: str) -> None:
    """`InvalidValue` for a name that clients would send in another form: it could never prove itself by SCRAM."""
    if saslprep(name) != name:
        raise InvalidValue(
            f"SCRAM clients send the name {name!r} as {saslprep(name)!r} (RFC 4013): rename the identity"
        )


def successors(identity: Identity, password: str, *, at: datetime, note: str = "") -> list[ScramCredential]:
    """A new password's keys for every mechanism that the identity has live keys for, each with the salt of its
    predecessor: the server can send one salt only, and during the overlap both passwords have to prove.
    """
    newest = [found[0] for mechanism in SCRAM_MECHANISMS if (found := live_credentials(identity, mechanism, at))]
    return [
        scram_credential(password, item.mechanism, at=at, iterations=item.iterations, salt=item.salt, note=note)
        for item in newest
    ]


def proves(mechanism: ScramMechanism, stored_key: bytes, exchange: bytes, proof: bytes) -> bool:
    """Whether a client's proof shows that it has the password. `exchange`: the AuthMessage of RFC 5802, 3."""
    name = _HASHES[mechanism]
    signature = hmac.digest(stored_key, exchange, name)
    if len(proof) != len(signature):
        return False
    client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.new(name, client_key).digest(), stored_key)


def server_signature(mechanism: ScramMechanism, server_key: bytes, exchange: bytes) -> bytes:
    """What proves to the client that the server has its keys."""
    return hmac.digest(server_key, exchange, _HASHES[mechanism])


def saslprep(text: str) -> str:
    """The prepared form (RFC 4013, as a stored string); `InvalidValue` for what has none."""
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else "" if stringprep.in_table_b1(char) else char for char in text
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(test(char) for char in prepared for test in _PROHIBITED):
        raise InvalidValue("a name or password is empty or holds characters that SCRAM cannot carry (RFC 4013)")
    if any(stringprep.in_table_a1(char) for char in prepared):
        raise InvalidValue("a name or password holds characters that Unicode 3.2 does not have (RFC 4013)")
    right = [stringprep.in_table_d1(char) for char in prepared]
    if any(right) and (not (right[0] and right[-1]) or any(map(stringprep.in_table_d2, prepared))):
        raise InvalidValue("a name or password mixes directions of writing (RFC 3454, 6)")
    return prepared
