"""The Ed25519 key that signs checkpoints: made at first use, private; its public half lies beside it.

Whoever can read the private half can make another log. What shows that is the public key, or a
checkpoint, that was taken to another machine before.
"""

import hashlib
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path

from bartizan.audit.segments import make_directory, write_private
from bartizan.errors import StoreUnavailable

PRIVATE_FILE = "checkpoint.key"
PUBLIC_FILE = "checkpoint.pub"
_PURPOSE = b"bartizan audit checkpoint 1\n"
"""What a signature is about goes into it: no signature of this key means anything else."""


class SigningKey:
    """The key of one directory. Nothing is read, and no cryptography loaded, before it signs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sign(self, content: bytes) -> tuple[str, str]:
        """The name of the key and its signature."""
        # Loading it is half the start of a verb, and most verbs sign nothing.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
            load_pem_private_key,
        )

        key = load_pem_private_key(self._private(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise StoreUnavailable(f"{self._directory / PRIVATE_FILE} is no Ed25519 key: nothing was changed")
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return key_name(public), b64encode(key.sign(_PURPOSE + content)).decode()

    def _private(self) -> bytes:
        file = self._directory / PRIVATE_FILE
        try:
            return file.read_bytes()
        except FileNotFoundError:
            self._make(file)
            return file.read_bytes()

    def _make(self, file: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        make_directory(self._directory)
        key = Ed25519PrivateKey.generate()
        # Another process may be first: then its key is the key.
        with suppress(FileExistsError):
            write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (self._directory / PUBLIC_FILE).unlink(missing_ok=True)
            write_private(self._directory / PUBLIC_FILE, public)


class PublicKey:
    """What checks checkpoints."""

    def __init__(self, pem: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
            load_pem_public_key,
        )

        try:
            key = load_pem_public_key(pem)
        except ValueError:
            raise StoreUnavailable("the public key of the audit log is no key (PEM)") from None
        if not isinstance(key, Ed25519PublicKey):
            raise StoreUnavailable("the public key of the audit log is none of Ed25519")
        self._key = key
        self.pem = pem.decode()
        self.name = key_name(key.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def has_signed(self, content: bytes, signature: str) -> bool:
        """Whether this is its signature of that."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        try:
            self._key.verify(b64decode(signature, validate=True), _PURPOSE + content)
        except (InvalidSignature, ValueError):
            return False
        return True


def public_key(directory: Path) -> PublicKey | None:
    """The public key that lies in a directory; None if there is none."""
    try:
        return PublicKey((directory / PUBLIC_FILE).read_bytes())
    except FileNotFoundError:
        return None


def key_name(public: bytes) -> str:
    """What a key is called: the SHA-256 of its 32 octets."""
    return hashlib.sha256(public).hexdigest()
