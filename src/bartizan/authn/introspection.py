"""Tokens that say nothing by themselves: their issuer is asked about each of them (OAuth 2 introspection, RFC 7662).

The answer is remembered for a short while, never longer than the token lasts, and under the token's hash: what is
in memory is no token. Refusals are remembered too, but briefly: a stranger's guesses are not all sent on.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import quote_plus

from bartizan.authn.base import Authenticator, ConnectRequest, Denied, Proof, ProviderUnavailable
from bartizan.authn.claims import Subject, check_audience, check_dates, check_required, refuse
from bartizan.authn.fetch import Fetcher
from bartizan.authn.outside import Provider, Tell
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.config.authenticators import Introspection
from bartizan.config.files import read_secret_octets
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory

METHOD = "OAUTH2-INTROSPECTION"

ANSWERS_MAX = 16_384
"""Answers remembered; further ones push out the oldest."""

ANSWER_BYTES_MAX = 65_536
REFUSED_S = 5.0
"""As long as a token that is not active is not asked about again."""


@dataclass(frozen=True, slots=True)
class _Answer:
    claims: Mapping[str, Any] | None
    """None: not active."""
    ends_s: float
    until: float


class Introspector:
    """What an issuer says about its tokens."""

    def __init__(
        self,
        name: str,
        settings: Introspection,
        tell: Tell,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._now = now
        self._provider = Provider(name, settings, tell)
        self._fetcher = Fetcher(
            name, ca_file=settings.ca_file, deadline_s=settings.deadline_s, bytes_max=ANSWER_BYTES_MAX
        )
        secret = read_secret_octets(settings.client_secret_file, "the client secret").decode(errors="surrogateescape")
        # Both are form-encoded first: a colon in the name must not end it (RFC 6749, 2.3.1).
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret, errors='surrogateescape')}"
        self._headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    async def claims(self, token: bytes) -> tuple[Mapping[str, Any], float]:
        """What the issuer says, and when the token ends; `Denied` unless it is active."""
        if len(token) > self._settings.token_bytes_max:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the token is too long")
        if not token.isascii():
            raise Denied(ReasonCode.NOT_AUTHORIZED, "what was presented is no token")
        mark = hashlib.sha256(token).digest()
        answer = self._answers.get(mark)
        if answer is None or answer.until <= self._clock():
            answer = await self._provider.ask(lambda: self._ask(token))
            self._remember(mark, answer)
        if answer.claims is None:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the issuer says that the token is not active")
        # Also where the answer was remembered: the token may have ended since.
        check_dates(answer.claims, self._settings.leeway_s, self._now())
        return answer.claims, answer.ends_s

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()

    async def _ask(self, token: bytes) -> _Answer:
        settings = self._settings
        form = {"token": token.decode("ascii"), "token_type_hint": "access_token"}
        try:
            said = strict_object(await self._fetcher.post(settings.introspection_url, form, self._headers))
        except NotStrict as error:
            raise ProviderUnavailable(f"{self._name} gave an answer that cannot be read: {error}") from None
        if said.get("active") is not True:
            return _Answer(None, 0.0, self._clock() + min(REFUSED_S, settings.remembered_s))
        if settings.issuer is not None and said.get("iss") not in {None, settings.issuer}:
            raise refuse("the token is of another issuer")
        now = self._now()
        ends_s = check_dates(said, settings.leeway_s, now)
        if settings.audience:
            check_audience(said, settings.audience)
        check_required(said, settings.required_claims)
        left_s = settings.session_max_s if ends_s is None else ends_s - now.timestamp()
        return _Answer(said, now.timestamp() + left_s, self._clock() + min(settings.remembered_s, max(0.0, left_s)))

    def _remember(self, mark: bytes, answer: _Answer) -> None:
        self._answers[mark] = answer
        self._answers.move_to_end(mark)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)


class IntrospectionAuthenticator:
    """Asks about what comes in Password, or (with a `method`) in Authentication Data."""

    def __init__(self, name: str, method: str | None, introspector: Introspector, subject: Subject) -> None:
        self.name = name
        self.method = method
        self._introspector = introspector
        self._subject = subject

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof that ends with the token; None where no token was presented."""
        token = request.password if self.method is None else request.authentication_data
        if not token:
            return None
        claims, ends_s = await self._introspector.claims(token)
        return await self._subject.proof(claims, request.user_name if self.method is None else None, ends_s)

    async def aclose(self) -> None:
        """Closes connections."""
        await self._introspector.aclose()


def introspection_authenticators(
    name: str, settings: Introspection, directory: IdentityDirectory, tell: Tell
) -> Sequence[Authenticator]:
    """The ways in that the settings name. Reads the file of the client secret."""
    introspector, subject = Introspector(name, settings, tell), Subject(settings, directory, "introspection")
    methods = {"auth": (METHOD,), "password": (None,), "both": (None, METHOD)}[settings.token_in]
    return [IntrospectionAuthenticator(name, method, introspector, subject) for method in methods]
