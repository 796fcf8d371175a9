"""A provider that is down, slow, lying or bent on trouble lets nobody in, and harms no client of others."""

import asyncio
import json
import time
import urllib.parse
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.authn import Chain, ConnectRequest, Verdict, default_chain
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.identity.register import Register, new_identity
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from tests.security.scripted import Answer, Scripted, scripted
from tests.unit.authn.issuer import ISSUER, claims, ec, jwks, rsa, signed

EC, NEW = ec(), ec("new")
UNAVAILABLE, REFUSED, BUSY = ReasonCode.SERVER_UNAVAILABLE, ReasonCode.NOT_AUTHORIZED, ReasonCode.SERVER_BUSY
SECRET = "s3cret: with a colon"


@pytest.fixture
def provider() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


def opened(chain: Callable[[], Awaitable[Chain]], work: Callable[[Chain], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        made = await chain()
        try:
            return await work(made)
        finally:
            await made.aclose()

    return asyncio.run(run())


async def make(table: str, *names: str) -> Chain:
    store = MemoryIdentityStore()
    await Register(store).add(new_identity("press-01", at=datetime.now(UTC)))
    listed = ", ".join(f'"{name}"' for name in names or ("tokens",))
    words = [f"listeners.mqtts.authentication=[{listed}]", f"authenticators.tokens={{{table}}}"]
    return default_chain(load_settings(None, words), store)


def by_auth(method: str, token: bytes) -> ConnectRequest:
    return ConnectRequest(
        "press-01", "mqtts", "192.0.2.1", authentication_method=method, authentication_data=token
    )  # fmt: skip


# ---- keys -----------------------------------------------------------------------------------------


def keys_at(url: str, more: str = "") -> str:
    return (
        f'kind = "jwt", issuer = "{ISSUER}", audience = ["bartizan"], jwks_url = "{url}", '
        f'danger_plaintext_jwks = "test on loopback", refetch_s = 1{more}'
    )


def with_token(provider: Scripted, *tokens: bytes, more: str = "", path: str = "/certs") -> list[Verdict]:
    async def work(chain: Chain) -> list[Verdict]:
        return [await chain.decide(by_auth("OAUTH2-JWT", token)) for token in tokens or (signed(EC, "ES256"),)]

    return opened(lambda: make(keys_at(provider.url + path, more)), work)


def test_keys_are_fetched_once_for_many_tokens(provider):
    provider.says(jwks(EC))
    verdicts = with_token(provider, *[signed(EC, "ES256")] * 20)
    assert all(verdict.allowed for verdict in verdicts)
    assert [path for path, *_ in provider.asked] == ["/certs"]
    assert "authorization" not in provider.asked[0][1]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(provider, status):
    with scripted() as other:
        other.says(jwks(EC))
        provider.says(b"", status=status, headers={"location": other.url + "/certs"})
        (verdict,) = with_token(provider)
        assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
        assert other.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", status=500),
        Answer(jwks(EC), status=404),
        Answer(jwks(EC), status=206),
        Answer(b"<html>maintenance</html>"),
        Answer(b'{"keys": []}'),
        Answer(b"[" * 100_000),
        Answer(b'{"keys": [' + b"{}," * 65 + b"{}]}"),
        Answer(b'{"keys": [' + b"{}," * 1_000_000 + b"{}]}"),
        Answer(jwks(EC), headers={"content-encoding": "gzip"}),
        Answer(b" " * 65_536, chunks=10_000),
        Answer(b"", headers={"content-length": "999999999"}),
        Answer(jwks(EC), headers={"x": "y" * 200_000}),
    ],
    ids=["500", "404", "206", "html", "no key", "deep", "66 keys", "a million keys", "gzip", "endless", "short", "head"],
)  # fmt: skip
def test_an_answer_of_no_use_is_0x88(provider, answer):
    provider.answers(answer)
    (verdict,) = with_token(provider)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE), verdict


@pytest.mark.parametrize(
    "answer", [Answer(jwks(EC), pause_s=3), Answer(b" ", pause_s=0.1, chunks=50)], ids=["late", "drip"]
)
def test_a_slow_answer_is_0x88_when_its_time_is_over(provider, answer):
    provider.answers(answer)
    (verdict,) = with_token(provider, more=", deadline_s = 0.5")
    assert verdict.reason is UNAVAILABLE


def test_nobody_there_is_0x88(provider):
    provider.url = "http://127.0.0.1:1"
    (verdict,) = with_token(provider)
    assert verdict.reason is UNAVAILABLE
    assert "cannot be asked" in verdict.why


