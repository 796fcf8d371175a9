"""Hashes of passwords that other brokers made, and what a hash costs to check.

`$argon2id$...` in PHC form, ours among them; `$7$ITERATIONS$SALT$HASH` (PBKDF2 with HMAC-SHA-512) and
`$6$SALT$HASH` (one SHA-512) as mosquitto_passwd writes them. What is not of our own profile is good for one
more login, and hashed anew by it.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import Final

from argon2.exceptions import InvalidHashError

from bartizan.identity.passwords import PASSWORD_BYTES_MAX, hash_password, needs_rehash, verify_password

SHA512_BYTES: Final = 64

# Bounds on what a stored hash may make this machine do: it is data of others.
PBKDF2_ITERATIONS_MAX: Final = 2_000_000
ARGON2_MEMORY_KIB_MAX: Final = 256 * 1024
ARGON2_PASSES_MAX: Final = 16
ARGON2_LANES_MAX: Final = 16

_B64 = r"[A-Za-z0-9+/]{1,344}={0,2}"
_PBKDF2 = re.compile(rf"\$7\$(?P<iterations>[1-9]\d{{0,6}})\$(?P<salt>{_B64})\$(?P<hash>{_B64})\Z")
_SHA512 = re.compile(rf"\$6\$(?P<salt>{_B64})\$(?P<hash>{_B64})\Z")
_ARGON2 = re.compile(r"(?P<shape>\$argon2id\$v=19\$m=(?P<m>\d{1,7}),t=(?P<t>\d{1,3}),p=(?P<p>\d{1,3}))\$[^$]+\$[^$]+\Z")


def shape(stored: str) -> str | None:
    """What of a hash decides how long checking it takes, or None for text that is no hash we can check."""
    if found := _ARGON2.match(stored):
        memory, passes, lanes = int(found["m"]), int(found["t"]), int(found["p"])
        usable = memory <= ARGON2_MEMORY_KIB_MAX and passes <= ARGON2_PASSES_MAX and lanes <= ARGON2_LANES_MAX
        return found["shape"] if usable else None
    if found := _PBKDF2.match(stored):
        return f"$7${found['iterations']}" if int(found["iterations"]) <= PBKDF2_ITERATIONS_MAX else None
    return "$6" if _SHA512.match(stored) else None


def is_ours(stored: str) -> bool:
    """Whether it is what `hash_password` makes today."""
    try:
        return stored.startswith("$argon2id$") and not needs_rehash(stored)
    except InvalidHashError:
        return False


def verify(stored: str, password: bytes) -> bool:
    """Whether the password has this hash; a hash that we cannot check proves nothing."""
    if shape(stored) is None or len(password) > PASSWORD_BYTES_MAX:
        return False
    if found := _PBKDF2.match(stored):
        salt, wanted = _bytes(found["salt"]), _bytes(found["hash"])
        if salt is None or wanted is None or len(wanted) != SHA512_BYTES:
            return False
        return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", password, salt, int(found["iterations"])), wanted)
    if found := _SHA512.match(stored):
        salt, wanted = _bytes(found["salt"]), _bytes(found["hash"])
        if salt is None or wanted is None or len(wanted) != SHA512_BYTES:
            return False
        return hmac.compare_digest(hashlib.sha512(password + salt).digest(), wanted)
    return verify_password(stored, password)


def decoy(of: str) -> str:
    """A hash of that shape that no password has: checking it takes as long as checking a real one."""
    if of.startswith("$argon2id$"):
        salt, wanted = _unpadded(secrets.token_bytes(16)), _unpadded(secrets.token_bytes(32))
        return f"{of}${salt}${wanted}"
    salt, wanted = base64.b64encode(secrets.token_bytes(12)), base64.b64encode(secrets.token_bytes(SHA512_BYTES))
    return f"{of}${salt.decode()}${wanted.decode()}"


def our_shape() -> str:
    """The shape of the hashes that we make."""
    found = shape(hash_password("any password"))
    assert found is not None  # noqa: S101  our own hash has one of our shapes
    return found


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _unpadded(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")
