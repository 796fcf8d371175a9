"""Who gets in, as whom, under which Client Identifier; and with which Reason Code not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.authn import Certificate, Chain, Challenge, ConnectRequest, Proof, Verdict, default_chain
from bartizan.authn.verification import Verification
from bartizan.config.load import load_settings
from bartizan.errors import InvalidValue, StoreUnavailable
from bartizan.identity.register import Register, certificate_credential, new_identity, password_credential
from bartizan.model.ids import AttributeName, RoleName
from bartizan.model.principal import ANONYMOUS_ROLE, Factor, IdentityState, Principal
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime.now(UTC)
DASH = Principal(
    "dash", (RoleName("press"),), ((AttributeName("site"), "chicago"),), "password", frozenset({Factor.PASSWORD})
)
CERTIFICATE = Certificate(
    "ab" * 32, "0f", "press-01", (("urn:bartizan:identity:press-01"),), not_after=AT + timedelta(days=9)
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def register() -> Register:
    register = Register(MemoryIdentityStore())
    for name in ("press", "press-01", "dash"):
        await register.add(new_identity(name, at=AT, roles=["press"], attributes={"site": "chicago"}))
    await register.add_credential(
        ("press-01"), certificate_credential(fingerprint_sha256="ab" * 32, serial_hex="0f", not_after=AT, at=AT)
    )
    await register.add_credential("dash", password_credential("first", at=AT))
    await register.add_credential("dash", password_credential("second", at=AT))
    await register.add_credential("press", password_credential("pw", at=AT))
    return register


@pytest.fixture
def chain(register: Register) -> Chain:
    settings = load_settings(None, ["listeners.open.bind=127.0.0.1:1", "listeners.open.danger_anonymous='a test'"])
    return default_chain(settings, register._store)


def by_password(name: str, password: bytes | None = b"first", client_id: str | None = None) -> ConnectRequest:
    return ConnectRequest(
        client_id=name if client_id is None else client_id,
        listener="mqtts",
        address="192.0.2.1",
        user_name=name,
        password=password,
    )


def by_certificate(certificate: Certificate = CERTIFICATE, client_id: str = ("press-01"), **more) -> ConnectRequest:
    return ConnectRequest(client_id=client_id, listener="mqtts", address=("192.0.2.1"), certificate=certificate, **more)


def refused(verdict: Verdict, reason: ReasonCode) -> bool:
    return verdict.principal is None and not verdict.allowed and verdict.reason is reason


@pytest.mark.parametrize("password", [b"first", b"second"])
async def test_each_live_password_proves_the_identity(chain, password):
    verdict = await chain.decide(by_password("dash", password))
    assert verdict.principal == DASH
    assert verdict.reason is ReasonCode.SUCCESS


@pytest.mark.parametrize(
    "request_",
    [
        by_password("dash", b"wrong"),
        by_password("nobody"),
        by_password("dash", b""),
        by_password("dash", None),
        by_password("press-01", b""),
    ],
)
async def test_unknown_name_and_wrong_password_look_alike(chain, request_):
    assert refused(await chain.decide(request_), ReasonCode.BAD_USER_NAME_OR_PASSWORD)


async def test_a_banned_name_is_refused_before_a_password_costs_a_hash(register, monkeypatch):
    settings = load_settings(None, ["listeners.open.bind=127.0.0.1:1", "listeners.open.danger_anonymous='a test'"])
    chain = default_chain(settings, register._store, is_banned=lambda name: name == "dash")
    asked: list[object] = []

    async def note(_self, hashes, _password):
        asked.append(hashes)

    monkeypatch.setattr(Verification, "matching", note)
    assert refused(await chain.decide(by_password("dash")), ReasonCode.BANNED)
    assert asked == []
    assert refused(await chain.decide(by_password("press", b"pw")), ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    assert len(asked) > 0, "another one is judged"


async def test_an_unknown_name_costs_a_verification_as_a_known_one_does(chain, monkeypatch):
    seen: list[str] = []

    def record(stored: str, _password: bytes) -> bool:
        seen.append(stored)
        return False

    monkeypatch.setattr("bartizan.identity.hashes.verify", record)
    for name in ("press", "nobody", "press-01"):
        seen.clear()
        await chain.decide(by_password(name))
        assert len(seen) == 1, name
        assert seen[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_disabled_identity_is_not_authorized_once_it_proved_itself(chain, register):
    for name in ("dash", "press-01"):
        await register.set_state(name, IdentityState.DISABLED)
    assert refused(await chain.decide(by_password("dash")), ReasonCode.NOT_AUTHORIZED)
    assert refused(await chain.decide(by_password("dash", b"wrong")), ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    assert refused(await chain.decide(by_certificate()), ReasonCode.NOT_AUTHORIZED)


@pytest.mark.parametrize(
    ("until", "state", "allowed"),
    [
        (None, IdentityState.QUARANTINED, True),
        (timedelta(hours=1), IdentityState.QUARANTINED, True),
        (None, IdentityState.DISABLED, False),
        (None, IdentityState.REVOKED, False),
    ],
)
async def test_a_quarantined_identity_may_connect_and_a_revoked_one_may_not(
    chain, register: Register, until, state, allowed
):
    ends = None if until is None else AT + until
    for name in ("dash", "press-01"):
        await register.change(name, lambda now: replace(now, state=state, quarantined_until=ends))
    for request_ in (by_password("dash"), by_certificate()):
        verdict = await chain.decide(request_)
        assert verdict.allowed is allowed
        assert allowed or refused(verdict, ReasonCode.NOT_AUTHORIZED)


@pytest.mark.parametrize("ended", [{"expires_at": AT}, {"revoked_at": AT}])
async def test_a_password_that_ended_proves_nothing_and_the_other_still_does(chain, register: Register, ended):
    await register.change(
        "dash", lambda now: replace(now, credentials=(replace(now.credentials[0], **ended), now.credentials[1]))
    )
    assert refused(await chain.decide(by_password("dash", b"first")), ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    assert (await chain.decide(by_password("dash", b"second"))).allowed


async def test_a_connection_by_a_credential_that_will_end_ends_with_it(chain, register: Register):
    for name in ("dash", "press-01"):
        await register.change(
            name,
            lambda now: replace(
                now, credentials=tuple(replace(item, expires_at=AT + timedelta(1)) for item in now.credentials)
            ),
        )
    for request_ in (by_password("dash"), by_certificate()):
        assert (await chain.decide(request_)).expires_at == AT + timedelta(1)


async def test_a_certificate_whose_overlap_is_over_is_refused(chain, register: Register):
    await register.change(
        "press-01",
        lambda now: replace(now, credentials=tuple(replace(item, expires_at=AT) for item in now.credentials)),
    )
    assert refused(await chain.decide(by_certificate()), ReasonCode.NOT_AUTHORIZED)


async def test_a_proof_says_which_credential_and_what_kind_of_thing_it_was(chain, register):
    for request_, factor in ((by_password("dash"), Factor.PASSWORD), (by_certificate(), Factor.CERTIFICATE)):
        principal = (await chain.decide(request_)).principal
        assert principal is not None
        first = (await register.get(principal.identity)).credentials[0]
        assert (principal.factors, principal.credential_id) == ({factor}, first.id)
    assert Principal("x", factors=frozenset({Factor.PASSWORD})).strengths == frozenset()
    assert Principal("x", factors=frozenset({Factor.CERTIFICATE, Factor.TOKEN})).strengths == {"certificate", "mfa"}


async def test_a_one_time_secret_is_no_password(chain, register):
    await register.add(new_identity("admin", at=AT))
    await register.add_credential("admin", password_credential("once", at=AT, must_change=True))
    verdict = await chain.decide(by_password("admin", b"once"))
    assert refused(verdict, ReasonCode.NOT_AUTHORIZED)
    assert "bartizan passwd admin" in verdict.why


async def test_a_certificate_proves_its_identity_until_it_ends(chain):
    verdict = await chain.decide(by_certificate())
    assert verdict.principal is not None
    assert (verdict.principal.identity, verdict.principal.method) == ("press-01", "certificate")
    assert verdict.expires_at == CERTIFICATE.not_after


async def test_the_common_name_counts_where_there_is_no_uri_of_ours(chain):
    assert (await chain.decide(by_certificate(replace(CERTIFICATE, san_uris=("https://x",))))).allowed


@pytest.mark.parametrize(
    "certificate",
    [
        replace(CERTIFICATE, common_name="ghost", san_uris=()),
        replace(CERTIFICATE, san_uris=("urn:bartizan:identity:ghost",)),
        replace(CERTIFICATE, san_uris=("urn:bartizan:identity:press-01", "urn:bartizan:identity:dash")),
        replace(CERTIFICATE, common_name=None, san_uris=()),
        replace(CERTIFICATE, common_name="", san_uris=()),
        replace(CERTIFICATE, common_name="*", san_uris=()),
        replace(CERTIFICATE, san_uris=("urn:bartizan:identity:%ff",)),
        replace(CERTIFICATE, not_after=AT - timedelta(seconds=1)),
    ],
)
async def test_a_certificate_for_nobody_lets_nobody_in(chain, certificate):
    assert refused(await chain.decide(by_certificate(certificate)), ReasonCode.NOT_AUTHORIZED)


async def test_a_revoked_certificate_is_refused_and_another_of_the_same_identity_is_not(chain, register):
    await register.revoke_certificate("press-01", "ab" * 32, at=AT)
    assert refused(await chain.decide(by_certificate()), ReasonCode.NOT_AUTHORIZED)
    assert (await chain.decide(by_certificate(replace(CERTIFICATE, fingerprint_sha256="cd" * 32)))).allowed


async def test_a_user_name_beside_a_certificate_must_be_its_identity(chain):
    assert (await chain.decide(by_certificate(user_name="press-01"))).allowed
    assert refused(await chain.decide(by_certificate(user_name="dash")), ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    verdict = await chain.decide(by_certificate(client_id="dash", user_name="dash", password=b"first"))
    assert verdict.principal is not None
    assert verdict.principal.identity == "dash"


def anonymous(client_id: str = "", **more) -> ConnectRequest:
    return ConnectRequest(client_id=client_id, listener="open", address="192.0.2.1", **more)


async def test_anonymous_clients_get_in_only_where_the_listener_says_so(chain):
    verdict = await chain.decide(anonymous("x/+"))
    assert verdict.principal == Principal("anonymous", (ANONYMOUS_ROLE,), (), "anonymous")
    assert refused(await chain.decide(replace(anonymous(), listener="mqtts")), ReasonCode.NOT_AUTHORIZED)


async def test_a_wrong_credential_never_falls_back_to_anonymous(chain):
    assert refused(
        await chain.decide(anonymous(user_name=("dash"), password=b"wrong")), ReasonCode.BAD_USER_NAME_OR_PASSWORD
    )
    assert refused(await chain.decide(anonymous(user_name="dash")), ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    assert refused(
        await chain.decide(anonymous(certificate=replace(CERTIFICATE, common_name="ghost", san_uris=()))),
        ReasonCode.NOT_AUTHORIZED,
    )


@pytest.mark.parametrize("client_id", ["press-01", "press-01-x", "dash", "press"])
async def test_anonymous_clients_cannot_take_the_name_of_an_identity(chain, client_id):
    assert refused(await chain.decide(anonymous(client_id)), ReasonCode.NOT_AUTHORIZED)


@pytest.mark.parametrize("client_id", ["dash", "dash-1", "dash-ü", "dash-" + "x" * 5000])
async def test_an_identity_has_its_name_and_what_begins_with_it(chain, client_id):
    assert (await chain.decide(by_password("dash", client_id=client_id))).allowed


@pytest.mark.parametrize("client_id", ["dashboard", "press-01", "Dash", "x-dash", "+", "#", "a/b"])
async def test_an_identity_has_no_other_client_id(chain, client_id):
    assert refused(await chain.decide(by_password("dash", client_id=client_id)), ReasonCode.NOT_AUTHORIZED)


@pytest.mark.parametrize("client_id", ["dash-+", "dash-#", "dash-a/b", "dash-\x01"])
async def test_a_client_id_that_is_no_topic_level_is_not_valid(chain, client_id):
    assert refused(
        await chain.decide(by_password(("dash"), client_id=client_id)), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    )


@pytest.mark.parametrize(
    ("client_id", "allowed"), [("press", True), ("press-02", True), ("press-01", False), ("press-01-x", False)]
)
async def test_a_client_id_belongs_to_the_longest_name_that_fits(chain, client_id, allowed):
    assert (await chain.decide(by_password("press", b"pw", client_id))).allowed is allowed


async def test_an_empty_client_id_is_assigned_under_the_identity(chain):
    assert (await chain.decide(by_password("dash", client_id=""))).assigned_prefix == "dash-"
    assert (await chain.decide(anonymous(""))).assigned_prefix == "anonymous-"


async def test_an_unknown_authentication_method_is_told(chain):
    request = replace(by_password("dash"), authentication_method="SCRAM-SHA-1")
    assert refused(await chain.decide(request), ReasonCode.BAD_AUTHENTICATION_METHOD)


class _Broken:
    method: None = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("bug with secret"), StoreUnavailable("disk gone"), TimeoutError()])
async def test_what_breaks_inside_lets_nobody_in(error):
    verdict = await Chain([_Broken(error)], MemoryIdentityStore()).decide(by_password("dash"))
    assert refused(verdict, ReasonCode.SERVER_UNAVAILABLE)
    assert "secret" not in verdict.why


async def test_a_flood_of_passwords_is_told_to_come_back(chain, monkeypatch):
    monkeypatch.setattr("bartizan.authn.verification.WAITING_MAX", 0)
    assert refused(await chain.decide(by_password("dash")), ReasonCode.SERVER_BUSY)


def test_no_secret_in_repr():
    request = replace(by_password("dash", b"hunter2"), authentication_data=b"hunter3")
    assert "hunter" not in repr(request)


class Own:
    """An embedder's authenticator that answers as a test says, and remembers whom it was asked about."""

    def __init__(self, method: str | None, answer: Proof | Challenge | None) -> None:
        self.method = method
        self.answer = answer
        self.asked: list[ConnectRequest] = []

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge | None:
        self.asked.append(request)
        return self.answer


