"""Passwords: argon2id hashes with a device profile, and generated secrets.

The profile (19 MiB, 2 passes, 1 lane: RFC 9106's spirit, OWASP's floor) costs some tens of
milliseconds, so that a reconnect storm does not become a denial of service.
"""

import secrets

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_BYTES_MAX = 1_024
"""A longer password is refused before it is hashed."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)

# No 0/O, 1/l/I: people read these from a screen and type them.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def generate_secret(groups: int = 6) -> str:
    """A random secret in groups of five characters: 25 bits each, 150 by default."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(groups))


def hash_password(password: str | bytes) -> str:
    """The argon2id hash in PHC form, with a salt of its own."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: bytes) -> bool:
    """Whether the password has this hash. A damaged hash proves nothing."""
    if len(password) > PASSWORD_BYTES_MAX:
        return False
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether an argon2id hash is of another profile than ours; `InvalidHashError` if it is damaged."""
    return _HASHER.check_needs_rehash(stored)
