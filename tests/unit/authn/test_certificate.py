"""Which identity a client certificate names by the rules of a configuration, and which certificates name nobody."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bartizan.authn import Certificate, ConnectRequest, Denied, Proof
from bartizan.authn.binding import OwnNames
from bartizan.authn.certificate import certificate_authenticators
from bartizan.config.certificate import CertificateRules
from bartizan.identity.register import Register, certificate_credential, new_identity
from bartizan.model.credential import CertificateCredential
from bartizan.model.principal import Factor
from bartizan.store.memory import MemoryIdentityStore
from tests.authority import Issuer

pytestmark = pytest.mark.anyio

AT = datetime.now(UTC)
FINGERPRINT = "ab" * 32


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def register() -> Register:
    register = Register(MemoryIdentityStore())
    for name in ("press-01", "sn-0f3a", "gear"):
        await register.add(new_identity(name, at=AT, roles=["press"]))
    return register


def certificate(**more: Any) -> Certificate:
    return replace(Certificate(FINGERPRINT, "0f3a", not_after=AT + timedelta(days=9)), **more)


async def proved(register: Register, shown: Certificate, settings: dict[str, Any], **more: Any) -> Proof | None:
    rules = CertificateRules.model_validate({"kind": "certificate", **settings})
    [authenticator] = certificate_authenticators("fleet", rules, register.store, 60, OwnNames())
    request = ConnectRequest(client_id="press-01", listener="mqtts", address="192.0.2.1", certificate=shown, **more)
    proof = await authenticator.authenticate(request)
    assert proof is None or isinstance(proof, Proof)
    return proof


SPIFFE = {"from": "san_uri", "pattern": "spiffe://plant/{identity}"}
DNS = {"from": "san_dns", "pattern": "{identity}.Devices.example"}


@pytest.mark.parametrize(
    ("rule", "shown", "name"),
    [
        (SPIFFE, certificate(san_uris=("https://other/x", "spiffe://plant/press-01")), "press-01"),
        (SPIFFE, certificate(san_uris=("spiffe://plant/press%2D01",)), "press-01"),
        (DNS, certificate(san_dns=("PRESS-01.devices.example",)), "press-01"),
        ({"from": "san_email", "pattern": "{identity}@plant"}, certificate(san_emails=("press-01@plant",)), "press-01"),
        ({"from": "cn", "pattern": "device:{identity}"}, certificate(common_name="device:press-01"), "press-01"),
        ({"from": "serial", "prefix": "sn-"}, certificate(), "sn-0f3a"),
        (
            {"from": "san_uri", "pattern": "spiffe://plant/{any}/{identity}"},
            certificate(san_uris=("spiffe://plant/hall-2/press-01",)),
            "press-01",
        ),
    ],
)
async def test_a_rule_takes_the_name_from_where_it_stands(register, rule, shown, name):
    proof = await proved(register, shown, {"rules": [rule]})
    assert proof is not None
    assert (proof.principal.identity, proof.principal.method) == (name, "certificate")
    assert proof.principal.factors == {Factor.CERTIFICATE}
    assert (proof.expires_at, proof.remembered_s) == (shown.not_after, 60)


async def test_without_rules_a_table_names_as_the_built_in_one(register):
    proof = await proved(register, certificate(san_uris=("urn:bartizan:identity:gear",), common_name="press-01"), {})
    assert proof is not None
    assert proof.principal.identity == "gear"


async def test_two_names_by_one_rule_or_by_two_name_nobody(register):
    both = certificate(san_uris=("spiffe://plant/press-01", "spiffe://plant/gear"))
    with pytest.raises(Denied, match="several identities: 'gear', 'press-01'"):
        await proved(register, both, {"rules": [SPIFFE]})
    crossed = certificate(san_uris=("spiffe://plant/press-01",), common_name="gear")
    with pytest.raises(Denied, match="several identities"):
        await proved(register, crossed, {"rules": [SPIFFE, {"from": "cn"}]})
    agreed = certificate(san_uris=("spiffe://plant/gear",), common_name="gear")
    assert await proved(register, agreed, {"rules": [SPIFFE, {"from": "cn"}]})


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (SPIFFE, certificate()),
        (SPIFFE, certificate(san_uris=("spiffe://plant.evil/press-01",))),
        (SPIFFE, certificate(san_uris=("spiffe://plant/press-01/x",))),
        (SPIFFE, certificate(san_uris=("spiffe://plant/press-01?x",))),
        (SPIFFE, certificate(san_uris=("xspiffe://plant/press-01",))),
        (SPIFFE, certificate(san_uris=("spiffe://plant/press-01\n",))),
        (SPIFFE, certificate(san_uris=("spiffe://plant/",))),
        (SPIFFE, certificate(common_name="press-01", san_dns=("press-01",))),
        (DNS, certificate(san_dns=("x.press-01.devices.example",))),
        (DNS, certificate(san_dns=("press-01.devices.example.evil",))),
        (DNS, certificate(san_dns=("press-01xdevices.example",))),
        ({"from": "cn"}, certificate(common_name="")),
        ({"from": "cn"}, certificate(san_dns=("press-01",))),
    ],
)
async def test_what_does_not_fit_from_end_to_end_names_nobody(register, rule, shown):
    with pytest.raises(Denied, match=r"names no identity|contains"):
        await proved(register, shown, {"rules": [rule]})


async def test_pinned_only_the_certificates_on_record_prove(register):
    shown = certificate(common_name="press-01")
    with pytest.raises(Denied, match="none of those on record for 'press-01'"):
        await proved(register, shown, {"pinned": True})
    assert await proved(register, shown, {})
    other, own = (
        certificate_credential(fingerprint_sha256=it, serial_hex="0f3a", not_after=AT + timedelta(days=9), at=AT)
        for it in ("cd" * 32, FINGERPRINT)
    )
    await register.add_credential("press-01", other)
    with pytest.raises(Denied, match="none of those on record"):
        await proved(register, shown, {"pinned": True})
    await register.add_credential("press-01", own)
    assert await proved(register, shown, {"pinned": True})
    await register.revoke_credentials("press-01", [own.id], at=AT)
    with pytest.raises(Denied, match="revoked"):
        await proved(register, shown, {"pinned": True})


SERIAL = 0x4F2A
ISSUER = "CN=plant CA"


def by_serial(**more: Any) -> CertificateCredential:
    record = CertificateCredential("by-serial", "", "4f2a", AT, None, issuer=ISSUER)
    return replace(record, **more)


def shown_by(ca: Issuer, serial: int = SERIAL, *, whole: bool = True) -> Certificate:
    """What the engine tells of a certificate that this CA issued to press-01; its text of the issuer is for people."""
    issued = ca.issue("press-01", serial=serial)
    chain = (issued.der,) if whole else ()
    return certificate(
        fingerprint_sha256=issued.fingerprint,
        serial_hex=f"{serial:x}",
        common_name="press-01",
        issuer=ISSUER,
        chain=chain,
    )


async def test_a_serial_number_with_its_issuer_is_a_record_like_a_fingerprint(register):
    await register.add_credential("press-01", by_serial())
    shown = shown_by(Issuer.root("plant CA"))
    proof = await proved(register, shown, {"pinned": True})
    assert proof is not None
    assert (proof.principal.credential_id, proof.expires_at) == ("by-serial", shown.not_after)
    await register.revoke_credentials("press-01", ["by-serial"], at=AT)
    for settings in ({"pinned": True}, {}):
        with pytest.raises(Denied, match="is revoked"):
            await proved(register, shown, settings)


@pytest.mark.parametrize(
    "other",
    [
        "plant ca",
        "plant CA ",
        " plant CA",
        "plant  CA",
        "plant \u0421A",
        "plant CA,O=plant",
        "CN=plant CA",
        "plant CA\0",
    ],
)
async def test_the_same_serial_number_of_another_issuer_proves_nothing_however_much_its_name_looks_alike(
    register, other
):
    await register.add_credential("press-01", by_serial())
    with pytest.raises(Denied, match="none of those on record"):
        await proved(register, shown_by(Issuer.root(other)), {"pinned": True})


async def test_an_issuer_whose_one_attribute_is_written_as_two_is_another_one(register):
    await register.add_credential("press-01", by_serial(issuer="CN=plant CA,O=works"))
    with pytest.raises(Denied, match="none of those on record"):
        await proved(register, shown_by(Issuer.root("plant CA,O=works")), {"pinned": True})


async def test_another_serial_number_of_the_same_issuer_proves_nothing(register):
    await register.add_credential("press-01", by_serial())
    for serial in (SERIAL + 1, SERIAL << 8, SERIAL >> 4):
        with pytest.raises(Denied, match="none of those on record"):
            await proved(register, shown_by(Issuer.root("plant CA"), serial), {"pinned": True})


async def test_where_certificates_are_not_handed_over_whole_a_serial_number_proves_nothing_and_revokes(register):
    shown = shown_by(Issuer.root("plant CA"), whole=False)
    await register.add_credential("press-01", by_serial())
    with pytest.raises(Denied, match="none of those on record"):
        await proved(register, shown, {"pinned": True})
    assert await proved(register, shown, {})
    await register.revoke_credentials("press-01", ["by-serial"], at=AT)
    with pytest.raises(Denied, match="is revoked"):
        await proved(register, shown, {})


@pytest.mark.parametrize("whole", [True, False])
async def test_a_serial_number_on_record_that_has_ended_is_refused_however_certificates_come(register, whole):
    shown = shown_by(Issuer.root("plant CA"), whole=whole)
    await register.add_credential("press-01", by_serial(expires_at=AT - timedelta(seconds=1)))
    for settings in ({"pinned": True}, {}):
        with pytest.raises(Denied, match=r"has expired|none of those on record"):
            await proved(register, shown, settings)
    other = shown_by(Issuer.root("plant CA"), SERIAL + 1, whole=whole)
    assert await proved(register, other, {})


@pytest.mark.parametrize("whole", [True, False])
async def test_a_connection_ends_with_the_serial_number_on_record(register, whole):
    ends_at = AT + timedelta(days=1)
    await register.add_credential("press-01", by_serial(expires_at=ends_at))
    shown = shown_by(Issuer.root("plant CA"), whole=whole)
    proof = await proved(register, shown, {})
    assert proof is not None
    assert (proof.expires_at, proof.principal.credential_id) == (ends_at, "by-serial" if whole else "")
    if not whole:
        with pytest.raises(Denied, match="none of those on record"):
            await proved(register, shown, {"pinned": True})


@pytest.mark.parametrize("whole", [True, False])
async def test_a_certificate_on_record_again_proves_after_its_first_record_has_ended(register, whole):
    shown = shown_by(Issuer.root("plant CA"), whole=whole)
    await register.add_credential("press-01", by_serial(expires_at=AT - timedelta(seconds=1)))
    again = certificate_credential(
        fingerprint_sha256=shown.fingerprint_sha256, serial_hex="4f2a", not_after=AT + timedelta(days=9), at=AT
    )
    await register.add_credential("press-01", again)
    proof = await proved(register, shown, {"pinned": True})
    assert proof is not None
    assert proof.principal.credential_id == again.id


async def test_the_user_name_beside_it_is_its_own(register):
    shown = certificate(common_name="press-01")
    assert await proved(register, shown, {"rules": [{"from": "cn"}]}, user_name="press-01")
    assert await proved(register, shown, {"rules": [{"from": "cn"}]}, user_name="gear") is None


ALONE = {
    "rules": [{"from": "cn"}],
    "identities": "certificate",
    "roles_by_ou": {"Presses": ["press", "reader"], "Tests": ["tester", "reader"], "Line 3": []},
}


def signed(*units: str) -> Certificate:
    """A certificate with these organizational units, whole."""
    names = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    return replace(whole([*names, x509.NameAttribute(NameOID.COMMON_NAME, "lathe-07")]), common_name="lathe-07")


def whole(names: Sequence[x509.NameAttribute[str]]) -> Certificate:
    """A certificate with this subject, handed over whole."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(names)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate(chain=(made.public_bytes(Encoding.DER),))


