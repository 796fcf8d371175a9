"""Certificate Revocation Lists of CAs that are not ours: read, and verified before they count. Pure.

A list is signed, so it may come by plain http; what can be done on the way is to hold it back, or to send an older
one again. Both are met here: a list ends, and never goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bartizan.errors import CertificateUnusable
from bartizan.pki.ca import Authority
from bartizan.pki.crl import build_crl
from bartizan.pki.profiles import build_ca, new_key

CLOCK_LEEWAY = timedelta(minutes=5)
"""So far a list may lie in the future: clocks differ."""

_SIGNERS = (
    rsa.RSAPublicKey,
    dsa.DSAPublicKey,
    ec.EllipticCurvePublicKey,
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list that is genuine."""

    pem: str
    issuer: x509.Name
    this_update: datetime
    next_update: datetime

    @classmethod
    def read(cls, octets: bytes, cas: Sequence[x509.Certificate], *, at: datetime) -> Self:
        """The list in PEM or DER, signed by one of these CAs; `CertificateUnusable` says why it is none."""
        crl = _parsed(octets)
        if not any(_signed(crl, ca) for ca in cas):
            raise CertificateUnusable("no CA of client_ca_file has signed it")
        ends = crl.next_update_utc
        if ends is None:
            raise CertificateUnusable("it does not say when the next one comes")
        if crl.last_update_utc > at + CLOCK_LEEWAY:
            raise CertificateUnusable(f"it is of the future ({crl.last_update_utc:%Y-%m-%d %H:%M}Z)")
        if _says_part_only(crl):
            raise CertificateUnusable("it is a part of a list (delta, or of some reasons): name the URL of the whole")
        pem = crl.public_bytes(Encoding.PEM).decode()
        return cls(pem, crl.issuer, crl.last_update_utc, ends)

    def check_successor(self, newer: "RevocationList") -> None:
        """Refuses an older list in the place of this one: it would take revocations back."""
        if newer.issuer != self.issuer:
            raise CertificateUnusable("it is of another CA than the one before")
        if newer.this_update < self.this_update:
            raise CertificateUnusable(f"it is older ({newer.this_update:%Y-%m-%d %H:%M}Z) than the one before")


def nobodys_crl() -> str:
    """A list of a CA that does not exist: with it alone, no certificate has a list that speaks for it."""
    at, key = datetime.now(UTC), new_key()
    authority = Authority(build_ca(key, "no CA: its list is missing", at), key)
    return build_crl(authority, [], at=at, lifetime=timedelta(days=3_650)).decode()


def _parsed(octets: bytes) -> x509.CertificateRevocationList:
    try:
        if octets.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(octets)
        return x509.load_der_x509_crl(octets)
    except ValueError:
        raise CertificateUnusable("it is no CRL") from None


def _signed(crl: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    key = ca.public_key()
    if ca.subject != crl.issuer or not isinstance(key, _SIGNERS) or not _may_sign(ca):
        return False
    try:
        return crl.is_signature_valid(key)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False


def _may_sign(ca: x509.Certificate) -> bool:
    try:
        return ca.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False


def _says_part_only(crl: x509.CertificateRevocationList) -> bool:
    try:
        for extension in crl.extensions:
            match extension.value:
                case x509.DeltaCRLIndicator():
                    return True
                case x509.IssuingDistributionPoint() as point if point.only_some_reasons or point.indirect_crl:
                    return True
    except ValueError:
        return True
    return False
