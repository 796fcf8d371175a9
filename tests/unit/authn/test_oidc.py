"""An OpenID Provider that lies, is wrong or slow: nobody is vouched for by what does not hold in every part."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.fetch import Declined
from bartizan.authn.oidc import Answer, NotVouched, OpenIdClient, Question, Vouched
from bartizan.config.oidc import OidcSettings
from bartizan.model.operator import OperatorRole
from tests.unit.authn.issuer import b64, ec, jwks, rsa, signed, unsigned

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example/realms/plant"
BACK = "https://broker.example/api/v1/session/oidc/callback"
SECRET = "s3cret:with/colon"
KEY = ec("of-the-provider")
AT = datetime.now(UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Provider:
    """What is published and answered, by URL; it counts who asks."""

    def __init__(self) -> None:
        self.published: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/auth?realm=plant",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        self.keys = jwks(KEY)
        self.token: Callable[[], bytes | None] = lambda: None
        self.posted: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = []
        self.got: list[str] = []
        self.fails: Exception | None = None

    async def get(self, url: str) -> bytes:
        self.got.append(url)
        if self.fails is not None:
            raise self.fails
        return self.keys if url == self.published["jwks_uri"] else json.dumps(self.published).encode()

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        self.posted.append((url, form, headers))
        if self.fails is not None:
            raise self.fails
        token = self.token()
        return json.dumps({"access_token": "x"} | ({} if token is None else {"id_token": token.decode()})).encode()

    async def aclose(self) -> None:
        """Nothing is open."""

    def itself(self, *_: object, **__: object) -> "Provider":
        """In the place of what asks it."""
        return self


class Desk:
    """A client of it."""

    def __init__(self, provider: Provider, file: Path, clock: Callable[[], float], **more: Any) -> None:
        self.provider = provider
        self.told: list[str | None] = []
        settings = OidcSettings(issuer=ISSUER, client_id="console", client_secret_file=file, **more)
        self.client = OpenIdClient(
            settings, BACK, timedelta(hours=12), lambda _, what: self.told.append(what), now=lambda: AT, clock=clock
        )

    def claims(self, question: Question, **more: Any) -> dict[str, Any]:
        at = int(AT.timestamp())
        said = {"iss": ISSUER, "aud": "console", "sub": "4f1c", "exp": at + 60, "iat": at, "nonce": question.nonce}
        return {name: value for name, value in (said | {"sub": "alice"} | more).items() if value is not None}

    async def judge(
        self, make: Callable[[dict[str, Any]], bytes] | None = None, *, fresh: bool = False, **more: Any
    ) -> Vouched:
        """What comes of a token with these claims; `make` signs it otherwise."""
        question = self.client.question(fresh=fresh)
        said = self.claims(question, **more)
        self.provider.token = lambda: (make or (lambda claims: signed(KEY, "ES256", claims)))(said)
        return await self.client.judge(question, Answer("code", ISSUER))


class Clock:
    """Seconds, as a test sets them."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[..., Desk]:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text(SECRET + "\n", encoding="utf-8")

    def made(**more: Any) -> Desk:
        provider = Provider()
        for module in ("oidc", "jwt"):
            monkeypatch.setattr(f"bartizan.authn.{module}.Fetcher", provider.itself)
        return Desk(provider, file, clock, **more)

    return made


