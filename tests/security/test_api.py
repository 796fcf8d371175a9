"""Attacks on the API, by the list of OWASP API Security Top 10 (2023): each item that applies, with a test.

What each role may do is walked route by route in tests/integration/test_api_routes.py, tenants in
tests/integration/test_api_resources.py, attacks on passkeys in tests/integration/test_api_passkeys.py, on logins by OpenID Connect in test_api_oidc.py beside it.
"""

import asyncio
import gzip
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from bartizan.api.house import House
from bartizan.api.rest import describe
from bartizan.api.sessions import PREFIX
from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.oidc import DISCOVERY, Answer, NotVouched, OpenIdClient, Vouched
from bartizan.config.oidc import OidcSettings
from tests.integration.api import Api, serving
from tests.integration.lying_provider import ELSEWHERE, Liar, Said
from tests.unit.authn.issuer import signed

TENANTS = """
[tenants.plant-a]
root = "a"

[roles.press]
permit = [{ action = "all", filter = "presses/#" }]
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(TENANTS, "api.requests_per_s=10000", "api.body_bytes_max=65536") as running:
        yield running


# ---- API1:2023 Broken Object Level Authorization ----------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_api1_an_object_of_another_tenant_is_as_if_it_were_not_there(api, method):
    everyone, own = api.as_("security"), api.as_("security", "operator", tenant="plant-a")
    everyone.post("/identities", json={"identity": "stranger"})
    body = {"note": "mine now"} if method == "PATCH" else None
    hidden = own.request(method, "/identities/stranger", json=body)
    missing = own.request(method, "/identities/nobody", json=body)
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.text.replace("stranger", "X") == missing.text.replace("nobody", "X")
    assert everyone.get("/identities/stranger").json()["note"] == ""


# ---- API2:2023 Broken Authentication ----------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer",
        f"Bearer {PREFIX}",
        f"Bearer {PREFIX}{'A' * 43}",
        "Basic YWxpY2U6eA==",
        "bearer null",
        "Bearer \x80\xff",
        "",
    ],
)
def test_api2_what_is_no_secret_of_a_login_opens_nothing(api, shown):
    assert api.open().get("/clients", headers={"authorization": shown.encode("latin-1")}).status_code == 401


def test_api2_a_secret_in_the_address_opens_nothing(api):
    client, _ = api.login(api.operator("viewer"))
    secret = client.headers["authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "session", "authorization"):
        assert api.open().get("/clients", params={name: secret}).status_code == 401


def test_api2_a_guess_over_many_names_has_to_wait_too(api):
    client = api.open()
    answers: list[int] = []
    for number in range(40):
        words = {"operator": f"guess{number}", "password": "Winter2026!", "keep": "token"}
        answers.append(client.post("/session", json=words).status_code)
        if answers[-1] == 429:
            break
    assert answers[-1] == 429
    assert set(answers[:-1]) == {401}


# ---- API3:2023 Broken Object Property Level Authorization --------------------------------------------


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/identities", {"identity": "x-1", "credentials": [{"kind": "password", "hash": "$6$"}]}),
        ("/identities", {"identity": "x-2", "revision": 7}),
        ("/identities", {"identity": "x-3", "state": "enabled"}),
        ("/operators", {"operator": "x4", "password_hash": "$argon2id$"}),
        ("/operators", {"operator": "x5", "must_change": False}),
    ],
)
def test_api3_a_field_that_is_not_asked_for_is_refused_not_taken(api, path, more):
    client = api.as_("admin", "security", "operator")
    refused = client.post(path, json=more)
    assert refused.status_code == 422
    assert client.get(f"{path}/{next(iter(more.values()))}").status_code == 404


def test_api3_no_answer_has_room_for_a_secret():
    words = {"hash", "password_hash", "secret", "salt", "stored_key", "server_key", "public_key", "private_key"}
    schemas = describe()["components"]["schemas"]
    answers = {name: told for name, told in schemas.items() if told.get("additionalProperties") is False}
    assert {name for name, told in answers.items() if words & set(told.get("properties", {}))} == set()


# ---- API4:2023 Unrestricted Resource Consumption -----------------------------------------------------


def test_api4_a_body_beyond_the_limit_is_refused_whether_it_says_its_length_or_not(api):
    client = api.as_("operator")
    large = b'{"identity": "' + b"x" * 100_000 + b'"}'

    def in_chunks() -> Iterator[bytes]:
        for at in range(0, len(large), 8_192):
            yield large[at : at + 8_192]

    kind = {"content-type": "application/json"}
    assert client.post("/identities", content=large, headers=kind).status_code == 413
    assert client.post("/identities", content=in_chunks(), headers=kind).status_code == 413


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "9" * 30, "x"])
def test_api4_a_page_has_a_bound(api, limit):
    assert api.as_("viewer").get("/identities", params={"limit": limit}).status_code == 422


def test_api4_one_address_has_so_many_requests_a_second():
    with serving(None, "api.requests_per_s=5") as api:
        client = api.open()
        answers = [client.get("/health").status_code for _ in range(30)]
        assert 429 in answers
        refused = next(one for one in (client.get("/health") for _ in range(30)) if one.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert api.at_socket().get("/status").status_code == 200, "the owner is not kept out"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/quarantines", {"identities": [f"x-{number}" for number in range(1_001)]}),
        ("/findings/acknowledgements", {"numbers": list(range(1, 1_002)), "why": "x"}),
        ("/policy/check", {"files": {f"{number}.toml": "" for number in range(257)}}),
        ("/operators/nobody/tokens", {"scopes": ["look"], "lifetime_s": 365 * 86_400 + 1}),
    ],
)
def test_api4_what_is_named_has_a_bound(api, path, body):
    assert api.as_("security", "admin").post(path, json=body).status_code == 422


def test_api4_nesting_that_never_ends_is_refused(api):
    deep = b"[" * 30_000
    answer = api.as_("operator").post("/identities", content=deep, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}


# ---- API5:2023 Broken Function Level Authorization ---------------------------------------------------


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_api5_a_method_is_the_one_that_was_sent(api, header):
    client = api.as_("viewer")
    api.as_("operator").post("/identities", json={"identity": "override"})
    assert client.get("/identities/override", headers={header: "DELETE"}).status_code == 200
    assert client.get("/identities/override").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-original-url": "/api/v1/health"},
        {"x-rewrite-url": "/api/v1/health"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"host": "localhost"},
        {"host": "127.0.0.1/api/v1/health?"},
    ],
)
def test_api5_no_header_changes_what_a_route_asks_for(api, headers):
    answer = api.open().get("/operators", headers=headers)
    assert answer.status_code in {400, 401}


@pytest.mark.parametrize(
    "path", ["/operators/", "//operators", "/Operators", "/operators;x", "/health/../operators", "/%6fperators"]
)
def test_api5_another_spelling_of_a_path_is_no_way_around(api, path):
    answer = api.open().get(path)
    assert answer.status_code in {400, 401, 404}
    assert "items" not in answer.text


# ---- API6:2023 Unrestricted Access to Sensitive Business Flows ---------------------------------------


def test_api6_a_login_alone_makes_no_operator(api):
    _, session = api.login(api.operator("admin"))
    weak = api.as_("admin", factors=frozenset({*session.factors} - {next(iter(session.factors))}))
    assert weak.post("/operators", json={"operator": "made-by-one"}).status_code == 403


def test_api6_what_ends_many_names_those_whom_a_preview_has_shown(api):
    client = api.as_("security", "operator")
    client.post("/identities", json={"identity": "flow-1"})
    for words in (
        {"match": "*"},
        {"match": "*", "confirm": ""},
        {"match": "*", "confirm": "0" * 32},
        {"role": "press"},
    ):
        assert client.post("/revocations", json=words).status_code in {404, 409}
    assert client.get("/identities/flow-1").json()["state"] == "enabled"


def test_api6_a_state_that_takes_more_is_no_field_of_a_change(api):
    worker = api.as_("operator")
    worker.post("/identities", json={"identity": "flow-2"})
    assert worker.patch("/identities/flow-2", json={"state": "revoked"}).status_code == 422
    assert worker.get("/identities/flow-2").json()["state"] == "enabled"


@pytest.mark.parametrize(
    "path", ["/approvals/none/approval", "/approvals/../operators/approval", "/approvals//approval"]
)
def test_api6_what_does_not_wait_is_approved_by_nobody(api, path):
    assert api.as_("security", "admin").post(path).status_code in {404, 405}


# ---- API7:2023 Server Side Request Forgery -----------------------------------------------------------


ADDRESS = re.compile(r"(url|uri|href|host|hostname|endpoint|webhook|callback|link|server|proxy|redirect)s?\Z")


def named(node: Any, schemas: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """Every field that a part of the description lets somebody send."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict):
        reference = str(node.get("$ref", "")).rpartition("/")[2]
        if reference and reference not in seen:
            seen.add(reference)
            yield from named(schemas[reference], schemas, seen)
        yield from node.get("properties", {})
        yield from (["uri"] if str(node.get("format")).startswith(("uri", "hostname", "idn-hostname")) else [])
    for part in parts:
        yield from named(part, schemas, seen)


