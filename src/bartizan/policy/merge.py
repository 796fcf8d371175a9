"""Several texts -> one tree: tables of different names are joined, the same table twice is an error.

Every place keeps the name of its text, so that a mistake is told where it stands. The order of the
texts decides nothing but which of two mistakes is told first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bartizan.policy.source import Position, Problem, Source
from bartizan.policy.syntax import Path, Tree


def merge(trees: Sequence[Tree]) -> Tree | tuple[Problem, ...]:
    """One tree of all of them, or every table that two of them have."""
    if len(trees) == 1:
        return trees[0]
    root: dict[str, object] = {}
    keys: dict[Path, Position] = {}
    values: dict[Path, Position] = {}
    problems: list[Problem] = []
    for tree in trees:
        problems += (_twice(tree, path, keys.get(path) or values.get(path)) for path in _in_both(root, tree.root))
        for name, body in tree.root.items():
            before = root.get(name)
            root[name] = {**before, **body} if isinstance(before, dict) and isinstance(body, dict) else body
        for places, own in ((keys, tree.keys), (values, tree.values)):
            for path, at in own.items():
                places.setdefault(path, replace(at, origin=tree.source.origin))
    if problems:
        return tuple(problems)
    sources = tuple(tree.source for tree in trees)
    return Tree(Source("", ", ".join(source.origin for source in sources)), root, keys, values, sources)


def _in_both(root: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Path]:
    """The tables, below `topics`, `roles` and the like, that both have; or what is no table in one of them."""
    for name in other.keys() & root.keys():
        before, body = root[name], other[name]
        if isinstance(before, dict) and isinstance(body, dict):
            yield from ((name, key) for key in body if key in before)
        else:
            yield (name,)


def _twice(tree: Tree, path: Path, first: Position | None) -> Problem:
    named = ".".join(str(part) for part in path)
    where = f"{first.origin}:{first.line}" if first else "another file"
    return tree.problem(tree.at(path), f"{named} is in {where} too", "a table stands in one file: make one of the two")
