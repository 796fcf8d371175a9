"""A passkey in software, written from WebAuthn: it makes keys, counts, signs, and cheats where a test says so."""

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One key for one place. `counts`: whether it tells how often it was used."""

    def __init__(self, rp_id: str, origin: str, *, counts: bool = True, verifies: bool = True) -> None:
        self.rp_id, self.origin = rp_id, origin
        self.id = secrets.token_bytes(32)
        self.count = 0
        self.user = b""
        self._counts = counts
        self._flags = PRESENT | (VERIFIED if verifies else 0)
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: str) -> str:
        """`navigator.credentials.create`."""
        asked = json.loads(options)
        self.user = unb64(asked["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cose
        statement = {"fmt": "none", "attStmt": {}, "authData": self._said(ATTESTED) + attested}
        return self._answer(
            attestationObject=b64(cbor2.dumps(statement)),
            clientDataJSON=b64(self._client("webauthn.create", asked["challenge"])),
        )

    def get(self, options: str, *, user: bytes | None = None) -> str:
        """`navigator.credentials.get`."""
        asked = json.loads(options)
        self.count += 1
        said, client = self._said(0), self._client("webauthn.get", asked["challenge"])
        signature = self._key.sign(said + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            authenticatorData=b64(said),
            clientDataJSON=b64(client),
            signature=b64(signature),
            userHandle=b64(self.user if user is None else user),
        )

    def _said(self, flags: int) -> bytes:
        count = self.count if self._counts else 0
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([self._flags | flags]) + count.to_bytes(4)

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, **response: Any) -> str:
        return json.dumps(
            {
                "id": b64(self.id),
                "rawId": b64(self.id),
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )
