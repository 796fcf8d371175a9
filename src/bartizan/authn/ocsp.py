"""Asks the CA's responder whether a client certificate still counts (OCSP), before anything else is looked at.

An answer counts until it says; revoked is revoked whatever else proves the client. Of clients that stay connected the
responder is asked again when its answer is over, and of those that were let in without one. TLS libraries know stapling
only from server to client: a client that staples finds nobody here who reads it.
"""

import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from bartizan.authn.base import Certificate, ConnectRequest, Denied, ProviderUnavailable
from bartizan.authn.chain import Connected
from bartizan.authn.fetch import Fetcher
from bartizan.authn.ocsp_answer import Answer, Named, NoAnswer, question, read
from bartizan.authn.outside import Provider, Tell
from bartizan.config.files import read_file
from bartizan.config.listener import Listener
from bartizan.config.outside import Outside
from bartizan.errors import ConfigurationError
from bartizan.model.reason import ReasonCode

ANSWERS_MAX = 65_536
"""Certificates of which something is kept; further ones push out the oldest that is not revoked."""

ANSWER_BYTES_MAX = 65_536
NONCE_BYTES = 32

SOFT_S = 30.0
"""As long as nobody is asked again about a certificate on which there was no answer, where none is required."""

AGAIN = timedelta(minutes=5)
"""So long nobody is asked again about a client that stays connected, however short answers count."""

CLIENTS_MAX = 16
"""Clients of one certificate that are remembered; with more of them it counts as in use."""

_PORTS = {"http": 80, "https": 443}

FAILURES_MAX = 3
"""So many certificates without an answer end one look at those in use that have the same responder."""

FAILURES_IN_ALL_MAX = 16 * FAILURES_MAX
"""So many end it for all of them: a CA may name as many responders as it likes."""


class Revoked:
    """Certificates that a responder has said to be revoked, by fingerprint. `found` is called at each new one."""

    def __init__(self, found: Callable[[], None] = lambda: None) -> None:
        self._found = found
        self._known: set[tuple[str, str]] = set()

    def note(self, listener: str, fingerprint: str, *, is_revoked: bool) -> None:
        """What was answered last."""
        key = (listener, fingerprint)
        if not is_revoked:
            self._known.discard(key)
        elif key not in self._known:
            self._known.add(key)
            self._found()

    def fingerprints(self) -> Collection[str]:
        """Of all of them."""
        return {fingerprint for _, fingerprint in self._known}


@dataclass(frozen=True, slots=True)
class _About:
    """What it takes to ask about a certificate without it."""

    url: str
    issuer: x509.Certificate
    named: Named
    ends_at: datetime
    """From then on TLS refuses the certificate."""


@dataclass(slots=True)
class _Known:
    """What was answered about a certificate, if anything was, and who came with it."""

    about: _About
    asked_at: datetime
    """When it was last asked about, or found that nobody has to be."""
    answer: Answer | None = None
    number: int = -1
    """Of the question that it is the answer to: that to a later one stands, whichever comes first."""
    clients: set[str] = field(default_factory=set)

    @property
    def is_revoked(self) -> bool:
        """Whether that is what was said last, however long ago."""
        return self.answer is not None and self.answer.status is ocsp.OCSPCertStatus.REVOKED

    def left_s(self, at: datetime) -> float:
        """For how many seconds the answer still counts."""
        return 0.0 if self.answer is None else max(0.0, (self.answer.until - at).total_seconds())

    def is_due(self, at: datetime) -> bool:
        """Whether a client that is still connected is to be asked about again."""
        return self.left_s(at) == 0 and self.asked_at + AGAIN <= at

    def may_be_in_use(self, connected: Collection[str]) -> bool:
        """Whether one of its clients is connected; one without a Client Identifier of its own may be."""
        return len(self.clients) > CLIENTS_MAX or "" in self.clients or not self.clients.isdisjoint(connected)

    def came(self, client_id: str) -> None:
        """Remembers a client that shows the certificate."""
        if len(self.clients) <= CLIENTS_MAX:
            self.clients.add(client_id)


