"""`bartizan identity` at a broker elsewhere: the same, by its API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bartizan.cli.listing import Listing, minute
from bartizan.cli.paths import path_of
from bartizan.cli.remote import remote
from bartizan.identity.edit import Edit
from bartizan.identity.listing import Wanted
from bartizan.model.principal import Identity


def list_there(server: str, wanted: Wanted, listing: Listing) -> None:
    """Lists them."""
    not_since = None if wanted.not_since is None else wanted.not_since.isoformat()
    state = None if wanted.state is None else wanted.state.value
    with remote(server) as there:
        for page in there.pages(
            "/identities", match=wanted.match, role=wanted.role, group=wanted.group, state=state, not_since=not_since
        ):
            for each in page:
                listing.add(each)


def show_there(server: str, name: str) -> dict[str, Any]:
    """One, with its credentials and their ends."""
    with remote(server) as there:
        record = there.get(path_of("identities", name))
    return record | {"credentials": [each | {"ends_at": end_of(each)} for each in record["credentials"]]}


def add_there(server: str, made: Identity) -> dict[str, Any]:
    """Adds it there."""
    body = {
        "identity": made.name,
        "roles": list(made.roles),
        "groups": list(made.groups),
        "attributes": dict(made.attributes),
        "owner": made.owner,
        "note": made.note,
    }
    with remote(server) as there:
        return there.post("/identities", body)


def change_there(server: str, name: str, edit: Edit) -> dict[str, Any]:
    """Changes it there; what is not named stays."""
    until = edit.quarantined_until
    body = {
        "add_roles": list(edit.roles.gained),
        "remove_roles": list(edit.roles.lost),
        "add_groups": list(edit.groups.gained),
        "remove_groups": list(edit.groups.lost),
        "attributes": {str(key): value for key, value in edit.attributes},
        "remove_attributes": list(edit.attributes_removed),
        "owner": edit.owner,
        "note": edit.note,
        "state": None if edit.state is None else edit.state.value,
        "quarantined_until": None if until is None else until.isoformat(),
        "quarantine_reason": edit.quarantine_reason,
        "quarantine_ticket": edit.quarantine_ticket,
    }
    with remote(server) as there:
        return there.patch(path_of("identities", name), body)


def remove_there(server: str, names: Sequence[str]) -> None:
    """Removes them there, one after the other, up to the first that cannot be removed."""
    with remote(server) as there:
        for name in names:
            there.delete(path_of("identities", name))


def end_of(credential: Mapping[str, Any]) -> str:
    """When a credential ends or ended, and by what; empty if it does not end."""
    if credential["revoked_at"] is not None:
        return f"revoked {minute(credential['revoked_at'])}"
    ends = [credential[field] for field in ("expires_at", "not_after") if credential.get(field) is not None]
    return minute(min(ends, key=datetime.fromisoformat)) if ends else ""
