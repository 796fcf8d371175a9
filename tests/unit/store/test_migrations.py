"""Stores that earlier Bartizans wrote. `identities-1.sqlite` was made by the code that had schema 1."""

import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.errors import StoreUnavailable
from bartizan.model.credential import CertificateCredential, PasswordCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.usage import Usage
from bartizan.store import migrations as steps
from bartizan.store.ports import CreateGroup, Replace
from bartizan.store.sqlite import SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OLD = Path(__file__).parent / "identities-1.sqlite"

PRESS = Identity(
    IdentityName("press-01"),
    AT,
    roles=(RoleName("press"), RoleName("auditor")),
    attributes=((AttributeName("area"), "ü"), (AttributeName("site"), "chicago")),
    state=IdentityState.DISABLED,
    note="line 3",
    credentials=(
        PasswordCredential("c1", "$argon2id$x", AT, must_change=True),
        CertificateCredential(
            "c2", "ab" * 32, "0f", AT + timedelta(1), AT + timedelta(365), revoked_at=AT + timedelta(2)
        ),
    ),
    revision=1,
)
"""What the old code stored, as it is read today."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLD, tmp_path / "identities.sqlite"))


def schema(path: Path) -> dict[str, str]:
    """The columns of every table, as SQLite tells them."""
    connection = sqlite3.connect(path)
    tables = [
        name for (name,) in connection.execute("select name from pragma_table_list where name not like 'sqlite%'")
    ]
    columns = {
        name: str(sorted(connection.execute("select name, type, [notnull], pk from pragma_table_info(?)", (name,))))
        for name in tables
    }
    connection.close()
    return columns


async def test_a_file_of_schema_1_is_read_and_written(old: Path):
    store = await SqliteIdentityStore.open(old)
    assert [one.name for one in await store.page()] == ["plain", "press-01"]
    assert await store.get("press-01") == PRESS
    delta = await store.changes_since(0)
    assert (delta.revision, delta.written, delta.removed, delta.groups_changed) == (
        2,
        {"plain", "press-01"},
        {"gone"},
        False,
    )
    changed = replace(PRESS, groups=(GroupName("line-3"),), owner="me", state=IdentityState.QUARANTINED)
    revision = await store.commit([CreateGroup(Group(GroupName("line-3"), AT)), Replace(changed)])
    await store.note_usage([Usage(IdentityName("plain"), AT)])
    await store.close()
    again = await SqliteIdentityStore.open(old)
    assert await again.get("press-01") == replace(changed, revision=revision)
    assert await again.usage() == [Usage(IdentityName("plain"), AT)]
    await again.close()


async def test_each_file_has_a_decoy_key_of_its_own_that_stays(old: Path, tmp_path: Path):
    async def key_of(path: Path) -> bytes:
        store = await SqliteIdentityStore.open(path)
        try:
            return await store.decoy_key()
        finally:
            await store.close()

    key = await key_of(old)
    assert await key_of(old) == key
    assert await key_of(tmp_path / "new.sqlite") != key


async def test_an_old_file_and_a_new_one_get_the_same_schema(old: Path, tmp_path: Path):
    for path in (old, tmp_path / "new.sqlite"):
        await (await SqliteIdentityStore.open(path)).close()
    assert schema(old) == schema(tmp_path / "new.sqlite")
    assert len(schema(old)) > 8


async def test_a_step_that_fails_leaves_the_file_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch):
    before = schema(old)

    def fail(_connection: object) -> None:
        raise StoreUnavailable("the power went")

    monkeypatch.setattr(steps, "MIGRATIONS", (*steps.MIGRATIONS, fail))
    with pytest.raises(StoreUnavailable, match="power"):
        await SqliteIdentityStore.open(old)
    assert schema(old) == before
    monkeypatch.undo()
    store = await SqliteIdentityStore.open(old)
    assert await store.get("press-01") == PRESS
    await store.close()
