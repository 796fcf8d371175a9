"""Tenants: whose clients see the topics below one root as if there were no others."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bartizan.policy.source import Position

ATTRIBUTE: Final = "tenant"
"""The attribute of an identity that says whose client it is."""

ROOT_BYTES_MAX: Final = 512
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_NO_ROOT: Final = re.compile(r"[+#\x00-\x1f\x7f-\x9f{}]")

LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "connections_max": (0, 10_000_000),
    "subscriptions_max": (0, 100_000_000),
    "retained_messages_max": (0, 1_000_000_000),
    "retained_bytes_max": (0, 1 << 40),
    "publish_rate_per_s": (1, 10_000_000),
    "publish_bytes_per_s": (1, 4_294_967_295),
}
"""What all clients of a tenant together may have: the least and greatest value of each limit."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """`[tenants.NAME]`."""

    name: str
    root: str
    """The Topic Name that stands before every topic of its clients."""
    limits: tuple[tuple[str, int], ...] = ()
    at: Position = field(default=Position(1, 1), compare=False)

    def as_image(self) -> dict[str, object]:
        """Its form in a policy image."""
        image: dict[str, object] = {"name": self.name, "root": self.root}
        return image | ({"limits": dict(self.limits)} if self.limits else {})

    def __str__(self) -> str:
        limits = "".join(f", {name} {value:,}" for name, value in self.limits)
        return f"root {self.root}{limits}"


def is_tenant_name(text: str) -> bool:
    """Whether a tenant may be called so."""
    return _NAME.match(text) is not None


def root_fault(root: str) -> str:
    """What is wrong with a root; empty if nothing is."""
    if not root or any(not level for level in root.split("/")):
        return "a root has no empty level"
    if root.startswith("$"):
        return "topics that begin with $ are the server's"
    if _NO_ROOT.search(root):
        return "a root has no wildcard, no variable and no control character"
    if len(root.encode()) > ROOT_BYTES_MAX:
        return f"a root has at most {ROOT_BYTES_MAX} octets"
    return ""


def overlapping(tenants: Sequence[Tenant]) -> Iterator[tuple[Tenant, Tenant]]:
    """Tenants whose root is in that of another one, with that one."""
    # In the order of whole levels what is inside a root stands right behind it.
    ordered = sorted(tenants, key=lambda each: each.root.split("/"))
    outer: Tenant | None = None
    for each in ordered:
        if outer is not None and f"{each.root}/".startswith(f"{outer.root}/"):
            yield each, outer
        else:
            outer = each


def tenant_of(attributes: Mapping[str, str], declared: Iterable[str]) -> str | None:
    """The tenant whose client an identity with these attributes is, where tenants are declared at all."""
    return attributes.get(ATTRIBUTE) if any(True for _ in declared) else None
