"""Which identity a certificate names: by our own convention, or by the rules of a configuration.

Whatever could be read in two ways names nobody: two names, a wildcard, a name that is none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from cryptography import x509

from bartizan.authn.base import Certificate, Denied
from bartizan.config.certificate import CertificateRule, Source
from bartizan.errors import InvalidValue
from bartizan.model.ids import IdentityName
from bartizan.model.reason import ReasonCode

IDENTITY_URI = "urn:bartizan:identity:"

Naming = Callable[[Certificate], str]
"""The name of an identity, or `Denied`."""

_PART: Mapping[Source, str] = {
    # One label, one segment: a name never reaches into the next part.
    "san_dns": "[^.]+",
    "san_uri": "[^/?#]+",
    "san_email": "[^@]+",
    "cn": ".+",
    # One value without anything that is escaped: two ways to write a name are not one name.
    "subject": r'[^,+="\\<>;#]+',
    "serial": "[0-9a-f]+",
    "fingerprint": "[0-9a-f]+",
}


def claimed_identity(certificate: Certificate) -> str | None:
    """The identity that a certificate of ours names: the SAN URI, else the CN. Two different URIs name none."""
    named = {
        unquote(uri.removeprefix(IDENTITY_URI), errors="strict")
        for uri in certificate.san_uris
        if uri.startswith(IDENTITY_URI)
    }
    if len(named) > 1:
        return None
    if named:
        return named.pop() or None
    common_name = certificate.common_name
    # `*.example` is whoever answers there, so it is nobody.
    return None if not common_name or "*" in common_name else common_name


def by_convention(certificate: Certificate) -> str:
    """The `Naming` of certificates that `bartizan enrol` makes."""
    try:
        name = claimed_identity(certificate)
    except UnicodeDecodeError:
        name = None
    if name is None:
        raise _refuse("the certificate names no identity")
    return name


def by_rules(rules: Sequence[CertificateRule]) -> Naming:
    """The `Naming` that a configuration describes."""
    compiled = [(rule, _compiled(rule)) for rule in rules]

    def naming(certificate: Certificate) -> str:
        named = {name for rule, pattern in compiled for name in _named(rule, pattern, certificate)}
        if not named:
            raise _refuse("the certificate names no identity")
        if len(named) > 1:
            raise _refuse(f"the certificate names several identities: {', '.join(sorted(map(repr, named)))}")
        return named.pop()

    return naming


def _compiled(rule: CertificateRule) -> re.Pattern[str]:
    part = _PART[rule.source]
    places = {"{identity}": f"({part})", "{any}": part}
    literal = str.lower if rule.source == "san_dns" else str
    return re.compile("".join(places.get(piece) or re.escape(literal(piece)) for piece in rule.pieces), re.DOTALL)


def _named(rule: CertificateRule, pattern: re.Pattern[str], certificate: Certificate) -> set[IdentityName]:
    found = (pattern.fullmatch(value) for value in _VALUES[rule.source](certificate))
    return {_parsed(rule, match[1]) for match in found if match is not None}


def subject_of(certificate: Certificate) -> x509.Name | None:
    """The whole subject; None where the listener was not asked to hand the certificate over whole."""
    if not certificate.chain:
        return None
    try:
        return x509.load_der_x509_certificate(certificate.chain[0]).subject
    except ValueError:
        raise _refuse("the certificate's subject cannot be read") from None


def _subject(certificate: Certificate) -> Sequence[str]:
    subject = subject_of(certificate)
    return [] if subject is None else [subject.rfc4514_string()]


_VALUES: Mapping[Source, Callable[[Certificate], Sequence[str]]] = {
    "cn": lambda certificate: [certificate.common_name] if certificate.common_name else [],
    # DNS knows no case (RFC 4343).
    "san_dns": lambda certificate: [name.lower() for name in certificate.san_dns],
    "san_uri": lambda certificate: certificate.san_uris,
    "san_email": lambda certificate: certificate.san_emails,
    "subject": _subject,
    "serial": lambda certificate: [certificate.serial_hex],
    "fingerprint": lambda certificate: [certificate.fingerprint_sha256],
}


def _parsed(rule: CertificateRule, text: str) -> IdentityName:
    try:
        text = unquote(text, errors="strict") if rule.source == "san_uri" else text
        if "*" in text:
            raise _refuse("the certificate is for a wildcard, which is nobody")
        if rule.source.startswith("san_") and rule.source != "san_uri" and not text.isascii():
            # An IA5String has no such characters: whatever this is, it looks like something else.
            raise _refuse("a name in the certificate is not ASCII")
        return IdentityName.parse(rule.prefix + text)
    except UnicodeDecodeError:
        raise _refuse("a name in the certificate is not UTF-8") from None
    except InvalidValue as error:
        raise _refuse(str(error)) from None


def _refuse(why: str) -> Denied:
    return Denied(ReasonCode.NOT_AUTHORIZED, why)
