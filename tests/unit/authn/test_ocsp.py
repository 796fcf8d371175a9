"""Whom an OCSP responder's answer is believed, for how long, and what becomes of a client without one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bartizan.authn import Certificate, ConnectRequest, Denied, ProviderUnavailable
from bartizan.authn.ocsp import FAILURES_MAX, SOFT_S, OcspGuard, Revoked
from bartizan.authn.ocsp_answer import Named, question
from bartizan.config.listener import Listener
from bartizan.model.reason import ReasonCode
from tests.authority import OCSP_SIGNING, Issued, Issuer, Responder, Site, now, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Bench:
    ca: Issuer
    leaf: Issued
    responder: Responder
    site: Site
    told: list[str | None]
    directory: Path
    at: datetime

    def guard(self, *, revoked: Revoked | None = None, **more: Any) -> OcspGuard:
        file = self.directory / "ca.pem"
        file.write_bytes(self.ca.pem)
        wanted = {"ocsp": "required", "ocsp_url": self.site.url("/ocsp"), **more}
        listener = Listener.model_validate({"bind": "127.0.0.1:0", "client_ca_file": file, **wanted})
        return OcspGuard("mqtts", listener, lambda _name, wrong: self.told.append(wrong), lambda: self.at, revoked)

    def request(self, leaf: Issued | None = None, *chain: Issued) -> ConnectRequest:
        leaf = leaf or self.leaf
        shown = Certificate(leaf.fingerprint, "0f", chain=(leaf.der, *(one.der for one in chain)))
        return ConnectRequest(client_id="a", listener="mqtts", address="192.0.2.1", certificate=shown)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    ca = Issuer.root()
    with site() as served:
        responder = Responder(ca)
        served.posts["/ocsp"] = responder.answer
        yield Bench(ca, ca.issue("press-01"), responder, served, [], tmp_path, now())


@pytest.fixture
async def closing() -> AsyncIterator[list[OcspGuard]]:
    guards: list[OcspGuard] = []
    yield guards
    for guard in guards:
        await guard.aclose()


async def test_a_good_answer_counts_until_it_ends_and_nobody_is_asked_meanwhile(bench, closing):
    closing.append(guard := bench.guard())
    left_s = await guard.check(bench.request())
    assert 3_000 < left_s <= 3_600
    await guard.check(bench.request())
    assert len(bench.responder.asked) == 1
    bench.at += timedelta(minutes=58)
    assert 0 < await guard.check(bench.request()) < left_s
    assert len(bench.responder.asked) == 1
    bench.at += timedelta(minutes=2)
    # The clock of the test has moved, the responder's has not: it says what has ended.
    bench.responder.lasts = timedelta(minutes=2)
    with pytest.raises(ProviderUnavailable, match="out of date"):
        await guard.check(bench.request())
    assert len(bench.responder.asked) == 2


async def test_revoked_is_told_once_and_until_it_is_good_again(bench, closing):
    told: list[str] = []
    revoked = Revoked(lambda: told.append("found"))
    bench.responder.lasts = None
    closing.append(guard := bench.guard(revoked=revoked))
    await guard.check(bench.request())
    assert (told, revoked.fingerprints()) == ([], set())
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    for _ in range(2):
        with pytest.raises(Denied):
            await guard.check(bench.request())
    assert (told, revoked.fingerprints()) == (["found"], {bench.leaf.fingerprint})
    # A CA may take "on hold" back.
    bench.responder.revoked.clear()
    await guard.check(bench.request())
    assert revoked.fingerprints() == set()


async def connected() -> set[str]:
    return {"a"}


async def test_about_who_stays_connected_the_responder_is_asked_again_when_its_answer_is_over(bench, closing):
    revoked = Revoked()
    closing.append(guard := bench.guard(revoked=revoked))
    await guard.check(bench.request())
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    bench.at += timedelta(minutes=50)
    await guard.look_again(connected)
    assert revoked.fingerprints() == set()
    bench.at += timedelta(minutes=10)
    await guard.look_again(connected)
    assert revoked.fingerprints() == {bench.leaf.fingerprint}
    assert len(bench.responder.asked) == 2


async def test_short_answers_are_not_asked_for_at_every_look(bench, closing):
    bench.responder.lasts = None
    closing.append(guard := bench.guard())
    await guard.check(bench.request())
    for _ in range(10):
        bench.at += timedelta(minutes=1)
        await guard.look_again(connected)
    assert len(bench.responder.asked) == 3


async def test_about_who_has_gone_nobody_is_asked(bench, closing):
    closing.append(guard := bench.guard())
    await guard.check(bench.request())
    await guard.check(replace(bench.request(bench.ca.issue("b")), client_id="b"))
    await guard.check(replace(bench.request(bench.ca.issue("c")), client_id=""))
    bench.at += timedelta(hours=1)
    asked = len(bench.responder.asked)
    await guard.look_again(connected)
    # Whose Client Identifier the broker chose may be there still.
    assert len(bench.responder.asked) == asked + 2


async def test_where_the_responder_is_away_those_who_are_there_stay(bench, closing):
    revoked = Revoked()
    closing.append(guard := bench.guard(revoked=revoked))
    for number in range(9):
        await guard.check(bench.request(bench.ca.issue(f"press-{number}")))
    bench.site.is_down = True
    bench.at += timedelta(hours=1)
    asked = len(bench.site.asked)
    await guard.look_again(connected)
    assert len(bench.site.asked) == asked + FAILURES_MAX
    assert revoked.fingerprints() == set()
    assert bench.told[-1]


def dead(asked: list[int]) -> Callable[[bytes], bytes]:
    """A responder that says nothing of use."""

    def answer(octets: bytes) -> bytes:
        asked.append(ocsp.load_der_ocsp_request(octets).serial_number)
        return b"0"

    return answer


async def test_a_dead_responder_keeps_nobody_from_those_of_another_one(bench, closing):
    revoked, asked = Revoked(), list[int]()
    bench.responder.lasts = None
    bench.site.posts["/dead"] = bench.responder.answer
    named = [f"127.0.0.1:{bench.site.port}"]
    closing.append(guard := bench.guard(revoked=revoked, ocsp_url=None, ocsp_hosts=named))
    for number in range(5 * FAILURES_MAX):
        leaf = bench.ca.issue(f"press-{number}", responder=bench.site.url("/dead"))
        await guard.check(bench.request(leaf))
    behind = bench.ca.issue("behind", responder=bench.site.url("/ocsp"))
    await guard.check(bench.request(behind))
    bench.site.posts["/dead"] = dead(asked)
    bench.responder.revoked.add(behind.certificate.serial_number)
    bench.at += timedelta(minutes=5)
    await guard.look_again(connected)
    assert (revoked.fingerprints(), len(asked)) == ({behind.fingerprint}, FAILURES_MAX)


async def test_however_many_responders_are_dead_one_look_ends(bench, closing, monkeypatch):
    monkeypatch.setattr("bartizan.authn.ocsp.FAILURES_IN_ALL_MAX", 4)
    asked = list[int]()
    named = [f"127.0.0.1:{bench.site.port}"]
    closing.append(guard := bench.guard(ocsp="soft", ocsp_url=None, ocsp_hosts=named))
    for number in range(6):
        bench.site.posts[f"/{number}"] = dead(asked)
        await guard.check(bench.request(bench.ca.issue("press", responder=bench.site.url(f"/{number}"))))
    asked.clear()
    bench.at += timedelta(minutes=5)
    await guard.look_again(connected)
    assert len(asked) == 4


async def test_of_one_responder_those_are_asked_about_first_that_have_waited_longest(bench, closing):
    asked = list[int]()
    bench.responder.lasts = None
    closing.append(guard := bench.guard())
    for number in range(3 * FAILURES_MAX):
        await guard.check(bench.request(bench.ca.issue(f"press-{number}")))
    bench.site.posts["/ocsp"] = dead(asked)
    for _ in range(3):
        bench.at += timedelta(minutes=5)
        await guard.look_again(connected)
    assert set(Counter(asked).values()) == {1}
    assert len(asked) == 3 * FAILURES_MAX


async def test_where_the_gate_is_full_a_look_ends_and_the_next_one_asks(bench, closing, monkeypatch):
    bench.responder.lasts = None
    closing.append(guard := bench.guard())
    await guard.check(bench.request())
    bench.at += timedelta(minutes=5)
    monkeypatch.setattr(guard._provider._gate, "_room", 0)
    await guard.look_again(connected)
    monkeypatch.undo()
    bench.at += timedelta(minutes=1)
    await guard.look_again(connected)
    assert len(bench.responder.asked) == 2


async def nobody() -> set[str]:
    return set()


async def test_revoked_stays_revoked_where_no_answer_is_required_until_another_one_comes(bench, closing):
    revoked = Revoked()
    bench.responder.lasts = None
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    closing.append(guard := bench.guard(ocsp="soft", revoked=revoked))
    with pytest.raises(Denied, match="revoked"):
        await guard.check(bench.request())
    bench.site.is_down = True
    for _ in range(3):
        bench.at += timedelta(minutes=6)
        await guard.look_again(nobody)
        with pytest.raises(Denied, match="revoked"):
            await guard.check(bench.request())
        assert revoked.fingerprints() == {bench.leaf.fingerprint}
    bench.site.is_down = False
    bench.responder.revoked.clear()
    await guard.check(bench.request())
    assert revoked.fingerprints() == set()


async def test_a_revoked_certificate_is_forgotten_when_it_has_ended_by_itself(bench, closing):
    revoked = Revoked()
    bench.responder.lasts = None
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    closing.append(guard := bench.guard(revoked=revoked))
    with pytest.raises(Denied):
        await guard.check(bench.request())
    bench.at = bench.leaf.certificate.not_valid_after_utc - timedelta(minutes=6)
    await guard.look_again(nobody)
    assert revoked.fingerprints() == {bench.leaf.fingerprint}
    bench.at += timedelta(minutes=6)
    await guard.look_again(nobody)
    assert (revoked.fingerprints(), len(guard._known)) == (set(), 0)


async def test_others_push_out_no_revoked_certificate_while_there_is_another(bench, closing, monkeypatch):
    monkeypatch.setattr("bartizan.authn.ocsp.ANSWERS_MAX", 2)
    revoked = Revoked()
    closing.append(guard := bench.guard(revoked=revoked))
    lost = [bench.leaf, bench.ca.issue("b"), bench.ca.issue("c")]
    bench.responder.revoked.update(one.certificate.serial_number for one in lost)
    with pytest.raises(Denied):
        await guard.check(bench.request())
    for _ in range(3):
        await guard.check(bench.request(bench.ca.issue("good")))
    assert revoked.fingerprints() == {bench.leaf.fingerprint}
    for one in lost[1:]:
        with pytest.raises(Denied):
            await guard.check(bench.request(one))
    assert (revoked.fingerprints(), len(guard._known)) == ({one.fingerprint for one in lost[1:]}, 2)


async def test_who_was_let_in_without_an_answer_is_asked_about_as_long_as_it_is_there(bench, closing):
    revoked = Revoked()
    bench.site.is_down = True
    closing.append(guard := bench.guard(ocsp="soft", revoked=revoked))
    assert await guard.check(bench.request()) == SOFT_S
    bench.at += timedelta(minutes=5)
    await guard.look_again(connected)
    bench.site.is_down = False
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    bench.at += timedelta(minutes=5)
    await guard.look_again(connected)
    assert revoked.fingerprints() == {bench.leaf.fingerprint}


async def test_who_found_the_gate_full_is_asked_about_later_too(bench, closing, monkeypatch):
    closing.append(guard := bench.guard(ocsp="soft"))
    monkeypatch.setattr(guard._provider._gate, "_room", 0)
    assert await guard.check(bench.request()) == SOFT_S
    monkeypatch.undo()
    bench.at += timedelta(minutes=5)
    await guard.look_again(connected)
    assert len(bench.responder.asked) == 1


async def test_who_comes_without_an_answer_beside_one_that_is_over_is_asked_about_too(bench, closing):
    bench.responder.lasts = None
    closing.append(guard := bench.guard(ocsp="soft"))
    await guard.check(replace(bench.request(), client_id="gone"))
    bench.site.is_down = True
    bench.at += timedelta(minutes=5)
    assert await guard.check(bench.request()) == SOFT_S
    await guard.look_again(nobody)  # it is not connected yet
    bench.site.is_down = False
    bench.at += timedelta(minutes=5)
    asked = len(bench.site.asked)
    await guard.look_again(connected)
    assert len(bench.site.asked) == asked + 1


def hold(guard: OcspGuard, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Keeps back the next answer: the first event says that it is there, the second one lets it through."""
    there, onwards, send = asyncio.Event(), asyncio.Event(), guard._fetcher.send

    async def held(*words: Any) -> Any:
        monkeypatch.setattr(guard._fetcher, "send", send)
        reply = await send(*words)
        there.set()
        await onwards.wait()
        return reply

    monkeypatch.setattr(guard._fetcher, "send", held)
    return there, onwards


