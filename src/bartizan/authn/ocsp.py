"""Asks the CA's responder whether a client certificate still counts (OCSP), before anything else is looked at.

An answer counts until it says; revoked is revoked whatever else proves the client. TLS libraries know stapling only
from server to client: a client that staples finds nobody here who reads it.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from bartizan.authn.base import Certificate, ConnectRequest, Denied, ProviderUnavailable
from bartizan.authn.fetch import Fetcher
from bartizan.authn.ocsp_answer import Answer, NoAnswer, question, read
from bartizan.authn.outside import Gate, Tell, Trouble
from bartizan.config.files import read_file
from bartizan.config.listener import Listener
from bartizan.errors import ConfigurationError
from bartizan.model.reason import ReasonCode

ANSWERS_MAX = 65_536
"""Answers kept; further ones push out the oldest."""

ANSWER_BYTES_MAX = 65_536
NONCE_BYTES = 32
DEADLINE_S = 3.0
CONCURRENT_MAX = 16
WAITING_MAX = 128

SOFT_S = 30.0
"""As long as nobody is asked again about a certificate on which there was no answer, where none is required."""

_PORTS = {"http": 80, "https": 443}


class OcspGuard:
    """What one listener's settings ask for."""

    def __init__(
        self,
        listener: str,
        settings: Listener,
        tell: Tell,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._now = now
        name = f"ocsp of {listener}"
        self._trouble = Trouble(name, tell)
        self._gate = Gate(name, concurrent_max=CONCURRENT_MAX, waiting_max=WAITING_MAX, deadline_s=DEADLINE_S)
        self._fetcher = Fetcher(
            name,
            ca_file=None,
            deadline_s=DEADLINE_S,
            bytes_max=ANSWER_BYTES_MAX,
            accept="application/ocsp-response",
        )
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._cas = _Cas(settings.client_ca_file)

    async def check(self, request: ConnectRequest) -> float:
        """For how many seconds what is known counts; `Denied`, or `ProviderUnavailable`, if it is not good."""
        certificate = request.certificate
        if certificate is None:
            return float("inf")
        answer = self._answers.get(certificate.fingerprint_sha256)
        if answer is None or answer.until <= self._now():
            try:
                answer = await self._gate.ask(lambda: self._ask(certificate))
            except (ProviderUnavailable, Denied):
                if self._settings.ocsp == "required":
                    raise
                return SOFT_S
            self._keep(certificate.fingerprint_sha256, answer)
        match answer.status:
            case ocsp.OCSPCertStatus.REVOKED:
                raise Denied(ReasonCode.NOT_AUTHORIZED, "the certificate is revoked, its CA's responder says")
            case ocsp.OCSPCertStatus.UNKNOWN if self._settings.ocsp == "required":
                raise Denied(ReasonCode.NOT_AUTHORIZED, "the CA's responder does not know the certificate")
        return max(0.0, (answer.until - self._now()).total_seconds())

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()

    async def _ask(self, certificate: Certificate) -> Answer:
        try:
            leaf, issuer = self._pair(certificate)
            url = self._url(leaf)
            asked = question(leaf, issuer, os.urandom(NONCE_BYTES))
            reply = await self._fetcher.send(
                url, asked.public_bytes(Encoding.DER), {"content-type": "application/ocsp-request"}
            )
            answer = read(reply.content, asked, issuer, at=self._now())
        except NoAnswer as error:
            self._trouble.met(str(error))
            raise ProviderUnavailable(str(error)) from None
        except ProviderUnavailable as error:
            self._trouble.met(str(error))
            raise
        self._trouble.over()
        return answer

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

    def _keep(self, fingerprint: str, answer: Answer) -> None:
        self._answers[fingerprint] = answer
        self._answers.move_to_end(fingerprint)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)


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