def test_a_flood_of_unknown_keys_asks_the_provider_once(provider):
    provider.says(jwks(EC))
    good = signed(EC, "ES256")
    verdicts = with_token(provider, good, *(signed(NEW, "ES256", kid=f"made-up-{at}") for at in range(200)), good)
    assert [verdict.allowed for verdict in verdicts] == [True, *[False] * 200, True]
    # The first look, and one for all of those that came after its second.
    assert len(provider.asked) <= 3


def test_an_unknown_key_of_the_wrong_type_does_not_shadow_the_right_one(provider):
    provider.says(jwks(rsa("ec"), EC))
    (verdict,) = with_token(provider)
    assert verdict.allowed


def test_a_slow_provider_keeps_no_client_of_others_waiting(provider):
    provider.says(jwks(EC), pause_s=5)
    token = signed(EC, "ES256")

    async def work(chain: Chain) -> tuple[list[Verdict], int]:
        slow = [asyncio.create_task(chain.decide(by_auth("OAUTH2-JWT", token))) for _ in range(300)]
        await asyncio.sleep(0)
        other = await chain.decide(ConnectRequest("x", "mqtts", "192.0.2.1", authentication_method="NONE"))
        assert other.reason is ReasonCode.BAD_AUTHENTICATION_METHOD
        waiting = sum(not task.done() for task in slow)
        return await asyncio.gather(*slow), waiting

    verdicts, waiting = opened(lambda: make(keys_at(provider.url, ", deadline_s = 2")), work)
    assert waiting >= 16 + 128, "whom others judge was answered before the slow provider's clients"
    assert {verdict.reason for verdict in verdicts} == {UNAVAILABLE, BUSY}
    assert sum(verdict.reason is UNAVAILABLE for verdict in verdicts) == 16 + 128


# ---- introspection --------------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


def asked_at(url: str, secret_file: Path, more: str = "") -> str:
    return (
        f'kind = "introspection", introspection_url = "{url}/introspect", client_id = "the broker", '
        f'client_secret_file = "{secret_file}", audience = ["bartizan"], '
        f'danger_plaintext_introspection = "test on loopback"{more}'
    )


@pytest.fixture
def ask(provider: Scripted, secret_file: Path) -> Callable[..., list[Verdict]]:
    def run(*tokens: bytes, more: str = "", pause_s: float = 0.0) -> list[Verdict]:
        async def work(chain: Chain) -> list[Verdict]:
            found = []
            for token in tokens or (b"opaque",):
                found.append(await chain.decide(by_auth("OAUTH2-INTROSPECTION", token)))
                await asyncio.sleep(pause_s)
            return found

        return opened(lambda: make(asked_at(provider.url, secret_file, more)), work)

    return run


def active(**more: Any) -> bytes:
    return json.dumps({"active": True, **claims(), **more}).encode()


def test_an_active_token_opens_until_it_ends(provider, ask):
    said = claims()
    provider.says(active(exp=said["exp"]))
    (verdict,) = ask()
    assert verdict.principal is not None, verdict.why
    assert (verdict.principal.identity, verdict.principal.method) == ("press-01", "introspection")
    assert verdict.expires_at == datetime.fromtimestamp(said["exp"] + 30, UTC)


def test_the_provider_is_asked_in_its_own_words(provider, ask):
    provider.says(active())
    ask(b"a+b/c=&d")
    path, headers, body = provider.asked[0]
    assert path == "/introspect"
    assert urllib.parse.parse_qs(body.decode()) == {"token": ["a+b/c=&d"], "token_type_hint": ["access_token"]}
    name, _, secret = b64decode(headers["authorization"].removeprefix("Basic ")).decode().partition(":")
    assert (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)) == ("the broker", SECRET)


@pytest.mark.parametrize(
    "said",
    [
        b'{"active": false}',
        b"{}",
        b'{"active": "true"}',
        b'{"active": 1}',
        b'{"active": null}',
        active(exp=1),
        active(exp="soon"),
        active(nbf=int(time.time()) + 600),
        active(aud="another"),
        active(aud=None),
        active(sub=None),
        active(sub="ghost"),
    ],
)
def test_what_the_provider_does_not_vouch_for_is_refused(provider, ask, said):
    provider.says(said)
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, REFUSED)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", status=500),
        Answer(b"", status=401),
        Answer(active(), status=201),
        Answer(b"yes"),
        Answer(b"[true]"),
        Answer(b'{"active": false, "active": true}'),
        Answer(active(padding="x" * 70_000)),
        Answer(active(), pause_s=2),
    ],
    ids=["500", "401", "201", "text", "list", "doubled", "huge", "late"],
)
def test_a_provider_of_no_use_is_0x88(provider, ask, answer):
    provider.answers(answer)
    (verdict,) = ask(more=", deadline_s = 0.5")
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert "opaque" not in verdict.why


