"""Operators by an OpenID Provider (OpenID Connect Core 1.0, Authorization Code with PKCE): asked, and what it says judged.

The browser carries a code and nothing else; the ID token comes from the provider itself, over TLS, and is verified like
any token all the same (`jwt`). What binds an answer to its question is kept by whoever asks, for one answer.

state     the question that the browser brings an answer to; kept by the caller
nonce     in the ID token: it was made for this question, not for another one
verifier  PKCE: a code that was stolen on its way is good for nobody who does not have it (RFC 7636)
iss       beside the code: it is of this provider, not of another one (RFC 9207)
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from bartizan.authn.base import Denied, ProviderUnavailable
from bartizan.authn.claims import check_required, claim_at, seconds
from bartizan.authn.fetch import Declined, Fetcher
from bartizan.authn.jwt import Verifier
from bartizan.authn.outside import Gate, Tell, Trouble
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.config.authenticators import Jwt
from bartizan.config.files import read_secret_octets
from bartizan.config.oidc import EMAIL, OidcSettings
from bartizan.errors import InvalidValue
from bartizan.model.operator import OperatorName, OperatorRole
from bartizan.model.reason import ReasonCode

NAME: Final = "api.oidc"
"""What the provider is called where its trouble is told."""

DISCOVERY: Final = "/.well-known/openid-configuration"
DISCOVERED_FOR_S: Final = 3_600.0
ANSWER_BYTES_MAX: Final = 262_144
TOKEN_BYTES_MAX: Final = 65_535
ASKED_AT_ONCE_MAX: Final = 8
WAITING_MAX: Final = 32
SUBJECT_CHARS_MAX: Final = 255
ANSWERS_IN_A_LOGIN: Final = 3
"""Discovery, token, keys."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the provider, and has to come back: for one answer."""

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    asked_at: datetime
    is_fresh: bool
    """Whether the person had to prove itself anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought back."""

    code: str = field(repr=False)
    issuer: str | None
    """`iss` beside the code."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """For whom the provider vouches, as this broker's settings read it."""

    operator: OperatorName
    subject: str
    """Issuer, a space, subject: what stays the same when a name or an address changes hands."""
    roles: tuple[OperatorRole, ...]
    """Those that the token gives; none where the store gives them."""
    is_mfa: bool
    proved_at: datetime | None
    """When the person proved itself there, if the provider says so."""


class NotVouched(Exception):  # noqa: N818  it says what happened
    """The provider vouches for nobody who may come in; why is for the log."""


@dataclass(frozen=True, slots=True)
class _Endpoints:
    authorization: str
    token: str
    jwks: str
    by_basic: bool
    says_iss: bool
    until: float


