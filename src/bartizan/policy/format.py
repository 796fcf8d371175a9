"""One way to write a policy: tables and keys in a stable order, `=` and comments aligned, every comment kept.

Topics stand before roles, by name; the keys of a table stand in one order. A comment with an empty
line below it begins a group, and so does an empty line between keys: groups stay where they are, and
only what is inside one is sorted. A comment without one belongs to what it stands above. Values are
left as they are written.
"""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bartizan.policy.layout import Statement, layout

_SECTIONS: Final = ("contract", "topics", "namespaces", "tenants", "windows", "groups", "roles", "principals", "tests")
_TOPIC: Final = ("title", "description", "unit", "owner", "examples", "payload", "publish", "subscribe", "when")
_TOPIC_BOUNDS: Final = ("qos_max", "retain", "rate_per_s", "retention_s", "provenance", "enforce")
_ROLE: Final = ("includes", "client_id", "user_name", "binds", "owns", "permit", "forbid", "credentials", "limits")
_RULE: Final = ("action", "filter", "qos_max", "retain", "when", "reason")
_KEYS: Final = {"topics": (*_TOPIC, *_TOPIC_BOUNDS), "roles": _ROLE}
_NAMED = 2
"""The length of a path that names a topic or a role."""


@dataclass(slots=True)
class _Table:
    header: Statement | None
    comment: tuple[str, ...] = ()
    pairs: list[Statement] = field(default_factory=list)
    tail: tuple[str, ...] = ()
    """Comments right behind its last line."""

    @property
    def order(self) -> tuple[int, str]:
        """Section, then name; a table below another stands where that stands."""
        path = self.header.table if self.header else ()
        rank = _SECTIONS.index(path[0]) if path and path[0] in _SECTIONS else len(_SECTIONS)
        return (rank, str(path[1]) if len(path) > 1 else "")


@dataclass(slots=True)
class _Group:
    """What may be sorted together, below comments that stand by themselves."""

    standing: tuple[str, ...] = ()
    tables: list[_Table] = field(default_factory=list)


def formatted(text: str) -> str:
    """The same policy in its one form. `ValueError` if the text is no TOML."""
    meaning = tomllib.loads(text)
    blocks = list(_blocks(_groups(text)))
    result = "\n\n".join("\n".join(block) for block in blocks if block)
    result = f"{result}\n" if result else ""
    if tomllib.loads(result) != meaning:
        raise AssertionError("formatting changed the meaning of a policy: this is a bug of Bartizan")
    return result


def _groups(text: str) -> list[_Group]:
    found = layout(text)
    groups = [_Group(tables=[_Table(None)])]
    for statement in found.statements:
        table = groups[-1].tables[-1]
        if not statement.is_header:
            table.pairs.append(statement)
            continue
        tail, standing, own = _parts(statement.before, is_behind=bool(table.pairs or table.header))
        table.tail = tail
        if standing or table.header is None:
            groups.append(_Group(standing))
        groups[-1].tables.append(_Table(statement, own))
    tail, standing, _ = _parts((*found.after, ""), is_behind=bool(found.statements))
    groups[-1].tables[-1].tail = tail
    groups.append(_Group(standing))
    return groups


def _parts(before: Sequence[str], *, is_behind: bool) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Comments right behind what came before; those that stand alone; those right above what comes."""
    paragraphs = _split(before)
    own = paragraphs.pop()
    tail = tuple(paragraphs.pop(0)) if is_behind and paragraphs and before[0] else ()
    standing = [line for paragraph in paragraphs if paragraph for line in ("", *paragraph)][1:]
    return tail, tuple(standing), tuple(own)


def _split(lines: Sequence[str]) -> list[list[str]]:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line:
            paragraphs[-1].append(line)
        else:
            paragraphs.append([])
    return paragraphs


def _blocks(groups: Sequence[_Group]) -> Iterator[list[str]]:
    for group in groups:
        yield list(group.standing)
        for table in sorted(group.tables, key=lambda each: each.order):
            yield list(_table(table))


def _table(table: _Table) -> Iterator[str]:
    yield from table.comment
    if table.header:
        yield _with_comment(table.header.text, table.header.behind)
    order = _key_order(table)
    for number, (standing, pairs) in enumerate(_pair_groups(table.pairs)):
        lines = [*standing, *([""] if standing and pairs else []), *_aligned(sorted(pairs, key=order))]
        if number and lines:
            yield ""
        yield from lines
    yield from table.tail


def _pair_groups(pairs: Sequence[Statement]) -> list[tuple[tuple[str, ...], list[Statement]]]:
    groups: list[tuple[tuple[str, ...], list[Statement]]] = [((), [])]
    for pair in pairs:
        if "" in pair.before:
            _, standing, own = _parts(("", *pair.before), is_behind=False)
            groups.append((standing, []))
            pair = _above(pair, own)  # noqa: PLW2901  the comments of its own are all that is left
        groups[-1][1].append(pair)
    return [group for group in groups if group[0] or group[1]]


def _above(pair: Statement, own: tuple[str, ...]) -> Statement:
    return Statement(pair.table, pair.key, pair.text, pair.behind, own)


def _key_order(table: _Table) -> Callable[[Statement], int]:
    path = table.header.table if table.header else ()
    is_rule = path[_NAMED : _NAMED + 1] in {("permit",), ("forbid",)}
    keys = _KEYS.get(str(path[0]), ()) if len(path) == _NAMED else _RULE if is_rule else ()

    def order(pair: Statement) -> int:
        first = pair.key.split(".")[0].strip().strip("\"'")
        return keys.index(first) if first in keys else len(keys)

    return order


def _aligned(pairs: Sequence[Statement]) -> Iterator[str]:
    width = max((len(pair.key) for pair in pairs), default=0)
    lines = [f"{pair.key:{width}} = {pair.text}" for pair in pairs]
    rows = list(zip(lines, pairs, strict=True))
    column = max((len(line) for line, pair in rows if pair.behind and "\n" not in line), default=0)
    for line, pair in rows:
        yield from pair.before
        yield _with_comment(line if "\n" in line or not pair.behind else f"{line:{column}}", pair.behind)


def _with_comment(line: str, comment: str) -> str:
    return f"{line}  {comment}" if comment else line
