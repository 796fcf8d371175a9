"""Which Client Identifiers and User Names an identity may use, as its roles say.

client_id = "identity"              the identity's name, or its name, `-` and more: what holds where no role says anything
client_id = "certificate"           the CN or a DNS, URI or email SAN of the certificate that proved it
client_id = "assigned"              whatever the broker assigns: the client sends none
client_id = "{attr.site}-press-*"   a pattern: `{identity}`, `{attr.NAME}`, and `*` for any rest at the end
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bartizan.errors import InvalidValue

IDENTITY: Final = "identity"
CERTIFICATE: Final = "certificate"
ASSIGNED: Final = "assigned"
DEFAULT: Final = (IDENTITY,)
SEPARATOR: Final = "-"
PATTERN_CHARS_MAX: Final = 256

_VALUE = re.compile(r"\{(identity|attr\.[a-z][a-z0-9_]{0,63})\}")


@dataclass(frozen=True, slots=True)
class Named:
    """Whose names they are."""

    identity: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    certificate: frozenset[str] = frozenset()
    """CN and SANs of the certificate that proved it; empty without one."""

    def value(self, source: str) -> str | None:
        """The identity's own value."""
        return self.identity if source == IDENTITY else self.attributes.get(source.removeprefix("attr."))


def parse_naming(text: str, *, may_be_assigned: bool = True) -> str:
    """The naming of this text, as it is; `InvalidValue` for what is none."""
    if text in {IDENTITY, CERTIFICATE} or (text == ASSIGNED and may_be_assigned):
        return text
    fixed = _VALUE.sub("", text)
    is_pattern = text != ASSIGNED and 1 <= len(text) <= PATTERN_CHARS_MAX
    if not is_pattern or "*" in text[:-1] or set(fixed.removesuffix("*")) & set("{}*/+#"):
        words = ", ".join(f'"{word}"' for word in (IDENTITY, CERTIFICATE, *([ASSIGNED] if may_be_assigned else [])))
        raise InvalidValue(f'write {words}, or a pattern such as "{{identity}}-*" or "press-01-*"')
    if text == "*":
        raise InvalidValue('"*" would let it use any name: say which part is its own, as in "{identity}-*"')
    return text


def in_namespace(name: str, identity: str) -> bool:
    """Whether a name is an identity's own: its name, or its name, `-` and more."""
    return name == identity or name.startswith(identity + SEPARATOR)


def keeps_to_own_namespace(naming: str) -> bool:
    """Whether it lets an identity use no name outside of its own namespace: then no two can use the same."""
    return naming in {IDENTITY, ASSIGNED, "{identity}"} or naming.startswith("{identity}" + SEPARATOR)


def admits(namings: Iterable[str], name: str, who: Named) -> bool:
    """Whether one of them lets this name be used. What is assigned is nobody's to choose."""
    return any(_admits(naming, name, who) for naming in namings)


def is_assigned(namings: Sequence[str]) -> bool:
    """Whether the broker alone chooses."""
    return all(naming == ASSIGNED for naming in namings)


def _admits(naming: str, name: str, who: Named) -> bool:
    if naming == IDENTITY:
        return in_namespace(name, who.identity)
    if naming == CERTIFICATE:
        return name in who.certificate
    if naming == ASSIGNED:
        return False
    at = 0
    for found in _VALUE.finditer(naming):
        value = who.value(found[1])
        # Nobody gains from a value he lacks.
        if not value:
            return False
        head = naming[at : found.start()] + value
        if not name.startswith(head):
            return False
        name, at = name[len(head) :], found.end()
    rest = naming[at:]
    return name.startswith(rest[:-1]) if rest.endswith("*") else name == rest
