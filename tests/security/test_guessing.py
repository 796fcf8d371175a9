"""Who guesses passwords is slowed down, and nobody else is; hashes of other brokers go with the first login."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bartizan.identity import hashes
from bartizan.identity.register import Register, new_identity
from bartizan.model.credential import PasswordCredential
from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack
from tests.security.party import PLANT, Party, party
from tests.unit.identity.test_hashes import SEVEN

WRONG, BUSY = 0x86, 0x89
BUSY_V311 = 0x03


@pytest.fixture
def plant() -> Iterator[Party]:
    with party(PLANT, "passwords.wait_max_s=4") as running:
        running.enrol("press-01", "press")
        running.enrol("dash", "dashboard", password=True)
        running.enrol("other", "dashboard", password=True)
        yield running


def guess(plant: Party, password: bytes = b"wrong", dialect: Dialect = v5) -> int:
    """What a guess at `dash` is answered with."""
    wire = plant.dial(dialect=dialect)
    wire.send(dialect.connect("dash", username="dash", password=password))
    answer = wire.expect(Connack, within_s=30)
    wire.drop()
    return answer.reason


def test_who_guesses_waits_and_others_do_not(plant):
    reasons = [guess(plant)]
    # On a slow machine the first waits may be over before the next guess comes.
    while reasons[-1] != BUSY and len(reasons) < 30:
        reasons.append(guess(plant))
    assert reasons[:3] == [WRONG] * 3
    assert reasons[-1] == BUSY
    assert plant.wait_for("refused", reason="Server busy")["why"].startswith("after wrong passwords: wait")
    # The same address, another name, or another proof.
    plant.connect("other").drop()
    plant.connect("press-01").drop()


def test_the_wait_has_an_end_and_then_the_right_password_opens(plant):
    while guess(plant, dialect=v311) != BUSY_V311:
        pass
    asyncio.run(asyncio.sleep(4.1))
    plant.connect("dash").drop()


def test_a_mosquitto_hash_lets_in_and_is_one_of_ours_soon_after(plant):
    store = plant.broker._running._store

    async def enrol() -> None:
        at = datetime.now(UTC)
        identity = new_identity("old", at=at, roles=["dashboard"])
        await Register(store).add(replace(identity, credentials=(PasswordCredential("imported", SEVEN, at),)))
        await plant.broker._running._in_force()

    async def kept() -> str:
        identity = await store.get("old")
        assert identity is not None
        (credential,) = identity.credentials
        assert isinstance(credential, PasswordCredential)
        return credential.hash

    def call(work):
        return asyncio.run_coroutine_threadsafe(work, plant.broker._loop).result(10)

    call(enrol())
    plant.names["old"] = plant.names["dash"]
    login = {"username": "old", "password": b"correct horse"}
    plant.connect("old", **login).drop()
    for _ in range(100):
        if hashes.is_ours(call(kept())):
            break
        asyncio.run(asyncio.sleep(0.1))
    assert hashes.is_ours(call(kept()))
    plant.connect("old", **login).drop()
    plant.connect("old", **{**login, "password": b"correct horsf"}, expect=WRONG).drop()
