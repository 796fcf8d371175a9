"""An issuer of tokens in memory, that also makes the tokens which no honest one makes."""

import base64
import hmac
import json
import time
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ISSUER = "https://id.example/realms/plant"
AUDIENCE = "bartizan"


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def claims(**more: Any) -> dict[str, Any]:
    """Claims that hold; a value of None takes the claim away."""
    said = {"iss": ISSUER, "sub": "press-01", "aud": AUDIENCE, "exp": int(time.time()) + 600, **more}
    return {name: value for name, value in said.items() if value is not None}


def signed(key: Key, alg: str, said: dict[str, Any] | bytes | None = None, **header: Any) -> bytes:
    """A token signed as its header says; `said` may be the very bytes."""
    payload = said if isinstance(said, bytes) else json.dumps(claims() if said is None else said).encode()
    head = {"alg": alg, "kid": key.kid, **header}
    front = (
        f"{b64(json.dumps({name: value for name, value in head.items() if value is not None}).encode())}.{b64(payload)}"
    )
    return f"{front}.{b64(JWSRegistry.algorithms[alg].sign(front.encode(), key))}".encode()


def unsigned(header: dict[str, Any] | bytes, said: dict[str, Any] | bytes, signature: bytes = b"") -> bytes:
    """A token put together by hand."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, said)]
    return ".".join(b64(part) for part in (*parts, signature)).encode()


def jwks(*keys: Any) -> bytes:
    """A JWKS of their public halves."""
    return json.dumps(
        {
            "keys": [
                key.as_dict(private=False) if isinstance(key, RSAKey | ECKey | OKPKey | OctKey) else key for key in keys
            ]
        }
    ).encode()


def rsa(kid: str = "rsa") -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


def ec(kid: str = "ec", curve: Any = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": kid})


def okp(kid: str = "okp", curve: Any = "Ed25519") -> OKPKey:
    return OKPKey.generate_key(curve, {"kid": kid})


def sealed(secret: bytes, alg: str = "HS256", kid: Any = None) -> bytes:
    """A token sealed with any secret, one that no library would take included."""
    head = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    front = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{front}.{b64(hmac.digest(secret, front.encode(), alg.replace('HS', 'sha')))}".encode()