def test_trouble_with_a_provider_is_told_once_and_once_that_it_is_over(provider, secret_file):
    told: list[tuple[str, str | None]] = []

    async def run() -> None:
        table = asked_at(provider.url, secret_file)
        words = ['listeners.mqtts.authentication=["tokens"]', f"authenticators.tokens={{{table}}}"]
        chain = default_chain(
            load_settings(None, words), MemoryIdentityStore(), tell=lambda name, wrong: told.append((name, wrong))
        )
        for at, body in enumerate((b"garbage", b"garbage", active(), active(), b"garbage")):
            provider.says(body)
            await chain.decide(by_auth("OAUTH2-INTROSPECTION", f"token {at}".encode()))
        await chain.aclose()

    asyncio.run(run())
    assert [name for name, _ in told] == ["tokens"] * 3
    assert [wrong is None for _, wrong in told] == [False, True, False]


def test_a_redirect_takes_no_token_elsewhere(provider, ask):
    with scripted() as other:
        other.says(active())
        provider.says(b"", status=307, headers={"location": other.url + "/introspect"})
        (verdict,) = ask()
        assert verdict.reason is UNAVAILABLE
        assert other.asked == []


def test_an_answer_is_remembered_for_its_time_and_each_token_by_itself(provider, ask):
    provider.says(active())
    assert all(verdict.allowed for verdict in ask(*[b"one"] * 5, b"two", b"one"))
    assert len(provider.asked) == 2


def test_with_no_memory_every_connect_is_asked_about(provider, ask):
    provider.says(active())
    ask(*[b"one"] * 3, more=", remembered_s = 0")
    assert len(provider.asked) == 3


def test_an_answer_is_not_remembered_beyond_the_tokens_end(provider, ask):
    provider.says(active(exp=int(time.time()) + 4))
    verdicts = ask(b"one", b"one", more=", leeway_s = 0", pause_s=4.1)
    assert [verdict.allowed for verdict in verdicts] == [True, False]


def test_a_refusal_is_remembered_for_a_moment(provider, ask):
    provider.says(b'{"active": false}')
    assert not any(verdict.allowed for verdict in ask(*[b"guess"] * 20))
    assert len(provider.asked) == 1


def test_answers_remembered_are_bounded(provider, ask, monkeypatch):
    monkeypatch.setattr("bartizan.authn.introspection.ANSWERS_MAX", 3)
    provider.says(active())
    ask(b"1", b"2", b"3", b"4", b"4", b"1")
    assert len(provider.asked) == 5


@pytest.mark.parametrize("token", [b"", b"\xff\xfe", b"x" * 9000])
def test_what_is_no_token_is_sent_to_nobody(provider, ask, token):
    provider.says(active())
    (verdict,) = ask(token)
    assert verdict.reason is REFUSED
    assert provider.asked == []


def test_without_an_end_the_connection_ends_all_the_same(provider, ask):
    provider.says(active(exp=None))
    (verdict,) = ask(more=", session_max_s = 100")
    assert verdict.expires_at is not None
    assert 100 <= (verdict.expires_at - datetime.now(UTC)).total_seconds() + 1 <= 132


@pytest.mark.parametrize(("issuer", "allowed"), [(ISSUER, True), ("https://evil.example", False), (None, True)])
def test_the_issuer_is_checked_where_it_is_named(provider, ask, issuer, allowed):
    provider.says(active(iss=issuer))
    (verdict,) = ask(more=f', issuer = "{ISSUER}"')
    assert verdict.allowed is allowed


def test_passwords_are_not_sent_to_a_provider(provider, secret_file):
    for token_in in ("password", "both"):
        table = asked_at(provider.url, secret_file, f', token_in = "{token_in}"')
        with pytest.raises(ConfigurationError, match="would send them to its issuer"):
            asyncio.run(make(table, "password", "tokens"))


def test_by_default_what_stands_in_password_is_not_looked_at(provider, secret_file):
    async def work(chain: Chain) -> Verdict:
        return await chain.decide(ConnectRequest("x", "mqtts", "192.0.2.1", user_name="press-01", password=b"hunter2"))

    verdict = opened(lambda: make(asked_at(provider.url, secret_file)), work)
    assert not verdict.allowed
    assert provider.asked == []
