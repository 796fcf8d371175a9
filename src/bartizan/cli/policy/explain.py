"""`bartizan policy explain`: why a request is allowed or denied, and what would allow it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.reading import Flag, Json, Named, in_force, one_stored
from bartizan.model.ids import parse_attribute
from bartizan.policy.compiled import Asked
from bartizan.policy.explain import Explanation
from bartizan.policy.subject import Ask, Subject

Several = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


def explain(
    action: Literal["publish", "subscribe", "receive"],
    topic: str,
    /,
    *,
    identity: Annotated[str | None, Parameter(name="--as")] = None,
    role: Several = (),
    attr: Several = (),
    client_id: str | None = None,
    qos: Literal[0, 1, 2] = 0,
    retain: Flag = False,
    policy: Named = (),
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Json = False,
) -> int:
    """Tell what the policy decides, by which rule, and what would allow it; exit code 1 if it is denied.

    For example:

        bartizan policy explain --as press-01 publish data/chicago/hall-2/press-01/temperature

        bartizan policy explain --policy policy.toml --role press --client-id press-01 publish data/x

    Parameters
    ----------
    action
        What is asked for.
    topic
        A Topic Name, or a Topic Filter.
    identity
        Who asks: an identity of the data directory, or with --role the name of one made up.
    role
        A role of an identity made up; several times.
    attr
        An attribute of it, NAME=VALUE; several times.
    client_id
        Its Client Identifier. Default: the identity's name.
    qos
        QoS of the message.
    retain
        The message carries RETAIN.
    policy
        A policy file, directory or pattern; several times. Default: that of the data directory.
    data
        The broker's data directory.
    config
        The configuration file. Default: bartizan.toml of the data directory.
    json_output
        Print one JSON object.
    """
    explainer = in_force(policy, data, config)
    if identity is not None and not role and not attr:
        subject = Subject.of(one_stored(data, identity, config), client_id or "")
    else:
        name = identity or client_id or ""
        subject = Subject(name, client_id or name, role, dict(map(parse_attribute, attr)))
    told = explainer.explain(subject, Ask(Asked(action), topic, qos, retain))
    print(json.dumps(_plain(told)) if json_output else "\n".join(_lines(told)))
    return 0 if told.decision.allow else 1


def _lines(told: Explanation) -> Iterator[str]:
    word, _, why = str(told.decision).partition(": ")
    yield f"{word}: {told.subject}"
    yield f"  {told.ask}"
    yield f"  {why.partition(' (')[0]}"
    if told.rule and told.excerpt:
        yield f"\n  {told.rule.name}"
        yield from (f"  {told.excerpt.file}:{line}: {text}" for line, text in told.excerpt.lines)
    if told.advice:
        yield f"\n  {told.advice}"
    if told.grant:
        yield f"\nThe smallest grant that would allow it, {told.paste}:\n"
        yield told.grant.entry if told.paste.startswith("into") else told.grant.table


def _plain(told: Explanation) -> dict[str, object]:
    excerpt, grant = told.excerpt, told.grant
    return {
        "allow": told.decision.allow,
        "per_delivery": told.decision.per_delivery,
        "why": told.decision.why,
        "rule": told.decision.rule,
        "file": excerpt and excerpt.file,
        "line": excerpt and excerpt.line,
        "column": excerpt and excerpt.column,
        "text": [text for _, text in excerpt.lines] if excerpt else [],
        "advice": told.advice,
        "grant": grant and {"role": grant.role, "entry": grant.entry, "toml": grant.table, "where": told.paste},
    }
