"""`bartizan credential` and `enrol` at a broker elsewhere: the same, by its API. A key never leaves where it was made."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bartizan.cli.identity_there import add_there, end_of
from bartizan.cli.listing import Listing
from bartizan.cli.paths import path_of
from bartizan.cli.remote import RefusedThere, Remote, remote
from bartizan.config.listener import is_local
from bartizan.errors import AlreadyExists, NotFound
from bartizan.model.principal import Identity
from bartizan.pki.bundle import Bundle, write_bundle
from bartizan.pki.client import IssuedCertificate, new_request
from bartizan.pki.enrolment import Address, Enrolled

Place = tuple[str | None, int | None]
"""Host and port of a bundle, where somebody has said them."""


def list_there(
    server: str, name: str | None, listing: Listing, *, stale: bool, expiring: bool, until: datetime | None
) -> None:
    """Lists credentials: the live ones, or all of one identity."""
    wanted = {
        "identity": name,
        "live": "true" if name is None else None,
        "stale": "true" if stale else None,
        "expiring": "true" if expiring else None,
        "ends_before": None if until is None else until.isoformat(),
    }
    with remote(server) as there:
        for page in there.pages("/credentials", **wanted):
            for each in page:
                listing.add(each | {"ends": end_of(each)})


def rotate_there(
    server: str, name: str, kind: str | None, *, overlap: timedelta, note: str, out: Path, place: Place
) -> Mapping[str, Any]:
    """Gives an identity a new password, or a certificate in a bundle; what was made."""
    with remote(server) as there:
        kind = kind or _newest(there, name)
        words = {"overlap_s": int(overlap.total_seconds()), "note": note}
        if kind != "certificate":
            return there.post(path_of("identities", name, "credentials"), {"kind": kind, **words})
        made = _certificate(there, name, out, _address(there, server, place), words)
        told = {"identity": name, "kind": kind, "earlier_end_at": made["earlier_end_at"]}
        return told | {"bundle": str(out.absolute())}


def revoke_there(server: str, name: str, ids: list[str] | None) -> None:
    """Ends credentials, or all of them (None), one after the other."""
    with remote(server) as there:
        for which in [()] if ids is None else [(id_,) for id_ in ids]:
            there.delete(path_of("identities", name, "credentials", *which))


def enrol_there(
    server: str, identity: Identity, out: Path, place: Place, *, by_password: bool
) -> tuple[Enrolled, Address]:
    """Adds an identity there, with a certificate or a password; its bundle is here."""
    _refuse_existing(out)
    with remote(server) as there:
        address = _address(there, server, place)
        add_there(server, identity)
        try:
            return Enrolled(
                identity, out, _proved(there, identity.name, out, address, by_password=by_password)
            ), address
        except RefusedThere as error:
            raise RefusedThere(f"{error}; {identity.name} is added there, and nothing proves it yet") from None


def _proved(there: Remote, name: str, out: Path, address: Address, *, by_password: bool) -> str | None:
    """What proves a new identity, and its bundle; the password, if it is one."""
    if not by_password:
        _certificate(there, name, out, address, {"overlap_s": 0})
        return None
    ca = next((one["pem"] for one in there.get("/certificates") if one["of"] == "ca"), None)
    if ca is None:
        raise NotFound("the broker there has no CA that can be read")
    made = there.post(path_of("identities", name, "credentials"), {"kind": "password", "overlap_s": 0})
    write_bundle(out, Bundle(name, address.host, address.port), ca.encode("ascii"), None)
    return made["password"]


def _certificate(
    there: Remote, name: str, out: Path, address: Address, words: Mapping[str, object]
) -> Mapping[str, Any]:
    """A key that is made here, and its certificate, in a bundle."""
    _refuse_existing(out)
    key_pem, csr = new_request(name)
    made = there.post(path_of("identities", name, "certificates"), {"csr": csr, **words})
    issued = IssuedCertificate(
        certificate_pem=made["certificate"].encode("ascii"),
        key_pem=key_pem,
        fingerprint_sha256=made["fingerprint_sha256"],
        serial_hex=made["serial_hex"],
        not_after=datetime.fromisoformat(made["not_after"]),
    )
    bundle = Bundle(name, address.host, address.port, certificate=f"{name}.crt", key=f"{name}.key")
    write_bundle(out, bundle, made["ca"].encode("ascii"), issued)
    return made


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise AlreadyExists(f"{out} exists already: choose another --out, or remove it")


def _newest(there: Remote, name: str) -> str:
    """The kind of its newest live credential, else a password."""
    live = [each for each in there.get(path_of("identities", name))["credentials"] if each["live"]]
    newest = max(live, key=lambda each: datetime.fromisoformat(each["created_at"]), default=None)
    return "password" if newest is None else newest["kind"]


def _address(there: Remote, server: str, place: Place) -> Address:
    """As somebody has said; else the host of the server, and the port of its first MQTT-over-TLS listener."""
    host, port = place
    if port is None:
        found = [one["address"] for one in there.get("/listeners") if one["tls"] and one["protocol"] == "mqtt"]
        chosen = next((one for one in found if not is_local(one)), found[0] if found else ":8883")
        port = int(chosen.rpartition(":")[2])
    return Address(host or urlsplit(server).hostname or "localhost", port)
