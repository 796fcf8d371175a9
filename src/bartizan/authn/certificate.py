"""A verified client certificate: its identity must exist, be enabled, and not have revoked it."""

import hmac
from datetime import UTC, datetime
from urllib.parse import unquote

from bartizan.authn.base import Certificate, ConnectRequest, Denied, Proof
from bartizan.authn.binding import Names, OwnNames, named
from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import Factor, Identity
from bartizan.model.reason import ReasonCode
from bartizan.policy.naming import admits
from bartizan.store.ports import IdentityDirectory

IDENTITY_URI = "urn:bartizan:identity:"


def claimed_identity(certificate: Certificate) -> str | None:
    """The identity that a certificate names: our SAN URI, else the CN. Two different URIs name none."""
    named = {
        unquote(uri.removeprefix(IDENTITY_URI), errors="strict")
        for uri in certificate.san_uris
        if uri.startswith(IDENTITY_URI)
    }
    if len(named) > 1:
        return None
    return named.pop() if named else certificate.common_name or None


class CertificateAuthenticator:
    """Maps a certificate to a principal. The listener has checked chain, dates and CRL, every time."""

    name = "certificate"
    method: None = None

    def __init__(self, directory: IdentityDirectory, remembered_s: int = 0, names: Names | None = None) -> None:
        self._directory = directory
        self._remembered_s = remembered_s
        self._names = names or OwnNames()

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof; None without certificate, or when the User Name claims somebody else."""
        certificate = request.certificate
        if certificate is None:
            return None
        name = _claimed(certificate)
        if name is None:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the certificate names no identity")
        identity = await self._directory.get(name)
        if identity is None:
            raise Denied(ReasonCode.NOT_AUTHORIZED, f"the certificate names {name!r}, which is no identity")
        now = datetime.now(UTC)
        credential = _on_record(identity, certificate)
        principal = identity.principal("certificate", factor=Factor.CERTIFICATE, credential=credential)
        if request.user_name is not None:
            namings = self._names.user_names(principal.roles)
            if not admits(namings, request.user_name, named(principal, certificate)):
                return None
        if refusal := identity.refusal(now):
            raise Denied(ReasonCode.NOT_AUTHORIZED, refusal)
        if credential is not None and credential.revoked_at is not None:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the certificate is revoked")
        ends = [certificate.not_after, credential.expires_at if credential else None]
        ends_at = min((end for end in ends if end is not None), default=None)
        if ends_at is not None and ends_at <= now:
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the certificate has expired")
        return Proof(principal, expires_at=ends_at, remembered_s=self._remembered_s)


def _claimed(certificate: Certificate) -> str | None:
    try:
        return claimed_identity(certificate)
    except UnicodeDecodeError:
        return None


def _on_record(identity: Identity, certificate: Certificate) -> CertificateCredential | None:
    """The record of this very certificate; one that another CA of the listener signed may have none."""
    of_it = [
        item
        for item in identity.credentials
        if isinstance(item, CertificateCredential)
        and hmac.compare_digest(item.fingerprint_sha256, certificate.fingerprint_sha256)
    ]
    # Of two records of one certificate the one that was revoked counts.
    return next((item for item in of_it if item.revoked_at is not None), of_it[0] if of_it else None)