@pytest.mark.parametrize("late", ["look", "connect"])
async def test_a_late_answer_takes_no_later_one_back(bench, closing, monkeypatch, late):
    revoked = Revoked()
    bench.responder.lasts = None
    closing.append(guard := bench.guard(revoked=revoked))
    await guard.check(bench.request())
    bench.at += timedelta(minutes=5)
    there, onwards = hold(guard, monkeypatch)
    under_way = asyncio.ensure_future(guard.look_again(connected) if late == "look" else guard.check(bench.request()))
    await there.wait()
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    with pytest.raises(Denied):
        await guard.check(bench.request())
    onwards.set()
    [ended] = await asyncio.gather(under_way, return_exceptions=True)
    assert isinstance(ended, Denied) is (late == "connect")
    assert revoked.fingerprints() == {bench.leaf.fingerprint}


async def test_an_answer_about_who_was_forgotten_meanwhile_is_not_noted(bench, closing, monkeypatch):
    monkeypatch.setattr("bartizan.authn.ocsp.ANSWERS_MAX", 1)
    revoked = Revoked()
    bench.responder.lasts = None
    closing.append(guard := bench.guard(revoked=revoked))
    await guard.check(bench.request())
    bench.at += timedelta(minutes=5)
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    there, onwards = hold(guard, monkeypatch)
    under_way = asyncio.ensure_future(guard.look_again(connected))
    await there.wait()
    await guard.check(bench.request(bench.ca.issue("b")))
    onwards.set()
    await under_way
    assert (revoked.fingerprints(), len(guard._known)) == (set(), 1)


