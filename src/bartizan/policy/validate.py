"""Tree -> Policy, or every problem in it, each with its line and column.

Nothing is guessed: an unknown key, a misspelt variable or a rule that could never hold is an
error here, since in a policy a silent misreading is a hole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bartizan.policy.contract import Policy, Role, Topic, topics_by_role
from bartizan.policy.fields import Reader
from bartizan.policy.ownership import ownership_problems
from bartizan.policy.source import Problem
from bartizan.policy.syntax import Path, Tree
from bartizan.policy.validate_conditions import window
from bartizan.policy.validate_payload import alike, contract
from bartizan.policy.validate_roles import role
from bartizan.policy.validate_tenants import check_roots, tenant
from bartizan.policy.validate_topics import topic


@dataclass(frozen=True, slots=True)
class Validated:
    """A policy, or what is wrong with it; never both."""

    policy: Policy | None
    problems: tuple[Problem, ...] = field(default=())


def validate(tree: Tree) -> Validated:
    """The policy of this tree, or all its problems in the order of the text."""
    reader = Reader(tree)
    reader.refuse_unknown((), tree.root, ("contract", "topics", "roles", "windows", "tenants"))
    enforce = contract(reader, tree.root.get("contract", {}))
    windows = tuple(read for path, body in _tables(reader, "windows") if (read := window(reader, path, body)))
    tenants = tuple(read for path, body in _tables(reader, "tenants") if (read := tenant(reader, path, body)))
    check_roots(reader, tenants)
    hours = [each.name for each in windows]
    topics = tuple(read for path, body in _tables(reader, "topics") if (read := topic(reader, path, body, hours)))
    declared = tuple(read for path, body in _tables(reader, "roles") if (read := role(reader, path, body, hours)))
    alike(reader, topics)
    roles = declared + _undeclared(topics, declared)
    granted = topics_by_role(topics)
    for each in declared:
        _check_binds(reader, each, [topic for topic, _ in granted.get(each.name, ())])
    _check_includes(reader, {each.name: each for each in roles})
    policy = Policy(
        tree.source.origin,
        topics,
        tuple(sorted(roles, key=lambda each: each.name)),
        tuple(sorted(windows, key=lambda each: each.name)),
        tuple(sorted(tenants, key=lambda each: each.name)),
        enforce,
    )
    if not reader.problems:
        reader.problems += [tree.problem(*found) for found in ownership_problems(policy)]
    if reader.problems:
        return Validated(None, tuple(sorted(reader.problems, key=lambda p: (p.line, p.column))))
    return Validated(policy)


def _tables(reader: Reader, name: str) -> Iterator[tuple[Path, Mapping[str, object]]]:
    for key, body in reader.table((name,), reader.tree.root.get(name, {})).items():
        path = (name, key)
        if isinstance(body, dict):
            yield path, body
        else:
            reader.wrong(path, "this is a table", f"write [{name}.{key}] above its keys")


def _undeclared(topics: tuple[Topic, ...], declared: tuple[Role, ...]) -> tuple[Role, ...]:
    known = {each.name for each in declared}
    granted = topics_by_role(topics)
    return tuple(Role(name, of[0][0].at, is_declared=False) for name, of in granted.items() if name not in known)


def _check_includes(reader: Reader, roles: Mapping[str, Role]) -> None:
    """Every included role is there, and none is part of itself."""
    for each in roles.values():
        for index, name in enumerate(each.includes):
            place = ("roles", each.name, "includes", index)
            if name not in roles:
                reader.wrong_value(place, f"there is no role {name}", reader.did_you_mean(name, roles))
            elif each.name in _included(name, roles):
                reader.wrong_value(place, f"role {name} includes {each.name} already", "a role is no part of itself")


def _included(name: str, roles: Mapping[str, Role]) -> set[str]:
    """The role and all that it includes, whatever circles there are."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        next_name = waiting.pop()
        if next_name not in found and next_name in roles:
            found.add(next_name)
            waiting += roles[next_name].includes
    return found


def _check_binds(reader: Reader, who: Role, topics: list[Topic]) -> None:
    """A bound variable that nothing uses is a misspelling, and would leave the right one open."""
    used = {name for each in who.permit + who.forbid + who.owns for name in each.filter.variables}
    for each in topics:
        used.update(each.template.variables)
    for variable, _ in who.binds:
        if variable not in used:
            reader.wrong(
                ("roles", who.name, "binds", variable),
                f"no topic and no rule of role {who.name} has the variable {{{variable}}}",
                reader.did_you_mean(variable, used) or "remove it, or name the role in a topic that has it",
            )
