"""A real OpenLDAP judges passwords of a real client, by TLS; injections, traps and outages let nobody in."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from bartizan.authn import Certificate, Chain, ConnectRequest, Verdict, default_chain
from bartizan.authn.ldap_connection import LdapConnection, Place
from bartizan.config.load import load_settings
from bartizan.identity.register import Register, new_identity
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from bartizan.testing import Broker
from tests import slapd
from tests.integration.token_client import TokenClient
from tests.slapd import SUFFIX, Slapd

WRONG, NOT_AUTHORIZED, UNAVAILABLE = (
    ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    ReasonCode.NOT_AUTHORIZED,
    ReasonCode.SERVER_UNAVAILABLE,
)
ANSWER = 'identities = "answer", remembered_s = 0'
ROLES = f'{{ "CN=Operators, OU=groups,{SUFFIX}" = ["operator"], "cn=others,ou=groups,{SUFFIX}" = ["reader", "press"] }}'


@pytest.fixture(scope="module")
def directory() -> Iterator[Slapd]:
    with slapd.started() as running:
        yield running


def by_name(directory: Slapd, more: str = ANSWER, dn: str = f"uid={{user_name}},ou=people,{SUFFIX}") -> str:
    return (
        f'kind = "ldap", ldap_url = "ldaps://127.0.0.1:{directory.tls_port}", ca_file = "{directory.ca_file}", '
        f'user_dn = "{dn}", {more}'
    )


def by_search(
    directory: Slapd, more: str = ANSWER, wanted: str = "(&(objectClass=person)(uid={user_name}))", url: str = ""
) -> str:
    return (
        f'kind = "ldap", ldap_url = "{url or f"ldap://127.0.0.1:{directory.port}"}", ca_file = "{directory.ca_file}", '
        f'search_base = "{SUFFIX}", search_filter = "{wanted}", bind_dn = "cn=finder,{SUFFIX}", '
        f'bind_password_file = "{directory.password_file()}", {more}'
    )


WAYS = {"by name": by_name, "by search": by_search}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Callable[..., str]:
    return request.param


async def make(table: str, *names: str, stored: tuple[str, ...] = ()) -> Chain:
    store = MemoryIdentityStore()
    for name in stored:
        await Register(store).add(new_identity(name, at=datetime.now(UTC)))
    listed = ", ".join(f'"{name}"' for name in names or ("staff",))
    words = [f"listeners.mqtts.authentication=[{listed}]", f"authenticators.staff={{{table}}}"]
    return default_chain(load_settings(None, words), store)


def opened(chain: Callable[[], Awaitable[Chain]], work: Callable[[Chain], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        made = await chain()
        try:
            return await work(made)
        finally:
            await made.aclose()

    return asyncio.run(run())


def connect(name: str, password: bytes, client_id: str = "x", certificate: Certificate | None = None) -> ConnectRequest:
    return ConnectRequest(client_id, "mqtts", "192.0.2.1", "5.0", name, password, certificate)


def ask(table: str, *requests: ConnectRequest, names: tuple[str, ...] = (), stored: tuple[str, ...] = ()) -> Any:
    async def work(chain: Chain) -> list[Verdict]:
        return [await chain.decide(request) for request in requests]

    return opened(lambda: make(table, *names, stored=stored), work)


ALICE = connect("alice", b"wonderland", "alice-1")


@pytest.mark.parametrize(
    "groups",
    [
        'group_attribute = "memberOf"',
        f'group_base = "ou=groups,{SUFFIX}", group_filter = "(&(objectClass=groupOfNames)(member={{user_dn}}))"',
        f'group_base = "ou=groups,{SUFFIX}", group_filter = "(description=*{{identity}};*)"',
    ],
    ids=["memberOf", "by name", "by identity"],
)
def test_a_bind_proves_and_groups_give_roles(directory, way, groups):
    more = f'{ANSWER}, {groups}, group_roles = {ROLES}, attribute_names = {{ site = "l", mail = "mail" }}'
    alice, bob = ask(way(directory, more), ALICE, connect("bob", b"builder", "bob"))
    assert alice.principal is not None, alice.why
    assert (alice.principal.identity, alice.principal.method, alice.managed) == ("alice", "ldap", False)
    assert set(alice.principal.roles) == {"operator", "reader", "press"}
    assert alice.principal.attributes == (("mail", "alice@plant.example"), ("site", "north"))
    assert alice.principal.factors == {"password"}
    assert bob.principal is not None, bob.why
    assert set(bob.principal.roles) == {"reader", "press"}
    assert bob.principal.attributes == ()


def test_a_member_whose_name_needs_escapes_has_its_groups_too(directory):
    groups = f'group_base = "ou=groups,{SUFFIX}", group_filter = "(member={{user_dn}})", group_roles = {ROLES}'
    (verdict,) = ask(by_search(directory, f"{ANSWER}, {groups}"), connect("jsmith", b"right", "jsmith"))
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.roles == ("operator",)


def test_the_identity_is_spelt_as_the_directory_spells_it(directory, way):
    (verdict,) = ask(way(directory), connect("ALICE", b"wonderland", "alice"))
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.identity == "alice"


@pytest.mark.parametrize("url", ["", "ldaps"])
def test_by_search_over_starttls_and_over_tls(directory, url):
    place = f"ldaps://127.0.0.1:{directory.tls_port}" if url else ""
    (verdict,) = ask(by_search(directory, url=place), ALICE)
    assert verdict.allowed, verdict.why


@pytest.mark.parametrize("password", [b"wrong", b"Wonderland", b"wonderland ", b"\xff\xfe", b"\0", b"wonderland\0"])
def test_a_wrong_password_opens_nothing(directory, way, password):
    (verdict,) = ask(way(directory), connect("alice", password, "alice"))
    assert (verdict.allowed, verdict.reason) == (False, WRONG)


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_an_empty_password_is_not_even_sent(directory, way, name):
    before = len(directory.log)
    (verdict,) = ask(way(directory), connect(name, b"", name))
    assert (verdict.allowed, verdict.reason) == (False, WRONG)
    assert "ACCEPT" not in directory.log[before:]


def test_this_directory_would_have_agreed_to_an_empty_password(directory):
    async def tried() -> tuple[bool, bool]:
        connection = await LdapConnection.open(Place(f"ldap://127.0.0.1:{directory.port}", None, starts_tls=False))
        dn = f"uid=alice,ou=people,{SUFFIX}"
        try:
            return await connection._bind(dn, b""), await connection.bind(dn, b"")
        finally:
            connection.close()

    assert asyncio.run(tried()) == (True, False)


INJECTIONS = [
    "*",
    "a*",
    "alice)(uid=*",
    "*)(uid=*))(|(uid=*",
    "alice,ou=people",
    "alice,ou=people,dc=plant,dc=example",
    "alice+cn=Alice",
    "alice\\",
    "alice\\2c",
    "#616c696365",
    '"alice"',
    "alice;x",
    " ",
    "alice\n",
    "al\0ice",
    "\u0430lice",
    "ali\u200bce",
    "",
    "x" * 257,
    "x" * 60_000,
]


@pytest.mark.parametrize("name", INJECTIONS, ids=lambda name: ascii(name)[:24])
def test_a_name_is_a_value_whatever_it_holds(directory, way, name):
    (verdict,) = ask(way(directory), connect(name, b"wonderland", "alice"))
    assert (verdict.allowed, verdict.reason) == (False, WRONG)


def test_somebody_unknown_costs_the_same_questions_as_a_wrong_password(directory):
    def cost(name: str) -> list[str]:
        before = len(directory.log)
        ask(by_search(directory), connect(name, b"wrong", name))
        time.sleep(0.3)
        words = [line.split("op=")[1].split()[1] for line in directory.log[before:].splitlines() if " op=" in line]
        return sorted(word for word in words if word in {"BIND", "SRCH", "EXT"})

    assert cost("alice") == cost("nobody")
    assert cost("nobody").count("BIND") >= 2


def test_more_than_one_entry_is_no_answer(directory):
    (verdict,) = ask(by_search(directory, wanted="(|(uid={user_name})(uid=bob))"), ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_an_identity_that_is_not_one_name_is_no_answer(directory, way):
    (verdict,) = ask(way(directory), connect("two", b"right", "two"))
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    (verdict,) = ask(way(directory, f'{ANSWER}, identity_attribute = "carLicense"'), ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_a_referral_is_not_followed(directory):
    table = by_search(directory).replace(f'search_base = "{SUFFIX}"', f'search_base = "ou=elsewhere,{SUFFIX}"')
    (verdict,) = ask(table, ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert "result 10" in verdict.why
    (verdict,) = ask(by_name(directory, dn=f"uid={{user_name}},ou=elsewhere,{SUFFIX}"), ALICE)
    assert not verdict.allowed


def test_stored_identities_have_to_be_known_to_both(directory, way):
    known, unknown = ask(
        way(directory, "remembered_s = 0"),
        connect("press-01", b"right", "press-01"),
        ALICE,
        stored=("press-01",),
    )
    assert known.allowed, known.why
    assert known.managed
    assert (unknown.allowed, unknown.reason) == (False, NOT_AUTHORIZED)


def test_the_directory_makes_nobody_one_of_ours(directory, way):
    (verdict,) = ask(way(directory), ALICE, stored=("alice",))
    assert (verdict.allowed, verdict.reason) == (False, NOT_AUTHORIZED)


def test_beside_a_certificate_it_is_a_second_factor(directory, way):
    certificate = Certificate("ab" * 32, "0a", "press-01", san_uris=("urn:bartizan:identity:press-01",))
    request = connect("press-01", b"right", "press-01", certificate)
    (verdict,) = ask(way(directory, "remembered_s = 0"), request, names=("certificate + staff",), stored=("press-01",))
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.strengths == {"certificate", "mfa"}


def test_a_certificate_of_somebody_else_is_not_believed(directory, way, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    (verdict,) = ask(way(directory).replace(str(directory.ca_file), str(other)), ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_a_certificate_of_another_name_is_not_believed(directory, way):
    (verdict,) = ask(way(directory).replace("127.0.0.1", "127.0.0.2"), ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_in_the_clear_only_with_a_reason(directory):
    table = by_search(directory, f'{ANSWER}, danger_plaintext_ldap = "lab"').replace(
        f'ca_file = "{directory.ca_file}", ', ""
    )
    before = len(directory.log)
    (verdict,) = ask(table, ALICE)
    assert verdict.allowed, verdict.why
    assert "STARTTLS" not in directory.log[before:]


def test_a_wrong_password_of_the_finder_is_no_answer(directory):
    table = by_search(directory).replace(str(directory.password_file()), str(directory.password_file("wrong")))
    (verdict,) = ask(table, ALICE)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert "bind_dn" in verdict.why


def test_connections_of_the_finder_are_kept_and_bounded(directory):
    before = len(directory.log)

    async def work(chain: Chain) -> list[Verdict]:
        first = await asyncio.gather(*(chain.decide(ALICE) for _ in range(10)))
        return [*first, *[await chain.decide(ALICE) for _ in range(5)]]

    verdicts = opened(lambda: make(by_search(directory, f"{ANSWER}, concurrent_max = 3")), work)
    assert all(verdict.allowed for verdict in verdicts), {verdict.why for verdict in verdicts}
    binds = [line for line in directory.log[before:].splitlines() if 'BIND dn="cn=finder' in line and "method=" in line]
    assert 1 <= len(binds) <= 3


# ---- with a broker and a client -------------------------------------------------------------------------


@contextmanager
def plant(table: str, *names: str) -> Iterator[Broker]:
    listed = ", ".join(f'"{name}"' for name in names)
    with Broker(
        settings=[f"listeners.mqtt.authentication=[{listed}]", f"authenticators.staff={{ {table} }}"]
    ) as broker:
        yield broker


@pytest.fixture
def clients() -> Iterator[Callable[..., TokenClient]]:
    with ExitStack() as stack:

        def make(broker: Broker, client_id: str = "alice", version: str = "5") -> TokenClient:
            client = TokenClient(broker.port, broker.ca_file, client_id, version)
            stack.callback(client.close)
            return client

        yield make


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_client_is_let_in_by_the_directory(directory, way, clients, version):
    with plant(way(directory), "password", "staff") as broker:
        bundle = broker.enrol("device-01", "press", password=True)
        assert clients(broker, version=version).open("wonderland", user_name="alice") == 0
        assert clients(broker, version=version).open("wrong", user_name="alice") == WRONG
        assert clients(broker, "bob", version).open("wonderland", user_name="alice") == NOT_AUTHORIZED
        before = len(directory.log)
        assert clients(broker, "device-01", version).open(str(bundle.password), user_name="device-01") == 0
        assert "ACCEPT" not in directory.log[before:], "the password of one of ours went to the directory"


def test_while_the_directory_is_silent_others_are_let_in(directory, clients, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        table = by_name(directory, f"{ANSWER}, deadline_s = 4").replace(
            str(directory.tls_port), str(silent.getsockname()[1])
        )
        with plant(table, "certificate", "staff") as broker:
            bundle = broker.enrol("press-01", "press")
            slow = clients(broker)
            slow.username_pw_set("alice", "wonderland")
            slow.connect("127.0.0.1", broker.port)
            slow.loop_start()
            client = clients(broker, "press-01")
            client.certificate(str(bundle.certificate_file), str(bundle.key_file))
            assert client.open() == 0
            assert not slow.answered.is_set(), "nobody waited for the directory"
            assert slow.answered.wait(30)
            assert slow.reason == UNAVAILABLE