async def test_a_slow_responder_is_told_as_one_that_is_of_no_use(bench, closing, monkeypatch):
    closing.append(guard := bench.guard())

    async def slow(*_words: object) -> None:
        await asyncio.sleep(9)

    monkeypatch.setattr(guard._fetcher, "send", slow)
    monkeypatch.setattr(guard._provider._gate, "_deadline_s", 0.05)
    with pytest.raises(ProviderUnavailable, match="did not answer within"):
        await guard.check(bench.request())
    assert bench.told == ["ocsp of mqtts did not answer within 0.05 s"]


async def test_who_has_no_certificate_is_not_asked_about(bench, closing):
    closing.append(guard := bench.guard())
    assert await guard.check(replace(bench.request(), certificate=None)) == float("inf")
    assert bench.responder.asked == []


@pytest.mark.parametrize("mode", ["required", "soft"])
async def test_a_revoked_certificate_is_refused(bench, closing, mode):
    closing.append(guard := bench.guard(ocsp=mode))
    bench.responder.revoked.add(bench.leaf.certificate.serial_number)
    for _ in range(2):
        with pytest.raises(Denied, match="revoked") as told:
            await guard.check(bench.request())
        assert told.value.reason is ReasonCode.NOT_AUTHORIZED
    assert len(bench.responder.asked) == 1


