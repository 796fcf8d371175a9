"""Identities: made, changed, proved; several credentials at once."""

from datetime import UTC, datetime

import pytest

from bartizan.errors import AlreadyExists, InvalidValue, NotFound
from bartizan.identity.passwords import generate_secret, hash_password, verify_password
from bartizan.identity.register import Register, certificate_credential, new_identity, password_credential
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.principal import IdentityState
from bartizan.store.memory import MemoryIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def register() -> Register:
    return Register(MemoryIdentityStore())


def certificate(fingerprint: str = "ab") -> CertificateCredential:
    return certificate_credential(fingerprint_sha256=fingerprint, serial_hex="0f", not_after=AT, at=AT)


async def test_an_identity_is_added_once(register):
    identity = new_identity("press-01", at=AT, roles=["press", "press"], attributes={"site": "chicago"})
    assert (await register.add(identity)).roles == ("press",)
    with pytest.raises(AlreadyExists):
        await register.add(identity)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a/b"},
        {"name": "anonymous"},
        {"roles": ["Press"]},
        {"attributes": {"Site": "x"}},
        {"attributes": {"site": ""}},
    ],
)
def test_bad_names_are_refused_before_anything_is_stored(bad):
    with pytest.raises(InvalidValue):
        new_identity(**({"name": "press-01", "at": AT} | bad))


async def test_several_credentials_live_at_once(register):
    await register.add(new_identity("a", at=AT))
    await register.add_credential("a", certificate("aa"))
    await register.add_credential("a", certificate("bb"))
    identity = await register.add_credential("a", password_credential("x", at=AT))
    assert [item.kind for item in identity.credentials] == ["certificate", "certificate", "password"]


async def test_a_new_password_ends_the_old_ones_and_the_one_time_secret_but_no_certificate(register):
    await register.add(new_identity("a", at=AT))
    await register.add_credential("a", certificate())
    await register.add_credential("a", password_credential("one-time", at=AT, must_change=True))
    identity = await register.set_password("a", "chosen by me", at=AT)
    passwords = [item for item in identity.credentials if isinstance(item, PasswordCredential)]
    assert len(identity.credentials) == 2
    assert [verify_password(item.hash, b"chosen by me") for item in passwords] == [True]
    assert not passwords[0].must_change


async def test_a_certificate_is_revoked_by_fingerprint(register):
    await register.add(new_identity("a", at=AT))
    await register.add_credential("a", certificate("aa"))
    await register.add_credential("a", certificate("bb"))
    identity = await register.revoke_certificate("a", "bb", at=AT)
    assert [item.revoked_at for item in identity.credentials] == [None, AT]
    with pytest.raises(NotFound):
        await register.revoke_certificate("a", "cc", at=AT)


async def test_state_changes_and_removal(register):
    await register.add(new_identity("a", at=AT))
    assert (await register.set_state("a", IdentityState.DISABLED)).state is IdentityState.DISABLED
    await register.remove("a")
    with pytest.raises(NotFound):
        await register.get("a")


def test_hashes_are_argon2id_with_the_device_profile_and_a_salt_each():
    first, second = hash_password("x"), hash_password("x")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert verify_password(first, b"x")
    assert not verify_password(first, b"y")


def test_a_damaged_hash_or_an_endless_password_proves_nothing():
    assert not verify_password("$argon2id$garbage", b"x")
    assert not verify_password("", b"")
    long = "x" * 2000
    assert not verify_password(hash_password(long), long.encode())


def test_secrets_are_long_random_and_readable():
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert not set("".join(secrets)) & set("0o1lI")
    assert all(len(secret) == 35 for secret in secrets)


def test_no_hash_in_repr():
    credential = password_credential("x", at=AT)
    assert "argon2" not in repr(credential)
    assert "credential" not in repr(new_identity("a", at=AT)).lower()
