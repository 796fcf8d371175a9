"""`bartizan revoke`: an identity is out, at once and for good."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from bartizan.cli.acted import Whom, act, chosen, preview, tell
from bartizan.cli.acted_there import act_there
from bartizan.cli.listing import Config, Data, Flag, Json, Text
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.remote import Server
from bartizan.errors import InvalidValue
from bartizan.respond.actions import Actions, Done


def revoke(
    names: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=(), show_default=False)] = None,
    /,
    *,
    all_of_role: Text = None,
    matching: Text = None,
    clear_retained: Flag = False,
    note: Annotated[str, Parameter(show_default=False)] = "",
    yes: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Revoke identities: cut their connections, end their Sessions and credentials, suppress their Wills. At once.

    When it returns, nothing is sent to them any more, and what it ended is printed item by item.

    For example:

        bartizan revoke press-01 --note "stolen, INC-4711"

        bartizan revoke press-01 --clear-retained --json

        bartizan revoke --matching "contractor-*" --yes

    Parameters
    ----------
    names
        The identities.
    all_of_role
        Everybody who acts in this role.
    matching
        Everybody whose name fits this pattern, such as "press-*".
    clear_retained
        Remove the Retained Messages that they published, too. It takes a broker that runs.
    note
        A remark that is kept with the identity, such as why and which ticket.
    yes
        Do it; without it, --all-of-role and --matching only say who is meant.
    """
    whom = Whom(names or [], all_of_role, matching)
    body = {"note": note, "clear_retained": clear_retained}
    if server is not None:
        return act_there(server, "revoke", whom, body, yes=yes, done="revoked", as_json=json_output)
    who = chosen(data, config, whom)
    if not names and not yes:
        return preview(who, "revoked")
    at = datetime.now(UTC)

    async def alone(actions: Actions, name: str) -> Done:
        # It would be forgotten: what is retained is the engine's, and nothing is kept of the wish.
        if clear_retained:
            raise InvalidValue(f"--clear-retained takes a broker that runs on {data}, and none does: nothing was done")
        return await actions.revoke(name, at=at, note=note)

    return tell(act(data, config, who, "revoke", body, alone), "revoked", as_json=json_output)
