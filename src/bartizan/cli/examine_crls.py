"""What `doctor` says of CRLs by URL: by what the broker kept of them, without asking anybody."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bartizan.broker.crls import kept_at
from bartizan.cli.finding import Finding, Level
from bartizan.config.layout import DataDirectory
from bartizan.config.listener import Listener
from bartizan.config.schema import Settings
from bartizan.errors import CertificateUnusable
from bartizan.pki.crl import load_crl


def crls_by_url(data: DataDirectory, settings: Settings, at: datetime) -> Iterator[Finding]:
    """One finding for each list that is missing, overdue or out of date; and how old the others are."""
    for name, listener in sorted(settings.listeners.items()):
        for url in listener.crl_urls:
            yield _finding(data, name, listener, url, at)


def _finding(data: DataDirectory, name: str, listener: Listener, url: str, at: datetime) -> Finding:
    what = f"the CRL {url} of listener {name}"
    effect = (
        "its certificates are accepted unchecked"
        if listener.danger_stale_crl
        else "no certificate of its CA is accepted"
    )
    try:
        crl = load_crl(kept_at(data, url).read_bytes())
    except (OSError, CertificateUnusable):
        return Finding(
            Level.WARNING,
            f"{what} was never fetched: until then {effect}",
            "start the broker; look for crl_unavailable",
        )
    ends, age = crl.next_update_utc or at, at - crl.last_update_utc
    if ends + timedelta(seconds=listener.crl_leeway_s) <= at:
        return Finding(
            Level.FAULT, f"{what} ended on {ends:%Y-%m-%d %H:%M}Z: {effect}", "look for crl_unavailable in the log"
        )
    if ends <= at:
        return Finding(
            Level.WARNING,
            f"{what} ended on {ends:%Y-%m-%d %H:%M}Z and counts for crl_leeway_s more",
            "look for crl_unavailable in the log",
        )
    return Finding(Level.GOOD, f"{what} is {_spelt(age)} old and counts until {ends:%Y-%m-%d %H:%M}Z")


def _spelt(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3_600)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004  two days