DN = {"from": "subject", "pattern": "UID={identity},OU={any},O=Plant"}
UID, OU, ORG, CN = (
    NameOID.USER_ID,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.COMMON_NAME,
)


@pytest.mark.parametrize(
    ("rule", "subject", "name"),
    [
        (DN, ((ORG, "Plant"), (OU, "Hall 2"), (UID, "press-01")), "press-01"),
        ({**DN, "pattern": "2.5.4.5={identity}"}, ((NameOID.SERIAL_NUMBER, "gear"),), "gear"),
        ({**DN, "pattern": "CN=device-{identity},O=Plant\\, Ltd"}, ((ORG, "Plant, Ltd"), (CN, "device-gear")), "gear"),
        # In another order, with more, with less, in letters of another case.
        (DN, ((UID, "press-01"), (OU, "Hall 2"), (ORG, "Plant")), None),
        (DN, ((ORG, "Plant"), (OU, "Hall 2"), (OU, "More"), (UID, "press-01")), None),
        (DN, ((ORG, "Plant"), (UID, "press-01")), None),
        (DN, ((ORG, "plant"), (OU, "Hall 2"), (UID, "press-01")), None),
        # A value that looks like the end of another one.
        (DN, ((OU, "x,O=Plant"), (UID, "press-01")), None),
        (DN, ((ORG, "Plant"), (UID, "press-01,OU=x")), None),
        (DN, ((ORG, "Plant"), (OU, "y"), (UID, "press-01+CN=x")), None),
        (DN, ((ORG, "Plant"), (OU, "y"), (UID, "press-01 ")), None),
        (DN, ((ORG, "Plant"), (OU, "y"), (UID, "#press-01")), None),
        (DN, ((ORG, "Plant"), (OU, "y"), (UID, "*")), None),
        (DN, (), None),
    ],
)
async def test_a_rule_about_the_subject_takes_one_whole_value(register, rule, subject, name):
    shown = whole([x509.NameAttribute(kind, value) for kind, value in subject])
    if name is None:
        with pytest.raises(Denied, match=r"names no identity|wildcard|contains"):
            await proved(register, shown, {"rules": [rule]})
        return
    proof = await proved(register, shown, {"rules": [rule]})
    assert proof is not None
    assert proof.principal.identity == name


