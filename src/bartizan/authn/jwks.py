"""The public keys of an issuer: read strictly, fetched rarely, kept while the issuer is down.

Keys are fetched again in the background once they are `refresh_s` old, and at once for a token whose key is
unknown: but at most every `refetch_s`, however many such tokens come. A fetch that fails, or brings no usable
key, leaves the last good ones in place until they are `keys_age_max_s` old.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.outside import Trouble
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.config.authenticators import Jwt

RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
KID_CHARS_MAX: Final = 256

FITS: Final = {
    **{name: ("RSA", frozenset({""})) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": ("EC", frozenset({"P-256"})),
    "ES384": ("EC", frozenset({"P-384"})),
    "ES512": ("EC", frozenset({"P-521"})),
    "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
    "Ed25519": ("OKP", frozenset({"Ed25519"})),
    "Ed448": ("OKP", frozenset({"Ed448"})),
}
"""The one type of key, and its curves, that an algorithm is verified with."""

_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


class NoKeys(ValueError):  # noqa: N818  it says what the text holds
    """The text is no usable JWKS."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """One public key, and what it says it is for."""

    kid: str | None
    alg: str | None
    kind: str
    curve: str
    material: Key

    def fits(self, algorithm: str) -> bool:
        """Whether signatures of this algorithm may be verified with it."""
        kind, curves = FITS.get(algorithm, ("", frozenset[str]()))
        return self.kind == kind and self.curve in curves and self.alg in {None, algorithm}


def read_jwks(octets: bytes, keys_max: int) -> tuple[VerifyKey, ...]:
    """The keys that can verify signatures; others are left out. `NoKeys` if there are none, or too many."""
    try:
        listed = strict_object(octets).get("keys")
    except NotStrict as error:
        raise NoKeys(f"the JWKS is unreadable: {error}") from None
    if not isinstance(listed, list):
        raise NoKeys("the JWKS has no list of keys")
    if len(listed) > keys_max:
        raise NoKeys(f"the JWKS has more than {keys_max} keys")
    found = tuple(key for item in listed if (key := _key(item)) is not None)
    if not found:
        raise NoKeys("the JWKS has no key that can verify signatures")
    return found


def _key(item: Any) -> VerifyKey | None:  # noqa: ANN401  whatever JSON holds
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    operations, kid, alg = item.get("key_ops", ["verify"]), item.get("kid"), item.get("alg")
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if not all(text is None or (isinstance(text, str) and len(text) <= KID_CHARS_MAX) for text in (kid, alg)):
        return None
    kind = item.get("kty")
    # A symmetric key in a public list would let everyone sign: there is no such kind here.
    names = _PUBLIC.get(kind) if isinstance(kind, str) else None
    if names is None or not all(isinstance(item.get(name), str) for name in names):
        return None
    material = _material(str(kind), {"kty": str(kind), **{name: item[name] for name in names}})
    if material is None:
        return None
    return VerifyKey(kid, alg, str(kind), str(item["crv"]) if "crv" in names else "", material)


def _material(kind: str, public: dict[str, Any]) -> Key | None:
    importer: type[RSAKey | ECKey | OKPKey] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}[kind]
    try:
        if kind == "RSA" and not RSA_BITS_MIN <= _bits(public["n"]) <= RSA_BITS_MAX:
            return None
        return importer.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))).bit_length()


class Jwks:
    """The keys of one issuer. `fetch` brings the text, or raises `ProviderUnavailable`."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        settings: Jwt,
        trouble: Trouble,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._trouble = trouble
        self._clock = clock
        self._keys: tuple[VerifyKey, ...] = ()
        self._good_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = ""
        self._fetching: asyncio.Task[None] | None = None

    def known(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key of a token, from memory. Begins to refresh what is getting old; waits for nothing."""
        age_s = self._clock() - self._good_at
        if age_s >= self._settings.keys_age_max_s:
            return None
        if age_s >= self._settings.refresh_s and self._may_try():
            self._begin()
        fitting = [key for key in self._keys if key.fits(algorithm) and (kid is None or key.kid == kid)]
        # Without a name there must be no choice: trying one key after the other is guessing.
        return fitting[0] if len(fitting) == 1 else None

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key, fetched if it is not known; None if the issuer has no such key."""
        found = self.known(kid, algorithm)
        if found is not None:
            return found
        if self._fetching is not None or self._may_try():
            # Who gives up waiting does not end the fetch that others wait for.
            await asyncio.shield(self._begin())
            found = self.known(kid, algorithm)
        if found is None and self._failed:
            raise ProviderUnavailable(self._failed)
        return found

    async def aclose(self) -> None:
        """Ends a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _may_try(self) -> bool:
        return self._fetching is None and self._clock() - self._tried_at >= self._settings.refetch_s

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._take())
        return self._fetching

    async def _take(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = read_jwks(await self._fetch(), self._settings.keys_max)
        except (ProviderUnavailable, NoKeys) as error:
            self._failed = str(error)
        except Exception as error:  # noqa: BLE001  nobody waits for a refresh in the background
            self._failed = f"the keys cannot be fetched: {type(error).__name__}"
        else:
            self._good_at = self._clock()
            self._failed = ""
        finally:
            self._fetching = None
        self._trouble.met(self._failed) if self._failed else self._trouble.over()
