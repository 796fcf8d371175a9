"""The filter of another broker -> levels of ours; what a policy cannot spell, and how wide a denial of it has to be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bartizan.policy.contract import PATTERN_BYTES_MAX, PATTERN_LEVELS_MAX, Level, Literal, Variable, Wildcard
from bartizan.policy.imports.filters import Levels

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a filter cannot be carried over: the name of the loss, and what is the matter."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Spelt:
    """A filter read. Where there is trouble, `levels` have every topic of it, and more."""

    levels: Levels
    trouble: Trouble | None = None


def spell(text: str, placeholders: Mapping[str, str]) -> Spelt:
    """The levels of a filter; `placeholders` gives, for what stands for a value there, our variable."""
    parts = text.split("/")
    if len(text.encode(errors="replace")) > PATTERN_BYTES_MAX or len(parts) > PATTERN_LEVELS_MAX:
        limits = f"{PATTERN_BYTES_MAX} octets and {PATTERN_LEVELS_MAX} levels"
        return Spelt((Wildcard.MANY,), Trouble("long-topic", f"a topic of a policy has at most {limits}"))
    levels: list[Level] = []
    trouble: Trouble | None = None
    for part in parts:
        level = _level(part, placeholders)
        if isinstance(level, Trouble):
            trouble = trouble or level
            level = Wildcard.ONE
        levels.append(level)
    return Spelt(tuple(levels), trouble)


def _level(part: str, placeholders: Mapping[str, str]) -> Level | Trouble:
    if part in ("+", "#"):
        return Wildcard(part)
    if part in placeholders:
        return Variable(placeholders[part])
    found = next((name for name in placeholders if name in part), None)
    if found is not None:
        return Trouble("partial-variable", f"in the level {part!r}, {found} is not the whole level")
    if "{" in part or "}" in part:
        return Trouble("braces", f"the level {part!r} holds a brace, which begins a variable here")
    if _CONTROL.search(part):
        return Trouble("control-character", f"the level {part!r} holds a control character")
    return Literal(part)


def is_filter(text: str) -> bool:
    """True if MQTT allows it as a Topic Filter: `+` and `#` are whole levels, `#` the last (4.7.1)."""
    parts = text.split("/")
    return (
        text != ""
        and "#" not in "".join(parts[:-1])
        and all(part in ("+", "#") or not ("+" in part or "#" in part) for part in parts)
    )
