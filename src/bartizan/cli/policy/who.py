"""`bartizan policy who`: who may publish or subscribe to a topic, and by which rule."""

import json
from collections.abc import Sequence
from pathlib import Path

from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.files import Flag, Json, Named
from bartizan.cli.policy.message import NO_MESSAGE, Message
from bartizan.cli.policy.reading import counted, in_force, open_now, stored
from bartizan.errors import InvalidValue
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Ask
from bartizan.policy.who import Access, identities_that_may, roles_that_may

_ACTIONS = ("publish", "subscribe")
ROLES = ("role", "roles")
IDENTITIES = ("identity", "identities")


def who(
    *words: str,
    message: Message = NO_MESSAGE,
    roles: Flag = False,
    policy: Named = (),
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Json = False,
) -> int:
    """Tell which identities may publish or subscribe to a topic, each with the rule that lets it.

    Of a tenant's client the topic is the one below the tenant's root. Exit code 1 if nobody may.

    For example:

        bartizan policy who can publish data/chicago/hall-2/press-01/temperature

        bartizan policy who subscribe 'data/chicago/#'

        bartizan policy who publish actuators/valve-7 --roles --policy policy.toml

    Parameters
    ----------
    words
        `publish TOPIC` or `subscribe FILTER`; the word `can` may stand before.
    roles
        Tell the roles, not the identities: needs no data directory.
    policy
        A policy file, directory or pattern; several times. Default: that of the data directory.
    data
        The broker's data directory.
    config
        The configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print a JSON array.
    """
    asked = words[1:] if words[:1] == ("can",) else words
    match asked:
        case (action, topic) if action in _ACTIONS:
            ask = message.asked(action, topic)
        case _:
            raise InvalidValue(f"{' '.join(words)!r}: write publish TOPIC, or subscribe FILTER")
    explainer = in_force(policy, data, config)
    found = list(
        roles_that_may(explainer, ask)
        if roles
        else identities_that_may(explainer, stored(data, config), ask, open_now(explainer))
    )
    if json_output:
        print(json.dumps([_plain(explainer, access) for access in found]))
    else:
        _show(explainer, found, ask, ROLES if roles else IDENTITIES)
    return 0 if found else 1


def _show(explainer: Explainer, found: Sequence[Access], ask: Ask, what: tuple[str, str]) -> None:
    names = [access.subject.roles[0] if what == ROLES else access.subject.identity for access in found]
    width = max(map(len, names), default=0)
    for name, access in zip(names, found, strict=True):
        client_id = access.subject.client_id
        as_client = f", as client {client_id}" if client_id not in {access.subject.identity, ""} else ""
        partly = ", but for what is forbidden" if access.decision.per_delivery else ""
        tenant = explainer.tenant(access.subject)
        whose = f", of tenant {tenant[0]} (below {tenant[1]})" if tenant else ""
        where = explainer.places.excerpt(access.rule) if access.rule else ""
        print(f"{name:{width}}  {access.decision.rule}  {where}{as_client}{whose}{partly}")
    print(f"{counted(len(found), *what)} may {ask}")


def _plain(explainer: Explainer, access: Access) -> dict[str, object]:
    excerpt = explainer.places.excerpt(access.rule) if access.rule else None
    tenant, root = explainer.tenant(access.subject) or (None, None)
    return {
        "identity": access.subject.identity,
        "client_id": access.subject.client_id,
        "roles": list(access.subject.roles),
        "tenant": tenant,
        "tenant_root": root,
        "rule": access.decision.rule,
        "file": excerpt and excerpt.file,
        "line": excerpt and excerpt.line,
        "per_delivery": access.decision.per_delivery,
    }
