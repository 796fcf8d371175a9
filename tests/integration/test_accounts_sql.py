"""Accounts in a real PostgreSQL, used by a real client; the database may be slow, down, or asked to write."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bartizan.identity.passwords import hash_password
from bartizan.testing import Broker
from tests import postgres
from tests.integration.token_client import TokenClient

VERSIONS = ["3.1.1", "5"]
WRONG, NOT_AUTHORIZED, UNAVAILABLE = 0x86, 0x87, 0x88
QUERY = (
    "SELECT name AS identity, hash, roles, jsonb_build_object('site', site) AS attributes "
    "FROM devices WHERE lower(name) = lower(:user_name)"
)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.started() as running:
        yield running


@pytest.fixture(scope="module")
def database(server: postgres.Server) -> str:
    url = server.make_database()
    name = url.partition("/t")[2].partition("?")[0]
    server.sql(
        "CREATE TABLE devices (name text PRIMARY KEY, hash text, roles text[], site text); "
        f"INSERT INTO devices VALUES ('press-01', '{hash_password('right')}', '{{press,admin}}', 'north'), "
        f"('stored-01', '{hash_password('right')}', NULL, 'south')",
        f"t{name}",
    )
    return url


@pytest.fixture
def password_file(server: postgres.Server, tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(server.password + "\n")
    file.chmod(0o600)
    return file


@contextmanager
def plant(url: str, password_file: Path, more: str = "", query: str = QUERY, *names: str) -> Iterator[Broker]:
    table = (
        f'kind = "sql", database = "{url}", database_password_file = "{password_file}", query = "{query}", '
        f"remembered_s = 0{more}"
    )
    listed = ", ".join(f'"{name}"' for name in names or ("devices",))
    settings = [f"listeners.mqtt.authentication=[{listed}]", f"authenticators.devices={{ {table} }}"]
    with Broker(settings=settings) as broker:
        yield broker


@pytest.fixture
def clients() -> Iterator[Callable[..., TokenClient]]:
    with ExitStack() as stack:

        def make(broker: Broker, client_id: str = "press-01", version: str = "5") -> TokenClient:
            client = TokenClient(broker.port, broker.ca_file, client_id, version)
            stack.callback(client.close)
            return client

        yield make


ANSWER = ', identities = "answer", roles_allowed = ["press"]'


@pytest.mark.parametrize("version", VERSIONS)
def test_who_is_in_the_database_is_let_in_with_the_right_password(database, password_file, clients, version):
    with plant(database, password_file, ANSWER) as broker:
        assert clients(broker, version=version).open("right", user_name="press-01") == 0
        assert clients(broker, "press-01-b", version).open("right", user_name="PRESS-01") == 0
        assert clients(broker, version=version).open("wrong", user_name="press-01") == WRONG
        assert clients(broker, version=version).open("right", user_name="' OR '1'='1") == WRONG
        assert clients(broker, "press-02", version).open("right", user_name="press-01") == NOT_AUTHORIZED


def test_with_stored_identities_both_have_to_know_it(database, password_file, clients):
    with plant(database, password_file) as broker:
        broker.enrol("stored-01", "press")
        assert clients(broker, "stored-01").open("right", user_name="stored-01") == 0
        assert clients(broker).open("right", user_name="press-01") == NOT_AUTHORIZED


def test_certificate_and_password_are_asked_for_together(database, password_file, clients):
    with plant(database, password_file, "", QUERY, "certificate + devices") as broker:
        bundle = broker.enrol("stored-01", "press")
        assert clients(broker, "stored-01").open("right", user_name="stored-01") == WRONG
        client = clients(broker, "stored-01")
        client.certificate(str(bundle.certificate_file), str(bundle.key_file))
        assert client.open("right", user_name="stored-01") == 0


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE devices SET hash = 'x' WHERE name = :user_name RETURNING name AS identity, hash",
        "SELECT name AS identity, hash FROM devices WHERE name = :user_name; DROP TABLE devices",
    ],
)
def test_nothing_is_ever_written(server, database, password_file, clients, query):
    with plant(database, password_file, "", query) as broker:
        assert clients(broker).open("right", user_name="press-01") == UNAVAILABLE
    name = database.partition("/t")[2].partition("?")[0]
    assert server.sql("SELECT count(*) FROM devices WHERE hash LIKE '$argon2id%'", f"t{name}") == "2"


def test_a_statement_that_takes_too_long_is_0x88_in_time_and_ended(server, database, password_file, clients):
    slow = "SELECT name AS identity, hash FROM devices, pg_sleep(600) WHERE name = :user_name"
    with plant(database, password_file, ", deadline_s = 1", slow) as broker:
        # The statement would go on for ten minutes: the answer, and its end, wait for nothing of that.
        assert clients(broker).open("right", user_name="press-01") == UNAVAILABLE
        ends = time.monotonic() + 60
        asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
        while server.sql(f"{asked} AND state = 'active'") != "0":
            assert time.monotonic() < ends
            time.sleep(0.1)


def test_a_database_that_is_not_there_is_0x88(password_file, clients, tmp_path):
    with plant(f"postgresql://nobody@/none?host={tmp_path}", password_file) as broker:
        assert clients(broker).open("right", user_name="press-01") == UNAVAILABLE


def test_a_wrong_password_of_the_database_is_0x88(database, password_file, clients):
    password_file.write_text("wrong\n")
    with plant(database, password_file) as broker:
        assert clients(broker).open("right", user_name="press-01") == UNAVAILABLE
