"""SCRAM: the RFC's own exchange, every way to cheat, and a whole exchange against a client written from the RFC."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bartizan.authn.backoff import Backoff
from bartizan.authn.base import Challenge, ConnectRequest, Denied, Proof
from bartizan.authn.scram import ANSWER_S, ScramAuthenticator, ScramSurroundings
from bartizan.config.authenticators import PasswordSettings
from bartizan.errors import InvalidValue, StoreUnavailable
from bartizan.identity.rotation import rotated
from bartizan.identity.scram import (
    Keys,
    check_name,
    proves,
    saslprep,
    scram_credential,
    server_signature,
    successors,
)
from bartizan.model.credential import SCRAM_ITERATIONS, ScramMechanism
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Factor, Identity, IdentityState
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Create, Replace
from tests.scram import Client

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, tzinfo=UTC)
BINDING = bytes(range(32))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_exchange_of_rfc_7677_holds():
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = Keys.of_password("SCRAM-SHA-256", "pencil", salt, 4096)
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    exchange = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}".encode()
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert proves("SCRAM-SHA-256", keys.stored, exchange, proof)
    assert not proves("SCRAM-SHA-256", keys.stored, exchange + b"x", proof)
    assert not proves("SCRAM-SHA-256", keys.stored, exchange, proof[:-1])
    said = base64.b64encode(server_signature("SCRAM-SHA-256", keys.server, exchange))
    assert said == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize(
    ("text", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_passwords_are_prepared_as_rfc_4013_has_it(text, prepared):
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["", "\u0007", "\u0627\u0031", "a\u0000", "\u0221"])
def test_passwords_that_have_no_prepared_form_are_refused(text):
    with pytest.raises(InvalidValue):
        saslprep(text)


@pytest.mark.parametrize("iterations", [0, 4095, 1_000_001])
def test_keys_are_made_with_a_sane_number_of_iterations(iterations):
    with pytest.raises(InvalidValue, match="4096"):
        scram_credential("pencil", "SCRAM-SHA-256", at=AT, iterations=iterations)


def test_a_name_that_clients_would_send_in_another_form_is_no_name_for_scram():
    check_name("press-01")
    for name in ("ª", "press\u00ad", "\uff50ress"):
        with pytest.raises(InvalidValue, match="RFC 4013"):
            check_name(name)


class Server:
    """An authenticator and what it looks names up in."""

    def __init__(
        self, store: MemoryIdentityStore, mechanism: ScramMechanism, *, is_bound: bool = False, **more: Any
    ) -> None:
        given: dict[str, Any] = {"now": lambda: AT, **more}
        around = ScramSurroundings(store, **given)
        self.authenticator = ScramAuthenticator("scram", mechanism, around, is_bound=is_bound)
        self.request = ConnectRequest("press-01", "mqtts", "127.0.0.1", authentication_method=self.authenticator.method)

    async def says(
        self, data: bytes | None, state: bytes | None = None, binding: bytes | None = None
    ) -> Proof | Challenge:
        asked = replace(self.request, authentication_data=data, exchange_state=state, channel_binding=binding)
        return await self.authenticator.authenticate(asked)

    async def whole(self, client: Client, binding: bytes | None = None) -> Proof | Challenge:
        challenge = await self.says(client.first(), binding=binding)
        assert isinstance(challenge, Challenge)
        return await self.says(client.final(challenge.data), challenge.state, binding)


async def store_of(*mechanisms: ScramMechanism, name: str = "press-01", **more: Any) -> MemoryIdentityStore:
    store = MemoryIdentityStore()
    credentials = tuple(scram_credential("pencil", mechanism, at=AT, iterations=4096) for mechanism in mechanisms)
    await store.commit([Create(Identity(IdentityName(name), AT, credentials=credentials, **more))])
    return store


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("is_bound", [False, True])
@pytest.mark.parametrize("name", ["press-01", "a=b,c"])
async def test_both_sides_are_convinced(mechanism, is_bound, name):
    server = Server(await store_of(mechanism, name=name), mechanism, is_bound=is_bound)
    flag, binding = ("p=tls-exporter", BINDING) if is_bound else ("n", b"")
    client = Client(mechanism, name, "pencil", flag=flag, binding=binding)
    proof = await server.whole(client, BINDING)
    assert isinstance(proof, Proof)
    assert (proof.principal.identity, proof.principal.method, proof.shown) == (name, "scram", {Factor.SCRAM})
    assert proof.remembered_s == 0
    assert proof.principal.credential_id
    assert client.trusts(proof.data or b"")


async def refused(server: Server, client: Client, binding: bytes | None = None) -> str:
    with pytest.raises(Denied) as told:
        await server.whole(client, binding)
    assert told.value.reason is ReasonCode.NOT_AUTHORIZED
    return told.value.why


async def test_a_wrong_password_and_an_unknown_name_fail_at_the_same_step():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    assert await refused(server, Client("SCRAM-SHA-256", "press-01", "pen")) == "wrong password"
    assert "no such identity" in await refused(server, Client("SCRAM-SHA-256", "nobody", "pencil"))


async def test_a_name_that_is_not_there_has_the_same_salt_each_time_and_after_a_restart():
    store = await store_of("SCRAM-SHA-256")

    async def shown(name: str) -> tuple[bytes, bytes]:
        # A new one each time: the process was started again.
        answer = await Server(store, "SCRAM-SHA-256").says(Client("SCRAM-SHA-256", name, "x").first())
        assert isinstance(answer, Challenge)
        _, salt, iterations = answer.data.split(b",", 2)
        return salt, iterations

    assert await shown("nobody") == await shown("nobody")
    assert (await shown("nobody"))[0] != (await shown("somebody"))[0]
    assert len((await shown("nobody"))[0]) == len((await shown("press-01"))[0])
    assert (await shown("nobody"))[1] == f"i={SCRAM_ITERATIONS}".encode()


async def test_an_answer_of_another_exchange_proves_nothing():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    client = Client("SCRAM-SHA-256", "press-01", "pencil")
    one, two = [await server.says(client.first()) for _ in range(2)]
    assert isinstance(one, Challenge)
    assert isinstance(two, Challenge)
    replayed = client.final(one.data)
    assert isinstance(await server.says(replayed, one.state), Proof)
    with pytest.raises(Denied, match="nonce"):
        await server.says(replayed, two.state)


async def test_somebody_in_between_is_noticed():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256", is_bound=True)
    between = Client("SCRAM-SHA-256", "press-01", "pencil", flag="p=tls-exporter", binding=bytes(32))
    assert "in between" in await refused(server, between, BINDING)
    unbound = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    talked_out = Client("SCRAM-SHA-256", "press-01", "pencil", flag="y")
    assert "talked out" in await refused(unbound, talked_out, BINDING)
    assert isinstance(await unbound.whole(Client("SCRAM-SHA-256", "press-01", "pencil", flag="y")), Proof)


async def test_each_mechanism_takes_its_own_flag_alone():
    store = await store_of("SCRAM-SHA-256")
    plain, bound = Server(store, "SCRAM-SHA-256"), Server(store, "SCRAM-SHA-256", is_bound=True)
    exporter = Client("SCRAM-SHA-256", "press-01", "pencil", flag="p=tls-exporter", binding=BINDING)
    assert "-PLUS" in await refused(plain, exporter, BINDING)
    for flag in ("n", "y", "p=tls-unique"):
        assert "tls-exporter" in await refused(bound, Client("SCRAM-SHA-256", "press-01", "pencil", flag=flag), BINDING)
    assert "no channel" in await refused(bound, exporter)


async def test_a_header_changed_on_the_way_is_noticed():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    client = Client("SCRAM-SHA-256", "press-01", "pencil", flag="n")
    challenge = await server.says(client.first())
    assert isinstance(challenge, Challenge)
    client.header = "y,,"
    with pytest.raises(Denied):
        await server.says(client.final(challenge.data), challenge.state)


@pytest.mark.parametrize(
    "data",
    [
        None, b"", b"n,,n=,r=x", b"n,,n=press-01,r=", b"n,a=other,n=press-01,r=x", b"n,,m=x,n=press-01,r=x",
        b"n,,n=press-01,r=x,m=1", b"n,,n=press-01,r=\xc3\xa9", b"x,,n=press-01,r=x", b"\xff", b"n,,n=pre=ss,r=x",
        b"n,,n=press-01,r=" + b"x" * 5_000, b"n,,n=a\x00b,r=x",
    ],
)  # fmt: skip
async def test_what_is_no_first_message_is_refused(data):
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    with pytest.raises(Denied):
        await server.says(data)


@pytest.mark.parametrize("data", [None, b"", b"c=biws,r=x", b"c=biws,r=x,p=!", b"p=AAAA", b"c=biws,r=\xff,p=AAAA"])
async def test_what_is_no_final_message_is_refused(data):
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    challenge = await server.says(Client("SCRAM-SHA-256", "press-01", "pencil").first())
    assert isinstance(challenge, Challenge)
    with pytest.raises(Denied):
        await server.says(data, challenge.state)


async def test_who_may_not_connect_is_told_only_after_the_proof():
    server = Server(await store_of("SCRAM-SHA-256", state=IdentityState.DISABLED), "SCRAM-SHA-256")
    assert "disabled" in await refused(server, Client("SCRAM-SHA-256", "press-01", "pencil"))
    assert await refused(server, Client("SCRAM-SHA-256", "press-01", "wrong")) == "wrong password"


async def test_a_credential_that_has_ended_proves_nothing_and_a_connection_ends_with_it():
    store = MemoryIdentityStore()
    ends = AT + timedelta(days=1)
    credential = replace(scram_credential("pencil", "SCRAM-SHA-256", at=AT, iterations=4096), expires_at=ends)
    await store.commit([Create(Identity(IdentityName("press-01"), AT, credentials=(credential,)))])
    proof = await Server(store, "SCRAM-SHA-256").whole(Client("SCRAM-SHA-256", "press-01", "pencil"))
    assert isinstance(proof, Proof)
    assert proof.expires_at == ends
    late = Server(store, "SCRAM-SHA-256", now=lambda: ends)
    assert "no SCRAM keys" in await refused(late, Client("SCRAM-SHA-256", "press-01", "pencil"))


async def test_both_passwords_prove_during_the_overlap_of_a_rotation_and_then_the_new_one_alone():
    mechanisms: list[ScramMechanism] = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
    store = await store_of(*mechanisms)
    before = await store.get("press-01")
    assert before is not None
    later = AT + timedelta(days=1)
    after = rotated(before, *successors(before, "crayon", at=later), at=later, overlap=timedelta(days=14))
    await store.commit([Replace(after)])
    for mechanism in mechanisms:
        server = Server(store, mechanism, now=lambda: later + timedelta(days=13))
        for password in ("pencil", "crayon"):
            client = Client(mechanism, "press-01", password)
            proof = await server.whole(client)
            assert isinstance(proof, Proof)
            assert client.trusts(proof.data or b""), "the server proves that it knows the keys of this very password"
        over = Server(store, mechanism, now=lambda: later + timedelta(days=15))
        assert isinstance(await over.whole(Client(mechanism, "press-01", "crayon")), Proof)
        assert await refused(over, Client(mechanism, "press-01", "pencil")) == "wrong password"


async def test_an_exchange_that_began_before_a_new_password_does_not_end_with_it():
    store = await store_of("SCRAM-SHA-256")
    server = Server(store, "SCRAM-SHA-256")
    client = Client("SCRAM-SHA-256", "press-01", "pencil")
    challenge = await server.says(client.first())
    assert isinstance(challenge, Challenge)
    identity = await store.get("press-01")
    assert identity is not None
    new = scram_credential("crayon", "SCRAM-SHA-256", at=AT, iterations=4096)
    await store.commit([Replace(replace(identity, credentials=(new,)))])
    with pytest.raises(Denied):
        await server.says(client.final(challenge.data), challenge.state)


async def test_keys_of_one_mechanism_prove_nothing_by_the_other():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-512")
    assert "no SCRAM keys" in await refused(server, Client("SCRAM-SHA-512", "press-01", "pencil"))


async def test_guesses_are_slowed_down_and_counted_with_those_at_passwords():
    backoff = Backoff(PasswordSettings(free_failures=2), clock=lambda: 100.0)
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256", backoff=backoff)
    await refused(server, Client("SCRAM-SHA-256", "press-01", "pen"))
    backoff.failed(backoff.begin("127.0.0.1", "press-01"))
    with pytest.raises(Denied) as told:
        await server.whole(Client("SCRAM-SHA-256", "press-01", "pencil"))
    assert told.value.reason is ReasonCode.SERVER_BUSY
    # The same address, another name; the same for one that is not there.
    assert "no such identity" in await refused(server, Client("SCRAM-SHA-256", "nobody", "pen"))


async def test_no_exchange_leaves_a_guess_under_way():
    backoff = Backoff(PasswordSettings(), clock=lambda: 100.0)

    class Broken(MemoryIdentityStore):
        broken = False

        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        async def get(self, name: str) -> Identity | None:
            if self.broken:
                raise StoreUnavailable("the disk went")
            return await super().get(name)

    store = Broken()
    server = Server(store, "SCRAM-SHA-256", backoff=backoff)
    client = Client("SCRAM-SHA-256", "press-01", "pencil")
    challenge = await server.says(client.first())
    assert isinstance(challenge, Challenge)
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await server.says(client.final(challenge.data), challenge.state)
    assert backoff._pending == {}


async def test_no_answer_tells_by_its_time_whether_the_name_is_there():
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    loop = asyncio.get_running_loop()
    for name in ("press-01", "nobody"):
        begun = loop.time()
        await server.says(Client("SCRAM-SHA-256", name, "x").first())
        assert loop.time() - begun >= ANSWER_S * 0.9


async def test_nothing_secret_is_in_a_repr():
    credential = scram_credential("pencil", "SCRAM-SHA-256", at=AT, iterations=4096)
    server = Server(await store_of("SCRAM-SHA-256"), "SCRAM-SHA-256")
    told = (
        repr(credential)
        + repr(replace(server.request, channel_binding=BINDING))
        + repr(await server.says(b"n,,n=a,r=b"))
    )
    for secret in (credential.salt, credential.stored_key, credential.server_key, BINDING):
        assert secret.hex() not in told
        assert repr(secret)[2:-1] not in told
