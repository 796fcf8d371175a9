"""Keys are fetched rarely, replaced without a gap, and kept while their issuer is down; nothing of it is guessed."""

import asyncio
import json

import pytest

from bartizan.authn import ProviderUnavailable
from bartizan.authn.jwks import Jwks, NoKeys, read_jwks
from bartizan.authn.outside import Trouble
from bartizan.config.authenticators import Jwt
from tests.unit.authn.issuer import b64, ec, jwks, okp, rsa

pytestmark = pytest.mark.anyio
OLD, NEW = ec("old"), ec("new")
SETTINGS = Jwt(
    kind="jwt",
    issuer="https://id.example",
    audience=("bartizan",),
    jwks_url="https://id.example/certs",
    refresh_s=300,
    refetch_s=10,
    keys_age_max_s=3600,
    keys_max=8,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Issuer:
    """Publishes what the test says, counts who asks, and has a clock."""

    def __init__(self, published: bytes | Exception = b"") -> None:
        self.published = published
        self.asked = 0
        self.now = 0.0
        self.told: list[str | None] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        trouble = Trouble("issuer", lambda _name, wrong: self.told.append(wrong))
        self.keys = Jwks(self._fetch, SETTINGS, trouble, lambda: self.now)

    async def _fetch(self) -> bytes:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.published, Exception):
            raise self.published
        return self.published

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def has(self, kid: str) -> bool:
        return await self.keys.find(kid, "ES256") is not None


DOWN = ProviderUnavailable("id.example did not answer")


async def test_known_keys_cost_no_request():
    issuer = Issuer(jwks(OLD))
    assert [await issuer.has("old") for _ in range(100)] == [True] * 100
    assert issuer.asked == 1


async def test_old_keys_are_refreshed_in_the_background_and_nobody_waits():
    issuer = Issuer(jwks(OLD))
    await issuer.has("old")
    issuer.now = 301
    issuer.may_answer.clear()
    assert await issuer.has("old")
    assert await issuer.has("old")
    issuer.may_answer.set()
    await issuer.settle()
    assert issuer.asked == 2


async def test_a_rotated_key_is_picked_up_at_once_and_the_old_one_counts_on():
    issuer = Issuer(jwks(OLD))
    await issuer.has("old")
    issuer.now = 11
    issuer.published = jwks(NEW, OLD)
    assert await issuer.has("new")
    assert await issuer.has("old")
    assert issuer.asked == 2


async def test_a_key_that_was_taken_back_counts_no_more_after_the_refresh():
    issuer = Issuer(jwks(NEW, OLD))
    await issuer.has("old")
    issuer.now, issuer.published = 301, jwks(NEW)
    await issuer.has("new")
    await issuer.settle()
    assert not await issuer.has("old")


async def test_unknown_keys_cause_one_request_an_interval_however_many_come():
    issuer = Issuer(jwks(OLD))
    await issuer.has("old")
    for second in range(100):
        issuer.now = 1.0 + second
        for at in range(20):
            assert not await issuer.has(f"made-up-{second}-{at}")
    assert issuer.asked <= 11


async def test_all_who_wait_wait_for_one_request():
    issuer = Issuer(jwks(OLD))
    issuer.may_answer.clear()
    waiting = [asyncio.create_task(issuer.has("old")) for _ in range(50)]
    await issuer.settle()
    issuer.may_answer.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.asked == 1


async def test_who_gives_up_does_not_end_the_request_of_others():
    issuer = Issuer(jwks(OLD))
    issuer.may_answer.clear()
    impatient, patient = (asyncio.create_task(issuer.has("old")) for _ in range(2))
    await issuer.settle()
    impatient.cancel()
    await issuer.settle()
    issuer.may_answer.set()
    assert await patient


@pytest.mark.parametrize(
    "answer", [DOWN, b"garbage", b'{"keys": []}', b"[]", jwks({"kty": "oct", "k": "c2VjcmV0"}), ValueError("bug")]
)
async def test_the_last_good_keys_are_kept_while_the_issuer_is_of_no_use_but_not_for_ever(answer):
    issuer = Issuer(jwks(OLD))
    await issuer.has("old")
    issuer.published = answer
    for issuer.now in range(0, 3600, 60):
        assert await issuer.has("old")
        await issuer.settle()
    issuer.now = 3601
    with pytest.raises(ProviderUnavailable):
        await issuer.has("old")
    issuer.now, issuer.published = 3620, jwks(OLD)
    assert await issuer.has("old")


