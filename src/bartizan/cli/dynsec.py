"""`bartizan dynsec`: commands of Mosquitto's dynamic security, carried out on this broker."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bartizan.broker.dynsec import Asking, Connections, DynamicSecurity
from bartizan.cli.clients import running_clients
from bartizan.cli.control import asking
from bartizan.cli.import_files import read
from bartizan.cli.opening import DEFAULT_DATA, existing, identities, settings_of
from bartizan.cli.paths import path_of
from bartizan.cli.policy.preflight import Site
from bartizan.errors import InvalidValue
from bartizan.identity.register import Register
from bartizan.policy.dynsec.commands import Wanted
from bartizan.policy.dynsec.plugin_file import PluginFile, read_plugin_file


def dynsec(
    request: Path | None = None,
    /,
    *,
    state: Path | None = None,
    compatible: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
) -> int:
    """Carry out commands of Mosquitto's dynamic security: what was written for its plugin works on this broker.

    Prints the answers as the plugin gives them, {"responses": [...]}. Exit code 1 if one of them is an error.

    For example:

        bartizan dynsec request.json

        echo '{"commands": [{"command": "listClients"}]}' | bartizan dynsec

        bartizan dynsec --state dynamic-security.json --compatible

    Parameters
    ----------
    request
        The file with the request, {"commands": [...]}. Default: standard input.
    state
        Instead of a request: the plugin's state file, whose clients, groups, roles and passwords are taken over.
    compatible
        Also carry out what cannot decide here exactly as there; it then allows less. At the first time, deliveries are
        allowed by default too, as in the plugin.
    data
        The broker's data directory.
    config
        The broker's configuration file. Default: bartizan.toml of the data directory.
    """
    if state is not None:
        if request is not None:
            raise InvalidValue("--state takes a whole state over: give a request in a call of its own")
        return asyncio.run(_take_over(read_plugin_file(read(state, "the state")), data, config, strict=not compatible))
    payload = read(request, "the request") if request is not None else sys.stdin.buffer.read()
    wanted = asyncio.run(_answer(payload, data, config, strict=not compatible))
    print(json.dumps(json.loads(wanted.payload()), indent=2, ensure_ascii=False))
    return 1 if any(response.error is not None for response in wanted.responses) else 0


async def _answer(payload: bytes, data: Path, config: Path | None, *, strict: bool) -> Wanted:
    async with _service(data, config, strict=strict) as (service, asking):
        return await service.answer(payload, asking)


async def _take_over(file: PluginFile, data: Path, config: Path | None, *, strict: bool) -> int:
    async with _service(data, config, strict=strict) as (service, asking):
        try:
            less = await service.take_over(file, asking)
        except InvalidValue as error:
            print(f"{error}\nbartizan: nothing is taken over: --compatible goes on with less", file=sys.stderr)
            return 1
    for told in less:
        print(told, file=sys.stderr)
    state = file.state
    print(json.dumps({"clients": len(state.clients), "groups": len(state.groups), "roles": len(state.roles)}))
    return 0


@asynccontextmanager
async def _service(data: Path, config: Path | None, *, strict: bool) -> AsyncIterator[tuple[DynamicSecurity, Asking]]:
    ground = Site.of(data, config).ground
    directory = existing(data)
    settings = settings_of(directory, config)
    anonymous = any(listener.danger_anonymous is not None for listener in settings.listeners.values())
    connections = None if ground.running is None else _Connections(directory.root)
    async with identities(directory, settings) as store:
        service = DynamicSecurity(
            ground.place, ground.history, Register(store), ground.trail, ground.running, connections
        )
        yield service, Asking(ground.trail.actor.name, strict=strict, anonymous=anonymous)


class _Connections(Connections):
    """Who is connected to the broker that runs on a data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def clients(self) -> Iterable[Mapping[str, Any]]:
        """See `Connections`."""
        return running_clients(self._root)

    def disconnect(self, client_id: str, tenant: str | None) -> None:
        """See `Connections`."""
        with asking(self._root) as broker:
            broker.post(path_of("v1", "clients", client_id, "disconnect"), params={"tenant": tenant} if tenant else {})
