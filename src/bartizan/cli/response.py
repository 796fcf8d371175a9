"""`bartizan response`: what playbooks did about findings, would do, or wait to be allowed to do."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from bartizan.broker.log import escaped
from bartizan.cli.control import told_to
from bartizan.cli.listing import Data, Flag, Json, print_json, second, show_table
from bartizan.cli.opening import DEFAULT_DATA, existing
from bartizan.cli.remote import Server, remote
from bartizan.model.response import Outcome
from bartizan.store.responses import ResponseStore

app = App(name="response", help="Show what playbooks did or would do; confirm what waits.")

SHOWN_MAX = 200

_COLUMNS = {
    "number": "no.",
    "when": "when",
    "finding": "finding",
    "playbook": "playbook",
    "action": "action",
    "of": "of",
    "outcome": "outcome",
    "text": "what",
}


@app.command(name="list")
def list_(
    *,
    waiting: Annotated[Flag, Parameter(help="Only those that wait to be confirmed.")] = False,
    data: Data = DEFAULT_DATA,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """List what playbooks did, would have done, or wait to do, the last ones at the end.

    For example:

        bartizan response list --waiting
    """
    found: list[dict[str, Any]]
    if server is None:
        store = ResponseStore(existing(Path.cwd() / data).findings)
        found = [asdict(each) for each in store.responses((Outcome.WAITING,) if waiting else tuple(Outcome))]
    else:
        with remote(server) as there:
            found = there.every("/responses", outcome=Outcome.WAITING.value if waiting else None, sort="number")
    if json_output:
        print_json(found)
    else:
        shown = found[-SHOWN_MAX:]
        more = f", the last {SHOWN_MAX} shown (--json shows all)" if len(found) > SHOWN_MAX else ""
        show_table([_row(each) for each in shown], _COLUMNS, f"{len(found)} responses{more}")
    return 0


@app.command
def confirm(number: int, /, *, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Have the running broker do what a playbook waits to do: within an hour of the finding.

    For example:

        bartizan response confirm 4

    Parameters
    ----------
    number
        Its number in `bartizan response list --waiting`.
    """
    return _settle("confirm", number, data, server)


@app.command
def dismiss(number: int, /, *, data: Data = DEFAULT_DATA, server: Server = None) -> int:
    """Have the running broker not do what a playbook waits to do.

    For example:

        bartizan response dismiss 4

    Parameters
    ----------
    number
        Its number in `bartizan response list --waiting`.
    """
    return _settle("dismiss", number, data, server)


_NOUNS = {"confirm": "confirmation", "dismiss": "dismissal"}


def _settle(verb: str, number: int, data: Path, server: str | None) -> int:
    if server is None:
        root = existing(Path.cwd() / data).root
        settled = told_to(root, f"/v1/responses/{verb}", {"number": number})
    else:
        with remote(server) as there:
            settled = there.post(f"/responses/{number}/{_NOUNS[verb]}")
    print(f"response {number} is {settled['outcome']}{': ' if settled['text'] else ''}{escaped(settled['text'])}")
    return 0 if settled["outcome"] != Outcome.FAILED else 1


def _row(response: Mapping[str, Any]) -> dict[str, object]:
    of = f"{response['about']} {response['name']}".strip()
    return {**response, "when": second(response["at"]), "of": of}
