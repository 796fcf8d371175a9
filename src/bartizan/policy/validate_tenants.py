"""`[tenants.NAME]` tables -> `Tenant`."""

from collections.abc import Mapping, Sequence
from typing import Final

from bartizan.policy.fields import Reader
from bartizan.policy.syntax import Path
from bartizan.policy.tenants import LIMITS, Tenant, is_tenant_name, overlapping, root_fault

_KEYS: Final = ("root", "limits")


def tenant(reader: Reader, path: Path, body: Mapping[str, object]) -> Tenant | None:
    """The tenant of this table; None, and a problem, if its name or root is none."""
    reader.refuse_unknown(path, body, _KEYS)
    name = str(path[-1])
    is_named = is_tenant_name(name)
    if not is_named:
        reader.wrong(path, "this is no name of a tenant", "letters, digits, '.', '_' and '-': 64 at most")
    root = reader.text((*path, "root"), body, name)
    fault = root_fault(root)
    if fault:
        reader.wrong_value((*path, "root"), fault, f'write root = "{name}"' if is_named else "")
    limits = reader.table((*path, "limits"), body.get("limits", {}))
    reader.refuse_unknown((*path, "limits"), limits, LIMITS)
    read = tuple(
        (key, reader.whole((*path, "limits", key), limits, LIMITS[key][0], LIMITS[key]))
        for key in sorted(limits)
        if key in LIMITS
    )
    return Tenant(name, root, read, reader.at(path)) if is_named and not fault else None


def check_roots(reader: Reader, tenants: Sequence[Tenant]) -> None:
    """No root is in another one: each would see what is the other's."""
    for inner, outer in overlapping(tenants):
        place = ("tenants", inner.name, "root")
        message = f"the root {inner.root} is in the root of tenant {outer.name}, {outer.root}"
        reader.wrong_value(place, message, "no two tenants share topics: choose another root")
