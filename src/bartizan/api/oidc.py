"""Logins at an OpenID Provider that are under way: what has to fit together when a browser comes back.

browser   goes to the provider and back with a `state`, and has a cookie that nobody else has: who brings an answer is
          who asked. It is `SameSite=Lax`, since the way back begins at another site; the cookie of the login itself is
          `Strict`, and no browser sends that on the way which set it: so a page stands between, of this very origin.
terminal  has the browser come to a port of its own on loopback (RFC 8252), with a code for one exchange that nobody
          redeems who does not know the secret behind its challenge. Nothing is ever sent to another host.
"""

import base64
import hashlib
import hmac
import html
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from bartizan.api.lazy import PREFIX
from bartizan.api.once import Once
from bartizan.authn.oidc import OpenIdClient, Question
from bartizan.broker.app import Broker
from bartizan.errors import ConfigurationError
from bartizan.model.operator import OperatorProof

COOKIE: Final = "__Host-bartizan-oidc"
CALLBACK: Final = "/session/oidc/callback"
ENDS_AFTER: Final = timedelta(minutes=10)
HANDOVER_ENDS_AFTER: Final = timedelta(minutes=1)

_CHARS: Final = "-A-Za-z0-9._~!$&()*+,;=:@%?"
PATH: Final = f"^/([{_CHARS}][{_CHARS}/]{{0,511}})?$"
"""A place of this very origin: never one that begins with two slashes, which is another host."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command line waits for its browser, and by what it redeems the code."""

    port: int
    challenge: str = field(repr=False)
    """SHA-256 of its secret, base64url (RFC 7636, S256)."""
    state: str = field(repr=False)
    """Given back to it: it waits for this answer alone."""

    def url(self, **words: str) -> str:
        """Where its browser is sent."""
        return f"http://127.0.0.1:{self.port}/?{urlencode({'state': self.state, **words})}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that the provider was asked about."""

    question: Question
    browser: str = field(repr=False)
    """The value of the cookie."""
    to: str
    """Where the browser goes on."""
    terminal: Terminal | None

    def is_of(self, browser: str | None) -> bool:
        """Whether this browser has asked."""
        return browser is not None and hmac.compare_digest(browser.encode(), self.browser.encode())


@dataclass(frozen=True, slots=True)
class Handover:
    """A login for the command line that has not come for it yet."""

    proof: OperatorProof
    challenge: str = field(repr=False)

    def is_for(self, secret: str) -> bool:
        """Whether this is the secret behind the challenge."""
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        made = base64.urlsafe_b64encode(digest).rstrip(b"=")
        return hmac.compare_digest(made, self.challenge.encode())


class OidcLogins:
    """The provider, and what waits. Use it from one thread."""

    def __init__(self, broker: Broker, now: Callable[[], datetime]) -> None:
        self._broker = broker
        self._now = now
        self._client: OpenIdClient | None = None
        self.pending: Once[Pending] = Once(now, ENDS_AFTER)
        self.handovers: Once[Handover] = Once(now, HANDOVER_ENDS_AFTER)

    @property
    def client(self) -> OpenIdClient:
        """Who asks the provider; `ConfigurationError` where there is none."""
        api = self._broker.settings.api
        if api.oidc is None or api.oidc_origin is None:
            raise ConfigurationError("there is no OpenID Provider to log in at", "[api.oidc]", "name one")
        if self._client is None:
            uri, session = f"{api.oidc_origin}{PREFIX}{CALLBACK}", timedelta(seconds=api.session_s)
            self._client = OpenIdClient(api.oidc, uri, session, self._broker.tell_provider, now=self._now)
        return self._client

    @property
    def adds(self) -> bool:
        """Whether operators are added at their first login."""
        oidc = self._broker.settings.api.oidc
        return oidc is not None and oidc.operators == "token"

    async def begin(self, to: str, terminal: Terminal | None, address: str, *, fresh: bool) -> tuple[str, str]:
        """Where to send the browser, and the value of its cookie."""
        browser, question = secrets.token_urlsafe(32), self.client.question(fresh=fresh)
        state = self.pending.put(Pending(question, browser, to, terminal), address)
        return await self.client.place_to_ask(question, state), browser

    async def aclose(self) -> None:
        """Closes connections to the provider."""
        if self._client is not None:
            await self._client.aclose()


def page(to: str) -> str:
    """Goes on to a place of this origin, from this origin."""
    place = html.escape(to)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={place}">'
        f'<title>Logged in</title><p>Logged in. <a href="{place}">Go on</a></p></html>\n'
    )
