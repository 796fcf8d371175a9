"""`bartizan quarantine` and `release`: an identity may do nothing but be mended, and then what it did before."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from bartizan.cli.acted import Whom, act, chosen, preview, tell
from bartizan.cli.acted_there import act_there
from bartizan.cli.duration import parse_duration
from bartizan.cli.listing import Config, Data, Flag, Json, Text
from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.person import operator
from bartizan.cli.remote import Server

Named = Annotated[list[str] | None, Parameter(consume_multiple=True, negative=(), show_default=False)]


def quarantine(
    names: Named = None,
    /,
    *,
    all_of_role: Text = None,
    matching: Text = None,
    for_: Annotated[str | None, Parameter(name="--for", show_default=False)] = None,
    reason: Annotated[str, Parameter(show_default=False, help="Why.")] = "",
    ticket: Annotated[str, Parameter(show_default=False)] = "",
    yes: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Put identities into quarantine: they stay connected, in the policy's role `quarantine` alone. At once.

    What they subscribed to is gone, what waited for them too. The policy says what that role may do; at first, only
    what is below remediation/ and their Client Identifier.

    For example:

        bartizan quarantine press-01 --for 2d --reason "published what it never did" --ticket INC-4711

        bartizan quarantine --all-of-role press --yes

    Parameters
    ----------
    names
        The identities.
    all_of_role
        Everybody who acts in this role.
    matching
        Everybody whose name fits this pattern, such as "press-*".
    for_
        How long, such as 2d. Default: until they are released.
    ticket
        Where the matter is kept, such as INC-4711.
    yes
        Do it; without it, --all-of-role and --matching only say who is meant.
    """
    until = None if for_ is None else datetime.now(UTC) + parse_duration(for_)
    outcome = "in quarantine" if until is None else f"in quarantine until {until:%Y-%m-%d %H:%M}Z"
    whom = Whom(names or [], all_of_role, matching)
    body = {"until": None if until is None else until.isoformat(), "reason": reason, "ticket": ticket}
    if server is not None:
        return act_there(server, "quarantine", whom, body, yes=yes, done=outcome, as_json=json_output)
    who = chosen(data, config, whom)
    if not names and not yes:
        return preview(who, "put into quarantine")
    done = act(
        data,
        config,
        who,
        "quarantine",
        body,
        lambda actions, name: actions.quarantine(name, until=until, reason=reason, ticket=ticket, by=operator()),
    )
    return tell(done, outcome, as_json=json_output)


def release(
    names: Named = None,
    /,
    *,
    all_of_role: Text = None,
    matching: Text = None,
    yes: Flag = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    server: Server = None,
    json_output: Json = False,
) -> int:
    """Release identities from quarantine: they have their roles again, and connect and subscribe anew.

    For example:

        bartizan release press-01

        bartizan release --matching "press-*" --yes

    Parameters
    ----------
    names
        The identities.
    all_of_role
        Everybody in quarantine who has this role outside.
    matching
        Everybody in quarantine whose name fits this pattern, such as "press-*".
    yes
        Do it; without it, --all-of-role and --matching only say who is meant.
    """
    whom = Whom(names or [], all_of_role, matching)
    if server is not None:
        return act_there(server, "release", whom, {}, yes=yes, done="released", as_json=json_output)
    who = chosen(data, config, whom, in_quarantine=True)
    if not names and not yes:
        return preview(who, "released")
    done = act(data, config, who, "release", {}, lambda actions, name: actions.release(name))
    return tell(done, "released", as_json=json_output)
