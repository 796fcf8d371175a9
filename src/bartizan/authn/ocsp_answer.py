"""What an OCSP responder says (RFC 6960), believed only if it is signed by who may say it. Pure.

The issuer of the certificate may, and whoever has a certificate for it (OCSP signing) from that very issuer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

CLOCK_LEEWAY = timedelta(minutes=5)
"""So far the clocks of the responder and of this machine may differ."""

AGE_MAX = timedelta(hours=1)
"""So old an answer may be that does not say until when it counts."""


class NoAnswer(ValueError):  # noqa: N818  it says what came
    """What came is no answer that can be believed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a certificate, and until when that counts."""

    status: ocsp.OCSPCertStatus
    until: datetime


@dataclass(frozen=True, slots=True)
class Named:
    """A certificate as a request names it. SHA-1 only names its issuer here, and is what every responder knows (RFC 5019)."""

    issuer_name_sha1: bytes
    issuer_key_sha1: bytes
    serial_number: int

    @classmethod
    def of(cls, leaf: x509.Certificate, issuer: x509.Certificate) -> "Named":
        """This one."""
        told = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build()  # noqa: S303
        return cls(told.issuer_name_hash, told.issuer_key_hash, told.serial_number)


def question(about: Named, nonce: bytes) -> ocsp.OCSPRequest:
    """A request about one certificate."""
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        about.issuer_name_sha1,
        about.issuer_key_sha1,
        about.serial_number,
        hashes.SHA1(),  # noqa: S303
    )
    return builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()


def read(octets: bytes, asked: ocsp.OCSPRequest, issuer: x509.Certificate, *, at: datetime) -> Answer:
    """The answer to this question, or `NoAnswer`."""
    try:
        response = ocsp.load_der_ocsp_response(octets)
        _check_status(response)
        _check_nonce(response, asked)
        _check_signature(response, _signer(response, issuer, at))
        return _about(response, asked, at)
    except NoAnswer:
        raise
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise NoAnswer(f"the answer cannot be used: {type(error).__name__}") from None


def _check_status(response: ocsp.OCSPResponse) -> None:
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise NoAnswer(f"the responder says {response.response_status.name.lower()}")


def _check_nonce(response: ocsp.OCSPResponse, asked: ocsp.OCSPRequest) -> None:
    """One that is there has to be ours. Answers made beforehand have none: their dates alone bound a replay."""
    try:
        said = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if said != asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce:
        raise NoAnswer("the answer is to another question")


def _signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> x509.Certificate:
    if _is(response, issuer):
        return issuer
    for candidate in response.certificates:
        if _is(response, candidate) and _is_delegate(candidate, issuer, at):
            return candidate
    raise NoAnswer("the answer is signed by nobody who may")


def _is(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    key = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return response.responder_key_hash == key


def _is_delegate(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    lives = certificate.not_valid_before_utc - CLOCK_LEEWAY <= at < certificate.not_valid_after_utc
    return lives and ExtendedKeyUsageOID.OCSP_SIGNING in usages


def _check_signature(response: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    key, signature, signed = signer.public_key(), response.signature, response.tbs_response_bytes
    hashed = response.signature_hash_algorithm
    if isinstance(hashed, hashes.SHA1 | hashes.MD5):
        raise NoAnswer("the answer is signed with a broken hash")
    match key:
        case ec.EllipticCurvePublicKey() if hashed is not None:
            key.verify(signature, signed, ec.ECDSA(hashed))
        case rsa.RSAPublicKey() if hashed is not None:
            if response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
                pss = padding.PSS(mgf=padding.MGF1(hashed), salt_length=padding.PSS.DIGEST_LENGTH)
                key.verify(signature, signed, pss, hashed)
            else:
                key.verify(signature, signed, padding.PKCS1v15(), hashed)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, signed)
        case _:
            raise NoAnswer("the answer is signed in an unknown way")


def _about(response: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, at: datetime) -> Answer:
    for single in response.responses:
        is_it = (
            single.serial_number == asked.serial_number
            and single.issuer_key_hash == asked.issuer_key_hash
            and single.issuer_name_hash == asked.issuer_name_hash
        )
        if not is_it:
            continue
        begins, ends = single.this_update_utc, single.next_update_utc
        if begins > at + CLOCK_LEEWAY:
            raise NoAnswer("the answer is of the future")
        if (begins + AGE_MAX if ends is None else ends) + CLOCK_LEEWAY <= at:
            raise NoAnswer("the answer is out of date")
        return Answer(single.certificate_status, at if ends is None else max(at, ends))
    raise NoAnswer("the answer is about another certificate")
