"""What one filter covers and shares with another, where a level may be a variable.

A variable is one level whose value is not known here: any text without `/`, `+`, `#`. At the first level it and the
wildcards reach no topic that begins with `$` (MQTT 5, 4.7.2). Two filters are compared for one and the same identity,
so that a variable equals itself.
"""

from typing import TypeAlias

from bartizan.policy.contract import Level, Literal, Pattern, Variable, Wildcard

Levels: TypeAlias = tuple[Level, ...]

ALL: Levels = (Wildcard.MANY,)
"""Every topic but those that begin with `$`."""


def plain(levels: Levels) -> Levels:
    """The shortest filter of the same topics: a topic has a first level, so `+/#` is `#`."""
    return ALL if levels == (Wildcard.ONE, Wildcard.MANY) else levels


def text_of(levels: Levels) -> str:
    """The filter as a policy writes it."""
    return "/".join(_text(level) for level in levels)


def pattern_of(levels: Levels) -> Pattern:
    """The pattern of these levels; `PatternError` if a policy cannot hold it."""
    return Pattern.parse(text_of(levels))


def _text(level: Level) -> str:
    match level:
        case Literal(text):
            return text
        case Variable(name):
            return f"{{{name}}}"
        case Wildcard():
            return level.value


def is_dollar(levels: Levels) -> bool:
    """True if it spells topics that begin with `$`."""
    first = levels[0]
    return isinstance(first, Literal) and first.text.startswith("$")


def covers(wide: Levels, narrow: Levels) -> bool:
    """True if `wide` has every topic of `narrow`, whatever the variables are."""
    wide, narrow = plain(wide), plain(narrow)
    if is_dollar(narrow) and not is_dollar(wide):
        return False
    return _covers(wide, narrow)


def _covers(wide: Levels, narrow: Levels) -> bool:
    if wide[:1] == ALL:
        return True
    if not wide or not narrow:
        # `a` is a topic of `a/#`, so nothing but a `#` covers a `#`.
        return wide == narrow
    if narrow[0] is Wildcard.MANY:
        return False
    return (wide[0] is Wildcard.ONE or wide[0] == narrow[0]) and _covers(wide[1:], narrow[1:])


def overlaps(one: Levels, other: Levels) -> bool:
    """True if a topic may be in both, for some value of the variables."""
    return shared(one, other) is not None


def shared(one: Levels, other: Levels) -> Levels | None:
    """What both have: all of it, and nothing that `one` has not. None: nothing.

    Where a variable of one of them meets a text of the other, whether they are equal is not known: it keeps `one`'s.
    """
    if is_dollar(one) != is_dollar(other):
        return None
    met = _shared(plain(one), plain(other))
    return None if met is None else plain(met)


def _shared(one: Levels, other: Levels) -> Levels | None:
    if one[:1] == ALL:
        return other
    if other[:1] == ALL:
        return one
    if not one or not other:
        return () if one == other else None
    first = _level(one[0], other[0])
    if first is None:
        return None
    # What remains of `a/#` beside `a` is nothing: the topic `a` itself.
    rest = _shared(one[1:], other[1:])
    if rest is None:
        return None
    return (first, *rest)


def _level(one: Level, other: Level) -> Level | None:
    if one is Wildcard.ONE:
        return other
    if isinstance(one, Literal) and isinstance(other, Literal) and one != other:
        return None
    return one
