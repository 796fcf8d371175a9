"""`when = {...}` -> `Condition`, and `[windows.NAME]` -> `Window`."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from bartizan.policy.condition import ALWAYS, PAYLOAD_BYTES_MAX, Condition, Strength
from bartizan.policy.fields import Reader
from bartizan.policy.syntax import Path
from bartizan.policy.windows import DAYS, MINUTES_A_DAY, Window

_KEYS: Final = (
    "attr",
    "listener",
    "address",
    "method",
    "strength",
    "window",
    "qos",
    "retain",
    "payload_bytes_min",
    "payload_bytes_max",
    "content_type",
    "utf8",
)
_WINDOW_KEYS: Final = ("days", "from", "to", "zone")
_ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_WINDOW_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_END_OF_DAY: Final = "24:00"
ENTRIES_MAX: Final = 4_096


def condition(reader: Reader, path: Path, body: Mapping[str, object], windows: Collection[str]) -> Condition:
    """The condition of the table at `path` of `body`, if there is one."""
    key = str(path[-1])
    if key not in body:
        return ALWAYS
    table = reader.table(path, body[key])
    reader.refuse_unknown(path, table, _KEYS)
    low = _bytes(reader, (*path, "payload_bytes_min"), table)
    high = _bytes(reader, (*path, "payload_bytes_max"), table)
    if low is not None and high is not None and low > high:
        reader.wrong_value((*path, "payload_bytes_min"), "payload_bytes_min is above payload_bytes_max")
    read = Condition(
        attributes=_attributes(reader, (*path, "attr"), table),
        listeners=texts(reader, (*path, "listener"), table),
        addresses=_addresses(reader, (*path, "address"), table),
        methods=texts(reader, (*path, "method"), table),
        strengths=tuple(
            Strength(word) for word in _words(reader, (*path, "strength"), table, [item.value for item in Strength])
        ),
        windows=_words(reader, (*path, "window"), table, windows),
        qos=_qos(reader, (*path, "qos"), table),
        retain=reader.flag((*path, "retain"), table, default=False) if "retain" in table else None,
        payload_bytes_min=low,
        payload_bytes_max=high,
        content_types=texts(reader, (*path, "content_type"), table),
        utf8=reader.flag((*path, "utf8"), table, default=False) if "utf8" in table else None,
    )
    if not table:
        reader.wrong_value(path, "the condition is empty", "remove it, or say when the rule counts")
    return read


def window(reader: Reader, path: Path, body: Mapping[str, object]) -> Window | None:
    """The window of this table; None, and a problem, if its name is none."""
    reader.refuse_unknown(path, body, _WINDOW_KEYS)
    name = str(path[-1])
    if not _WINDOW_NAME.match(name):
        reader.wrong(path, f"window name {name!r}: use a lower-case letter, then letters, digits, '_' or '-'")
    for key in ("days", "from", "to", "zone"):
        if key not in body:
            reader.wrong(
                path, f"{key} is missing", 'write days = "mon-fri", from = "06:00", to = "14:00", zone = "UTC"'
            )
    begin = _clock(reader, (*path, "from"), body)
    end = _clock(reader, (*path, "to"), body)
    if begin is not None and begin == end:
        reader.wrong_value(
            (*path, "to"), "the window ends when it begins", 'a whole day is from = "00:00", to = "24:00"'
        )
    if begin == MINUTES_A_DAY:
        reader.wrong_value((*path, "from"), "a window begins before the end of its day", 'write from = "00:00"')
    days, zone = _days(reader, (*path, "days"), body), _zone(reader, (*path, "zone"), body)
    return Window(name, days, begin or 0, end or 0, zone, reader.at(path)) if _WINDOW_NAME.match(name) else None


def _entries(reader: Reader, path: Path, body: Mapping[str, object]) -> list[tuple[Path, object]]:
    """A list's entries, or one value that stands for a list of itself."""
    value = body.get(str(path[-1]))
    if value is None:
        return []
    if not isinstance(value, list):
        return [(path, value)]
    if not 1 <= len(value) <= ENTRIES_MAX:
        reader.wrong_value(path, f"{path[-1]} has 1 to {ENTRIES_MAX} entries", "remove it if any will do")
    return [((*path, at), entry) for at, entry in enumerate(value[:ENTRIES_MAX])]


def texts(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[str, ...]:
    """A text, or a list of them; empty if there is no such key."""
    found: list[str] = []
    for place, entry in _entries(reader, path, body):
        if isinstance(entry, str) and entry:
            found.append(entry)
        else:
            reader.wrong_value(place, f"{path[-1]} is a text, or a list of texts")
    return tuple(dict.fromkeys(found))


def _words(reader: Reader, path: Path, body: Mapping[str, object], known: Collection[str]) -> tuple[str, ...]:
    found = texts(reader, path, body)
    for word in found:
        if word not in known:
            hint = reader.did_you_mean(word, known) or (f"known are {', '.join(sorted(known))}" if known else "")
            reader.wrong_value(path, f"there is no {path[-1]} {word}", hint or f"declare [{path[-1]}s.{word}]")
    return tuple(word for word in found if word in known)


def _addresses(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts(reader, path, body):
        if text == "local":
            found.append(text)
            continue
        try:
            found.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            reader.wrong_value(path, str(error), 'write networks such as "10.0.0.0/8", or "local" for Unix sockets')
    return tuple(found)


def _attributes(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = reader.table(path, body.get("attr", {}))
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in table:
        if not _ATTRIBUTE.match(name):
            reader.wrong((*path, name), f"{name!r} is no attribute's name", "use lower-case letters, digits and '_'")
        found.append((name, texts(reader, (*path, name), table)))
    return tuple(sorted(found))


def _qos(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[int, ...]:
    found: set[int] = set()
    for place, entry in _entries(reader, path, body):
        if isinstance(entry, int) and not isinstance(entry, bool) and entry in {0, 1, 2}:
            found.add(entry)
        else:
            reader.wrong_value(place, "qos is 0, 1 or 2, or a list of them")
    return tuple(sorted(found))


def _bytes(reader: Reader, path: Path, body: Mapping[str, object]) -> int | None:
    if str(path[-1]) not in body:
        return None
    return reader.whole(path, body, 0, (0, PAYLOAD_BYTES_MAX))


def _clock(reader: Reader, path: Path, body: Mapping[str, object]) -> int | None:
    if str(path[-1]) not in body:
        return None
    text = reader.text(path, body)
    if text == _END_OF_DAY:
        return MINUTES_A_DAY
    if found := _CLOCK.match(text):
        return int(found[1]) * 60 + int(found[2])
    reader.wrong_value(path, f"{path[-1]} is a time of day", 'write "06:00"; the end of the day is "24:00"')
    return None


def _days(reader: Reader, path: Path, body: Mapping[str, object]) -> tuple[int, ...]:
    found: set[int] = set()
    for text in texts(reader, path, body):
        first, dash, last = text.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            reader.wrong_value(path, f"{text!r} is no day", 'write "mon-fri", or a list: ["mon", "wed"]')
            continue
        begin, end = DAYS.index(first), DAYS.index(last or first)
        # "fri-mon" goes over the end of the week.
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


def _zone(reader: Reader, path: Path, body: Mapping[str, object]) -> str:
    text = reader.text(path, body, "UTC")
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        reader.wrong_value(path, f"there is no time zone {text!r}", 'write "Europe/Berlin" or "UTC"')
        return "UTC"
    return text
