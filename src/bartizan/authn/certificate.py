"""A verified client certificate: the identity that it names has to exist, be enabled, and not have revoked it.

Or, where a configuration says so, the certificate alone says who it is, and its organizational units what it may.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from bartizan.authn.base import Authenticator, Certificate, ConnectRequest, Denied, Proof
from bartizan.authn.binding import Names, OwnNames, named, possible_owners
from bartizan.authn.certificate_names import Naming, by_convention, by_rules, subject_of
from bartizan.config.certificate import CertificateRules
from bartizan.identity.register import RESERVED
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import RoleName
from bartizan.model.principal import Factor, Identity, Principal
from bartizan.model.reason import ReasonCode
from bartizan.policy.naming import admits
from bartizan.store.ports import IdentityDirectory

METHOD = "certificate"
"""Of every certificate, whichever authenticator judged it: what the policy calls it."""


class CertificateAuthenticator:
    """Maps a certificate to a stored identity. The listener has checked chain, dates and CRL, every time.

    `pinned`: only a certificate that is on record for the identity proves it.
    """

    name = "certificate"
    method: None = None

    def __init__(
        self,
        directory: IdentityDirectory,
        remembered_s: int = 0,
        names: Names | None = None,
        *,
        name: str | None = None,
        naming: Naming = by_convention,
        pinned: bool = False,
    ) -> None:
        self.name = name or type(self).name
        self._directory = directory
        self._remembered_s = remembered_s
        self._names = names or OwnNames()
        self._naming = naming
        self._pinned = pinned

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof; None without certificate, or when the User Name claims somebody else."""
        certificate = request.certificate
        if certificate is None:
            return None
        name = self._naming(certificate)
        identity = await self._directory.get(name)
        if identity is None:
            raise _refuse(f"the certificate names {name!r}, which is no identity")
        now = datetime.now(UTC)
        record, proof = _on_record(identity, certificate, now)
        if proof is None and self._pinned and (renewed := await self._directory.renewed(name, identity)):
            identity, (record, proof) = renewed, _on_record(renewed, certificate, now)
        principal = identity.principal(METHOD, factor=Factor.CERTIFICATE, credential=proof)
        if not _may_be_called(request, principal, certificate, self._names):
            return None
        if refusal := identity.refusal(now):
            raise _refuse(refusal)
        if proof is None and self._pinned:
            raise _refuse(f"the certificate is none of those on record for {name!r}")
        if record is not None and record.revoked_at is not None:
            raise _refuse("the certificate is revoked")
        ends = [certificate.not_after, record.expires_at if record else None]
        ends_at = min((end for end in ends if end is not None), default=None)
        if ends_at is not None and ends_at <= now:
            raise _refuse("the certificate has expired")
        return Proof(principal, expires_at=ends_at, remembered_s=self._remembered_s)


class SelfNamedAuthenticator:
    """Takes a certificate's word for who it is: its CA is trusted with names that are nobody's here."""

    method: None = None

    def __init__(
        self, name: str, settings: CertificateRules, directory: IdentityDirectory, remembered_s: int, names: Names
    ) -> None:
        self.name = name
        self._naming = by_rules(settings.rules)
        self._roles: Mapping[str, Sequence[str]] = settings.roles_by_ou
        self._directory = directory
        self._remembered_s = remembered_s
        self._names = names

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """A proof; None without certificate, or when the User Name claims somebody else."""
        certificate = request.certificate
        if certificate is None:
            return None
        name = self._naming(certificate)
        if not name.isascii():
            # Nobody wrote this name down here to compare it with: one that only looks like another is refused.
            raise _refuse(f"the certificate names {name!r}, which is not ASCII")
        if name in RESERVED:
            raise _refuse(f"the name {name!r} is reserved")
        # Else a CA could make itself anyone of ours, or take a Client Identifier that is theirs.
        taken = await self._directory.known(possible_owners(name))
        if await self._directory.get(name) is not None or taken:
            raise _refuse(f"the certificate names {name!r}, which belongs to the identity store's")
        principal = Principal(name, self._roles_of(certificate), (), METHOD, frozenset({Factor.CERTIFICATE}))
        if not _may_be_called(request, principal, certificate, self._names):
            return None
        if certificate.not_after is not None and certificate.not_after <= datetime.now(UTC):
            raise _refuse("the certificate has expired")
        return Proof(principal, certificate.not_after, managed=False, remembered_s=self._remembered_s)

    def _roles_of(self, certificate: Certificate) -> tuple[RoleName, ...]:
        units = organizational_units(certificate) if self._roles else ()
        return tuple(dict.fromkeys(RoleName(role) for unit in units for role in self._roles.get(unit, ())))


