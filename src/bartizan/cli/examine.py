"""What `doctor` looks at: risks in force, certificates near their end, rights of files, one-time secrets."""

import stat
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from bartizan.cli.examine_audit import audit_log
from bartizan.cli.examine_crls import crls_by_url
from bartizan.cli.finding import Finding, Level
from bartizan.cli.opening import age_limits, identities, policy_there
from bartizan.config.danger import dangers
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import CertificateUnusable
from bartizan.identity.ages import AgeLimits, Ending, endings
from bartizan.identity.rotation import held
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import QUARANTINE_ROLE, Identity
from bartizan.model.usage import Usage
from bartizan.pki.ca import load_certificate
from bartizan.pki.crl import load_crl
from bartizan.policy import CompiledPolicy
from bartizan.policy.lint_roles import NO_QUARANTINE

NEAR_END = timedelta(days=30)
CA_NEAR_END = timedelta(days=365)
OVERLAP_NEAR_END = timedelta(days=7)


async def examine(data: DataDirectory, settings: Settings, *, at: datetime) -> list[Finding]:
    """All findings, the worst first."""
    findings = [
        Finding(Level.DANGER, f"{risk.setting} ({risk.where}): {risk.effect}; reason: {risk.reason}")
        for risk in dangers(settings)
    ]
    findings += _certificates(data, settings, at)
    findings += crls_by_url(data, settings, at)
    findings += _rights(data, settings)
    findings += audit_log(data)
    policy = policy_there(data, settings)
    findings += _quarantine(policy)
    limits, enforced = age_limits(settings, policy), settings.credentials.ages == "enforce"
    async with identities(data, settings) as store:
        after = ""
        while page := await store.page(after, 1_000):
            after = page[-1].name
            usages = await store.usage([identity.name for identity in page])
            for identity in page:
                findings += _identity(identity, limits, at, enforced=enforced)
            findings += _old_credentials(page, usages, at)
    findings.sort(key=lambda finding: -finding.level)
    return findings or [Finding(Level.GOOD, "nothing to care for")]


def _quarantine(policy: CompiledPolicy | None) -> Iterator[Finding]:
    if policy is not None and QUARANTINE_ROLE not in policy.role_names:
        yield Finding(Level.WARNING, f"the policy: {NO_QUARANTINE}", "bartizan policy lint has the lines to add")


def _certificates(data: DataDirectory, settings: Settings, at: datetime) -> Iterator[Finding]:
    yield from _certificate(data.ca_certificate, "the CA certificate", at, CA_NEAR_END, "plan a new CA")
    own = any(listener.tls and listener.certificate_file is None for listener in settings.listeners.values())
    own |= settings.api.address is not None and settings.api.certificate_file is None
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
    if settings.api.address is not None and settings.api.certificate_file is not None:
        file = settings.api.certificate_file
        yield from _certificate(
            file, "the certificate of the API", at, NEAR_END, "replace it: it is read again by itself"
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
    secrets = [data.root, data.pki, data.ca_key, data.server_key, data.identities, data.store, data.audit]
    secrets += [listener.key_file for listener in settings.listeners.values() if listener.key_file is not None]
    secrets += [] if settings.api.key_file is None else [settings.api.key_file]
    for path in secrets:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            wanted = "0700" if path.is_dir() else "0600"
            yield Finding(Level.WARNING, f"{path} is open to other users (mode {mode:04o})", f"chmod {wanted} {path}")


def _identity(identity: Identity, limits: AgeLimits, at: datetime, *, enforced: bool) -> Iterator[Finding]:
    if identity.refusal(at) is not None:
        return
    for ending in endings(identity, limits, at=at):
        kind = ending.credential.kind
        rotate = f"bartizan credential rotate {identity.name}" + ("" if kind == "certificate" else " --kind password")
        yield Finding(Level.WARNING, _of_ending(ending, at, enforced=enforced), rotate)
    if any(
        isinstance(item, PasswordCredential) and item.must_change and item.is_live(at) for item in identity.credentials
    ):
        yield Finding(
            Level.WARNING,
            f"{identity.name} still has its one-time secret",
            f"bartizan passwd {identity.name}",
        )


def _of_ending(ending: Ending, at: datetime, *, enforced: bool) -> str:
    what = f"the {ending.credential.kind} of {ending.identity.name}"
    day, is_over = f"{ending.ends_at:%Y-%m-%d}", ending.ends_at <= at
    if ending.why != "age":
        return f"{what} expired on {day}" if is_over else f"{what} ends on {day}, in {ending.days_left(at)} days"
    effect = ", and proves nothing" if enforced else ""
    if is_over:
        return f"{what} is too old since {day}{effect}"
    return f"{what} is too old on {day}, in {ending.days_left(at)} days{effect and effect + ' then'}"


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
