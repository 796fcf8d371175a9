"""What a refusal costs, and passwords whose hashes other brokers made."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from argon2 import PasswordHasher

from bartizan.authn import ConnectRequest, Denied, PasswordAuthenticator
from bartizan.broker.hashes import HashWriter
from bartizan.identity import hashes
from bartizan.identity.register import Register, new_identity, password_credential
from bartizan.model.credential import PasswordCredential
from bartizan.store.memory import MemoryIdentityStore
from tests.unit.identity.test_hashes import SEVEN, SIX

pytestmark = pytest.mark.anyio
AT = datetime(2030, 1, 1, tzinfo=UTC)
CHEAP = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")
HASHES = {
    "ours": [hashes.hash_password("correct horse")],
    "two": [hashes.hash_password("correct horse"), hashes.hash_password("battery staple")],
    "seven": [SEVEN],
    "six": [SIX],
    "cheap": [CHEAP],
    "mixed": [SEVEN, SIX, CHEAP],
    "none": [],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store() -> MemoryIdentityStore:
    store = MemoryIdentityStore()
    register = Register(store)
    for name, listed in HASHES.items():
        await register.add(new_identity(name, at=AT))
        for at, stored in enumerate(listed):
            await register.add_credential(name, PasswordCredential(f"{name}-{at}", stored, AT))
    return store


def request(name: str, password: bytes = b"wrong") -> ConnectRequest:
    return ConnectRequest(client_id=name, listener="mqtts", address="192.0.2.1", user_name=name, password=password)


async def cost(authenticator: PasswordAuthenticator, name: str, spent: Counter[str]) -> Counter[str]:
    """Which hashes a wrong password for this name is checked against."""
    spent.clear()
    with pytest.raises(Denied):
        await authenticator.authenticate(request(name))
    return Counter(spent)


@pytest.fixture
def spent(monkeypatch) -> Counter[str]:
    seen: Counter[str] = Counter()

    def verify(stored: str, _password: bytes) -> bool:
        seen[hashes.shape(stored) or "?"] += 1
        return False

    monkeypatch.setattr("bartizan.identity.hashes.verify", verify)
    return seen


async def test_a_refusal_costs_the_same_whoever_was_named(store, spent):
    authenticator = PasswordAuthenticator(store)
    for name in HASHES:
        await cost(authenticator, name, spent)
    costs = {name: await cost(authenticator, name, spent) for name in (*HASHES, "nobody")}
    assert len({tuple(sorted(found.items())) for found in costs.values()}) == 1
    assert costs["nobody"] == {hashes.our_shape(): 2, "$7$101": 1, "$6": 1, hashes.shape(CHEAP): 1}


async def test_before_any_identity_was_met_a_refusal_costs_one_hash_of_ours(spent):
    assert await cost(PasswordAuthenticator(MemoryIdentityStore()), "nobody", spent) == {hashes.our_shape(): 1}


async def test_one_identity_with_many_passwords_does_not_make_every_refusal_dear(spent):
    store = MemoryIdentityStore()
    register = Register(store)
    await register.add(new_identity("hoarder", at=AT))
    for at in range(20):
        await register.add_credential("hoarder", PasswordCredential(f"p-{at}", HASHES["ours"][0], AT))
    authenticator = PasswordAuthenticator(store)
    await cost(authenticator, "hoarder", spent)
    assert await cost(authenticator, "nobody", spent) == {hashes.our_shape(): 4}


async def test_a_password_that_no_hash_is_made_of_costs_none(store, spent):
    authenticator = PasswordAuthenticator(store)
    with pytest.raises(Denied):
        await authenticator.authenticate(request("ours", b"x" * 5000))
    assert spent == {}


@pytest.mark.parametrize("name", ["seven", "six", "cheap"])
async def test_a_hash_of_another_broker_lets_in_once_more_and_is_then_one_of_ours(store, name):
    keeper = HashWriter(store)
    authenticator = PasswordAuthenticator(store, keeper=keeper)
    assert await authenticator.authenticate(request(name, b"correct horse"))
    await keeper.write()
    identity = await store.get(name)
    (kept,) = identity.credentials
    assert hashes.is_ours(kept.hash)
    assert (kept.id, kept.created_at) == (f"{name}-0", AT)
    assert await authenticator.authenticate(request(name, b"correct horse"))
    with pytest.raises(Denied):
        await authenticator.authenticate(request(name, b"correct horsf"))


async def test_a_hash_of_ours_is_left_alone(store):
    keeper = HashWriter(store)
    before = await store.changes_since(0)
    assert await PasswordAuthenticator(store, keeper=keeper).authenticate(request("ours", b"correct horse"))
    await keeper.write()
    assert (await store.changes_since(0)).revision == before.revision


async def test_many_first_logins_are_one_write(store):
    keeper = HashWriter(store)
    before = (await store.changes_since(0)).revision
    for name in ("seven", "six", "cheap"):
        keeper.rehashed(name, f"{name}-0", HASHES[name][0], HASHES["ours"][0])
    await keeper.write()
    assert (await store.changes_since(0)).revision == before + 1


async def test_a_password_changed_meanwhile_stays_changed(store):
    keeper = HashWriter(store)
    keeper.rehashed("seven", "seven-0", SEVEN, HASHES["ours"][0])
    keeper.rehashed("gone", "gone-0", SEVEN, HASHES["ours"][0])
    keeper.rehashed("six", "six-0", "another hash", HASHES["ours"][0])
    await Register(store).set_password("seven", "a new one", at=AT)
    before = (await store.changes_since(0)).revision
    await keeper.write()
    assert (await store.changes_since(0)).revision == before


async def test_what_cannot_be_written_now_is_written_later(store, monkeypatch):
    keeper = HashWriter(store)
    keeper.rehashed("seven", "seven-0", SEVEN, HASHES["ours"][0])
    with monkeypatch.context() as broken:
        broken.setattr(store, "commit", None)
        with pytest.raises(TypeError):
            await keeper.write()
    await keeper.write()
    identity = await store.get("seven")
    assert hashes.is_ours(identity.credentials[0].hash)


async def test_a_one_time_secret_is_no_password_still(store):
    register = Register(store)
    await register.add(new_identity("admin", at=AT))
    await register.add_credential("admin", password_credential("once", at=AT, must_change=True))
    with pytest.raises(Denied, match="bartizan passwd admin"):
        await PasswordAuthenticator(store).authenticate(request("admin", b"once"))
