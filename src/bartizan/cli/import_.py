"""`bartizan import`: policy, identities and settings of another broker, and what is different here."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from cyclopts import App, Parameter
from pydantic import ValidationError

from bartizan.cli.import_files import identities_csv, read, read_configuration, refuse_existing, write
from bartizan.cli.import_report import Report, as_json, as_markdown, as_text
from bartizan.cli.import_store import add_identities
from bartizan.config.imports.mosquitto import Broker, import_configuration
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError, InvalidValue
from bartizan.model.difference import Difference
from bartizan.policy import check
from bartizan.policy.imports import Imported
from bartizan.policy.imports.acl_file import read_acl
from bartizan.policy.imports.dynsec import import_dynsec
from bartizan.policy.imports.dynsec_state import read_state
from bartizan.policy.imports.emqx import import_emqx
from bartizan.policy.imports.erlang import read_terms
from bartizan.policy.imports.mosquitto import Around, import_mosquitto
from bartizan.policy.imports.passwords import read_passwords
from bartizan.policy.writer import policy_text

app = App(name="import", help="Carry the policy and the identities of another broker over, and tell what changes.")

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
DryRun = Annotated[bool, Parameter(negative=(), show_default=False)]
AllowLoss = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]
DEFAULT_OUT = Path("imported")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    out: Path
    data: Path | None
    dry_run: bool
    allow_loss: tuple[str, ...]
    as_json: bool


@app.command
def mosquitto(
    *,
    conf: Path,
    out: Path = DEFAULT_OUT,
    data: Path | None = None,
    dry_run: DryRun = False,
    allow_loss: AllowLoss = (),
    json_output: Json = False,
) -> int:
    """Import mosquitto.conf with its acl_file and password_file, or its dynamic-security.json.

    Writes policy.toml, identities.csv, bartizan.toml and report.md. Exit code 1, and nothing is written, if something
    cannot be carried over that no --allow-loss names.

    For example:

        bartizan import mosquitto --conf /etc/mosquitto/mosquitto.conf --dry-run

        bartizan import mosquitto --conf mosquitto.conf --out imported --allow-loss bridge

    Parameters
    ----------
    conf
        The configuration of Mosquitto; paths in it that are relative begin where it is.
    out
        The directory to write; made here, nothing in it is overwritten.
    data
        Put the identities into this data directory's store instead of identities.csv.
    dry_run
        Write nothing; print the policy and the report.
    allow_loss
        Go on without what has this name in the report; several times.
    json_output
        Print the report as one JSON object.
    """
    broker = import_configuration(list(read_configuration(conf)), str(conf), conf.parent.absolute())
    imported = _of_mosquitto(broker, conf)
    settings = _settings_text(broker.settings, conf)
    told = (*broker.differences, *imported.differences)
    wanted = Wanted(out, data, dry_run, allow_loss, json_output)
    return _finish(str(conf), imported, told, wanted, [("bartizan.toml", settings)])


@app.command
def emqx(
    *,
    acl: Path,
    no_match: Literal["allow", "deny"] = "deny",
    out: Path = DEFAULT_OUT,
    data: Path | None = None,
    dry_run: DryRun = False,
    allow_loss: AllowLoss = (),
    json_output: Json = False,
) -> int:
    """Import an acl.conf of EMQX.

    Writes policy.toml, identities.csv (names and roles; EMQX's users are not in acl.conf) and report.md. Exit code 1,
    and nothing is written, if something cannot be carried over that no --allow-loss names.

    For example:

        bartizan import emqx --acl acl.conf --dry-run

        bartizan import emqx --acl acl.conf --no-match allow --allow-loss eq

    Parameters
    ----------
    acl
        The file of rules.
    no_match
        EMQX's authorization.no_match: what becomes of a request that no rule matches.
    out
        The directory to write; made here, nothing in it is overwritten.
    data
        Put the identities into this data directory's store instead of identities.csv.
    dry_run
        Write nothing; print the policy and the report.
    allow_loss
        Go on without what has this name in the report; several times.
    json_output
        Print the report as one JSON object.
    """
    terms = read_terms(read(acl, "the file of rules"), str(acl))
    imported = import_emqx(terms, str(acl), no_match_allows=no_match == "allow")
    wanted = Wanted(out, data, dry_run, allow_loss, json_output)
    return _finish(str(acl), imported, imported.differences, wanted, [])


def _of_mosquitto(broker: Broker, conf: Path) -> Imported:
    around = Around(str(conf), broker.anonymous, broker.qos_max, broker.retain)
    if broker.dynamic_security is not None:
        if broker.acl_file is not None or broker.password_file is not None:
            line = broker.acl_file or broker.password_file or broker.dynamic_security
            raise line.wrong(f"{line.key} beside the dynamic security plugin", "import one of them at a time")
        file = conf.parent / broker.dynamic_security.value
        return import_dynsec(read_state(read(file, "the state of dynamic security"), str(file)), around)
    acl = passwords = None
    if broker.acl_file is not None:
        file = conf.parent / broker.acl_file.value
        acl = read_acl(read(file, "the acl_file"), str(file))
    if broker.password_file is not None:
        file = conf.parent / broker.password_file.value
        passwords = read_passwords(read(file, "the password_file"), str(file))
    return import_mosquitto(acl, passwords, around)


def _settings_text(settings: dict[str, Any], conf: Path) -> str:
    """The settings as a file, once they are known to be valid."""
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ConfigurationError(f"the settings that come of it are refused: {what}", str(conf), "correct it") from None
    document = tomlkit.document()
    document.add(tomlkit.comment(f"Imported from {conf}. See report.md for what is different."))
    document.update(settings)
    return tomlkit.dumps(document)


def _finish(
    source: str, imported: Imported, told: Sequence[Difference], wanted: Wanted, more: Sequence[tuple[str, str]]
) -> int:
    """Reports, and writes if nothing is lost against the user's will."""
    text = policy_text(imported.roles, heading=[f"Imported from {source}. See report.md for what is different."])
    result = check(text, "policy.toml")
    if not result.ok:
        raise ConfigurationError("the policy that comes of it is refused", str(result.errors[0]), "report this mistake")
    report = Report(
        source,
        len(imported.roles),
        imported.identities,
        tuple(told),
        frozenset(wanted.allow_loss),
        len(result.warnings),
    )
    unknown = sorted(report.accepted - set(report.losses))
    if unknown:
        there = ", ".join(report.losses) or "none"
        raise InvalidValue(f"--allow-loss {unknown[0]}: nothing of this name is lost; losses here: {there}")
    written: list[str] = []
    if not report.refused and not wanted.dry_run:
        written = _write(imported, report, wanted, [("policy.toml", text), *more])
    if wanted.as_json:
        print(json.dumps(as_json(report, written)))
    else:
        _show(report, text if wanted.dry_run else "", written)
    return 1 if report.refused else 0


def _write(imported: Imported, report: Report, wanted: Wanted, files: Sequence[tuple[str, str]]) -> list[str]:
    whole = [*files, ("report.md", as_markdown(report))]
    if wanted.data is None:
        whole.append(("identities.csv", identities_csv(imported.identities)))
        return [str(path) for path in write(wanted.out, whole)]
    # What can fail without a trace comes first: then the store, all or nothing; then the files.
    refuse_existing(wanted.out)
    asyncio.run(add_identities(wanted.data, imported.identities, at=datetime.now(UTC)))
    return [*(str(path) for path in write(wanted.out, whole)), str(wanted.data)]


def _show(report: Report, policy: str, written: Sequence[str]) -> None:
    if policy:
        print(policy)
    for line in as_text(report):
        print(line)
    if written:
        print(f"\nwritten: {', '.join(written)}")
    if report.refused:
        accept = " ".join(f"--allow-loss {name}" for name in report.refused)
        print(f"bartizan: nothing is written: to go on without what is lost, add {accept}", file=sys.stderr)
