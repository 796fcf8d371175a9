"""Any of a listener's entries, all of an entry's parts, and what a proof by several of them is worth."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.authn import Chain, Challenge, ConnectRequest, Denied, Proof, ProviderUnavailable, Verdict, default_chain
from bartizan.authn.backoff import Backoff
from bartizan.authn.entry import Entry, Part
from bartizan.config.authenticators import PasswordSettings
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.model.ids import AttributeName, RoleName
from bartizan.model.principal import Factor, Principal
from bartizan.model.reason import ReasonCode
from bartizan.model.token_grant import TokenGrant
from bartizan.store.memory import MemoryIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2030, 1, 1, tzinfo=UTC)
CERTIFICATE = Proof(
    Principal("press-01", (RoleName("press"),), ((AttributeName("site"), "a"),), "certificate"),
    expires_at=AT + timedelta(days=9),
    remembered_s=3600,
    factors=frozenset({Factor.CERTIFICATE}),
)
TOKEN = Proof(
    Principal("press-01", (RoleName("token"),), ((AttributeName("site"), "b"),), "jwt"),
    expires_at=AT,
    managed=False,
    factors=frozenset({Factor.TOKEN}),
    data=b"welcome",
)

Said = Proof | Challenge | Exception | None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Scripted:
    """Answers as the test says."""

    def __init__(self, *said: Said, method: str | None = None, takes_passwords: bool = False) -> None:
        self.method = method
        self.takes_passwords = takes_passwords
        self.asked: list[ConnectRequest] = []
        self._said = list(said)

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge | None:
        self.asked.append(request)
        said = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        if isinstance(said, Exception):
            raise said
        return said


def request(**more) -> ConnectRequest:
    return ConnectRequest(client_id="press-01", listener="mqtts", address="192.0.2.1", **more)


def all_of(*authenticators: Scripted) -> Entry:
    return Entry(tuple(Part(f"part-{at}", (item,)) for at, item in enumerate(authenticators)))


def chain(*entries: Entry, backoff: Backoff | None = None) -> Chain:
    return Chain([], MemoryIdentityStore(), listeners={"mqtts": entries}, backoff=backoff)


async def decided(*entries: Entry, **more) -> Verdict:
    return await chain(*entries).decide(request(**more))


async def test_two_proofs_of_one_identity_are_as_good_as_the_worse_of_each():
    verdict = await decided(all_of(Scripted(CERTIFICATE), Scripted(TOKEN)))
    assert verdict.principal == Principal(
        "press-01",
        (RoleName("press"),),
        ((AttributeName("site"), "a"),),
        "certificate+jwt",
        frozenset({Factor.CERTIFICATE, Factor.TOKEN}),
    )
    assert verdict.principal is not None
    assert verdict.principal.strengths == {"certificate", "mfa"}
    assert (verdict.expires_at, verdict.remembered_s, verdict.managed, verdict.data) == (AT, 0, True, b"welcome")


async def test_two_proofs_from_elsewhere_give_the_roles_of_both():
    other = replace(TOKEN, principal=replace(TOKEN.principal, roles=(RoleName("more"),), attributes=()), data=None)
    verdict = await decided(all_of(Scripted(other), Scripted(TOKEN)))
    assert verdict.principal is not None
    assert verdict.principal.roles == ("more", "token")
    assert verdict.managed is False


async def test_what_one_token_does_not_allow_no_other_proof_does():
    def narrowed(proof: Proof, *filters: str) -> Proof:
        token = tuple(TokenGrant.parse("all", text) for text in filters)
        return replace(proof, principal=replace(proof.principal, narrowed_to=(token,)))

    one, other = narrowed(TOKEN, "a/#", "b"), narrowed(TOKEN)
    verdict = await decided(all_of(Scripted(CERTIFICATE), Scripted(one), Scripted(other)))
    assert verdict.principal is not None
    assert verdict.principal.narrowed_to == (*one.principal.narrowed_to, ())
    alone = await decided(all_of(Scripted(CERTIFICATE)))
    assert alone.principal is not None
    assert alone.principal.narrowed_to == ()


@pytest.mark.parametrize(
    ("proof", "strengths"),
    [(CERTIFICATE, {"certificate"}), (TOKEN, set()), (replace(TOKEN, factors=frozenset()), set())],
)
async def test_one_proof_is_as_strong_as_its_factor(proof, strengths):
    verdict = await decided(all_of(Scripted(proof)))
    assert verdict.principal is not None
    assert verdict.principal.strengths == strengths


async def test_proofs_of_different_identities_prove_nobody():
    other = replace(TOKEN, principal=replace(TOKEN.principal, identity="press-02"))
    verdict = await decided(all_of(Scripted(CERTIFICATE), Scripted(other)))
    assert (verdict.allowed, verdict.reason) == (False, ReasonCode.NOT_AUTHORIZED)


@pytest.mark.parametrize("missing", [0, 1])
async def test_one_part_alone_proves_nothing(missing):
    said: list[Said] = [CERTIFICATE, TOKEN]
    said[missing] = None
    verdict = await decided(all_of(*(Scripted(item) for item in said)))
    assert (verdict.allowed, verdict.reason) == (False, ReasonCode.NOT_AUTHORIZED)
    said[missing] = Denied(ReasonCode.NOT_AUTHORIZED, "no")
    assert not (await decided(all_of(*(Scripted(item) for item in said)))).allowed


async def test_the_first_entry_that_proves_counts_whatever_failed_before():
    entries = [
        all_of(Scripted(Denied(ReasonCode.NOT_AUTHORIZED, "no"))),
        all_of(Scripted(ProviderUnavailable("down"))),
        all_of(Scripted(None)),
        all_of(Scripted(TOKEN)),
    ]
    assert (await decided(*entries)).allowed


@pytest.mark.parametrize("outside", [0, 1])
async def test_a_provider_that_is_down_is_0x88_and_never_a_yes(outside):
    said: list[Said] = [Denied(ReasonCode.NOT_AUTHORIZED, "no"), None]
    said.insert(outside, ProviderUnavailable("id.example is down"))
    verdict = await decided(*(all_of(Scripted(item)) for item in said))
    assert (verdict.reason, verdict.why) == (ReasonCode.SERVER_UNAVAILABLE, "id.example is down")


@pytest.mark.parametrize(
    "said",
    [
        Denied(ReasonCode.NOT_AUTHORIZED, "a wrong signature", conclusive=True),
        ProviderUnavailable("down", conclusive=True),
    ],
)
async def test_a_token_beyond_doubt_is_tried_as_no_password_but_other_proofs_count(said):
    password = Scripted(TOKEN, takes_passwords=True)
    verdict = await decided(all_of(password), all_of(Scripted(said)), user_name="press-01", password=b"b")
    assert not verdict.allowed
    assert password.asked == []
    certificate = all_of(Scripted(CERTIFICATE))
    assert (await decided(all_of(Scripted(said)), certificate, user_name="press-01", password=b"b")).allowed


async def test_passwords_are_asked_about_last():
    password, token = Scripted(None, takes_passwords=True), Scripted(TOKEN)
    assert (await decided(all_of(password), all_of(token))).allowed
    assert password.asked == []


async def test_a_part_without_method_judges_beside_one_that_leads_the_exchange_and_before_it():
    certificate = Scripted(CERTIFICATE)
    scram = Scripted(Challenge(b"nonce", b"state"), TOKEN, method="M")
    both = chain(all_of(scram, certificate))
    first = await both.decide(request(authentication_method="M"))
    assert first.challenge is not None
    assert len(certificate.asked) == 1
    second = await both.decide(request(authentication_method="M", exchange_state=first.challenge.state))
    assert second.principal is not None
    assert second.principal.method == "jwt+certificate"
    assert scram.asked[-1].exchange_state == b"state"


async def test_who_fails_the_other_part_is_not_challenged():
    scram = Scripted(Challenge(b"nonce"), method="M")
    verdict = await decided(all_of(scram, Scripted(None)), authentication_method="M")
    assert verdict.reason is ReasonCode.NOT_AUTHORIZED
    assert scram.asked == []


async def test_an_exchange_goes_on_with_the_entry_that_began_it_and_no_other():
    first, second = Scripted(None, method="M"), Scripted(Challenge(b"", b"mine"), TOKEN, method="M")
    listed = chain(all_of(first), all_of(second))
    verdict = await listed.decide(request(authentication_method="M"))
    assert verdict.challenge is not None
    assert (await listed.decide(request(authentication_method="M", exchange_state=verdict.challenge.state))).allowed
    assert (len(first.asked), len(second.asked)) == (1, 2)


@pytest.mark.parametrize("state", [b"", b"\x07", b"\x01x"])
async def test_a_state_of_no_entry_goes_on_nowhere(state):
    speaker = Scripted(TOKEN, method="M")
    verdict = await decided(all_of(speaker), authentication_method="M", exchange_state=state)
    assert verdict.reason is ReasonCode.SERVER_UNAVAILABLE
    assert speaker.asked == []


async def test_a_listener_has_its_own_entries_and_an_unknown_one_has_none():
    listed = chain(all_of(Scripted(TOKEN)))
    assert (await listed.decide(request())).allowed
    assert not (await listed.decide(replace(request(), listener="other"))).allowed


# ---- guesses ------------------------------------------------------------------------------------

WRONG = Denied(ReasonCode.BAD_USER_NAME_OR_PASSWORD, "wrong password")


def guessed(*said: Said, times: int = 1) -> tuple[Chain, Scripted]:
    judge = Scripted(*said, takes_passwords=True)
    entries = (all_of(judge),)
    return chain(*entries, backoff=Backoff(PasswordSettings(), lambda: 0.0)), judge


async def test_wrong_passwords_make_wait_before_they_are_judged():
    listed, judge = guessed(WRONG)
    reasons = [(await listed.decide(request(user_name="press-01", password=b"x"))).reason for _ in range(5)]
    assert reasons == [ReasonCode.BAD_USER_NAME_OR_PASSWORD] * 3 + [ReasonCode.SERVER_BUSY] * 2
    assert len(judge.asked) == 3


@pytest.mark.parametrize(
    "said", [Denied(ReasonCode.NOT_AUTHORIZED, "disabled"), ProviderUnavailable("down"), None, ValueError("bug")]
)
async def test_what_is_no_wrong_password_is_not_counted(said):
    listed, judge = guessed(said)
    for _ in range(20):
        await listed.decide(request(user_name="press-01", password=b"x"))
    assert len(judge.asked) == 20


async def test_a_password_that_another_entry_takes_is_no_wrong_one():
    local, directory = Scripted(WRONG, takes_passwords=True), Scripted(TOKEN, takes_passwords=True)
    listed = chain(all_of(local), all_of(directory), backoff=Backoff(PasswordSettings(), lambda: 0.0))
    verdicts = [await listed.decide(request(user_name="press-01", password=b"x")) for _ in range(20)]
    assert all(verdict.allowed for verdict in verdicts)


async def test_who_has_to_wait_may_still_prove_otherwise():
    password, certificate = Scripted(WRONG, takes_passwords=True), Scripted(None, None, None, CERTIFICATE)
    listed = chain(all_of(password), all_of(certificate), backoff=Backoff(PasswordSettings(), lambda: 0.0))
    reasons = [(await listed.decide(request(user_name="press-01", password=b"x"))).allowed for _ in range(4)]
    assert reasons == [False, False, False, True]


# ---- from settings ------------------------------------------------------------------------------


class Own:
    name = "own"
    method: None = None

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        return TOKEN


class Nameless:
    method: None = None

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        return TOKEN


def built(*entries: str, own: object = None) -> Chain:
    listed = ", ".join(f'"{entry}"' for entry in entries)
    words = [f"listeners.mqtts.authentication=[{listed}]"] if entries else []
    return default_chain(load_settings(None, words), MemoryIdentityStore(), [] if own is None else [own])  # pyrefly: ignore


async def test_an_embedders_own_is_asked_unless_the_listener_names_others():
    assert (await built(own=Own()).decide(request())).allowed
    assert (await built("own", own=Own()).decide(request())).allowed
    assert (await built("nameless", own=Nameless()).decide(request())).allowed
    assert not (await built("password", own=Own()).decide(request())).allowed


@pytest.mark.parametrize("entries", [[], ['"keyed"'], ['"certificate"', '"keyed"']])
async def test_several_of_one_class_are_each_asked(entries):
    class Keyed:
        method = "M"

        def __init__(self, key: bytes) -> None:
            self.key = key

        async def authenticate(self, request: ConnectRequest) -> Proof | None:
            if request.authentication_data != self.key:
                raise Denied(ReasonCode.NOT_AUTHORIZED, "another key")
            return TOKEN

    words = [f"listeners.mqtts.authentication=[{', '.join(entries)}]"] if entries else []
    both = default_chain(load_settings(None, words), MemoryIdentityStore(), [Keyed(b"one"), Keyed(b"two")])
    for key, allowed in ((b"one", True), (b"two", True), (b"three", False)):
        verdict = await both.decide(request(authentication_method="M", authentication_data=key))
        assert verdict.allowed is allowed


async def test_an_authenticator_that_nobody_knows_is_an_error_with_its_place():
    with pytest.raises(ConfigurationError, match=r"'ghost'.*listeners.mqtts.authentication.*certificate, password"):
        built("certificate + ghost")


async def test_no_other_takes_the_name_of_a_built_in():
    class Password(Own):
        name = "password"

    with pytest.raises(ConfigurationError, match="built in"):
        built(own=Password())


async def test_parts_that_no_connect_can_prove_together_are_an_error():
    class Speaks:
        name = "speaks"
        method = "M"

    class SpeaksOther(Speaks):
        name = "other"
        method = "N"

    settings = load_settings(None, ['listeners.mqtts.authentication=["speaks + other"]'])
    with pytest.raises(ConfigurationError, match="never be proved"):
        default_chain(settings, MemoryIdentityStore(), [Speaks(), SpeaksOther()])  # pyrefly: ignore


async def test_a_chain_lets_go_of_what_its_authenticators_hold():
    closed: list[object] = []

    class Holds(Own):
        async def aclose(self) -> None:
            closed.append(self)

    own = Holds()
    await built(own=own).aclose()
    assert closed == [own]