async def test_what_it_asks_and_what_it_shows(desk):
    asker = desk(mfa_acr=("urn:two",), scopes=("groups", "openid"))
    question = asker.client.question(fresh=True)
    place = urlsplit(await asker.client.place_to_ask(question, "the-state"))
    words = {name: values[0] for name, values in parse_qs(place.query).items()}
    assert f"{place.scheme}://{place.netloc}{place.path}" == "https://id.example/auth"
    assert words.pop("code_challenge")
    assert words == {
        "realm": "plant",
        "response_type": "code",
        "client_id": "console",
        "redirect_uri": BACK,
        "scope": "openid groups",
        "state": "the-state",
        "nonce": question.nonce,
        "code_challenge_method": "S256",
        "max_age": "0",
        "prompt": "login",
        "acr_values": "urn:two",
    }
    assert question.verifier not in place.query
    vouched = await asker.judge()
    assert (vouched.operator, vouched.subject, vouched.is_mfa) == ("alice", f"{ISSUER} alice", False)
    url, form, headers = asker.provider.posted[0]
    assert url == "https://id.example/token"
    assert form["redirect_uri"] == BACK
    assert base64.b64decode(headers["authorization"][6:]).decode() == f"console:{quote_plus(SECRET)}"
    assert "client_secret" not in form
    assert SECRET not in repr(vars(asker.client)["_settings"])
    assert question.verifier not in repr(question)


async def test_a_provider_that_takes_secrets_in_the_form_alone_gets_it_there(desk):
    asker = desk()
    asker.provider.published["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await asker.judge()
    _, form, headers = asker.provider.posted[0]
    assert (form["client_id"], form["client_secret"]) == ("console", SECRET)
    assert headers == {}


def grafted(said: dict[str, Any], **more: Any) -> bytes:
    """Other claims under the signature of these."""
    head, _, mark = signed(KEY, "ES256", said).split(b".")
    return b".".join((head, b64(json.dumps(said | more).encode()).encode(), mark))


STRANGER = ec("of-the-provider")
LIES: dict[str, tuple[Callable[[dict[str, Any]], bytes] | None, dict[str, Any]]] = {
    "alg none": (lambda said: unsigned({"alg": "none"}, said), {}),
    "alg None, spelt otherwise": (lambda said: unsigned({"alg": "nOnE"}, said), {}),
    "no signature": (lambda said: signed(KEY, "ES256", said).rpartition(b".")[0] + b".", {}),
    "a key of somebody else, by the same name": (lambda said: signed(STRANGER, "ES256", said), {}),
    "a key that it brings": (lambda said: signed(STRANGER, "ES256", said, jwk=STRANGER.as_dict(private=False)), {}),
    "another algorithm": (lambda said: signed(rsa("of-the-provider"), "RS256", said), {}),
    "claims that were changed": (lambda said: grafted(said, sub="root"), {}),
    "another issuer": (None, {"iss": "https://evil.example"}),
    "an issuer with a slash": (None, {"iss": ISSUER + "/"}),
    "no issuer": (None, {"iss": None}),
    "another audience": (None, {"aud": "another"}),
    "no audience": (None, {"aud": None}),
    "an audience beside, and no party": (None, {"aud": ["console", "another"]}),
    "another party": (None, {"azp": "another"}),
    "another nonce": (None, {"nonce": "another"}),
    "no nonce": (None, {"nonce": None}),
    "a nonce that is no text": (None, {"nonce": ["x"]}),
    "over": (None, {"exp": int(AT.timestamp()) - 31}),
    "without an end": (None, {"exp": None}),
    "not begun": (None, {"nbf": int(AT.timestamp()) + 120}),
    "no subject": (None, {"sub": None}),
    "an empty subject": (None, {"sub": ""}),
    "a subject of two lines": (None, {"sub": "a\nb"}),
    "a subject that is no text": (None, {"sub": 7}),
    "a proof in the future": (None, {"auth_time": int(AT.timestamp()) + 120}),
    "a proof too long ago": (None, {"auth_time": int(AT.timestamp()) - 43_300}),
    "a proof at no time": (None, {"auth_time": "now"}),
    "no token": (lambda _: b"x", {}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_vouches_for_nobody(desk, lie):
    make, more = LIES[lie]
    with pytest.raises(NotVouched):
        await desk().judge(make, **more)


async def test_a_party_beside_is_no_harm_where_the_token_is_for_us(desk):
    assert (await desk().judge(aud=["console", "another"], azp="console")).operator == "alice"


async def test_without_an_id_token_nobody_is_vouched_for(desk):
    asker = desk()
    with pytest.raises(NotVouched, match="no ID token"):
        await asker.client.judge(asker.client.question(fresh=False), Answer("code", ISSUER))


@pytest.mark.parametrize("issuer", [None, "", "https://evil.example", ISSUER + "/"])
async def test_a_code_of_another_provider_is_not_even_tried(desk, issuer):
    asker = desk()
    with pytest.raises(NotVouched, match="provider"):
        await asker.client.judge(asker.client.question(fresh=False), Answer("code", issuer))
    assert asker.provider.posted == []


async def test_where_the_provider_promises_no_iss_it_may_lack_but_not_be_wrong(desk):
    asker = desk()
    del asker.provider.published["authorization_response_iss_parameter_supported"]
    question = asker.client.question(fresh=False)
    asker.provider.token = lambda: signed(KEY, "ES256", asker.claims(question))
    assert (await asker.client.judge(question, Answer("code", None))).operator == "alice"
    with pytest.raises(NotVouched):
        await asker.client.judge(question, Answer("code", "https://evil.example"))


async def test_a_fresh_proof_is_no_older_than_the_question(desk):
    now = int(AT.timestamp())
    assert (await desk().judge(fresh=True, auth_time=now - 29)).proved_at is not None
    with pytest.raises(NotVouched, match="too long ago"):
        await desk().judge(fresh=True, auth_time=now - 60)
    assert (await desk().judge(fresh=False, auth_time=now - 60)).proved_at == datetime.fromtimestamp(now - 60, UTC)
    assert (await desk().judge(fresh=True)).proved_at is None, "where it does not say when, it is no recent proof"


@pytest.mark.parametrize(
    ("published", "told"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": ISSUER + "/"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": "http://id.example/token"}, "https"),
        ({"token_endpoint": None}, "https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https"),
        ({"authorization_endpoint": "https://user@id.example/auth"}, "https"),
        ({"jwks_uri": "file:///etc/passwd"}, "https"),
        ({"jwks_uri": ["https://id.example/jwks"]}, "https"),
    ],
)
async def test_what_is_published_has_to_fit(desk, published, told):
    asker = desk()
    asker.provider.published |= published
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match=told):
            await asker.client.place_to_ask(asker.client.question(fresh=False), "state")
    assert len(asker.told) == 1, "told once, not at every login"