def by_method(method: str, **more) -> ConnectRequest:
    return ConnectRequest(
        client_id="ext-1", listener="mqtts", address="192.0.2.1", authentication_method=method, **more
    )


OUTSIDE = Proof(Principal("ext-1", method="own"), managed=False, data=b"welcome")


async def test_a_method_is_decided_by_who_speaks_it_and_by_nobody_else(register):
    speaks, other, plain = Own("M", OUTSIDE), Own("N", OUTSIDE), Own(None, OUTSIDE)
    chain = Chain([plain, other, speaks], register._store)
    verdict = await chain.decide(by_method("M", user_name="ext-1", password=b"first", certificate=CERTIFICATE))
    assert verdict.principal == replace(OUTSIDE.principal, factors=frozenset({Factor.EXTERNAL}))
    assert (verdict.managed, verdict.data) == (False, b"welcome")
    assert (len(speaks.asked), other.asked, plain.asked) == (1, [], [])


async def test_a_plain_connect_is_not_shown_to_who_speaks_a_method(register):
    speaks = Own("M", OUTSIDE)
    verdict = await Chain([speaks], register._store).decide(by_password("dash"))
    assert refused(verdict, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    assert speaks.asked == []


async def test_a_method_nobody_speaks_is_a_bad_one(register):
    verdict = await Chain([Own("M", OUTSIDE)], register._store).decide(by_method("m"))
    assert refused(verdict, ReasonCode.BAD_AUTHENTICATION_METHOD)


async def test_a_challenge_is_neither_yes_nor_no(register):
    speaks = Own("M", Challenge(b"nonce", b"state"))
    chain = Chain([speaks], register._store)
    verdict = await chain.decide(by_method("M"))
    assert verdict.challenge is not None
    assert (verdict.challenge.data, verdict.allowed) == (b"nonce", False)
    await chain.decide(by_method("M", exchange_state=verdict.challenge.state))
    assert speaks.asked[-1].exchange_state == b"state"
    assert "nonce" not in repr(verdict)
    assert "state" not in repr(verdict.challenge)


async def test_a_challenge_without_a_method_refuses(register):
    verdict = await Chain([Own(None, Challenge(b"nonce"))], register._store).decide(by_password("dash"))
    assert refused(verdict, ReasonCode.SERVER_UNAVAILABLE)


@pytest.mark.parametrize(("data", "state"), [(65_536, 0), (0, 16_385)])
def test_what_an_exchange_carries_is_bounded(data, state):
    with pytest.raises(InvalidValue):
        Challenge(bytes(data), bytes(state))
