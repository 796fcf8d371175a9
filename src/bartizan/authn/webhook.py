"""A service of the operator's own is asked about a CONNECT, by a signed POST; docs/reference/webhook.md has the wire format.

Anything but a whole, well-formed and, where that is asked for, signed 200 in time is no answer (0x88): it fails
closed. The signature covers time and body; that of an answer covers the question's signature too, so that neither
can be replayed.
"""

import asyncio
import hmac
import json
import random
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bartizan.authn.base import Authenticator, Certificate, ConnectRequest, Denied, Proof, ProviderUnavailable
from bartizan.authn.fetch import Fetcher, NotReached, Reply
from bartizan.authn.outside import Provider, Tell
from bartizan.authn.strict_json import NotStrict, strict_object
from bartizan.authn.vouching import PASSWORD, Account, Vouching, given_attributes, given_roles
from bartizan.config.accounts import Webhook
from bartizan.config.files import read_secret_octets
from bartizan.errors import ConfigurationError, InvalidValue
from bartizan.model.ids import NAME_CHARS_MAX
from bartizan.model.reason import ReasonCode
from bartizan.model.signing import SECRET_BYTES_MIN, SIGNATURE, mark, signed
from bartizan.store.ports import IdentityDirectory

ANSWER_BYTES_MAX = 65_536
REQUEST_BYTES = 16
"""Of a question's name: as good as never the same twice."""

PAUSE_S = 0.1
"""Before a further attempt at most; twice as long before each next one."""


class Answer(BaseModel):
    """What the service says. An unknown key is a mistake that somebody should hear of."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    allow: bool
    identity: Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)] | None = None
    roles: Annotated[list[str], Field(max_length=256)] = []
    attributes: dict[str, str] = {}
    expires_in_s: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class WebhookAuthenticator:
    """Asks the service; with `sends_password` as a judge of passwords, without it only to refuse."""

    method: None = None

    def __init__(
        self,
        name: str,
        settings: Webhook,
        vouching: Vouching,
        tell: Tell,
        clock: Callable[[], float] = time,
    ) -> None:
        self.name = name
        self.takes_passwords = settings.sends_password
        self._settings = settings
        self._vouching = vouching
        self._clock = clock
        self._secret = _secret(settings)
        self._provider = Provider(name, settings, tell)
        self._fetcher = Fetcher(
            name, ca_file=settings.ca_file, deadline_s=settings.deadline_s, bytes_max=ANSWER_BYTES_MAX
        )

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof; None where a password would have to be sent and there is none; `Denied` if the service says no."""
        sends = self._settings.sends_password
        if sends and (request.user_name is None or request.password is None):
            return None
        question = _question(request, sends_password=sends)
        account = await self._provider.ask(lambda: self._ask(question))
        if account is None:
            reason = ReasonCode.BAD_USER_NAME_OR_PASSWORD if sends else ReasonCode.NOT_AUTHORIZED
            raise Denied(reason, f"{self.name} says no")
        return await self._vouching.proof(account, PASSWORD if sends else frozenset())

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()

    async def _ask(self, question: dict[str, Any]) -> Account | None:
        for attempt in range(self._settings.retries_max):
            try:
                return await self._once(question)
            except NotReached:
                # Not all at once: who comes back from a restart is not to be thrown down again.
                await asyncio.sleep(PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311  no secret
        return await self._once(question)

    async def _once(self, question: dict[str, Any]) -> Account | None:
        body = json.dumps({"request": secrets.token_hex(REQUEST_BYTES), **question}).encode()
        marks = signed(body, self._secret, datetime.fromtimestamp(self._clock(), UTC))
        headers = {"content-type": "application/json", **marks}
        reply = await self._fetcher.send(self._settings.webhook_url, body, headers)
        if self._settings.signed_answers:
            expected = mark(self._secret, b"answer", marks[SIGNATURE].encode(), reply.content)
            if not hmac.compare_digest(expected.encode(), reply.headers.get(SIGNATURE, "").encode(errors="replace")):
                raise ProviderUnavailable(f"{self.name} gave an answer without the signature of this question")
        return self._read(reply, question["user_name"])

    def _read(self, reply: Reply, user_name: str | None) -> Account | None:
        try:
            answer = Answer.model_validate(strict_object(reply.content))
            return self._account(answer, user_name) if answer.allow else None
        except ValidationError as error:
            key = ".".join(str(part) for part in error.errors()[0]["loc"])
            why = f"{key[:64]!r} in it is missing, unknown or wrong"
        except (NotStrict, InvalidValue) as error:
            why = str(error)
        raise ProviderUnavailable(f"{self.name} gave an answer that cannot be read: {why}")

    def _account(self, answer: Answer, user_name: str | None) -> Account:
        name = answer.identity or user_name
        if not name:
            raise InvalidValue("there was no User Name, and no `identity` in it says whom it lets in")
        if self._settings.identities == "stored":
            return Account(name, lasts_s=answer.expires_in_s)
        roles = given_roles(self._settings.roles_allowed, answer.roles)
        return Account(name, roles, given_attributes(answer.attributes), answer.expires_in_s)


def webhook_authenticators(
    name: str, settings: Webhook, directory: IdentityDirectory, tell: Tell
) -> Sequence[Authenticator]:
    """The one that the settings describe. Reads the file of the secret."""
    return [WebhookAuthenticator(name, settings, Vouching(settings, directory, "webhook"), tell)]


def _question(request: ConnectRequest, *, sends_password: bool) -> dict[str, Any]:
    question: dict[str, Any] = {
        "listener": request.listener,
        "address": request.address,
        "protocol": request.version,
        "client_id": request.client_id,
        "user_name": request.user_name,
        "certificate": None if request.certificate is None else _shown(request.certificate),
    }
    if sends_password:
        try:
            question["password"] = (request.password or b"").decode()
        except UnicodeDecodeError:
            raise Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, "the password is no text (UTF-8)") from None
    return question


def _shown(certificate: Certificate) -> dict[str, Any]:
    return {
        "fingerprint_sha256": certificate.fingerprint_sha256,
        "serial": certificate.serial_hex,
        "issuer": certificate.issuer,
        "common_name": certificate.common_name,
        "san_uris": certificate.san_uris,
        "san_dns": certificate.san_dns,
        "san_emails": certificate.san_emails,
        "not_after": None if certificate.not_after is None else certificate.not_after.isoformat(),
    }


def _secret(settings: Webhook) -> bytes:
    secret = read_secret_octets(settings.secret_file, "the secret of the webhook")
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigurationError(
            f"the secret of the webhook is shorter than {SECRET_BYTES_MIN} bytes",
            str(settings.secret_file),
            "make a longer one: openssl rand -hex 32",
        )
    return secret
