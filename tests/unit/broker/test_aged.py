"""Who was let in under a longer limit of ages ends by the shorter one of a new policy, and nobody else does."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.authn import ConnectRequest
from bartizan.broker import aged
from bartizan.broker.aged import AgedOut
from bartizan.broker.directory import LiveDirectory
from bartizan.broker.usage import UsageBook
from bartizan.identity.register import Register, new_identity
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.principal import Principal
from bartizan.policy import CompiledPolicy, check
from bartizan.store.memory import MemoryIdentityStore
from tests.unit.broker.fake import FakeEngine

NOW = datetime.now(UTC)
USUAL = {"password": 90, "certificate": 365}
HASH = "$argon2id$x"


class Crowd(FakeEngine):
    """An engine with clients, who remembers whom it disconnected."""

    def __init__(self) -> None:
        super().__init__()
        self.there: list[tuple[str, str, str]] = []
        self.gone: list[str] = []
        self.unreachable = ""

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def clients(self, after: str, limit: int, *, identity: str | None = None, client_id: str | None = None) -> bytes:
        names = ("client_id", "identity", "method")
        page = [dict(zip(names, client, strict=True)) for client in sorted(self.there) if client[0] > after]
        return json.dumps(page[:limit]).encode()

    # pyrefly: ignore[missing-override-decorator]  as above
    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        assert (reason, tenant) == (0xA0, None)
        if client_id == self.unreachable:
            raise OSError("not now")
        self.gone.append(client_id)
        return True


class Bench:
    """Clients, each with one credential of some age."""

    def __init__(self) -> None:
        self.at = NOW
        self.engine = Crowd()
        self.store = MemoryIdentityStore()
        self.directory = LiveDirectory(self.store)
        self.usage = UsageBook(self.store)
        self.aged = self.watch(enforced=True)

    def watch(self, *, enforced: bool) -> AgedOut:
        return AgedOut(self.engine, self.directory, self.usage, USUAL, enforced=enforced, now=lambda: self.at)

    async def let_in(self, name: str, *credentials: Credential, method: str = "password", proof: str = "c") -> None:
        await Register(self.store).add(replace(new_identity(name, at=NOW, roles=["press"]), credentials=credentials))
        self.engine.there.append((name, name, method))
        self.proved(name, proof)
        await self.directory.refresh()

    def proved(self, name: str, proof: str) -> None:
        request = ConnectRequest(client_id=name, listener="mqtts", address="192.0.2.1")
        self.usage.proved(request, Principal(name, credential_id=proof))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.close()


def policy(days: int | None, kind: str = "password") -> CompiledPolicy:
    ages = "" if days is None else f"credentials = {{ {kind}_days_max = {days} }}"
    compiled = check(f"[roles.press]\n{ages}\n", "p.toml").compiled
    assert compiled is not None
    return compiled


def password(days_old: float, id_: str = "c") -> PasswordCredential:
    return PasswordCredential(id_, HASH, NOW - timedelta(days=days_old))


async def test_who_is_too_old_by_the_new_policy_is_disconnected_and_the_others_are_not(bench):
    await bench.let_in("old", password(40))
    await bench.let_in("young", password(10))
    await bench.let_in(
        "paper", CertificateCredential("c", "ab" * 32, "0f", NOW - timedelta(40), NOW), method="certificate"
    )
    bench.engine.there.append(("token", "somebody-elses", "jwt"))
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["old"]
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["old"]


async def test_who_becomes_too_old_later_is_disconnected_then(bench):
    await bench.let_in("soon", password(30 - 1 / 24))
    await bench.let_in("moved", password(30 - 1 / 24))
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    assert bench.engine.gone == []
    bench.proved("moved", "another")

    bench.at += timedelta(hours=2)
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["soon"]


async def test_a_limit_that_is_longer_again_ends_nobody(bench):
    await bench.let_in("soon", password(29.9))
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    bench.aged.changed(policy(30))
    await bench.aged.look(policy(None))
    assert [due.at > NOW + timedelta(days=50) for due in bench.aged._due.values()] == [True]


async def test_a_policy_whose_limits_are_no_shorter_ends_nobody(bench):
    # By its login's policy it has ended: that is the engine's to do.
    await bench.let_in("old", password(100))
    for before, now in ((None, 200), (30, 30), (30, None)):
        bench.aged.changed(policy(before))
        await bench.aged.look(policy(now))
    assert bench.engine.gone == []


async def test_of_a_client_whose_proof_is_not_remembered_every_possible_one_counts(bench):
    at = NOW - timedelta(40)
    await bench.let_in("dash", password(40, "a"), password(1, "b"), proof="")
    await bench.let_in(
        "paper", password(40), CertificateCredential("p", "ab" * 32, "0f", at, NOW), method="certificate", proof=""
    )
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["dash"]


def paper(days_old: float, id_: str = "p") -> CertificateCredential:
    return CertificateCredential(id_, "ab" * 32, "0f", NOW - timedelta(days=days_old), NOW + timedelta(days=900))


@pytest.mark.parametrize("proof", ["p", "c", ""], ids=["certificate", "password", "none"])
@pytest.mark.parametrize("kind", ["certificate", "password"])
async def test_of_several_proofs_each_one_grows_old_whichever_is_remembered(bench, kind, proof):
    for name, days_old in (("old", 40), ("young", 10)):
        of_kind = {"certificate": paper(1), "password": password(1)}
        of_kind[kind] = {"certificate": paper, "password": password}[kind](days_old)
        await bench.let_in(name, *of_kind.values(), method="certificate+password", proof=proof)
    bench.aged.changed(policy(None, kind))
    await bench.aged.look(policy(30, kind))
    assert bench.engine.gone == ["old"]


async def test_of_several_proofs_none_counts_that_the_login_does_not_judge(bench):
    scram = ScramCredential("s", "SCRAM-SHA-256", 4096, b"x", b"x", b"x", NOW - timedelta(40))
    dead = (
        replace(password(40, "revoked"), revoked_at=NOW - timedelta(1)),
        replace(password(40, "replaced"), expires_at=NOW - timedelta(1)),
    )
    await bench.let_in("both", paper(1), password(1), scram, *dead, method="certificate+password", proof="p")
    await bench.let_in(
        "of-the-proved-kind", paper(1), password(1), password(40, "spare"), method="certificate+password"
    )
    await bench.let_in("token", paper(1), password(40), method="certificate+OAUTH2-JWT", proof="p")
    await bench.let_in("token-alone", password(40), method="OAUTH2-JWT", proof="")
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    bench.aged.changed(policy(None, "scram"))
    await bench.aged.look(policy(30, "scram"))
    assert bench.engine.gone == []


async def test_whom_the_engine_does_not_reach_is_disconnected_at_the_next_look(bench):
    for name in ("a", "b", "c"):
        await bench.let_in(name, password(40))
    bench.engine.unreachable = "b"
    bench.aged.changed(policy(None))
    with pytest.raises(OSError, match="not now"):
        await bench.aged.look(policy(30))
    bench.engine.unreachable = ""
    await bench.aged.look(policy(30))
    assert sorted(bench.engine.gone) == ["a", "b", "c"]
    assert not bench.aged._due


async def test_where_there_is_no_room_to_remember_somebody_he_is_disconnected_at_once(bench, monkeypatch):
    monkeypatch.setattr(aged, "DUE_MAX", 1)
    await bench.let_in("a", password(1))
    await bench.let_in("b", password(1))
    bench.aged.changed(policy(None))
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["b"]


async def test_ages_that_are_only_told_end_nobody(bench):
    await bench.let_in("old", password(40))
    warned = bench.watch(enforced=False)
    warned.changed(policy(None))
    await warned.look(policy(30))
    assert bench.engine.gone == []


async def test_a_look_that_fails_is_made_again(bench, monkeypatch):
    await bench.let_in("old", password(40))
    bench.aged.changed(policy(None))

    def fail(*_asked: object, **_of: object) -> bytes:
        raise OSError("not now")

    with monkeypatch.context() as broken:
        broken.setattr(bench.engine, "clients", fail)
        with pytest.raises(OSError, match="not now"):
            await bench.aged.look(policy(30))
    await bench.aged.look(policy(30))
    assert bench.engine.gone == ["old"]
