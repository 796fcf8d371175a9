"""Acts on identities of a broker elsewhere: those who are named, or all whom a preview has shown."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from bartizan.cli.acted import Whom, preview, tell
from bartizan.cli.paths import path_of
from bartizan.cli.remote import remote
from bartizan.errors import NotFound

Action = Literal["revoke", "quarantine", "release"]

WAYS: Final[Mapping[str, tuple[str, str, str]]] = {
    "revoke": ("revocation", "/revocations", "revoked"),
    "quarantine": ("quarantine", "/quarantines", "put into quarantine"),
    "release": ("release", "/releases", "released"),
}
"""Of one, of many, and what they would be."""


def act_there(
    server: str,
    action: Action,
    whom: Whom,
    body: Mapping[str, object],
    *,
    yes: bool = False,
    done: str,
    as_json: bool,
) -> int:
    """Acts, or only says who is meant; the exit code."""
    names, role, matching = whom.names, whom.role, whom.matching
    one, many, would_be = WAYS[action]
    with remote(server) as there:
        if len(names) == 1:
            return tell([there.post(path_of("identities", names[0], one), body or None)], done, as_json=as_json)
        # Several are one request, so that a second operator has to agree once.
        meant: dict[str, object] = {"identities": list(names)}
        if not names:
            shown = there.get("/actions/preview", action=action, role=role, match=matching)
            if not yes:
                return preview(shown["identities"], would_be, shown["count"])
            meant = {"confirm": shown["confirm"]} | ({"match": matching} if role is None else {"role": role})
        told: dict[str, Any] = there.post(many, {**body, **meant})
    code = tell(told["done"], done, as_json=as_json)
    if told["failed"]:
        raise NotFound("; ".join(f"{each['identity']}: {each['problem']}" for each in told["failed"]))
    return code
