"""A webhook that is down, slow, lying or bent on trouble lets nobody in; what it is sent is signed, and sent nowhere else."""

import asyncio
import hmac
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from bartizan.authn import Certificate, Chain, ConnectRequest, Verdict, default_chain
from bartizan.authn.webhook import Answer as WebhookAnswer
from bartizan.config.danger import dangers
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.identity.register import Register, new_identity
from bartizan.model.principal import IdentityState
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from tests.security.scripted import Answer, Scripted, scripted

UNAVAILABLE, REFUSED, BUSY = ReasonCode.SERVER_UNAVAILABLE, ReasonCode.NOT_AUTHORIZED, ReasonCode.SERVER_BUSY
WRONG = ReasonCode.BAD_USER_NAME_OR_PASSWORD
SECRET = b"0123456789abcdef0123456789abcdef"
ALLOW = b'{"allow": true}'


def sign(*pieces: bytes) -> str:
    return "v1=" + hmac.digest(SECRET, b".".join(pieces), "sha256").hex()


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    file.chmod(0o600)
    return file


def own(mark: str) -> str:
    return mark


def anothers(_mark: str) -> str:
    return "v1=" + "0" * 64


def cut(mark: str) -> str:
    return mark[:-1]


def says(service: Scripted, body: bytes, mark: Callable[[str], str] = own, **more: Any) -> None:
    """Has it answer this, signed for the question; `mark` spoils which question that is."""

    def answer(_path: str, _body: bytes) -> Answer:
        asked = mark(service.asked[-1][1]["bartizan-signature"])
        headers = {"bartizan-signature": sign(b"answer", asked.encode(), body)} | more.pop("headers", {})
        return Answer(body, headers=headers, **more)

    service.answer = answer


def table(url: str, secret_file: Path, more: str = "") -> str:
    plain = ', signed_answers = true, danger_plaintext_webhook = "test on loopback"' if url.startswith("http:") else ""
    return f'kind = "webhook", webhook_url = "{url}/judge", secret_file = "{secret_file}"{plain}{more}'


async def make(hook: str, *names: str, told: list[tuple[str, str | None]] | None = None) -> Chain:
    store = MemoryIdentityStore()
    register = Register(store)
    for name in ("press-01", "press-02"):
        await register.add(new_identity(name, at=datetime.now(UTC)))
    await register.add(new_identity("off", at=datetime.now(UTC)))
    await register.set_state("off", IdentityState.DISABLED)
    listed = ", ".join(f'"{name}"' for name in names or ("hook",))
    words = [f"listeners.mqtts.authentication=[{listed}]", f"authenticators.hook={{{hook}}}"]

    def tell(name: str, wrong: str | None) -> None:
        if told is not None:
            told.append((name, wrong))

    return default_chain(load_settings(None, words), store, tell=tell)