def organizational_units(certificate: Certificate) -> tuple[str, ...]:
    """The OUs of its subject, in their order; none where the listener was not asked to hand it over whole."""
    subject = subject_of(certificate)
    if subject is None:
        return ()
    return tuple(str(unit.value) for unit in subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME))


def certificate_authenticators(
    name: str, settings: CertificateRules, directory: IdentityDirectory, remembered_s: int, names: Names
) -> Sequence[Authenticator]:
    """The authenticator of a table `kind = "certificate"`."""
    if settings.identities == "certificate":
        return [SelfNamedAuthenticator(name, settings, directory, remembered_s, names)]
    naming = by_rules(settings.rules) if settings.rules else by_convention
    return [CertificateAuthenticator(directory, remembered_s, names, name=name, naming=naming, pinned=settings.pinned)]


def _may_be_called(request: ConnectRequest, principal: Principal, certificate: Certificate, names: Names) -> bool:
    """Whether the User Name beside the certificate, if there is one, is one of its own."""
    if request.user_name is None:
        return True
    return admits(names.user_names(principal.roles), request.user_name, named(principal, certificate))


def _refuse(why: str) -> Denied:
    return Denied(ReasonCode.NOT_AUTHORIZED, why)


def _on_record(
    identity: Identity, certificate: Certificate, at: datetime
) -> tuple[CertificateCredential | None, CertificateCredential | None]:
    """The record of this very certificate, and again if it proves it; one that another CA signed may have none."""
    of_it = [
        item for item in identity.credentials if isinstance(item, CertificateCredential) and _is_of(item, certificate)
    ]
    # Of several records of one certificate one that was revoked counts; or else one that still lives.
    record = min(
        of_it,
        key=lambda item: (item.revoked_at is None, not item.is_live(at), not _is_told(item, certificate)),
        default=None,
    )
    return record, record if record is not None and _is_told(record, certificate) else None


def _is_of(record: CertificateCredential, certificate: Certificate) -> bool:
    if record.fingerprint_sha256:
        return hmac.compare_digest(record.fingerprint_sha256, certificate.fingerprint_sha256)
    if int(record.serial_hex, 16) != int(certificate.serial_hex, 16):
        return False
    if not _is_told(record, certificate):
        # Whose serial number it is cannot be told: so it proves nothing, and revoked or ended it is refused.
        return record.revoked_at is not None or record.expires_at is not None
    return record.issuer == issuer_of(certificate)


def _is_told(record: CertificateCredential, certificate: Certificate) -> bool:
    """Whether a record that fits is this certificate's for sure."""
    return bool(record.fingerprint_sha256 or certificate.chain)


def issuer_of(certificate: Certificate) -> str:
    """The issuer's name as RFC 4514 writes it, from the certificate itself: what the engine says of it is for people.

    With its escapes, two names are written alike only if they are the same: attribute by attribute, in their order,
    letter for letter. How a letter is encoded (UTF8String or PrintableString) does not count.
    """
    try:
        return x509.load_der_x509_certificate(certificate.chain[0]).issuer.rfc4514_string()
    except ValueError:
        raise _refuse("the certificate's issuer cannot be read") from None
