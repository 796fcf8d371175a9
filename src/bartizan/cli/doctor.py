"""`bartizan doctor`: what is exposed, every risk in force with its reason, what needs care."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from bartizan.cli.console import plain_console
from bartizan.cli.examine import examine
from bartizan.cli.finding import Finding, Level
from bartizan.cli.opening import DEFAULT_DATA, existing, settings_of
from bartizan.config.schema import Settings


def doctor(
    *,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    set_: Annotated[Sequence[str], Parameter(name="--set", negative=(), show_default=False)] = (),
    strict: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Show what is exposed, every danger_* with its reason, and what needs care. Changes nothing.

    For example:

        bartizan doctor

        bartizan doctor --strict --json

    Parameters
    ----------
    data
        The broker's data directory.
    config
        The broker's configuration file. Default: bartizan.toml of the data directory.
    set_
        A setting over the file, section.key=value.
    strict
        Exit code 1 when there is a warning or worse.
    json_output
        Print one JSON object.
    """
    directory = existing(data)
    settings = settings_of(directory, config, set_)
    findings = asyncio.run(examine(directory, settings, at=datetime.now(UTC)))
    if json_output:
        told = [finding.as_dict() for finding in findings]
        print(json.dumps({"listeners": _exposed(settings), "api": _api(settings), "findings": told}))
    else:
        _show(settings, findings)
    worst = max((finding.level for finding in findings), default=Level.GOOD)
    if worst is Level.FAULT:
        return 1
    return 1 if strict and worst >= Level.WARNING else 0


def _exposed(settings: Settings) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "bind": listener.bind,
            "protocol": listener.protocol,
            "tls": listener.tls,
            "client_certificates": listener.client_certificates if listener.tls else "off",
            "anonymous": listener.danger_anonymous is not None,
        }
        for name, listener in sorted(settings.listeners.items())
    ]


def _api(settings: Settings) -> dict[str, object] | None:
    """Where operators log in; None where only the control socket serves them."""
    api = settings.api
    if api.address is None:
        return None
    return {
        "bind": api.address,
        "certificate_file": None if api.certificate_file is None else str(api.certificate_file),
        "mfa_roles": [role.value for role in api.mfa_roles],
        "two_person": [act.value for act in api.two_person],
    }


def _show(settings: Settings, findings: Sequence[Finding]) -> None:
    console = plain_console()
    table = Table("listener", "address", "protocol", "TLS", "certificates", "anonymous", box=None, pad_edge=False)
    for row in _exposed(settings):
        tls = "yes" if row["tls"] else "[bold red]no[/]"
        anonymous = "[bold red]yes[/]" if row["anonymous"] else "no"
        table.add_row(
            escape(str(row["name"])),
            escape(str(row["bind"])),
            str(row["protocol"]),
            tls,
            str(row["client_certificates"]),
            anonymous,
        )
    api = _api(settings)
    if api is not None:
        table.add_row("api", escape(str(api["bind"])), "https", "yes", "off", "no")
    console.print(table)
    console.print()
    style = {Level.GOOD: "green", Level.WARNING: "yellow", Level.DANGER: "bold red", Level.FAULT: "bold red"}
    for finding in findings:
        fix = f" → {escape(finding.fix)}" if finding.fix else ""
        console.print(
            f"[{style[finding.level]}]{finding.level.name.lower():8}[/] {escape(finding.what)}{fix}",
            soft_wrap=True,
        )