async def test_one_that_the_responder_does_not_know_is_refused_where_an_answer_is_required(bench, closing):
    bench.responder.unknown = True
    closing.append(guard := bench.guard())
    with pytest.raises(Denied, match="does not know"):
        await guard.check(bench.request())
    closing.append(soft := bench.guard(ocsp="soft"))
    assert await soft.check(bench.request()) > 0


def without_nonce(_asked: bytes) -> None:
    """Answers made beforehand have none."""


def _stranger(bench: Bench) -> None:
    bench.responder.signer = Issuer.root("other").issue("ocsp", usages=OCSP_SIGNING)


def _no_usage(bench: Bench) -> None:
    bench.responder.signer = bench.ca.issue("ocsp")


def _itself(bench: Bench) -> None:
    bench.responder.signer = bench.leaf


def _ended_delegate(bench: Bench) -> None:
    bench.responder.signer = bench.ca.issue("ocsp", usages=OCSP_SIGNING, begins=now() - timedelta(days=60))


def _replayed(bench: Bench) -> None:
    def other(_asked: bytes) -> bytes:
        return b"another question"

    bench.responder.nonce = other


def _old(bench: Bench) -> None:
    bench.responder.begins = timedelta(hours=-3)


def _future(bench: Bench) -> None:
    bench.responder.begins = timedelta(hours=1)


