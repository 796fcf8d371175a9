"""A change of an identity as people ask for it: gain this, lose that, leave the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Protocol, Self, TypeVar

from bartizan.errors import InvalidValue, NotFound
from bartizan.model.ids import AttributeName, GroupName, RoleName, parse_remark
from bartizan.model.principal import Identity, IdentityState


class _Parsed(Protocol):
    @classmethod
    def parse(cls, text: str) -> Self: ...


N = TypeVar("N", bound=_Parsed)


@dataclass(frozen=True, slots=True)
class Names(Generic[N]):
    """Names to gain and names to lose."""

    gained: tuple[N, ...] = ()
    lost: tuple[N, ...] = ()

    @classmethod
    def parse(cls, kind: type[N], gained: Sequence[str], lost: Sequence[str]) -> "Names[N]":
        """From plain text; a name that is both gained and lost is a mistake."""
        both = sorted(set(gained) & set(lost))
        if both:
            raise InvalidValue(f"{both[0]!r} is to be added and removed at once")
        return cls(tuple(map(kind.parse, gained)), tuple(map(kind.parse, lost)))

    def over(self, before: tuple[N, ...], lacks: str) -> tuple[N, ...]:
        """What becomes of these; `NotFound` for one to lose that is not there."""
        missing = [name for name in self.lost if name not in before]
        if missing:
            raise NotFound(f"{lacks} {str(missing[0])!r}")
        return tuple(dict.fromkeys(name for name in (*before, *self.gained) if name not in self.lost))


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to change. None leaves a field as it is."""

    roles: Names[RoleName] = Names()
    groups: Names[GroupName] = Names()
    attributes: tuple[tuple[AttributeName, str], ...] = ()
    attributes_removed: tuple[AttributeName, ...] = ()
    owner: str | None = None
    note: str | None = None
    state: IdentityState | None = None
    quarantined_until: datetime | None = None
    quarantine_reason: str = ""
    quarantine_ticket: str = ""
    by: str = ""
    """Who asks for it: kept with a quarantine."""

    def __post_init__(self) -> None:
        of_quarantine = self.quarantined_until is not None or self.quarantine_reason or self.quarantine_ticket
        if of_quarantine and self.state is not IdentityState.QUARANTINED:
            raise InvalidValue("a time, a reason and a ticket belong to --state quarantined")

    def apply(self, identity: Identity) -> Identity:
        """The identity after it."""
        held = dict(identity.attributes)
        for name in self.attributes_removed:
            if held.pop(name, None) is None:
                raise NotFound(f"{identity.name} has no attribute {str(name)!r}")
        changed = replace(
            identity,
            roles=self.roles.over(identity.roles, f"{identity.name} has no role"),
            groups=self.groups.over(identity.groups, f"{identity.name} is not in group"),
            attributes=tuple(sorted((held | dict(self.attributes)).items())),
            owner=identity.owner if self.owner is None else parse_remark(self.owner),
            note=identity.note if self.note is None else parse_remark(self.note),
        )
        if self.state is None:
            return changed
        return replace(
            changed.out_of_quarantine(),
            state=self.state,
            quarantined_until=self.quarantined_until,
            quarantine_reason=parse_remark(self.quarantine_reason),
            quarantine_ticket=parse_remark(self.quarantine_ticket),
            quarantined_by=parse_remark(self.by) if self.state is IdentityState.QUARANTINED else "",
        )
