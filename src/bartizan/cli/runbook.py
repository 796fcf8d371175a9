"""`bartizan runbook`: what is done about one identity, or one address, step by step, as the configuration has it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.acted import connections
from bartizan.cli.control import told_to
from bartizan.cli.listing import Config, Data, Flag, Json, print_json, print_rows
from bartizan.cli.opening import DEFAULT_DATA, existing, settings_of
from bartizan.cli.paths import path_of
from bartizan.cli.remote import Server, remote
from bartizan.errors import NotFound

app = App(name="runbook", help="Run steps against one identity or address, one after the other.")

_COLUMNS = {"name": "name", "about": "about", "what": "steps", "note": "note"}


@app.command(name="list")
def list_(*, data: Data = DEFAULT_DATA, config: Config = None, server: Server = None, json_output: Json = False) -> int:
    """List the runbooks of the configuration.

    For example:

        bartizan runbook list
    """
    found = _every(data, config, server)
    rows = [{**each, "what": ", ".join(step["action"] for step in each["steps"])} for each in found]
    print_rows(found, _COLUMNS, "runbooks", as_json=json_output, shown=rows)
    return 0


@app.command
def show(
    name: str,
    /,
    *,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Show the steps of a runbook.

    For example:

        bartizan runbook show stolen

    Parameters
    ----------
    name
        Its name in `bartizan runbook list`.
    """
    found = next((each for each in _every(data, config, server) if each["name"] == name), None)
    if found is None:
        raise NotFound(f"there is no runbook {name!r}: `bartizan runbook list` shows them")
    if json_output:
        print_json(found)
        return 0
    print(f"{name}, about an {found['about']}{': ' if found['note'] else ''}{escaped(found['note'])}")
    for number, step in enumerate(found["steps"], 1):
        print(f"  {number}. {_words(step)}")
    return 0


@app.command
def run(
    name: str,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for", help="The identity, or the address, that it is run for.")],
    reason: Annotated[str, Parameter(show_default=False, help="Why, and which ticket.")] = "",
    dry_run: Annotated[Flag, Parameter(help="Only say who would be hit.")] = False,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Run a runbook: each step is done and on record, until one fails. What was done, and what was not, is told.

    For example:

        bartizan runbook run stolen --for press-01 --dry-run

        bartizan runbook run stolen --for press-01 --reason INC-4711

    Parameters
    ----------
    name
        Its name in `bartizan runbook list`.
    """
    told: dict[str, Any]
    if server is None:
        root = existing(Path.cwd() / data).root
        verb = "preview" if dry_run else "run"
        told = told_to(root, path_of("v1", "runbooks", name, verb), {"for": for_, "reason": reason})
    else:
        with remote(server) as there:
            if dry_run:
                told = there.get(path_of("runbooks", name, "preview"), **{"for": for_})
            else:
                told = there.post(path_of("runbooks", name, "runs"), {"for": for_, "reason": reason})
    if json_output:
        print_json(told)
    elif dry_run:
        _show_hit(told)
    else:
        _show_run(told)
    return 0 if dry_run or told["failed"] is None else 1


def _every(data: Path, config: Path | None, server: str | None) -> list[dict[str, Any]]:
    if server is not None:
        with remote(server) as there:
            return there.get("/runbooks")
    runbooks = settings_of(existing(Path.cwd() / data), config).runbooks
    return [{"name": name, **runbook.model_dump(mode="json")} for name, runbook in sorted(runbooks.items())]


def _words(step: Mapping[str, Any]) -> str:
    hours = "" if step["hours"] is None else f" for {step['hours']} h"
    rate = "" if step["messages_per_s"] is None else f" to {step['messages_per_s']} messages a second"
    return f"{step['action']}{rate}{hours}{', Retained Messages too' if step['clear_retained'] else ''}"


def _show_hit(hit: Mapping[str, Any]) -> None:
    if hit["about"] == "identity":
        print(f"{escaped(hit['name'])} is {hit['state'] or 'no identity of the identity store'}")
    count = len(hit["clients"])
    told = f"{count} connections would be hit by: {', '.join(hit['steps'])}"
    print("\n".join([*connections(hit["clients"], count), told]))


def _show_run(run: Mapping[str, Any]) -> None:
    for step in run["done"]:
        print(f"{step['action']}: {escaped(step['text'])}")
    if run["failed"] is not None:
        print(f"{run['failed']['action']} failed: {escaped(run['failed']['text'])}")
        if run["left"]:
            print(f"not done: {', '.join(run['left'])}")
