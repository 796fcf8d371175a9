"""TLS material of the listeners: read, kept fresh, replaced in place without a dropped connection."""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bartizan.audit.trail import Trail
from bartizan.broker.directory import LiveDirectory
from bartizan.broker.ports import EnginePort
from bartizan.config.engine import Fetched, FetchedCrls, tls_material
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import BartizanError, CertificateUnusable
from bartizan.pki.ca import Authority, load_certificate
from bartizan.pki.crl import ensure_crl, load_crl
from bartizan.pki.server import ensure_server_certificate

CARE_INTERVAL = timedelta(hours=1)
"""How often certificates and CRLs are looked after while the broker runs."""


class Certificates:
    """The certificates of one broker."""

    def __init__(self, engine: EnginePort, data: DataDirectory, directory: LiveDirectory, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._data = data
        self._directory = directory
        self._in_force: dict[str, bytes] = {}

    def assume(self, settings: Settings, fetched: Fetched) -> None:
        """Remembers what the engine was started with."""
        self._in_force = read_material(settings, self._data, fetched)

    def replace(self, material: Mapping[str, bytes]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Gives the engine what changed: the listeners replaced, and why others were refused."""
        replaced: list[str] = []
        refused: dict[str, str] = {}
        for listener, wanted in material.items():
            if self._in_force.get(listener) == wanted:
                continue
            before, after = _shown(self._in_force.get(listener, b"{}")), _shown(wanted)
            try:
                with self._trail.changing("listener.certificates", f"listener/{listener}", before=before, after=after):
                    self._engine.set_tls(listener, wanted)
            except BartizanError as error:
                refused[listener] = str(error)
            else:
                self._in_force[listener] = wanted
                replaced.append(listener)
        return tuple(replaced), refused

    def shown(self) -> dict[str, dict[str, str]]:
        """What each listener has, by hashes."""
        return {listener: _shown(material) for listener, material in sorted(self._in_force.items())}

    def care(self, at: datetime) -> bool:
        """Renews the own server certificate and CRL where it is time, or where a certificate was revoked.

        True if a file was written.
        """
        if not self._data.ca_key.exists():
            return False
        authority = Authority.load(self._data.ca_certificate, self._data.ca_key)
        renewed = ensure_server_certificate(self._data, authority, at=at)
        return ensure_crl(self._data, authority, self._directory.revoked_certificates(), at=at) or renewed


def read_material(
    settings: Settings, data: DataDirectory, fetched: Fetched, names: Collection[str] | None = None
) -> dict[str, bytes]:
    """What each TLS listener needs, or each of `names`, read now; `ConfigurationError` names a file that cannot be read."""
    return {
        name: json.dumps(_material(settings, name, data, fetched(name))).encode()
        for name, listener in settings.listeners.items()
        if listener.tls and (names is None or name in names)
    }


def _shown(material: bytes) -> dict[str, str]:
    """What a record says of it: the SHA-256 of each part but the key."""
    told = json.loads(material)
    parts = {name: told.get(f"{name}_pem") for name in ("chain", "client_roots", "crls")}
    return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest() for name, part in parts.items() if part}


def _material(settings: Settings, name: str, data: DataDirectory, fetched: FetchedCrls) -> dict[str, Any]:
    material = tls_material(settings, name, data, fetched)
    if fetched.stale:
        # The engine looks at no end of a list then; those of files have no leeway.
        at = datetime.now(UTC)
        material["crls_pem"] = [pem for pem in material["crls_pem"] if pem in fetched.pems or _counts(pem, at)]
    return material


def _counts(pem: str, at: datetime) -> bool:
    try:
        ends = load_crl(pem.encode()).next_update_utc
    except CertificateUnusable:
        return True  # the engine says what is wrong with it
    return ends is None or at < ends


def expiries(settings: Settings, data: DataDirectory) -> dict[tuple[str, str], datetime]:
    """When the CA, and the server certificate of each TLS listener, ends. Unreadable ones are left out."""
    files = {("ca", ""): data.ca_certificate}
    for name, listener in settings.listeners.items():
        if listener.tls:
            files["server", name] = listener.certificate_file or data.server_certificate
    found: dict[tuple[str, str], datetime] = {}
    for key, file in files.items():
        try:
            found[key] = load_certificate(file).not_valid_after_utc
        except BartizanError:
            continue
    return found
