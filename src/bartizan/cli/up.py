"""`bartizan up`: starts the broker; makes what is missing at the first start."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import Parameter

from bartizan.api.serve import ControlServer, address_of, bind_doors
from bartizan.broker.addresses import require_free
from bartizan.broker.app import Broker
from bartizan.broker.descriptors import make_room
from bartizan.broker.log import Journal
from bartizan.cli.enrol import address_of as client_address
from bartizan.cli.first_run import Prepared, prepare
from bartizan.cli.opening import DEFAULT_DATA, settings_of, unrecorded
from bartizan.cli.summary import Summary, colourful, show, show_secret
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError


def up(
    *,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    set_: Annotated[Sequence[str], Parameter(name="--set", negative=(), show_default=False)] = (),
    name: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = (),
    json_output: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Start the broker. The first start makes a CA, a policy, an administrator and two demo identities.

    It runs in the foreground: SIGTERM, Ctrl-C or the end of its terminal ends it, SIGHUP reads policy,
    certificates and configuration again. The log goes to standard error.

    For example:

        bartizan up

        bartizan up --data /var/lib/bartizan --name mqtt.example.com

        bartizan up --set listeners.mqtts.bind=127.0.0.1:8883

    Parameters
    ----------
    data
        The data directory; made if it does not exist.
    config
        The configuration file. Default: bartizan.toml of the data directory.
    set_
        A setting over the file, section.key=value; may be given several times.
    name
        A further name or address of this server, for its certificate; may be given several times.
    json_output
        Print the summary as one JSON object.
    """
    overrides = tuple(set_)
    root = Path.cwd() / data
    # Wrong settings, and addresses that are taken, are told before anything is made.
    settings = _settings(root, config, overrides)
    if not DataDirectory(root).first_run_mark.exists():
        require_free(settings)
    return asyncio.run(_up(root, settings, config, overrides, tuple(name), json_output=json_output))


def _settings(root: Path, config: Path | None, overrides: Sequence[str]) -> Settings:
    directory = DataDirectory(root)
    if config is None and not directory.configuration.exists():
        return load_settings(None, overrides)
    return settings_of(directory, config, overrides)


async def _up(
    root: Path,
    settings: Settings,
    config: Path | None,
    overrides: Sequence[str],
    names: Sequence[str],
    *,
    json_output: bool,
) -> int:
    # Everything is bound or nothing: this one first, because the engine binds its own all at once.
    doors = bind_doors(settings)
    prepared = await _prepare(root, names, settings)
    journal = Journal(sys.stderr, settings.log, colours=colourful(sys.stderr), held=True)
    told = False
    try:
        async with (
            unrecorded(prepared.data, settings) as store,
            Broker(
                settings,
                prepared.data,
                store=store,
                journal=journal,
                reread=lambda: settings_of(prepared.data, config, overrides),
            ) as broker,
            ControlServer(broker, doors),
        ):
            broker.handle_signals()
            _tell_descriptors(journal, settings)
            metrics, api = (None if door is None else address_of(door) for door in (doors.monitoring, doors.api))
            summary = Summary.of(prepared, settings, broker.engine.listeners(), metrics, api)
            _print(summary, sys.stdout, json_output=json_output)
            told = True
            journal.release()
            await broker.run()
    finally:
        journal.close()
        if not told:
            # Shown once means once: also when what followed the first run has failed.
            _print_secret(prepared)
    return 0


def _tell_descriptors(journal: Journal, settings: Settings) -> None:
    """Connections beyond the system's limit would wait unaccepted: make room, or say so."""
    fit = make_room()
    wanted = sum(settings.limits_of(name).connections_max for name in settings.listeners)
    if fit < wanted:
        journal.note("few_descriptors", connections=fit, connections_max=wanted)


async def _prepare(root: Path, names: Sequence[str], settings: Settings) -> Prepared:
    address = client_address(settings)
    try:
        return await prepare(root, at=datetime.now(UTC), names=names, address=address, settings=settings)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory cannot be made or used: {error.strerror}",
            str(error.filename or root),
            "correct its rights, or name another with --data",
        ) from None


def _print(summary: Summary, stream: TextIO, *, json_output: bool) -> None:
    # A reader that went away must not stop the broker.
    with suppress(BrokenPipeError):
        show(summary, stream, json_output=json_output)
        stream.flush()


def _print_secret(prepared: Prepared) -> None:
    if prepared.administrator_secret is not None:
        show_secret(prepared, sys.stdout)
