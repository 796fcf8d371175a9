"""Accounts in a database: what a row gives, what a refusal costs, and that nothing is ever written or pasted."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from bartizan.authn import Chain, ConnectRequest, Verdict, default_chain
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.identity import hashes
from bartizan.identity.register import Register, new_identity
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from tests.unit.identity.test_hashes import SEVEN, SIX

UNAVAILABLE, REFUSED = ReasonCode.SERVER_UNAVAILABLE, ReasonCode.NOT_AUTHORIZED
WRONG = ReasonCode.BAD_USER_NAME_OR_PASSWORD
CHEAP = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")
PASSWORD = b"correct horse"
BCRYPT = "$2b$12$KIXQ4S9O8h3XK5n1Z3Jd5uQ1ZP9mJ1Q0uQ1x1hJ6kq5Z1q9e4m7yW"
QUERY = "SELECT name AS identity, hash, roles, attributes FROM devices WHERE name = :user_name"
ROWS = [
    ("press-01", CHEAP, "press monitor", '{"site": "north"}'),
    ("press-02", SEVEN, '["press"]', None),
    ("press-03", SIX, None, None),
    ("no-hash", None, None, None),
    ("bcrypt", BCRYPT, None, None),
    ("bad-roles", CHEAP, "[1]", None),
    ("bad-attributes", CHEAP, None, '{"site": 7}'),
    ("twice", CHEAP, None, None),
    ("twice", CHEAP, None, None),
]
ANSWER = 'identities = "answer", roles_allowed = ["press"]'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "devices.db"
    with closing(sqlite3.connect(made)) as database, database:
        database.execute("CREATE TABLE devices (name TEXT, hash TEXT, roles TEXT, attributes TEXT)")
        database.executemany("INSERT INTO devices VALUES (?, ?, ?, ?)", ROWS)
    return made


def connect(name: str | None = "press-01", password: bytes | None = PASSWORD, client_id: str = "") -> ConnectRequest:
    return ConnectRequest(client_id or name or "x", "mqtts", "192.0.2.1", user_name=name, password=password)


@pytest.fixture
def ask(file: Path) -> Iterator[Callable[..., list[Verdict]]]:
    chains: list[Chain] = []

    def run(*requests: ConnectRequest, more: str = ANSWER, query: str = QUERY, stored: tuple[str, ...] = ()) -> Any:
        async def work() -> list[Verdict]:
            store = MemoryIdentityStore()
            for name in stored:
                await Register(store).add(new_identity(name, at=datetime.now(UTC)))
            table = f'kind = "sql", sqlite_file = "{file}", query = "{query}", {more}'
            words = ['listeners.mqtts.authentication=["devices"]', f"authenticators.devices={{{table}}}"]
            chain = default_chain(load_settings(None, words), store)
            chains.append(chain)
            return [await chain.decide(request) for request in requests or (connect(),)]

        return asyncio.run(work())

    yield run
    for chain in chains:
        asyncio.run(chain.aclose())


@pytest.mark.parametrize("name", ["press-01", "press-02", "press-03"])
def test_every_kind_of_hash_that_can_be_read_opens(ask, name):
    right, wrong = ask(connect(name), connect(name, b"wrong"))
    assert right.allowed, right.why
    assert (wrong.allowed, wrong.reason) == (False, WRONG)


def test_roles_that_are_allowed_and_attributes_come_from_the_row(ask):
    one, two = ask(connect(), connect("press-02"))
    assert one.principal is not None
    assert two.principal is not None
    assert (one.principal.identity, one.principal.method) == ("press-01", "sql")
    assert (one.principal.roles, two.principal.roles) == (("press",), ("press",))
    assert one.principal.attributes == (("site", "north"),)
    assert one.principal.factors == {"password"}
    assert not one.managed


def test_with_stored_identities_roles_come_from_the_store(ask):
    known, unknown = ask(connect(), connect("press-02"), more="remembered_s = 5", stored=("press-01",))
    assert known.principal is not None
    assert (known.principal.roles, known.principal.attributes, known.managed) == ((), (), True)
    assert known.remembered_s == 5
    assert (unknown.allowed, unknown.reason) == (False, REFUSED)


def test_a_row_makes_nobody_one_of_ours(ask):
    (verdict,) = ask(stored=("press",))
    assert (verdict.allowed, verdict.reason) == (False, REFUSED)


@pytest.mark.parametrize("name", ["no-hash", "bcrypt", "nobody", "", "' OR 1=1 --", "x" * 2000, "press-01\0", "%"])
def test_a_name_without_a_usable_hash_is_refused_as_a_wrong_password_is(ask, name):
    verdicts = ask(connect(name, client_id="x"), connect(name, b"", client_id="x"))
    assert [verdict.reason for verdict in verdicts] == [WRONG] * 2


@pytest.mark.parametrize("name", ["twice", "bad-roles", "bad-attributes"])
def test_a_row_that_cannot_be_used_is_no_answer(ask, name):
    (verdict,) = ask(connect(name))
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert CHEAP not in verdict.why


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name AS identity FROM devices WHERE name = :user_name",
        "SELECT hash FROM devices WHERE name = :user_name",
        "SELECT 7 AS identity, hash FROM devices WHERE name = :user_name",
        "SELECT nonsense FROM devices WHERE name = :user_name",
        "SELECT 1 WHERE :user_name = 'x'; DELETE FROM devices",
        "DELETE FROM devices WHERE name = :user_name RETURNING name AS identity, hash",
        "UPDATE devices SET hash = '' WHERE name = :user_name RETURNING name AS identity, hash",
        "ATTACH DATABASE :user_name AS other",
    ],
)
def test_a_query_that_cannot_be_used_lets_nobody_in_and_changes_nothing(ask, file, query, monkeypatch):
    monkeypatch.chdir(file.parent)
    before = file.read_bytes()
    (verdict,) = ask(query=query)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_query_that_never_ends_is_ended(ask):
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
        "SELECT max(x) AS identity, 'x' AS hash FROM n WHERE :user_name <> ''"
    )
    (verdict,) = ask(query=endless, more="deadline_s = 0.3")
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_the_client_id_may_be_asked_by_too(ask):
    query = "SELECT name AS identity, hash FROM devices WHERE name = :user_name AND :client_id = name || '-a'"
    right, wrong = ask(connect(client_id="press-01-a"), connect(client_id="press-01-b"), query=query)
    assert right.allowed
    assert wrong.reason is WRONG


def test_a_file_that_is_not_there_is_0x88(ask, file):
    file.unlink()
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert not file.exists()


def test_without_user_name_and_password_the_database_is_not_asked(ask, file):
    file.unlink()
    verdicts = ask(connect(None), connect(password=None), connect(None, None))
    assert UNAVAILABLE not in {verdict.reason for verdict in verdicts}
    assert not any(verdict.allowed for verdict in verdicts)


def test_a_refusal_costs_the_same_hashes_whoever_was_named(ask, monkeypatch):
    seen: list[str] = []

    def verify(stored: str, _password: bytes) -> bool:
        seen.append(hashes.shape(stored) or "?")
        return False

    monkeypatch.setattr("bartizan.identity.hashes.verify", verify)
    names = ("press-01", "press-02", "press-03")
    costs: dict[str, Counter[str]] = {}
    # The first round shows which kinds of hashes there are.
    asked = [*names, "press-01", "press-02", "press-03", "no-hash", "nobody", "\0", "x" * 2000]

    original = Chain.decide

    async def counted(self: Chain, request: ConnectRequest) -> Verdict:
        seen.clear()
        verdict = await original(self, request)
        costs[str(request.user_name)] = Counter(seen)
        return verdict

    monkeypatch.setattr(Chain, "decide", counted)
    verdicts = ask(*(connect(name, client_id="x") for name in asked))
    assert {verdict.reason for verdict in verdicts} == {WRONG}
    assert len({tuple(sorted(cost.items())) for cost in costs.values()}) == 1, costs
    assert costs["nobody"][hashes.our_shape()] == 1
    assert costs["nobody"].total() == 4


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('sqlite_file = "x", query = "SELECT 1"', "without :user_name"),
        ('sqlite_file = "x", query = "SELECT :user_name, :password"', ":password is no parameter"),
        ('query = "SELECT :user_name"', "exactly one"),
        ('sqlite_file = "x", database = "postgresql://r@localhost/d", query = "SELECT :user_name"', "exactly one"),
        ('database = "postgresql://r:pw@localhost/d", query = "SELECT :user_name"', "database_password_file"),
        ('database = "mysql://r@localhost/d", query = "SELECT :user_name"', "postgresql://"),
        ('database = "postgresql://r@db.example/d?sslmode=disable", query = "SELECT :user_name"', "verify-full"),
        ('sqlite_file = "x", database_password_file = "y", query = "SELECT :user_name"', "needs database"),
        ('sqlite_file = "x", query = "SELECT :user_name", roles_allowed = ["a"]', "identity store"),
    ],
)
def test_a_setting_that_cannot_work_is_told(table, said):
    words = ['listeners.mqtts.authentication=["devices"]', f'authenticators.devices={{kind = "sql", {table}}}']
    with pytest.raises(ConfigurationError, match=said):
        load_settings(None, words)


def test_a_cast_of_postgresql_is_no_parameter():
    table = 'database = "postgresql://r@localhost/d", query = "SELECT x::text FROM t WHERE n = :user_name"'
    words = ['listeners.mqtts.authentication=["devices"]', f'authenticators.devices={{kind = "sql", {table}}}']
    assert load_settings(None, words)
