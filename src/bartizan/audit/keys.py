"""The Ed25519 key that signs checkpoints and heads: made at first use, private; its public half lies beside it.

Whoever can read the private half can make another log. What shows that is a record that was taken to another
machine before; whoever makes another key is shown by the public key that was.
"""

import hashlib
from base64 import b64decode, b64encode
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bartizan.audit.segments import write_private
from bartizan.errors import StoreUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE_FILE = "checkpoint.key"
PUBLIC_FILE = "checkpoint.pub"


class Purpose(Enum):
    """What a signature is about goes into it: no signature of this key means anything else."""

    CHECKPOINT = b"bartizan audit checkpoint 1\n"
    HEAD = b"bartizan audit head 1\n"


class SigningKey:
    """The key of one directory. Nothing is read, and no cryptography loaded, before it signs."""

    def __init__(self, directory: Path, made: bytes | None = None) -> None:
        self._directory = directory
        self._made = made
        """The private half, while it is on no disk yet."""

    @classmethod
    def made(cls, directory: Path) -> Self:
        """A new key, which is that of the directory once it is kept there."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        key = Ed25519PrivateKey.generate()
        return cls(directory, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def is_made(self) -> bool:
        """Whether the directory has one."""
        return (self._directory / PRIVATE_FILE).exists()

    def keep(self) -> None:
        """Writes a new key into its directory, both halves; the private one last."""
        if self._made is None:
            return
        public = self._directory / PUBLIC_FILE
        public.unlink(missing_ok=True)
        write_private(public, _public_pem(self._private()))
        write_private(self._directory / PRIVATE_FILE, self._made)
        self._made = None

    def sign(self, content: bytes, purpose: Purpose) -> tuple[str, str]:
        """The name of the key and its signature."""
        key = self._private()
        return key_name(_octets(key.public_key())), b64encode(key.sign(purpose.value + content)).decode()

    def has_signed(self, content: bytes, signature: str, purpose: Purpose) -> bool:
        """Whether this is its signature of that."""
        return _has_signed(self._private().public_key(), content, signature, purpose)

    def _private(self) -> "Ed25519PrivateKey":
        # Loading it is half the start of a verb, and most verbs sign nothing.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        file = self._directory / PRIVATE_FILE
        try:
            key = load_pem_private_key(self._made or file.read_bytes(), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise StoreUnavailable(f"{file} is no Ed25519 key: nothing was changed")
        return key


class PublicKey:
    """What checks checkpoints and heads."""

    def __init__(self, pem: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        try:
            key = load_pem_public_key(pem)
        except ValueError:
            raise StoreUnavailable("the public key of the audit log is no key (PEM)") from None
        if not isinstance(key, Ed25519PublicKey):
            raise StoreUnavailable("the public key of the audit log is none of Ed25519")
        self._key = key
        self.pem = pem.decode()
        self.name = key_name(_octets(key))

    def has_signed(self, content: bytes, signature: str, purpose: Purpose) -> bool:
        """Whether this is its signature of that."""
        return _has_signed(self._key, content, signature, purpose)


def public_key(directory: Path) -> PublicKey | None:
    """The public key that lies in a directory; None if there is none."""
    try:
        return PublicKey((directory / PUBLIC_FILE).read_bytes())
    except FileNotFoundError:
        return None


def key_name(public: bytes) -> str:
    """What a key is called: the SHA-256 of its 32 octets."""
    return hashlib.sha256(public).hexdigest()


def _octets(key: "Ed25519PublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _public_pem(key: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _has_signed(key: "Ed25519PublicKey", content: bytes, signature: str, purpose: Purpose) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        key.verify(b64decode(signature, validate=True), purpose.value + content)
    except (InvalidSignature, ValueError):
        return False
    return True