def opened(chain: Callable[[], Awaitable[Chain]], work: Callable[[Chain], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        made = await chain()
        try:
            return await work(made)
        finally:
            await made.aclose()

    return asyncio.run(run())


def connect(name: str | None = "press-01", password: bytes | None = b"right", **more: Any) -> ConnectRequest:
    return ConnectRequest(more.pop("client_id", name or "x"), "mqtts", "192.0.2.1", "5.0", name, password, **more)


@pytest.fixture
def ask(service: Scripted, secret_file: Path) -> Callable[..., list[Verdict]]:
    def run(*requests: ConnectRequest, more: str = "", names: tuple[str, ...] = ()) -> list[Verdict]:
        async def work(chain: Chain) -> list[Verdict]:
            return [await chain.decide(request) for request in requests or (connect(),)]

        return opened(lambda: make(table(service.url, secret_file, more), *names), work)

    return run


def test_whom_it_allows_is_let_in_with_what_the_store_says(service, ask):
    says(service, b'{"allow": true, "roles": ["admin"], "attributes": {"site": "x"}, "expires_in_s": 60}')
    (verdict,) = ask()
    assert verdict.principal is not None, verdict.why
    principal = verdict.principal
    assert (principal.identity, principal.method, principal.roles, principal.attributes) == (
        "press-01", "webhook", (), ()
    )  # fmt: skip
    assert principal.factors == {"password"}
    assert verdict.managed
    assert verdict.expires_at is not None
    assert 55 < (verdict.expires_at - datetime.now(UTC)).total_seconds() <= 60


def test_it_is_asked_in_the_words_of_the_reference_and_signed(service, ask):
    says(service, ALLOW)
    certificate = Certificate("ab" * 32, "0a", "press-01", san_dns=("press-01.example",), issuer="CN=plant")
    ask(connect(certificate=certificate))
    path, headers, body = service.asked[0]
    question = json.loads(body)
    assert path == "/judge"
    assert abs(int(headers["bartizan-timestamp"]) - time.time()) < 30
    assert headers["bartizan-signature"] == sign(headers["bartizan-timestamp"].encode(), body)
    assert len(question.pop("request")) == 32
    assert question == {
        "listener": "mqtts",
        "address": "192.0.2.1",
        "protocol": "5.0",
        "client_id": "press-01",
        "user_name": "press-01",
        "password": "right",
        "certificate": {
            "fingerprint_sha256": "ab" * 32,
            "serial": "0a",
            "issuer": "CN=plant",
            "common_name": "press-01",
            "san_uris": [],
            "san_dns": ["press-01.example"],
            "san_emails": [],
            "not_after": None,
        },
    }


def test_no_two_questions_are_the_same(service, ask):
    says(service, ALLOW)
    ask(connect(), connect())
    assert len({headers["bartizan-signature"] for _, headers, _ in service.asked}) == 2


def test_whom_it_refuses_is_refused_as_after_a_wrong_password(service, ask):
    says(service, b'{"allow": false}')
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, WRONG)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"allow": true, "identity": "press-02"}', REFUSED),  # its Client Identifier is not press-02's
        (b'{"allow": true, "identity": "ghost"}', REFUSED),
        (b'{"allow": true, "identity": "off"}', REFUSED),
        (b'{"allow": true, "identity": "anonymous"}', REFUSED),
        (b'{"allow": true, "identity": "a+b"}', REFUSED),
        (b'{"allow": true, "identity": "$SYS"}', REFUSED),
    ],
)
def test_what_it_says_gives_nobody_what_is_not_theirs(service, ask, said, reason):
    says(service, said)
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, reason)


ANSWERS = 'identities = "answer", identity_prefix = "staff:", roles_allowed = ["dashboard", "monitor"]'


def test_an_answer_alone_gives_the_roles_that_it_may_and_no_other(service, ask):
    said = {"allow": True, "roles": ["monitor", "admin"], "attributes": {"site": "north"}, "identity": "alice"}
    says(service, json.dumps(said).encode())
    (verdict,) = ask(connect("Alice", client_id="staff:alice-1"), more=f", {ANSWERS}")
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.identity == "staff:alice"
    assert verdict.principal.roles == ("monitor",)
    assert verdict.principal.attributes == (("site", "north"),)
    assert not verdict.managed


@pytest.mark.parametrize("name", ["press-01", "press-01-a"])
def test_an_answer_alone_makes_nobody_one_of_ours(service, ask, name):
    says(service, json.dumps({"allow": True, "identity": name}).encode())
    (verdict,) = ask(connect(name), more=', identities = "answer"')
    assert (verdict.allowed, verdict.reason) == (False, REFUSED)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_password_elsewhere(service, ask, status):
    with scripted() as other:
        says(other, ALLOW)
        service.says(b"", status=status, headers={"location": other.url + "/judge"})
        (verdict,) = ask()
        assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
        assert other.asked == []
        assert len(service.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"yes",
        b"true",
        b"[]",
        b"{}",
        b'{"allow": "true"}',
        b'{"allow": 1}',
        b'{"allow": null}',
        b'{"allow": false, "allow": true}',
        b'{"allow": true, "allowed": true}',
        b'{"allow": true, "roles": "admin"}',
        b'{"allow": true, "roles": [1]}',
        b'{"allow": true, "identity": ""}',
        b'{"allow": true, "identity": 7}',
        b'{"allow": true, "attributes": {"site": 7}}',
        b'{"allow": true, "attributes": {"Site": "x"}}',
        b'{"allow": true, "attributes": {"site": "\\u0000"}}',
        b'{"allow": true, "expires_in_s": 0}',
        b'{"allow": true, "expires_in_s": -1}',
        b'{"allow": true, "expires_in_s": 1e9}',
        b'{"allow": true, "expires_in_s": true}',
        b"[" * 100_000,
        b'{"allow": true}' + b" " * 70_000,
    ],
    ids=lambda body: body[:48].decode(),
)
def test_an_answer_that_is_not_as_it_should_be_lets_nobody_in(service, ask, body):
    says(service, body)
    (verdict,) = ask(more=', identities = "answer"')
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert "right" not in verdict.why