async def test_a_provider_that_is_down_is_told_once_and_that_it_is_back_too(desk, clock):
    asker = desk()
    assert (await asker.judge()).operator == "alice"
    asker.provider.fails = ProviderUnavailable("down")
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await asker.judge()
    assert asker.told == ["down"]
    asker.provider.fails = None
    await asker.judge()
    assert asker.told == ["down", None]
    assert len([url for url in asker.provider.got if "well-known" in url]) == 1
    clock.at += 3_600
    await asker.judge()
    assert len([url for url in asker.provider.got if "well-known" in url]) == 2


async def test_a_code_that_is_not_taken_is_a_refusal_and_no_trouble(desk):
    asker = desk()
    await asker.judge()
    asker.provider.fails = Declined("api.oidc answered 400")
    with pytest.raises(NotVouched):
        await asker.judge()
    assert asker.told == []


async def test_roles_are_those_that_are_mapped(desk):
    mapped = {"operators": "token", "roles_claim": "realm.groups", "roles": {"admin": ("a", "b"), "viewer": ("v",)}}
    said = {"realm": {"groups": ["b", "v", "security"]}}
    assert (await desk(**mapped).judge(**said)).roles == (OperatorRole.VIEWER, OperatorRole.ADMIN)
    for groups in (["x"], [], None, "a b", {"a": 1}, [["a"]], [1]):
        with pytest.raises(NotVouched, match="mapped"):
            await desk(**mapped).judge(realm={"groups": groups})
    assert (await desk().judge(realm={"groups": ["admin"]})).roles == ()
