"""What every store of operators does. Each adapter runs the whole suite."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.errors import AlreadyExists, Conflict, NotFound
from bartizan.model.approval import KeptRequest
from bartizan.model.operator import ApiToken, Operator, OperatorName, OperatorRole, Passkey, RecoveryCode, Totp
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.postgres import PostgresIdentityStore
from bartizan.store.sqlite import SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
Store = MemoryIdentityStore | SqliteIdentityStore | PostgresIdentityStore

BOB = Operator(OperatorName.parse("bob"), AT)
ALICE = Operator(
    OperatorName.parse("alice@plant.example"),
    AT,
    roles=(OperatorRole.SECURITY, OperatorRole.ADMIN),
    tenant="acme",
    is_enabled=False,
    note="ü",
    password_hash="$argon2id$x",
    must_change=True,
    totp=Totp("JBSWY3DPEHPK3PXP", AT, AT + timedelta(1), 2**40),
    passkeys=(
        Passkey(b"\x00\xff", b"cose", 2**31, AT, "laptop", AT + timedelta(2)),
        Passkey(b"a", b"cose", 0, AT - timedelta(1)),
    ),
    recovery_codes=(RecoveryCode("b" * 64), RecoveryCode("a" * 64, AT)),
    subject="https://id.example/realms/plant 4f1c",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        opened: Store = MemoryIdentityStore()
    elif request.param == "sqlite":
        opened = await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    else:
        server = request.getfixturevalue("postgres")
        opened = await PostgresIdentityStore.open(await asyncio.to_thread(server.make_database), server.password)
    yield opened
    await opened.close()


async def test_everything_of_an_operator_comes_back(store):
    assert await store.add_operator(ALICE) == replace(ALICE, revision=1)
    assert await store.add_operator(BOB) == replace(BOB, revision=1)
    assert await store.operator(ALICE.name) == replace(ALICE, revision=1)
    assert await store.operators() == [replace(ALICE, revision=1), replace(BOB, revision=1)]


async def test_what_was_taken_away_is_gone(store):
    stored = await store.add_operator(ALICE)
    bare = replace(stored, totp=None, passkeys=(), recovery_codes=(), password_hash="")
    assert await store.replace_operator(bare) == replace(bare, revision=2)
    assert await store.operator(ALICE.name) == replace(bare, revision=2)


@pytest.mark.parametrize("name", ["nobody", "BOB", "bo_", "b%", "bob\0", "\udcff", ""])
async def test_names_are_compared_exactly(store, name):
    await store.add_operator(BOB)
    assert await store.operator(name) is None
    with pytest.raises(NotFound):
        await store.remove_operator(name)


async def test_a_name_is_given_once(store):
    await store.add_operator(BOB)
    with pytest.raises(AlreadyExists):
        await store.add_operator(BOB)


async def test_of_two_who_read_the_same_one_writes(store):
    read = await store.add_operator(ALICE)
    await store.replace_operator(replace(read, note="first"))
    with pytest.raises(Conflict):
        await store.replace_operator(replace(read, note="second"))
    found = await store.operator(ALICE.name)
    assert found is not None
    assert (found.note, len(found.passkeys)) == ("first", 2)


async def test_who_was_removed_is_gone_with_all_that_proved_it(store):
    read = await store.add_operator(ALICE)
    await store.remove_operator(ALICE.name)
    assert await store.operators() == []
    with pytest.raises(NotFound):
        await store.replace_operator(read)
    again = replace(ALICE, totp=None, passkeys=(), recovery_codes=())
    await store.add_operator(again)
    assert await store.operator(ALICE.name) == replace(again, revision=1)


async def test_operators_move_no_revision_of_identities(store):
    before = (await store.look_for_changes(0)).revision
    read = await store.add_operator(BOB)
    await store.replace_operator(read)
    await store.remove_operator(BOB.name)
    assert (await store.look_for_changes(0)).revision == before


TOKEN = ApiToken("5d0c", BOB.name, "c" * 64, AT, AT + timedelta(30), ("look", "disconnect"), "night")


async def test_a_token_is_found_by_its_hash_and_listed_with_its_operator(store):
    await store.add_operator(BOB)
    await store.add_operator(ALICE)
    await store.add_token(TOKEN)
    later = replace(TOKEN, id="6e", hash="d" * 64, created_at=AT + timedelta(1))
    await store.add_token(later)
    assert await store.token_of("c" * 64) == TOKEN
    assert await store.token_of("e" * 64) is None
    assert await store.tokens("bob") == [TOKEN, later]
    assert await store.tokens(ALICE.name) == []


async def test_a_token_is_its_operators_own_and_goes_with_it(store):
    await store.add_operator(BOB)
    await store.add_operator(ALICE)
    await store.add_token(TOKEN)
    with pytest.raises(NotFound):
        await store.remove_token(ALICE.name, TOKEN.id)
    await store.note_token_use(TOKEN.id, AT + timedelta(2))
    assert (await store.tokens("bob"))[0].last_used_at == AT + timedelta(2)
    await store.remove_token("bob", TOKEN.id)
    assert await store.token_of(TOKEN.hash) is None
    await store.add_token(TOKEN)
    await store.remove_operator("bob")
    assert await store.token_of(TOKEN.hash) is None
    with pytest.raises(NotFound):
        await store.add_token(TOKEN)
    await store.note_token_use(TOKEN.id, AT)


async def test_what_waits_for_two_comes_back_and_is_removed_once(store):
    later = KeptRequest("b" * 16, AT + timedelta(seconds=1), AT + timedelta(hours=1), '{"body": "ü"}')
    first = KeptRequest("c" * 16, AT, AT + timedelta(minutes=1), "{}")
    for request in (later, first):
        await store.add_approval(request)
    assert await store.approvals() == [first, later]
    assert "ü" not in repr(later)
    assert [await store.remove_approval(first.id) for _ in range(2)] == [True, False]
    assert not await store.remove_approval("\0")
    assert await store.approvals() == [later]