def test_every_key_of_an_answer_is_tried_above():
    assert set(WebhookAnswer.model_fields) == {"allow", "identity", "roles", "attributes", "expires_in_s"}


@pytest.mark.parametrize("status", [201, 204, 206, 400, 401, 403, 404, 429])
def test_another_status_is_no_answer_and_is_not_tried_again(service, ask, status):
    says(service, ALLOW, status=status)
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert len(service.asked) == 1


@pytest.mark.parametrize("mark", [anothers, cut])
def test_an_answer_signed_for_another_question_counts_for_nothing(service, ask, mark):
    says(service, ALLOW, mark)
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


@pytest.mark.parametrize("headers", [{}, {"bartizan-signature": ""}, {"bartizan-signature": "v1=\xe9"}])
def test_an_answer_without_its_signature_counts_for_nothing(service, ask, headers):
    service.says(ALLOW, headers=headers)
    (verdict,) = ask()
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_what_fails_on_the_way_is_tried_again_so_often_and_no_more(service, ask):
    service.says(b"", status=503)
    (verdict,) = ask(more=", retries_max = 2")
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert len(service.asked) == 3
    assert len({headers["bartizan-signature"] for _, headers, _ in service.asked}) == 3


def test_a_service_that_comes_back_is_heard(service, ask):
    says(service, ALLOW)
    good = service.answer

    def answer(path: str, body: bytes) -> Answer:
        return good(path, body) if len(service.asked) > 1 else Answer(status=500)

    service.answer = answer
    (verdict,) = ask()
    assert verdict.allowed, verdict.why


def test_attempts_end_with_the_deadline(service, ask):
    service.says(b"", status=500, pause_s=0.4)
    (verdict,) = ask(more=", retries_max = 5, deadline_s = 0.6")
    assert verdict.reason is UNAVAILABLE
    assert len(service.asked) <= 2, "six attempts take longer"


@pytest.mark.parametrize(
    "answer", [Answer(ALLOW, pause_s=2), Answer(b" ", pause_s=0.1, chunks=50)], ids=["late", "drip"]
)
def test_a_slow_answer_is_0x88_when_its_time_is_over(service, ask, answer):
    service.answers(answer)
    (verdict,) = ask(more=", deadline_s = 0.5")
    assert verdict.reason is UNAVAILABLE


def test_nobody_there_is_0x88(secret_file):
    async def work(chain: Chain) -> Verdict:
        return await chain.decide(connect())

    verdict = opened(lambda: make(table("http://127.0.0.1:1", secret_file)), work)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)


def test_a_slow_service_keeps_no_client_of_others_waiting_and_is_told_once(service, secret_file):
    service.says(ALLOW, pause_s=5)
    told: list[tuple[str, str | None]] = []

    async def work(chain: Chain) -> tuple[list[Verdict], int]:
        slow = [asyncio.create_task(chain.decide(connect(f"press-{at}"))) for at in range(200)]
        await asyncio.sleep(0)
        other = await chain.decide(ConnectRequest("x", "mqtts", "192.0.2.1", authentication_method="NONE"))
        assert other.reason is ReasonCode.BAD_AUTHENTICATION_METHOD
        waiting = sum(not task.done() for task in slow)
        return await asyncio.gather(*slow), waiting

    hook = table(service.url, secret_file, ", deadline_s = 1")
    verdicts, waiting = opened(lambda: make(hook, told=told), work)
    assert waiting >= 16 + 128
    assert {verdict.reason for verdict in verdicts} == {UNAVAILABLE, BUSY}
    assert [(name, wrong is not None) for name, wrong in told] == [("hook", True)]


def test_trouble_is_told_once_and_once_that_it_is_over(service, secret_file):
    told: list[tuple[str, str | None]] = []

    async def work(chain: Chain) -> None:
        for body in (b"garbage", b"garbage", ALLOW, b'{"allow": false}', b"garbage"):
            says(service, body)
            await chain.decide(connect())

    opened(lambda: make(table(service.url, secret_file), told=told), work)
    assert [wrong is None for _, wrong in told] == [False, True, False]
    assert not any("right" in (wrong or "") for _, wrong in told)


@pytest.mark.parametrize(
    "request_",
    [connect(None, None), connect("press-01", None), connect(None, b"right")],
    ids=["nothing", "name", "password"],
)
def test_without_user_name_and_password_it_is_not_asked(service, ask, request_):
    says(service, ALLOW)
    (verdict,) = ask(request_)
    assert not verdict.allowed
    assert service.asked == []


