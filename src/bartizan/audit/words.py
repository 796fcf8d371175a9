"""What a change of credentials is called, by what it does to them."""

from collections.abc import Mapping
from typing import Any


def of_credentials(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """`before` and `after` are what differs, by the id of the credential."""
    added, taken = after.keys() - before.keys(), before.keys() - after.keys()
    # Of one that gained an end nothing was there before that differs.
    new = {name for name in added if "kind" in after[name]}
    touched = [told for name, told in after.items() if name not in new]
    if any("revoked_at" in told for told in touched):
        return "credential.revoke"
    if taken and new:
        return "credential.replace"
    if taken:
        return "credential.remove"
    if new:
        return "credential.rotate" if any("expires_at" in told for told in touched) else "credential.add"
    return "credential.rehash" if any("secret" in told for told in touched) else "credential.set"
