"""What `doctor` looks at: risks in force, certificates near their end, rights of files, one-time secrets."""

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path

from bartizan.cli.opening import identities
from bartizan.config.danger import dangers
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import CertificateUnusable
from bartizan.identity.rotation import held
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage
from bartizan.pki.ca import load_certificate
from bartizan.pki.crl import load_crl

NEAR_END = timedelta(days=30)
CA_NEAR_END = timedelta(days=365)
OVERLAP_NEAR_END = timedelta(days=7)


class Level(IntEnum):
    """How bad a finding is."""

    GOOD = 0
    WARNING = 1
    DANGER = 2
    """A risk that the operator took, with a reason."""
    FAULT = 3
    """The broker cannot start, or cannot be trusted, like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {"level": self.level.name.lower(), "what": self.what, "fix": self.fix}


async def examine(data: DataDirectory, settings: Settings, *, at: datetime) -> list[Finding]:
    """All findings, the worst first."""
    findings = [
        Finding(Level.DANGER, f"{risk.setting} ({risk.where}): {risk.effect}; reason: {risk.reason}")
        for risk in dangers(settings)
    ]
    findings += _certificates(data, settings, at)
    findings += _rights(data, settings)
    async with identities(data, settings) as store:
        after = ""
        while page := await store.page(after, 1_000):
            after = page[-1].name
            usages = await store.usage([identity.name for identity in page])
            for identity in page:
                findings += _identity(identity, at)
            findings += _old_credentials(page, usages, at)
    findings.sort(key=lambda finding: -finding.level)
    return findings or [Finding(Level.GOOD, "nothing to care for")]


def _certificates(data: DataDirectory, settings: Settings, at: datetime) -> Iterator[Finding]:
    yield from _certificate(data.ca_certificate, "the CA certificate", at, CA_NEAR_END, "plan a new CA")
    own = any(listener.tls and listener.certificate_file is None for listener in settings.listeners.values())
    if own:
        yield from _certificate(
            data.server_certificate,
            "the server certificate",
            at,
            NEAR_END,
            "restart the broker: it renews it",
        )
    for name, listener in sorted(settings.listeners.items()):
        if listener.certificate_file is not None:
            yield from _certificate(
                listener.certificate_file,
                f"the certificate of listener {name}",
                at,
                NEAR_END,
                "replace it, then SIGHUP",
            )
    if data.crl.exists():
        yield from _crl(data.crl, at)


def _certificate(file: Path, what: str, at: datetime, near: timedelta, fix: str) -> Iterator[Finding]:
    try:
        ends = load_certificate(file).not_valid_after_utc
    except CertificateUnusable as error:
        yield Finding(Level.FAULT, str(error))
        return
    if ends <= at:
        yield Finding(Level.FAULT, f"{what} ({file}) expired on {ends:%Y-%m-%d}", fix)
    elif ends - at < near:
        yield Finding(Level.WARNING, f"{what} ({file}) ends on {ends:%Y-%m-%d}, in {(ends - at).days} days", fix)


def _crl(file: Path, at: datetime) -> Iterator[Finding]:
    try:
        ends = load_crl(file.read_bytes()).next_update_utc
    except (OSError, CertificateUnusable) as error:
        yield Finding(Level.FAULT, f"{file}: {error}")
        return
    if ends is not None and ends <= at:
        yield Finding(
            Level.FAULT,
            f"the CRL ({file}) expired on {ends:%Y-%m-%d}: no client certificate is accepted",
            "restart the broker: it renews it",
        )


def _rights(data: DataDirectory, settings: Settings) -> Iterator[Finding]:
    secrets = [data.root, data.pki, data.ca_key, data.server_key, data.identities, data.store]
    secrets += [listener.key_file for listener in settings.listeners.values() if listener.key_file is not None]
    for path in secrets:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            wanted = "0700" if path.is_dir() else "0600"
            yield Finding(Level.WARNING, f"{path} is open to other users (mode {mode:04o})", f"chmod {wanted} {path}")


def _identity(identity: Identity, at: datetime) -> Iterator[Finding]:
    if identity.refusal(at) is not None:
        return
    certificates = [
        item
        for item in identity.credentials
        if isinstance(item, CertificateCredential)
        and item.revoked_at is None
        and (item.expires_at is None or at < item.expires_at)
    ]
    if certificates:
        ends = max(item.not_after for item in certificates)
        if ends <= at:
            yield Finding(
                Level.WARNING,
                f"the certificate of {identity.name} expired on {ends:%Y-%m-%d}",
                f"bartizan credential rotate {identity.name}",
            )
        elif ends - at < NEAR_END:
            yield Finding(
                Level.WARNING,
                f"the certificate of {identity.name} ends on {ends:%Y-%m-%d}, in {(ends - at).days} days",
                f"bartizan credential rotate {identity.name}",
            )
    if any(
        isinstance(item, PasswordCredential) and item.must_change and item.is_live(at) for item in identity.credentials
    ):
        yield Finding(
            Level.WARNING,
            f"{identity.name} still has its one-time secret",
            f"bartizan passwd {identity.name}",
        )


def _old_credentials(identities: Sequence[Identity], usages: Sequence[Usage], at: datetime) -> Iterator[Finding]:
    """Who has not moved to its new credential, though the old one ends soon."""
    for one in held(identities, usages, at=at):
        ends = one.credential.expires_at
        if one.is_stale and ends is not None and ends - at < OVERLAP_NEAR_END and one.identity.refusal(at) is None:
            yield Finding(
                Level.WARNING,
                f"{one.identity.name} has not used its new {one.credential.kind} yet; the old one ends on "
                f"{ends:%Y-%m-%d %H:%M} UTC",
                f"bring it its new one (bartizan credential list {one.identity.name})",
            )
