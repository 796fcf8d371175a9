"""Certificates: the broker's own, and those that prove identities."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bartizan.api import schemas_security as schemas
from bartizan.api.house import Calling, House, Housed
from bartizan.api.paging import LOOKED_AT_MAX, ORDERS, ByIdentity, Page, Parted, next_behind, place_of
from bartizan.api.permissions import Permission
from bartizan.api.routes.identities import OVERLAP_DAYS_MAX, Name, Text
from bartizan.api.routing import Routes
from bartizan.errors import CertificateUnusable
from bartizan.identity.register import certificate_credential
from bartizan.identity.renewal import earlier_end
from bartizan.model.credential import CertificateCredential
from bartizan.model.ids import parse_remark
from bartizan.pki.ca import Authority, load_certificate
from bartizan.pki.client import certify, requested_key
from bartizan.pki.profiles import certificate_pem, fingerprint, serial_hex

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = Routes("certificates")

CSR_CHARS_MAX = 16_384


class NewCertificate(BaseModel):
    """A key that asks for a certificate."""

    model_config = ConfigDict(extra="forbid")

    csr: Annotated[str, Field(max_length=CSR_CHARS_MAX)] = Field(
        description="PKCS #10 (PEM), of a key of P-256 or P-384. Only the key of it counts: the certificate names the identity."
    )
    overlap_s: Annotated[int, Field(ge=0, le=OVERLAP_DAYS_MAX * 86_400)] = Field(
        14 * 86_400, description="So long the earlier ones still work; 0 ends them now."
    )
    note: Text = ""


@ROUTES.on("GET", "/certificates", Permission.LOOK_ALL, response_model=list[schemas.Certificate])
async def list_certificates(house: Housed) -> Sequence[dict[str, Any]]:
    """List the broker's own certificates: its CA, and what its listeners and the API show."""
    return await asyncio.to_thread(lambda: list(_own(house)))


@ROUTES.on("GET", "/certificates/clients", Permission.LOOK, response_model=Page[schemas.ClientCertificate])
async def list_client_certificates(  # noqa: PLR0913  one for each filter
    house: Housed,
    caller: Calling,
    part: Parted,
    *,
    ends_before: Annotated[AwareDatetime | None, Query(description="Those that end before then.")] = None,
    live: Annotated[bool | None, Query(description="Those that prove somebody now, or those that do not.")] = None,
    serial: Annotated[str | None, Query(alias="serial_hex", max_length=64)] = None,
    sort: ByIdentity = "identity",
) -> Mapping[str, Any]:
    """List certificates that prove identities. A page may be short, or empty, and have a next one."""
    at, order = house.now(), ORDERS[sort]
    behind = place_of(part, order)
    found: list[dict[str, Any]] = []
    looked_at, more = 0, False
    async for identity in house.register.in_order(order, behind):
        if more := len(found) >= part.limit or looked_at == LOOKED_AT_MAX:
            break
        looked_at, behind = looked_at + 1, order.place(identity)
        if caller.sees(house.tenant_of(identity)):
            found += [
                _row(str(identity.name), item, at)
                for item in identity.credentials
                if isinstance(item, CertificateCredential)
                and (ends_before is None or (item.not_after is not None and item.not_after < ends_before))
                and live in {None, item.is_live(at)}
                and (serial is None or item.serial_hex == serial.lower())
            ]
    return {"items": found, "next": next_behind(behind if more else None)}


@ROUTES.on(
    "POST",
    "/identities/{name}/certificates",
    Permission.PROVE,
    status=HTTPStatus.CREATED,
    response_model=schemas.IssuedCertificate,
)
async def issue_certificate(house: Housed, caller: Calling, name: Name, body: NewCertificate) -> dict[str, Any]:
    """Have the CA make a certificate for an identity, whose key stays with who asks. Earlier ones work for the overlap."""
    identity = await house.identity(caller, name)
    key = requested_key(body.csr)
    data, at, overlap = house.broker.data, house.now(), timedelta(seconds=body.overlap_s)
    authority = await asyncio.to_thread(Authority.load, data.ca_certificate, data.ca_key)
    made = certify(authority, identity.name, key, at=at)
    credential = certificate_credential(
        fingerprint_sha256=fingerprint(made),
        serial_hex=serial_hex(made),
        not_after=made.not_valid_after_utc,
        at=at,
        note=parse_remark(body.note),
    )
    await house.register.rotate(name, credential, at=at, overlap=overlap)
    await house.changed()
    return {
        "identity": name,
        "id": credential.id,
        "serial_hex": credential.serial_hex,
        "fingerprint_sha256": credential.fingerprint_sha256,
        "not_after": credential.not_after,
        "earlier_end_at": earlier_end(identity, "certificate", at=at, overlap=overlap),
        "certificate": certificate_pem(made).decode("ascii"),
        "ca": certificate_pem(authority.certificate).decode("ascii"),
    }


def _row(identity: str, item: CertificateCredential, at: datetime) -> dict[str, Any]:
    return {
        "identity": identity,
        "id": item.id,
        "serial_hex": item.serial_hex,
        "issuer": item.issuer,
        "fingerprint_sha256": item.fingerprint_sha256,
        "created_at": item.created_at,
        "not_after": item.not_after,
        "revoked_at": item.revoked_at,
        "live": item.is_live(at),
    }


def _own(house: House) -> Iterator[dict[str, Any]]:
    data, settings = house.broker.data, house.broker.settings
    files: dict[str, Path] = {"ca": data.ca_certificate}
    if settings.api.address is not None:
        files["api"] = settings.api.certificate_file or data.server_certificate
    for name, listener in sorted(settings.listeners.items()):
        if listener.tls:
            files[f"listener {name}"] = listener.certificate_file or data.server_certificate
    for of, file in files.items():
        # One that cannot be read is told by `doctor`, and by the log when it was to be used.
        with suppress(CertificateUnusable):
            found = load_certificate(file)
            yield {
                "of": of,
                "subject": found.subject.rfc4514_string(),
                "issuer": found.issuer.rfc4514_string(),
                "serial_hex": f"{found.serial_number:x}",
                "fingerprint_sha256": found.fingerprint(SHA256()).hex(),
                "not_before": found.not_valid_before_utc,
                "not_after": found.not_valid_after_utc,
                "pem": certificate_pem(found).decode("ascii"),
            }
