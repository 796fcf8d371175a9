"""The journal's events -> signals, as far as a detector has use for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.model.signal import (
    Connected,
    ContractBroken,
    CredentialEnding,
    Denied,
    Disconnected,
    InTwoPlaces,
    LimitMet,
    Refused,
    Signal,
    Visits,
)
from bartizan.model.version import version_text


@dataclass(frozen=True, slots=True)
class _Form:
    """Which fields of an event a signal takes over, under which name where it has another one there."""

    signal: type[Signal]
    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    about: str = ""
    """What a flood is about: the field that has it."""

    def of(self, event: Mapping[str, Any]) -> Signal:
        fields: dict[str, Any] = {"at_s": float(event.get("at_ms") or 0) / 1000}
        fields |= {name: str(event.get(name) or "") for name in self.texts}
        if "version" in fields:
            fields["version"] = version_text(fields["version"])
        fields |= {name: int(event.get(name) or 0) for name in self.numbers}
        if self.about:
            fields[self.about] = str(event.get("about") or "")
        return self.signal(**fields)


_WHO = ("identity", "client_id", "address")

_OF_EVENTS: Mapping[str, _Form] = {
    "connected": _Form(Connected, (*_WHO, "listener", "method", "version", "transport"), ("keep_alive_s",)),
    "disconnected": _Form(Disconnected, (*_WHO, "reason", "by")),
    "refused": _Form(Refused, ("address", "reason", "why")),
    "denied": _Form(Denied, (*_WHO, "action", "topic")),
    "contract_broken": _Form(ContractBroken, (*_WHO, "broken", "topic")),
    "limit_met": _Form(LimitMet, ("identity", "address", "limit")),
    "certificate_in_two_places": _Form(InTwoPlaces, ("identity", "address", "other_address")),
    "credential_in_two_places": _Form(InTwoPlaces, ("identity", "address", "other_address", "kind")),
    "credential_expiring": _Form(CredentialEnding, ("identity", "credential", "kind", "ends_at"), ("days_left",)),
}

_OF_FLOODS: Mapping[str, _Form] = {
    "connected": _Form(Visits, ("address",), ("count",)),
    "refused": _Form(Refused, ("address",), ("count",), "reason"),
    "denied": _Form(Denied, _WHO, ("count",), "action"),
    "contract_broken": _Form(ContractBroken, _WHO, ("count",), "broken"),
    "limit_met": _Form(LimitMet, ("identity", "address"), ("count",), "limit"),
}
"""By the kind of what is repeated: what its number stands for."""


def signal_of(event: Mapping[str, Any]) -> Signal | None:
    """The signal of an event; None of one that says nothing to a detector."""
    kind = event.get("event")
    form = _OF_FLOODS.get(event.get("kind", "")) if kind == "repeated" else _OF_EVENTS.get(str(kind))
    return None if form is None else form.of(event)
