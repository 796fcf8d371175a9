"""Signed tokens (JWT, RFC 7519): as Password, or as Authentication Data of the method `OAUTH2-JWT`.

What the token's header says is believed in nothing but which of the configured algorithms and of the issuer's own
keys to try: keys that a token brings or points to (`jwk`, `jku`, `x5c`, `x5u`) are not looked at, an extension that
must be understood (`crit`) is not, and `none` is no algorithm. The key has to be of the algorithm's type.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry

from bartizan.authn.base import Authenticator, ConnectRequest, Denied, Proof, ProviderUnavailable
from bartizan.authn.claims import Subject, check_audience, check_dates, check_required, refuse
from bartizan.authn.fetch import Fetcher
from bartizan.authn.jwks import KID_CHARS_MAX, Jwks, NoKeys, read_jwks
from bartizan.authn.outside import Gate, Tell, Trouble
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.config.authenticators import Jwt
from bartizan.config.files import read_file, read_secret_octets
from bartizan.errors import ConfigurationError
from bartizan.store.ports import IdentityDirectory

METHOD = "OAUTH2-JWT"

HS_SECRET_BYTES_MIN = 32
"""A shorter one can be guessed offline, from one token (RFC 7518, 3.2)."""

_BEGINS = b"eyJ"
"""How every token of this form begins: `{"` in base64url."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart, with nothing in it believed yet."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, octets: bytes) -> "Token | None":
        """The token; None for octets that are none."""
        parts = octets.split(b".")
        if len(parts) != 3 or not octets.startswith(_BEGINS):  # noqa: PLR2004  header, claims, signature
            return None
        try:
            header, claims, signature = (_decoded(part) for part in parts)
            return cls(strict_object(header), strict_object(claims), parts[0] + b"." + parts[1], signature)
        except (NotStrict, binascii.Error):
            return None


class Verifier:
    """Whether a token of an issuer is genuine, and in force."""

    def __init__(
        self, name: str, settings: Jwt, tell: Tell, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._now = now
        self._gate = Gate.of(name, settings)
        self._secret = _secret(settings)
        self._fetcher, self._keys = _keys(name, settings, Trouble(name, tell))

    async def claims(self, octets: bytes) -> tuple[dict[str, Any], float] | None:
        """Claims and end of a token of this issuer; None for anything else; `Denied` for one that does not hold."""
        if len(octets) > self._settings.token_bytes_max:
            if octets.startswith(_BEGINS):
                raise refuse("the token is too long")
            return None
        token = Token.parse(octets)
        if token is None or token.claims.get("iss") != self._settings.issuer:
            return None
        algorithm, kid = self._announced(token.header)
        key = self._secret or await self._key(kid, algorithm)
        if not _genuine(algorithm, key, token):
            raise refuse("the token's signature is wrong")
        ends_s = check_dates(token.claims, self._settings.leeway_s, self._now())
        if ends_s is None:
            raise refuse("the token never ends: exp is missing")
        check_audience(token.claims, self._settings.audience)
        check_required(token.claims, self._settings.required_claims)
        return token.claims, ends_s

    async def aclose(self) -> None:
        """Ends what is under way outside."""
        if self._keys is not None:
            await self._keys.aclose()
        if self._fetcher is not None:
            await self._fetcher.aclose()

    def _announced(self, header: dict[str, Any]) -> tuple[str, str | None]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise refuse("the token's algorithm is not accepted")
        if "crit" in header or "b64" in header:
            raise refuse("the token's header asks for extensions")
        if kid is not None and (not isinstance(kid, str) or len(kid) > KID_CHARS_MAX):
            raise refuse("the token's kid is no name of a key")
        return str(algorithm), kid

    async def _key(self, kid: str | None, algorithm: str) -> Key:
        keys = self._keys
        if keys is None:
            raise refuse("there is no key for tokens")
        try:
            found = keys.known(kid, algorithm) or await self._gate.ask(lambda: keys.find(kid, algorithm))
        except (ProviderUnavailable, Denied) as error:
            error.conclusive = True  # it was a token of this issuer, whatever it is worth
            raise
        if found is None:
            raise refuse("the issuer has no such key for this algorithm")
        return found.material


class JwtAuthenticator:
    """Judges the tokens of one issuer where they come: in Password, or (with a `method`) in Authentication Data."""

    def __init__(self, name: str, method: str | None, verifier: Verifier, subject: Subject) -> None:
        self.name = name
        self.method = method
        self._verifier = verifier
        self._subject = subject

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof that ends with the token; None for what is no token of this issuer."""
        octets = request.password if self.method is None else request.authentication_data
        if octets is None:
            return None
        found = await self._verifier.claims(octets)
        if found is None:
            return None
        claims, ends_s = found
        return await self._subject.proof(claims, request.user_name if self.method is None else None, ends_s)

    async def aclose(self) -> None:
        """Ends what is under way outside."""
        await self._verifier.aclose()


def jwt_authenticators(name: str, settings: Jwt, directory: IdentityDirectory, tell: Tell) -> Sequence[Authenticator]:
    """Both ways in. Reads the files that the settings name."""
    verifier, subject = Verifier(name, settings, tell), Subject(settings, directory, "jwt")
    return [JwtAuthenticator(name, method, verifier, subject) for method in (None, METHOD)]


def _genuine(algorithm: str, key: Key, token: Token) -> bool:
    model = JWSRegistry.algorithms[algorithm]
    try:
        model.check_key(key)
        return model.verify(token.signed, token.signature, key)
    except (JoseError, ValueError):
        return False


def _decoded(part: bytes) -> bytes:
    """base64url without padding, and no other spelling of the same octets (RFC 7515, 2)."""
    octets = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(octets).rstrip(b"=") != part:
        raise binascii.Error
    return octets


def _secret(settings: Jwt) -> Key | None:
    file = settings.secret_file
    if file is None:
        return None
    secret = read_secret_octets(file, "the secret of tokens")
    if len(secret) < HS_SECRET_BYTES_MIN:
        raise ConfigurationError(
            f"the secret of tokens is shorter than {HS_SECRET_BYTES_MIN} bytes", str(file), "agree on a longer one"
        )
    try:
        return OctKey.import_key(secret)
    except ValueError:
        raise ConfigurationError(
            "the secret of tokens is a public key: everyone could sign",
            str(file),
            "set jwks_file, or agree on a secret",
        ) from None


def _keys(name: str, settings: Jwt, trouble: Trouble) -> tuple[Fetcher | None, Jwks | None]:
    url, file, fetcher = settings.jwks_url, settings.jwks_file, None
    if url is not None:
        fetcher = Fetcher(
            name, ca_file=settings.ca_file, deadline_s=settings.deadline_s, bytes_max=settings.jwks_bytes_max
        )
        get = fetcher.get

        async def fetch() -> bytes:
            return await get(url)

    elif file is not None:
        _check_file(file, settings)

        async def fetch() -> bytes:
            return await asyncio.to_thread(_read, file)

    else:
        return None, None
    return fetcher, Jwks(fetch, settings, trouble)


def _check_file(file: Path, settings: Jwt) -> None:
    """What is wrong with the file from the start is told at the start."""
    try:
        read_jwks(read_file(file, "the JWKS file"), settings.keys_max)
    except NoKeys as error:
        raise ConfigurationError(str(error), str(file), "name a file with the issuer's public keys") from None


def _read(file: Path) -> bytes:
    try:
        return read_file(file, "the JWKS file")
    except ConfigurationError as error:
        raise ProviderUnavailable(str(error)) from None