async def test_without_the_whole_certificate_a_subject_names_nobody(register):
    with pytest.raises(Denied, match="names no identity"):
        await proved(register, certificate(common_name="press-01"), {"rules": [{**DN, "pattern": "CN={identity}"}]})


@pytest.mark.parametrize(
    ("units", "roles"),
    [((), ()), (("Presses",), ("press", "reader")), (("presses", "Line 3"), ()), (("Tests", "Presses"), None)],
)
async def test_a_certificate_alone_gives_the_roles_of_its_units(register, units, roles):
    proof = await proved(register, signed(*units), ALONE)
    assert proof is not None
    assert proof.principal.roles == (("tester", "reader", "press") if roles is None else roles)
    assert (proof.principal.identity, proof.managed) == ("lathe-07", False)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("press-01", "belongs to the identity store's"),
        ("press-01-twin", "belongs to the identity store's"),
        ("anonymous", "reserved"),
        ("\u0440ress-01", "not ASCII"),
        ("*", "wildcard"),
    ],
)
async def test_a_certificate_alone_is_nobody_of_ours(register, name, why):
    with pytest.raises(Denied, match=why):
        await proved(register, certificate(common_name=name), ALONE)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rules": [{"from": "cn", "pattern": "press"}]}, "exactly once"),
        ({"rules": [{"from": "cn", "pattern": "{identity}{identity}"}]}, "exactly once"),
        ({"rules": [{"from": "cn", "pattern": "{any} {identity}"}]}, "has no parts"),
        ({"rules": [{"from": "san_dns", "pattern": "{any}-{identity}.example"}]}, "whole part"),
        ({"rules": [{"from": "subject", "pattern": "UID={identity},OU={any}-x"}]}, "whole part"),
        ({"rules": [{"from": "subject", "pattern": "UID=a{any},CN={identity}"}]}, "whole part"),
        ({"rules": [{"from": "san_dns", "pattern": "*.{identity}"}]}, "places are"),
        ({"rules": [{"from": "san_dns", "pattern": "{identity}.{site}"}]}, "places are"),
        ({"rules": [{"from": "ou"}]}, "from"),
        ({"roles_by_ou": {"a": ["b"]}}, "takes roles from the identity store"),
        ({"identities": "certificate"}, "needs rules"),
        ({**ALONE, "pinned": True}, "pinned needs"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        CertificateRules.model_validate({"kind": "certificate", **wrong})