class OpenIdClient:
    """The broker as a client of one provider. Use it from one thread."""

    def __init__(
        self,
        settings: OidcSettings,
        redirect_uri: str,
        session: timedelta,
        tell: Tell,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._session = session
        self._now = now
        self._clock = clock
        self._tell = tell
        self._trouble = Trouble(NAME, tell)
        self._secret = read_secret_octets(settings.client_secret_file, "the client secret of [api.oidc]").decode(
            errors="surrogateescape"
        )
        self._fetcher = Fetcher(
            NAME, ca_file=settings.ca_file, deadline_s=settings.deadline_s, bytes_max=ANSWER_BYTES_MAX
        )
        self._gate = Gate(
            NAME,
            concurrent_max=ASKED_AT_ONCE_MAX,
            waiting_max=WAITING_MAX,
            deadline_s=ANSWERS_IN_A_LOGIN * settings.deadline_s,
        )
        self._found: _Endpoints | None = None
        self._verifier: tuple[str, Verifier] | None = None

    def question(self, *, fresh: bool) -> Question:
        """A new one: what to keep for the answer."""
        return Question(secrets.token_urlsafe(32), secrets.token_urlsafe(48), self._now(), fresh)

    async def place_to_ask(self, question: Question, state: str) -> str:
        """Where to send the browser with it; `ProviderUnavailable`."""
        found = await self._endpoints()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(question.verifier.encode()).digest()).rstrip(b"=")
        words = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._settings.scope,
            "state": state,
            "nonce": question.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            # Has the provider say when the person proved itself; a login there that is older than one here may be is none.
            "max_age": "0" if question.is_fresh else str(int(self._session.total_seconds())),
        }
        if question.is_fresh:
            words["prompt"] = "login"
        if self._settings.mfa_acr:
            words["acr_values"] = " ".join(self._settings.mfa_acr)
        joined = "&" if urlsplit(found.authorization).query else "?"
        return f"{found.authorization}{joined}{urlencode(words)}"

    async def judge(self, question: Question, answer: Answer) -> Vouched:
        """For whom the provider vouches; `NotVouched`, or `ProviderUnavailable` where it was no help."""
        try:
            return await self._gate.ask(lambda: self._judged(question, answer))
        except Denied as denied:
            if denied.reason is ReasonCode.SERVER_BUSY:
                raise ProviderUnavailable(str(denied)) from None
            raise NotVouched(str(denied)) from None
        except ProviderUnavailable as error:
            raise self._no_help(error) from None

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()
        if self._verifier is not None:
            await self._verifier[1].aclose()

    async def _judged(self, question: Question, answer: Answer) -> Vouched:
        found = await self._endpoints()
        if answer.issuer is None and found.says_iss:
            raise NotVouched("the answer does not say which provider it is of")
        if answer.issuer is not None and answer.issuer != self._settings.issuer:
            raise NotVouched("the answer is of another provider")
        token = await self._redeemed(question, answer.code, found)
        self._trouble.over()
        verified = await self._verifier_of(found).claims(token)
        if verified is None:
            raise NotVouched("what came is no ID token of this provider")
        claims, _ = verified
        self._check(claims, question)
        return self._vouched(claims, question)

    async def _redeemed(self, question: Question, code: str, found: _Endpoints) -> bytes:
        """The ID token that the code stands for."""
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": question.verifier,
        }
        headers: dict[str, str] = {}
        if found.by_basic:
            # Both are form-encoded first: a colon in the name must not end it (RFC 6749, 2.3.1).
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(self._secret, errors='surrogateescape')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": settings.client_id, "client_secret": self._secret}
        try:
            said = _object(await self._fetcher.post(found.token, form, headers))
        except Declined as declined:
            raise NotVouched(f"the code was not taken: {declined}") from None
        token = said.get("id_token")
        if not isinstance(token, str) or not token.isascii():
            raise NotVouched("the provider gave no ID token")
        return token.encode()

    def _check(self, claims: Mapping[str, Any], question: Question) -> None:
        """What OpenID Connect asks for beyond any token (Core 1.0, 3.1.3.7)."""
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), question.nonce.encode()):
            raise NotVouched("the ID token was made for another question")
        audience, party = claims.get("aud"), claims.get("azp")
        is_shared = isinstance(audience, list) and len(audience) > 1
        if (is_shared or party is not None) and party != self._settings.client_id:
            raise NotVouched("the ID token is for another party")
        check_required(claims, self._settings.required_claims)
        if self._settings.operator_claim == EMAIL and claims.get("email_verified") is not True:
            raise NotVouched("the address is not verified")

    def _vouched(self, claims: Mapping[str, Any], question: Question) -> Vouched:
        settings = self._settings
        subject, said = claims.get("sub"), claim_at(claims, settings.operator_claim)
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
            raise NotVouched("the ID token has no subject")
        if not isinstance(said, str):
            raise NotVouched(f"the ID token's {settings.operator_claim} names nobody")
        try:
            # Of letters beyond ASCII, several have one lower case: such a name is refused, not folded.
            operator = OperatorName.parse(said.lower() if said.isascii() else said)
        except InvalidValue as error:
            raise NotVouched(str(error)) from None
        roles = self._roles(claims)
        if settings.operators == "token" and not roles:
            raise NotVouched("the ID token has no group that is mapped to a role")
        return Vouched(
            operator,
            f"{settings.issuer} {subject}",
            roles,
            _is_among(claims.get("amr"), settings.mfa_amr) or _is_among(claims.get("acr"), settings.mfa_acr),
            self._proved_at(claims, question),
        )

    def _roles(self, claims: Mapping[str, Any]) -> tuple[OperatorRole, ...]:
        if self._settings.roles_claim is None:
            return ()
        said = claim_at(claims, self._settings.roles_claim)
        return tuple(role for role in OperatorRole if _is_among(said, self._settings.roles.get(role, ())))

    def _proved_at(self, claims: Mapping[str, Any], question: Question) -> datetime | None:
        said = seconds(claims, "auth_time")
        if said is None:
            return None
        leeway, now = timedelta(seconds=self._settings.leeway_s), self._now()
        at = datetime.fromtimestamp(said, UTC)
        oldest = question.asked_at if question.is_fresh else now - self._session
        if not oldest - leeway <= at <= now + leeway:
            raise NotVouched("the person proved itself too long ago")
        return min(at, now)

    async def _endpoints(self) -> _Endpoints:
        """What the provider publishes about itself, fetched once in a while."""
        if self._found is not None and self._clock() < self._found.until:
            return self._found
        try:
            said = _object(await self._fetcher.get(self._settings.issuer.rstrip("/") + DISCOVERY))
            self._found = self._read(said)
        except ProviderUnavailable as error:
            raise self._no_help(error) from None
        return self._found

    def _no_help(self, error: ProviderUnavailable) -> ProviderUnavailable:
        self._trouble.met(str(error))
        return ProviderUnavailable(str(error))

    def _read(self, said: Mapping[str, Any]) -> _Endpoints:
        if said.get("issuer") != self._settings.issuer:
            raise ProviderUnavailable(f"{NAME} says that it is another issuer")
        named = [said.get(key) for key in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        authorization, token, jwks = (url if isinstance(url, str) and _is_https(url) else "" for url in named)
        if not (authorization and token and jwks):
            raise ProviderUnavailable(f"{NAME} does not say where to ask it by https")
        # What it means not to say so: OpenID Connect Discovery 1.0, 3.
        methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return _Endpoints(
            authorization,
            token,
            jwks,
            by_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            says_iss=said.get("authorization_response_iss_parameter_supported") is True,
            until=self._clock() + DISCOVERED_FOR_S,
        )

    def _verifier_of(self, found: _Endpoints) -> Verifier:
        if self._verifier is None or self._verifier[0] != found.jwks:
            settings = self._settings
            tokens = Jwt(
                kind="jwt",
                issuer=settings.issuer,
                audience=(settings.client_id,),
                algorithms=settings.algorithms,
                jwks_url=found.jwks,
                ca_file=settings.ca_file,
                leeway_s=settings.leeway_s,
                deadline_s=settings.deadline_s,
                token_bytes_max=TOKEN_BYTES_MAX,
            )
            self._verifier = found.jwks, Verifier(NAME, tokens, self._tell, self._now)
        return self._verifier[1]


def _object(octets: bytes) -> Mapping[str, Any]:
    try:
        return strict_object(octets)
    except NotStrict as error:
        raise ProviderUnavailable(f"{NAME} gave an answer that cannot be read: {error}") from None


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment


def _is_among(said: object, wanted: tuple[str, ...]) -> bool:
    """Whether a claim is one of these texts, or a list that holds one."""
    values = said if isinstance(said, list) else [said]
    return any(isinstance(value, str) and value in wanted for value in values)