class OcspGuard:
    """What one listener's settings ask for."""

    def __init__(
        self,
        listener: str,
        settings: Listener,
        tell: Tell,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        revoked: Revoked | None = None,
    ) -> None:
        self._listener = listener
        self._settings = settings
        self._now = now
        self._revoked = revoked or Revoked()
        name, outside = f"ocsp of {listener}", Outside()
        self._provider = Provider(name, outside, tell)
        self._fetcher = Fetcher(
            name,
            ca_file=None,
            deadline_s=outside.deadline_s,
            bytes_max=ANSWER_BYTES_MAX,
            accept="application/ocsp-response",
        )
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._numbers = count()
        self._cas = _Cas(settings.client_ca_file)

    async def check(self, request: ConnectRequest) -> float:
        """For how many seconds what is known counts; `Denied`, or `ProviderUnavailable`, if it is not good."""
        certificate = request.certificate
        if certificate is None:
            return float("inf")
        fingerprint, least_s = certificate.fingerprint_sha256, 0.0
        known = self._known.get(fingerprint)
        if known is None or known.left_s(self._now()) == 0:
            try:
                known = await self._provider.ask(lambda: self._first(certificate))
            except (ProviderUnavailable, Denied):
                if self._settings.ocsp == "required":
                    raise
                known, least_s = self._known.get(fingerprint) or self._unanswered(certificate), SOFT_S
                if known is None:
                    return SOFT_S  # there is nobody to ask, now or later
                known.asked_at = self._now()  # a look meanwhile would not find the client connected yet
        known.came(request.client_id)
        if known.is_revoked:
            # Also where that is over: an answer held back takes no revocation back.
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the certificate is revoked, its CA's responder says")
        is_unknown = known.answer is not None and known.answer.status is ocsp.OCSPCertStatus.UNKNOWN
        if is_unknown and self._settings.ocsp == "required":
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the CA's responder does not know the certificate")
        return known.left_s(self._now()) or least_s

    async def look_again(self, connected: Connected) -> None:
        """Asks again about certificates in use of which no answer counts any more; those of nobody are forgotten.

        Without an answer nobody is disconnected: who stays away from its responder does not end what is there.
        """
        now = self._now()
        due = [fingerprint for fingerprint, known in self._known.items() if known.is_due(now)]
        # Who has waited longest first: what failures leave over is not the same ones every time.
        due.sort(key=lambda fingerprint: self._known[fingerprint].asked_at)
        there, failures = await connected() if due else (), Counter[str]()
        for fingerprint in due:
            known = self._known.get(fingerprint)
            if known is None or not known.is_due(now):
                continue
            if not known.may_be_in_use(there):
                self._leave(fingerprint, known, now)
                continue
            url = known.about.url
            if failures[url] >= FAILURES_MAX or failures.total() >= FAILURES_IN_ALL_MAX:
                continue  # its turn comes with a next look
            # One after the other: whoever connects finds the gate open.
            try:
                await self._provider.ask(lambda known=known, of=fingerprint: self._again(of, known))
            except Denied:
                return  # the gate is full: nobody was asked
            except ProviderUnavailable:
                known.asked_at = now
                failures[url] += 1

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()

    async def _first(self, certificate: Certificate) -> _Known:
        try:
            about = self._about(certificate)
        except NoAnswer as error:
            raise ProviderUnavailable(str(error)) from None
        number = next(self._numbers)
        answer = await self._ask(about)
        known = self._known.get(certificate.fingerprint_sha256) or _Known(about, self._now())
        known.about = about
        self._take(certificate.fingerprint_sha256, known, answer, number)
        return known

    async def _again(self, fingerprint: str, known: _Known) -> None:
        number = next(self._numbers)
        answer = await self._ask(known.about)
        # Forgotten meanwhile, nothing would ever take back what is noted of it now.
        if self._known.get(fingerprint) is known:
            self._take(fingerprint, known, answer, number)

    def _unanswered(self, certificate: Certificate) -> _Known | None:
        """Remembers whom to ask later; None if there is nobody."""
        try:
            known = _Known(self._about(certificate), self._now())
        except NoAnswer:
            return None
        self._keep(certificate.fingerprint_sha256, known)
        return known

    def _about(self, certificate: Certificate) -> _About:
        leaf, issuer = self._pair(certificate)
        return _About(self._url(leaf), issuer, Named.of(leaf, issuer), leaf.not_valid_after_utc)

    async def _ask(self, about: _About) -> Answer:
        asked = question(about.named, os.urandom(NONCE_BYTES))
        reply = await self._fetcher.send(
            about.url, asked.public_bytes(Encoding.DER), {"content-type": "application/ocsp-request"}
        )
        try:
            return read(reply.content, asked, about.issuer, at=self._now())
        except NoAnswer as error:
            raise ProviderUnavailable(str(error)) from None

    def _pair(self, certificate: Certificate) -> tuple[x509.Certificate, x509.Certificate]:
        """The certificate and its issuer: who signed it, whatever else was sent."""
        try:
            leaf, *sent = map(x509.load_der_x509_certificate, certificate.chain)
        except ValueError:
            raise NoAnswer("the client's certificates cannot be read") from None
        for candidate in (*self._cas.read(), *sent):
            if _has_issued(candidate, leaf):
                return leaf, candidate
        raise NoAnswer("the issuer of the certificate is neither in client_ca_file nor was it sent")

    def _url(self, leaf: x509.Certificate) -> str:
        if self._settings.ocsp_url is not None:
            return self._settings.ocsp_url
        for url in _responders(leaf):
            parts = urlsplit(url)
            if parts.scheme in _PORTS and "@" not in parts.netloc and self._may_ask(parts.scheme, parts.netloc.lower()):
                return url
        raise NoAnswer("the certificate names no responder of ocsp_hosts")

    def _may_ask(self, scheme: str, place: str) -> bool:
        usual = f":{_PORTS[scheme]}"
        return place in self._settings.ocsp_hosts or place.removesuffix(usual) in self._settings.ocsp_hosts

    def _take(self, fingerprint: str, known: _Known, answer: Answer, number: int) -> None:
        known.asked_at = self._now()
        if number > known.number:
            known.answer, known.number = answer, number
        self._keep(fingerprint, known)

    def _keep(self, fingerprint: str, known: _Known) -> None:
        self._known[fingerprint] = known
        self._known.move_to_end(fingerprint)
        self._revoked.note(self._listener, fingerprint, is_revoked=known.is_revoked)
        if len(self._known) > ANSWERS_MAX:
            oldest = next(iter(self._known))
            self._forget(next((of for of, each in self._known.items() if not each.is_revoked), oldest))

    def _leave(self, fingerprint: str, known: _Known, at: datetime) -> None:
        """Forgets a certificate that nobody uses; a revoked one once it has ended by itself."""
        if known.is_revoked and at < known.about.ends_at:
            known.asked_at = at
        else:
            self._forget(fingerprint)

    def _forget(self, fingerprint: str) -> None:
        del self._known[fingerprint]
        self._revoked.note(self._listener, fingerprint, is_revoked=False)


class _Cas:
    """The CA certificates of a file, read again when it was replaced."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._mark: tuple[int, int] | None = None
        self._found: Sequence[x509.Certificate] = ()

    def read(self) -> Sequence[x509.Certificate]:
        """The CAs; the last ones while the file cannot be read."""
        if self._file is None:
            return ()
        try:
            state = self._file.stat()
            if self._mark != (mark := (state.st_mtime_ns, state.st_size)):
                self._found = x509.load_pem_x509_certificates(read_file(self._file, "the client CA file"))
                self._mark = mark
        except (OSError, ValueError, ConfigurationError):
            return self._found
        return self._found


def _has_issued(candidate: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(candidate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _responders(leaf: x509.Certificate) -> Iterator[str]:
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return
    for each in access:
        place = each.access_location
        if each.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            place, x509.UniformResourceIdentifier
        ):
            yield place.value
