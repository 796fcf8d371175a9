"""The server certificate of a data directory: made at the first run, renewed before it ends."""

import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from bartizan.config.layout import DataDirectory
from bartizan.errors import CertificateUnusable
from bartizan.pki.ca import Authority, load_certificate, load_key
from bartizan.pki.files import PRIVATE, PUBLIC, write_durably
from bartizan.pki.profiles import SERVER_LIFETIME, build_leaf, certificate_pem, key_pem, new_key, server_name

RENEW_BEFORE = timedelta(days=30)
"""A server certificate with less time left is replaced at start."""


def own_names(extra: Sequence[str] = ()) -> tuple[str, ...]:
    """What clients may call this machine: localhost, its name, its loopback addresses, and `extra`."""
    host = socket.gethostname()
    return tuple(dict.fromkeys(name for name in ("localhost", host, "127.0.0.1", "::1", *extra) if name))


def ensure_server_certificate(
    data: DataDirectory, authority: Authority, *, at: datetime, names: Sequence[str] = ()
) -> bool:
    """Makes or renews the server certificate where needed; whether it did.

    A renewed one keeps the names of its predecessor, so that a restart without `--name` loses none.
    """
    current = _usable(data)
    wanted = dict.fromkeys(own_names(names))
    if current is not None:
        kept = _names_of(current)
        fresh = current.not_valid_after_utc - at > RENEW_BEFORE and current.not_valid_before_utc <= at
        if fresh and current.issuer == authority.certificate.subject and set(names) <= set(kept):
            return False
        wanted |= dict.fromkeys(kept)
    key = new_key()
    certificate = build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key.public_key(),
        common_name=next(iter(wanted)),
        names=[_server_name(name) for name in wanted],
        server=True,
        at=at,
        lifetime=SERVER_LIFETIME,
    )
    # A crash between the two writes leaves a pair that does not fit; `_usable` sees that at the next start.
    write_durably(data.server_key, key_pem(key), PRIVATE)
    write_durably(data.server_certificate, certificate_pem(certificate), PUBLIC)
    return True


def _usable(data: DataDirectory) -> x509.Certificate | None:
    try:
        certificate, key = load_certificate(data.server_certificate), load_key(data.server_key)
    except CertificateUnusable:
        return None
    return certificate if key.public_key() == certificate.public_key() else None


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def _server_name(text: str) -> x509.GeneralName:
    try:
        return server_name(text)
    except ValueError as error:
        raise CertificateUnusable(
            f"{text!r} cannot stand in a certificate ({error}): use a host name or an address"
        ) from None