def test_a_password_that_is_no_text_is_sent_to_nobody(service, ask):
    says(service, ALLOW)
    (verdict,) = ask(connect(password=b"\xff\xfe"))
    assert verdict.reason is WRONG
    assert service.asked == []


# ---- beside others ----------------------------------------------------------------------------------

GATE = ", sends_password = false"


def of(name: str) -> Certificate:
    return Certificate("ab" * 32, "0a", name, san_uris=(f"urn:bartizan:identity:{name}",))


def test_without_the_password_it_only_refuses_what_others_prove(service, ask):
    says(service, b'{"allow": true, "identity": "press-01"}')
    request = connect("press-01", b"unseen", certificate=of("press-01"))
    (verdict,) = ask(request, more=GATE, names=("certificate + hook",))
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.method == "certificate+webhook"
    assert verdict.principal.strengths == {"certificate"}, "a gate is no second factor"
    assert b"unseen" not in service.asked[0][2]
    says(service, b'{"allow": false}')
    (verdict,) = ask(request, more=GATE, names=("certificate + hook",))
    assert (verdict.allowed, verdict.reason) == (False, REFUSED)


def test_certificate_and_password_are_two_factors(service, ask):
    says(service, ALLOW)
    (verdict,) = ask(connect(certificate=of("press-01")), names=("certificate + hook",))
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.strengths == {"certificate", "mfa"}


def test_while_it_is_down_others_still_prove(service, ask):
    service.says(b"", status=500)
    (verdict,) = ask(connect(certificate=of("press-01")), names=("hook", "certificate"), more=", retries_max = 0")
    assert verdict.allowed
    (verdict,) = ask(names=("hook", "certificate"), more=", retries_max = 0")
    assert verdict.reason is UNAVAILABLE


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (("hook",), GATE, "proves nobody by itself"),
        (("hook", "password"), "", 'put "password" before "hook"'),
        (("hook + certificate", "password"), "", 'put "password" before "hook"'),
    ],
)
def test_an_entry_that_proves_nobody_or_tells_passwords_is_an_error(secret_file, names, more, said):
    with pytest.raises(ConfigurationError, match=said):
        asyncio.run(make(table("https://judge.example", secret_file, more), *names))


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ('webhook_url = "http://judge.example"', "not https"),
        ('webhook_url = "http://judge.example", danger_plaintext_webhook = "lab"', "signed_answers = true"),
        ('webhook_url = "https://judge.example", danger_plaintext_webhook = "lab"', "remove it"),
        ('webhook_url = "https://u:p@judge.example"', "neither user"),
        ('webhook_url = "https://judge.example", roles_allowed = ["x"]', "identity store"),
    ],
)
def test_a_setting_that_would_be_unsafe_is_an_error(secret_file, hook, said):
    with pytest.raises(ConfigurationError, match=said):
        asyncio.run(make(f'kind = "webhook", secret_file = "{secret_file}", {hook}'))


def test_its_danger_is_listed_with_its_place(service, secret_file):
    words = ['listeners.mqtts.authentication=["hook"]', f"authenticators.hook={{{table(service.url, secret_file)}}}"]
    (risk,) = dangers(load_settings(None, words))
    assert risk.setting == "authenticators.hook.danger_plaintext_webhook"
    assert risk.where == service.url + "/judge"


def test_a_secret_that_is_short_or_open_to_others_is_an_error(secret_file):
    secret_file.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="shorter than 32"):
        asyncio.run(make(table("https://judge.example", secret_file)))
    secret_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        asyncio.run(make(table("https://judge.example", secret_file)))


@pytest.mark.parametrize("is_trusted", [True, False])
def test_by_https_only_a_service_with_the_right_certificate_is_believed(secret_file, tmp_path, is_trusted):
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    (ca if is_trusted else trustme.CA()).cert_pem.write_to_path(ca_file)
    with scripted(context) as service:
        service.says(ALLOW)

        async def work(chain: Chain) -> Verdict:
            return await chain.decide(connect())

        hook = table(service.url, secret_file, f', ca_file = "{ca_file}", retries_max = 0')
        verdict = opened(lambda: make(hook), work)
    assert verdict.reason is (ReasonCode.SUCCESS if is_trusted else UNAVAILABLE)
    assert len(service.asked) == is_trusted