def _old_without_end(bench: Bench) -> None:
    bench.responder.begins, bench.responder.lasts = timedelta(hours=-2), None


def _about_another(bench: Bench) -> None:
    other = Named.of(bench.ca.issue("press-02").certificate, bench.ca.certificate)
    asked = question(other, b"x").public_bytes(Encoding.DER)
    bench.responder.nonce = without_nonce
    bench.site.posts["/ocsp"] = lambda _octets: bench.responder.answer(asked)


def _garbage(bench: Bench) -> None:
    bench.site.posts["/ocsp"] = lambda _octets: b"0\x03\x0a\x01\x06"


def _nothing(bench: Bench) -> None:
    del bench.site.posts["/ocsp"]


def _endless(bench: Bench) -> None:
    bench.site.posts["/ocsp"] = lambda _octets: b"0" * 100_000


def _changed(bench: Bench) -> None:
    def change(octets: bytes) -> bytes:
        *head, last = bench.responder.answer(octets)
        return bytes([*head, last ^ 1])

    bench.site.posts["/ocsp"] = change


BAD = [
    _stranger, _no_usage, _itself, _ended_delegate, _replayed, _old, _future, _old_without_end, _about_another,
    _garbage, _nothing, _endless, _changed,
]  # fmt: skip


@pytest.mark.parametrize("spoil", BAD)
async def test_an_answer_that_cannot_be_believed_is_none(bench, closing, spoil):
    spoil(bench)
    closing.append(guard := bench.guard())
    with pytest.raises(ProviderUnavailable):
        await guard.check(bench.request())
    assert bench.told[-1]
    closing.append(soft := bench.guard(ocsp="soft"))
    assert await soft.check(bench.request()) == SOFT_S


async def test_a_delegate_of_the_issuer_may_answer(bench, closing):
    bench.responder.signer = bench.ca.issue("ocsp", usages=OCSP_SIGNING)
    closing.append(guard := bench.guard())
    assert await guard.check(bench.request()) > 0


async def test_an_answer_made_beforehand_has_no_nonce_and_counts_by_its_dates(bench, closing):
    bench.responder.nonce = without_nonce
    closing.append(guard := bench.guard())
    assert await guard.check(bench.request()) > 0


async def test_an_answer_without_an_end_is_asked_for_every_time(bench, closing):
    bench.responder.lasts = None
    closing.append(guard := bench.guard())
    assert await guard.check(bench.request()) == 0
    assert await guard.check(bench.request()) == 0
    assert len(bench.responder.asked) == 2


async def test_the_issuer_may_be_an_intermediate_that_the_client_sends(bench, closing):
    middle = bench.ca.intermediate()
    leaf = middle.issue("press-02")
    bench.responder.issuer = middle
    closing.append(guard := bench.guard())
    assert await guard.check(bench.request(leaf, middle)) > 0
    with pytest.raises(ProviderUnavailable, match="issuer"):
        await guard.check(bench.request(middle.issue("press-03")))


async def test_only_the_hosts_that_are_named_are_asked_where_the_certificate_says_whom(bench, closing):
    named = f"127.0.0.1:{bench.site.port}"
    settings = {"ocsp_url": None, "ocsp_hosts": ["ocsp.example", named]}
    good = bench.ca.issue("press-02", responder=bench.site.url("/ocsp"))
    closing.append(guard := bench.guard(**settings))
    assert await guard.check(bench.request(good)) > 0
    asked = len(bench.site.asked)
    for url in (
        f"http://localhost:{bench.site.port}/ocsp",
        f"http://ocsp.example@127.0.0.1:{bench.site.port}/ocsp",
        f"http://127.0.0.1:{bench.site.port}.evil/ocsp",
        f"http://ocsp.example:{bench.site.port}/ocsp",
        "file:///etc/passwd",
        "ldap://ocsp.example/",
    ):
        with pytest.raises(ProviderUnavailable, match="names no responder"):
            await guard.check(bench.request(bench.ca.issue("press-03", responder=url)))
    assert len(bench.site.asked) == asked


async def test_trouble_is_told_once_and_once_that_it_is_over(bench, closing):
    closing.append(guard := bench.guard())
    bench.site.is_down = True
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await guard.check(bench.request())
    bench.site.is_down = False
    await guard.check(bench.request())
    assert len(bench.told) == 2
    assert bench.told[1] is None