def addresses(described: Mapping[str, Any]) -> set[str]:
    """What requests may say, by names of which a word is one for an address."""
    every = set[str]()
    for of_path in described["paths"].values():
        for operation in of_path.values():
            every |= {one["name"] for one in operation.get("parameters", [])}
            every |= set(named(operation.get("requestBody", {}), described["components"]["schemas"], set()))
    assert {"identity", "until", "if-match"} <= every
    words = {name: re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", name).lower()) for name in every}
    return {name for name, own in words.items() if any(map(ADDRESS.match, own))}


def test_api7_no_request_names_an_address_that_the_broker_would_ask():
    assert addresses(describe()) == set()


@pytest.mark.parametrize("name", ["webhook_url", "url", "callbackUri", "alert-endpoint", "image", "proxy_hosts"])
def test_api7_such_a_field_would_be_noticed(name):
    described = json.loads(json.dumps(describe()))
    told = {"type": "string"} | ({"format": "uri"} if name == "image" else {})
    described["components"]["schemas"]["NewIdentity"]["properties"][name] = told
    assert addresses(described) == {"uri" if name == "image" else name}


# ---- API8:2023 Security Misconfiguration -------------------------------------------------------------


def test_api8_every_answer_says_what_browsers_go_by(api):
    for answer in (api.open().get("/health"), api.open().get("/clients"), api.open().get("/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_api8_no_older_tls_and_no_plain_http(api):
    old = ssl.create_default_context(cafile=api.broker.ca_file)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{api.url}/health", verify=old, trust_env=False)
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{api.url}/health".replace("https", "http"), trust_env=False)


def test_api8_an_error_inside_tells_nothing_of_the_inside(api, monkeypatch):
    def broken(_house: House) -> None:
        raise RuntimeError("/home/secret/path of the code")

    admin = api.as_("admin")
    assert admin.get("/operators").status_code == 200
    monkeypatch.setattr(House, "operators", property(broken))
    answer = admin.get("/operators")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["type"] == "urn:bartizan:problem:internal"


# ---- API9:2023 Improper Inventory Management ---------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi", "/../v1/clients", "/../../v1/clients", "/../v2/clients"]
)
def test_api9_nothing_is_served_that_is_not_described(api, path):
    url = api.url.removesuffix("/api/v1")
    assert api.open().get(path).status_code in {401, 404}
    assert (
        httpx2.get(url + "/v1/clients", verify=ssl.create_default_context(cafile=api.broker.ca_file)).status_code == 404
    )


# ---- API10:2023 Unsafe Consumption of APIs: an OpenID Provider is asked, and nothing of it is trusted --


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    provider = Liar(tmp_path)
    yield provider
    provider.close()


def vouched(liar: Liar) -> Vouched:
    """For whom the provider vouches, with a token that holds in every part."""
    settings = OidcSettings(
        issuer=liar.issuer,
        client_id="console",
        client_secret_file=liar.secret_file,
        ca_file=liar.ca_file,
        operator_claim="preferred_username",
        deadline_s=0.5,
    )

    async def judged() -> Vouched:
        client = OpenIdClient(settings, "https://localhost/callback", timedelta(hours=1), lambda *_told: None)
        try:
            question = client.question(fresh=False)
            said = {"iss": liar.issuer, "aud": "console", "sub": "x", "preferred_username": "alice"}
            ends = int((datetime.now(UTC) + timedelta(minutes=1)).timestamp())
            liar.token = signed(liar.key, "ES256", said | {"nonce": question.nonce, "exp": ends})
            # Whoever waits for ever fails here.
            async with asyncio.timeout(20):
                return await client.judge(question, Answer("x", None))
        finally:
            await client.aclose()

    return asyncio.run(judged())


def sent_elsewhere(status: int) -> Callable[[Liar, str], Said]:
    def made(liar: Liar, path: str) -> Said:
        return Said(status, headers={"location": f"https://localhost:{urlsplit(liar.issuer).port}{ELSEWHERE}{path}"})

    return made


AWKWARD: dict[str, Callable[[Liar, str], Said | None]] = {
    "sent elsewhere (302)": sent_elsewhere(302),
    "sent elsewhere (307)": sent_elsewhere(307),
    "more than fits": lambda liar, path: Said(body=liar.answer(path)[:-1] + b", " + b" " * 300_000 + b'"x": 1}'),
    "no JSON": lambda _liar, _path: Said(body=b"<!doctype html>"),
    "no object": lambda _liar, _path: Said(body=b"[]"),
    "cut off": lambda liar, path: Said(body=liar.answer(path)[:-1]),
    "said twice": lambda liar, path: Said(body=liar.answer(path)[:-1] + b", " + liar.answer(path)[1:]),
    "compressed": lambda liar, path: Said(body=gzip.compress(liar.answer(path)), headers={"content-encoding": "gzip"}),
    "an error": lambda liar, path: Said(500, liar.answer(path)),
    "another success": lambda liar, path: Said(203, liar.answer(path)),
    "no answer": lambda _liar, _path: None,
}


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/jwks"])
@pytest.mark.parametrize("made", AWKWARD.values(), ids=AWKWARD)
def test_api10_a_provider_that_answers_awkwardly_vouches_for_nobody(liar, path, made):
    assert vouched(liar).operator == "alice"
    liar.instead[path] = made(liar, path)
    with pytest.raises((NotVouched, ProviderUnavailable)):
        vouched(liar)
    assert path in liar.asked
    assert not [one for one in liar.asked if one.startswith(ELSEWHERE)]


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "place", ["http://127.0.0.1/", "file:///etc/passwd", "https://user@127.0.0.1/", "//x/", 7, None]
)
def test_api10_a_provider_sends_nobody_to_a_place_that_is_not_asked_by_tls(liar, name, place):
    published = json.loads(liar.answer(DISCOVERY)) | {name: place}
    liar.instead[DISCOVERY] = Said(body=json.dumps(published).encode())
    with pytest.raises(ProviderUnavailable, match="by https"):
        vouched(liar)
    assert liar.asked == [DISCOVERY]


def test_a_login_that_is_refused_is_told_without_what_was_shown(api, monkeypatch):
    told: list[dict[str, object]] = []

    def note(kind: str, /, **fields: object) -> None:
        told.append({"event": kind, **fields})

    monkeypatch.setattr(api.broker._running.broker.journal, "note", note)
    operator = api.operator("viewer")
    api.open().post("/session", json={"operator": operator.name, "password": "wrong one entirely"})
    (refused,) = [one for one in told if one["event"] == "operator_refused"]
    assert refused["operator"] == operator.name
    assert refused["address"] == "127.0.0.1"
    assert "wrong one entirely" not in str(told)
