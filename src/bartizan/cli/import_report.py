"""The report of an import: what is different here, for eyes, for programs, and as a page to keep."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bartizan.model.difference import Difference, Weight
from bartizan.policy.imports import ImportedIdentity

_TITLES = {
    Weight.LOST: "cannot be carried over",
    Weight.CHANGED: "means something else here",
    Weight.NOTED: "worth knowing",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What an import found, and whether it may be done."""

    source: str
    roles: int
    identities: tuple[ImportedIdentity, ...]
    differences: tuple[Difference, ...]
    accepted: frozenset[str]
    warnings: int
    """How many warnings `bartizan policy check` has for the policy."""

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of all losses."""
        return tuple(sorted({told.name for told in self.differences if told.weight is Weight.LOST}))

    @property
    def refused(self) -> tuple[str, ...]:
        """The names of the losses that nobody accepted."""
        return tuple(name for name in self.losses if name not in self.accepted)

    def of(self, weight: Weight) -> list[Difference]:
        """Differences of this weight."""
        return [told for told in self.differences if told.weight is weight]


def as_json(report: Report, written: Sequence[str]) -> dict[str, Any]:
    """One object with everything but the hashes."""
    return {
        "ok": not report.refused,
        "written": list(written),
        "roles": report.roles,
        "refused": list(report.refused),
        "accepted": sorted(report.accepted),
        "policy_warnings": report.warnings,
        "identities": [
            {
                "name": each.name,
                "roles": list(each.roles),
                "enabled": each.enabled,
                "hash": each.scheme or None,
                "rehash_at_login": bool(each.scheme),
                "place": each.place,
            }
            for each in report.identities
        ],
        "differences": [asdict(told) for told in report.differences],
    }


def as_text(report: Report) -> Iterator[str]:
    """Lines for a terminal."""
    yield f"{report.source}: {_count(report.roles, 'role')}, {_count(len(report.identities), 'identity', 'identities')}"
    for weight, title in _TITLES.items():
        told = report.of(weight)
        if told:
            yield ""
            yield f"{len(told)} {title}:"
            width = max(len(each.name) for each in told)
            yield from (f"  {each.name:{width}}  {each}" for each in told)


def as_markdown(report: Report) -> str:
    """A page to keep beside the policy."""
    lines = [f"# Import of {_code(report.source)}", ""]
    lines += [f"{_count(report.roles, 'role')}, {_count(len(report.identities), 'identity', 'identities')}."]
    lines += [f"`bartizan policy check` has {_count(report.warnings, 'warning')} for the policy.", ""]
    for weight, title in _TITLES.items():
        told = report.of(weight)
        if told:
            accepted = " Each was accepted by name." if weight is Weight.LOST and not report.refused else ""
            lines += [f"## {title.capitalize()}", "", f"{len(told)} {title}.{accepted}", ""]
            lines += ["| name | where | there | here |", "|---|---|---|---|"]
            lines += [f"| `{t.name}` | {_code(t.place)} | {_cell(t.message)} | {_cell(t.effect)} |" for t in told]
            lines.append("")
    if report.identities:
        lines += ["## Identities", "", "| name | roles | password | from |", "|---|---|---|---|"]
        lines += [
            f"| {_code(each.name)} | {', '.join(map(_code, each.roles)) or 'none'} | {_password(each)} | {_code(each.place)} |"
            for each in report.identities
        ]
        lines.append("")
    return "\n".join(lines)


def _password(identity: ImportedIdentity) -> str:
    if not identity.scheme:
        return "none"
    # Mosquitto's argon2id too has other parameters than ours.
    return f"`${identity.scheme}$`, hashed anew at the next login"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _code(text: str) -> str:
    # In a code span only the backtick ends it, and in a table the bar ends the cell.
    return "`" + _cell(text).replace("`", "'") + "`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
