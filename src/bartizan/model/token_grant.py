"""What a token says that its bearer may do: it narrows what the roles give, and widens nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bartizan.errors import InvalidValue
from bartizan.model.topics import TopicFilter

GRANTS_MAX: Final = 256
"""A token with more grants is refused."""

_KEYS: Final = {"action", "filter"}
_SHOWN_CHARS: Final = 80


class TokenAction(StrEnum):
    """What a grant is about."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """One entry of a token: its bearer may do this below this filter, as far as its roles let it."""

    action: TokenAction
    filter: TopicFilter

    @classmethod
    def parse(cls, action: object, text: object) -> "TokenGrant":
        """The grant; `InvalidValue` for anything that is none. What is in braces is text, not a variable."""
        if not isinstance(action, str) or action not in set(TokenAction):
            raise InvalidValue("the action of a token's grant is publish, subscribe or all")
        if not isinstance(text, str):
            raise InvalidValue("the filter of a token's grant is a text")
        if text.split("/", 1)[0] == "$share":
            raise InvalidValue("a token's grant names the filter inside of $share/GROUP/FILTER")
        try:
            return cls(TokenAction(action), TopicFilter.parse(text))
        except InvalidValue:
            raise InvalidValue(f"{text[:_SHOWN_CHARS]!r} is no Topic Filter") from None


TokenGrants = tuple[TokenGrant, ...]
"""All that one token allows; empty: nothing."""


def parse_token_grants(said: object) -> TokenGrants:
    """The grants in a claim: a list of `{"action": ..., "filter": ...}`, or a text such as OAuth's `scope`.

    Of a text those words are grants that begin with `publish:`, `subscribe:` or `all:`; other scopes grant nothing.
    `InvalidValue` if anything else is there: what cannot be read is never left out.
    """
    if isinstance(said, str):
        pairs = (word.partition(":") for word in said.split(" ") if word)
        return _grants((action, text) for action, colon, text in pairs if colon and action in set(TokenAction))
    if not isinstance(said, list):
        raise InvalidValue("a token's grants are a list, or a text of scopes")
    return _grants(_pair(entry) for entry in said)


def _pair(entry: object) -> tuple[object, object]:
    if not isinstance(entry, Mapping) or entry.keys() != _KEYS:
        raise InvalidValue('a token\'s grant is {"action": "publish", "filter": "a/+/b"}, with nothing else in it')
    return entry["action"], entry["filter"]


def _grants(pairs: Iterable[tuple[object, object]]) -> TokenGrants:
    found: dict[TokenGrant, None] = {}
    for count, (action, text) in enumerate(pairs, 1):
        if count > GRANTS_MAX:
            raise InvalidValue(f"a token holds at most {GRANTS_MAX} grants")
        found[TokenGrant.parse(action, text)] = None
    return tuple(found)