async def test_trouble_is_told_once_and_once_that_it_is_over():
    issuer = Issuer(jwks(OLD))
    await issuer.has("old")
    for published in (DOWN, b"garbage", DOWN, jwks(OLD), jwks(OLD), DOWN):
        issuer.published = published
        issuer.now += 301
        await issuer.has("old")
        await issuer.settle()
    assert issuer.told == ["id.example did not answer", None, "id.example did not answer"]


async def test_an_issuer_that_is_down_is_not_asked_by_every_client():
    issuer = Issuer(DOWN)
    for _ in range(100):
        with pytest.raises(ProviderUnavailable, match="did not answer"):
            await issuer.has("old")
    assert issuer.asked == 1


async def test_a_token_without_kid_is_tried_where_there_is_no_choice():
    one = Issuer(jwks(OLD, rsa()))
    assert await one.keys.find(None, "ES256")
    assert await one.keys.find(None, "RS256")
    two = Issuer(jwks(OLD, NEW))
    assert await two.keys.find(None, "ES256") is None


async def test_closing_ends_a_request_under_way():
    issuer = Issuer(jwks(OLD))
    issuer.may_answer.clear()
    waiting = asyncio.create_task(issuer.has("old"))
    await issuer.settle()
    await issuer.keys.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# ---- reading ------------------------------------------------------------------------------------


def kids(*keys: object) -> list[str | None]:
    return [key.kid for key in read_jwks(jwks(*keys, ec("good")), 8)]


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "x"},
        {"kty": "RSA", "kid": "x"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "x"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA", "kid": "x"},
        {"kty": ["RSA"], "kid": "x"},
        {"kty": "nonsense", "kid": "x"},
        {**ec().as_dict(private=False), "use": "enc"},
        {**ec().as_dict(private=False), "key_ops": ["encrypt"]},
        {**ec().as_dict(private=False), "key_ops": "verify"},
        {**ec().as_dict(private=False), "kid": 7},
        {**ec().as_dict(private=False), "kid": "x" * 257},
        {**ec().as_dict(private=False), "alg": ["ES256"]},
        {"kty": "RSA", "n": b64(b"\xff" * 128), "e": "AQAB", "kid": "small"},
        {"kty": "RSA", "n": b64(b"\xff" * 2048), "e": "AQAB", "kid": "large"},
        7,
        None,
    ],
)
def test_what_cannot_verify_signatures_is_left_out(key):
    assert kids(key) == ["good"]


def test_a_private_key_that_was_published_is_read_by_its_public_half():
    (key,) = read_jwks(json.dumps({"keys": [ec("leaked").as_dict(private=True)]}).encode(), 8)
    assert not key.material.is_private


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"keys": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_garbage_is_no_set_of_keys(text):
    with pytest.raises(NoKeys):
        read_jwks(text, 8)


def test_a_million_keys_are_refused_before_one_is_read():
    with pytest.raises(NoKeys, match="more than 8"):
        read_jwks(b'{"keys": [' + b"{}," * 999_999 + b"{}]}", 8)


@pytest.mark.parametrize(
    ("key", "fitting"),
    [
        (rsa(), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (ec(), {"ES256"}),
        (ec(curve="P-384"), {"ES384"}),
        (ec(curve="P-521"), {"ES512"}),
        (okp(), {"EdDSA", "Ed25519"}),
        (okp(curve="Ed448"), {"EdDSA", "Ed448"}),
        (okp(curve="X25519"), set()),
        (ec(curve="secp256k1"), set()),
    ],
)
def test_a_key_fits_the_algorithms_of_its_type_and_no_other(key, fitting):
    every = {"none", "HS256", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
             "ES256K", "EdDSA", "Ed25519", "Ed448"}  # fmt: skip
    (read, *_) = read_jwks(jwks(key, rsa("other")), 8)
    assert {alg for alg in every if read.fits(alg)} == fitting
    named = read_jwks(jwks({**key.as_dict(private=False), "alg": "RS256"}, rsa("other")), 8)[0]
    assert {alg for alg in every if named.fits(alg)} == fitting & {"RS256"}
