"""`bartizan policy explain`: why a request is allowed or denied, and what would allow it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.cli.opening import DEFAULT_DATA
from bartizan.cli.policy.files import Json, Named
from bartizan.cli.policy.message import NO_MESSAGE, Message
from bartizan.cli.policy.reading import in_force, one_stored, open_now
from bartizan.config.files import read_file
from bartizan.errors import InvalidValue
from bartizan.model.ids import parse_attribute
from bartizan.model.token_grant import TokenGrants, parse_token_grants
from bartizan.policy.compiled import Circumstances
from bartizan.policy.condition import Strength
from bartizan.policy.explain import Explainer, Explanation
from bartizan.policy.payload import ENFORCE_WORDS
from bartizan.policy.subject import Subject

Several = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Asking:
    """Who asks, and how connected."""

    identity: Annotated[str | None, Parameter(name="--as")] = None
    """An identity of the data directory; with --role or --attr the name of one made up."""
    role: Several = ()
    """A role of an identity made up; several times."""
    attr: Several = ()
    """An attribute of it, NAME=VALUE; several times."""
    client_id: str | None = None
    """Its Client Identifier. Default: the identity's name."""
    listener: str | None = None
    """The listener it is connected by. With none of these four, how it is connected is left open."""
    address: str | None = None
    """The address it comes from."""
    method: str | None = None
    """How it was proved: certificate, password, an authenticator's own word."""
    strength: Annotated[tuple[Strength, ...], Parameter(negative=(), show_default=False)] = ()
    """How strongly; several times."""
    window: Several = ()
    """A time window that is open; several times. Default: those open now."""
    token_grants: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = ()
    """A file with the grants of a token, as in its `grants_claim`; several times, as for several tokens."""

    def subject(self, explainer: Explainer, data: Path, config: Path | None) -> Subject:
        """The subject that this is."""
        if self.identity is not None and not self.role and not self.attr:
            subject = Subject.of(one_stored(data, self.identity, config), self.client_id or "")
        else:
            name = self.identity or self.client_id or ""
            subject = Subject(name, self.client_id or name, self.role, dict(map(parse_attribute, self.attr)))
        there = Circumstances(self.listener or "", self.address, self.method or "", self.strength)
        is_open = there == Circumstances("")
        return replace(
            subject,
            there=None if is_open else there,
            windows=self.window or open_now(explainer),
            narrowed_to=tuple(map(_token_grants, self.token_grants)),
        )


_NOBODY = Asking()


def _token_grants(file: Path) -> TokenGrants:
    text = read_file(file, "the file of --token-grants")
    try:
        return parse_token_grants(json.loads(text))
    except InvalidValue as error:
        raise InvalidValue(f"{file}: {error}") from None
    except ValueError:
        raise InvalidValue(f"{file} is no JSON: write the claim as it stands in the token") from None


def explain(
    action: Literal["publish", "subscribe", "receive"],
    topic: str,
    /,
    *,
    asking: Asking = _NOBODY,
    message: Message = NO_MESSAGE,
    payload: Path | None = None,
    policy: Named = (),
    data: Path = DEFAULT_DATA,
    config: Path | None = None,
    json_output: Json = False,
) -> int:
    """Tell what the policy decides, by which rule, and what would allow it; exit code 1 if it is denied or refused.

    For example:

        bartizan policy explain --as press-01 publish data/chicago/hall-2/press-01/temperature

        bartizan policy explain --policy policy.toml --role press --client-id press-01 publish data/x

        bartizan policy explain --as press-01 publish data/press-01/state --payload sample.json

    Parameters
    ----------
    action
        What is asked for.
    topic
        A Topic Name, or a Topic Filter.
    payload
        A file with its payload: whether that is what the topic declares is told as well.
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
    content = None if payload is None else read_file(payload, "the payload")
    told = explainer.explain(asking.subject(explainer, data, config), message.asked(action, topic, content), content)
    print(json.dumps(_plain(told)) if json_output else "\n".join(_lines(told)))
    return 0 if told.passes else 1


def _lines(told: Explanation) -> Iterator[str]:
    word, _, why = str(told.decision).partition(": ")
    yield f"{word}: {told.subject}"
    yield f"  {told.ask}"
    yield f"  {why.partition(' (')[0]}"
    if told.rule and told.excerpt:
        yield f"\n  {told.rule.name}"
        yield from (f"  {told.excerpt.file}:{line}: {text}" for line, text in told.excerpt.lines)
    yield from _contract(told)
    if told.advice:
        yield f"\n  {told.advice}"
    if told.grant:
        yield f"\nThe smallest grant that would allow it, {told.paste}:\n"
        yield told.grant.entry if told.paste.startswith("into") else told.grant.table


def _contract(told: Explanation) -> Iterator[str]:
    """What the topic declares, and how the message is not so."""
    held = told.held
    if held is None or (held.broken is None and held.declared is None):
        return
    word = ENFORCE_WORDS[held.enforce]
    yield f"\n  {held.declared or 'no such topic is declared'}" + (
        f": {held.why}" if held.broken and held.declared else ""
    )
    if told.declaration:
        yield from (f"  {told.declaration.file}:{line}: {text}" for line, text in told.declaration.lines)
    yield f"  it is not as declared: {word}" if held.broken else f"  what is not as declared: {word}"


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
        "contract": told.held and asdict(told.held),
        "passes": told.passes,
        "grant": grant and {"role": grant.role, "entry": grant.entry, "toml": grant.table, "where": told.paste},
    }
