"""A credential found good is not looked up again for a while; whatever changes who may connect ends that at once."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bartizan.identity.register import Register, new_identity
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import IdentityState
from tests.conformance.packets import v5
from tests.conformance.received import Connack
from tests.conformance.wire import Wire
from tests.security.party import PLANT, SUCCESS, Party, eventually, party, tls_stream

NOT_AUTHORIZED = 0x87
BAD_PASSWORD = 0x86
RECALLED = "bartizan_authentications_recalled_total"


@pytest.fixture
def plant() -> Iterator[Party]:
    """A device with a certificate, one with a password; identities change in these tests."""
    with party(PLANT) as running:
        running.enrol("press-01", "press")
        running.enrol("dash", "dashboard", password=True)
        in_force(running)
        yield running


def in_force(plant: Party) -> None:
    """Waits until the engine has the identities as they are: that alone makes it forget."""
    inner = plant.broker._running

    async def settled() -> None:
        await inner.broker.directory.refresh()
        await inner.broker.in_force.settled()

    asyncio.run_coroutine_threadsafe(settled(), plant.broker._loop).result(5)


def recalled(plant: Party, name: str, **more: Any) -> int:
    """Connects, and says how many CONNECTs were answered from memory: one or none."""
    before = plant.number(RECALLED)
    plant.connect(name, **more).drop()
    return int(plant.number(RECALLED) - before)


def remembered(plant: Party, name: str, **more: Any) -> None:
    """Connects until that is answered from memory: what was enrolled last may still come into force."""
    assert any(recalled(plant, name, **more) for _ in range(10))


def change(plant: Party, work: Callable[[Register], Coroutine[Any, Any, object]]) -> None:
    """Changes the identities as another process would, and waits until that is in force."""
    register = Register(plant.broker._running._store)
    asyncio.run_coroutine_threadsafe(work(register), plant.broker._loop).result(5)
    in_force(plant)


@pytest.mark.parametrize("name", ["press-01", "dash"])
def test_the_second_connect_is_answered_from_memory_with_the_same_rights(plant: Party, name: str):
    assert recalled(plant, name) == 0
    remembered(plant, name)
    eventually(lambda: len(plant.events("connected", client_id=name)) > 1)
    told = plant.events("connected", client_id=name)
    assert len({(event["identity"], event["method"]) for event in told}) == 1


def test_a_wrong_password_is_never_remembered_and_never_recalled(plant: Party):
    remembered(plant, "dash")
    for _ in range(2):
        assert recalled(plant, "dash", password=b"wrong", expect=BAD_PASSWORD) == 0
    remembered(plant, "dash")


def test_another_client_identifier_is_looked_up_and_bound_anew(plant: Party):
    remembered(plant, "dash")
    assert recalled(plant, "dash", client_id="dash-2") == 0
    assert recalled(plant, "dash", client_id="press-01", expect=NOT_AUTHORIZED) == 0


def test_a_new_password_ends_the_old_one_though_it_was_remembered(plant: Party):
    remembered(plant, "dash")
    change(plant, lambda register: register.set_password("dash", "another one entirely", at=datetime.now(UTC)))
    assert recalled(plant, "dash", expect=BAD_PASSWORD) == 0
    remembered(plant, "dash", password=b"another one entirely")
    assert recalled(plant, "dash", expect=BAD_PASSWORD) == 0


def test_a_password_that_is_hashed_anew_costs_nobody_what_is_remembered(plant: Party):
    salt, password = b"twelve bytes", b"correct horse"
    hashed = hashlib.sha512(password + salt).digest()
    stored = f"$6${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"
    taken_over = replace(
        new_identity("old", at=datetime.now(UTC), roles=["dashboard"]),
        credentials=(PasswordCredential("p", stored, datetime.now(UTC)),),
    )
    change(plant, lambda register: register.add(taken_over))
    remembered(plant, "dash")
    wire = Wire(tls_stream(plant))
    wire.send(v5.connect("old", username="old", password=password))
    wire.expect(Connack, reason=SUCCESS, within_s=5)

    async def kept() -> str:
        identity = await Register(plant.broker._running._store).get("old")
        return identity.credentials[0].hash  # pyrefly: ignore[missing-attribute]  it has one password

    def is_ours() -> bool:
        return asyncio.run_coroutine_threadsafe(kept(), plant.broker._loop).result(5).startswith("$argon2id$")

    eventually(is_ours)
    in_force(plant)
    assert recalled(plant, "dash") == 1


@pytest.mark.parametrize("name", ["press-01", "dash"])
def test_an_identity_that_was_disabled_stays_out_though_it_was_remembered(plant: Party, name: str):
    remembered(plant, name)
    change(plant, lambda register: register.set_state(name, IdentityState.DISABLED))
    assert recalled(plant, name, expect=NOT_AUTHORIZED) == 0


def test_a_change_of_policy_has_everybody_looked_up_again(plant: Party):
    remembered(plant, "dash")
    plant.broker.apply_policy(PLANT)
    assert recalled(plant, "dash") == 0
    remembered(plant, "dash")


def test_zero_seconds_remember_nothing():
    with party(PLANT, "broker.success_remembered_s=0") as plant:
        plant.enrol("dash", "dashboard", password=True)
        in_force(plant)
        assert [recalled(plant, "dash") for _ in range(3)] == [0, 0, 0]


def test_it_lasts_for_its_seconds():
    with party(PLANT, "broker.success_remembered_s=1") as plant:
        plant.enrol("dash", "dashboard", password=True)
        in_force(plant)
        remembered(plant, "dash")
        asyncio.run(asyncio.sleep(1.1))
        assert recalled(plant, "dash") == 0


def test_an_assigned_client_identifier_is_never_given_twice(plant: Party):
    found = set()
    for _ in range(3):
        wire = plant.dial(plant.names["press-01"])
        wire.send(wire.dialect.connect(""))
        found.add(wire.expect(Connack, reason=SUCCESS).properties["assigned_client_identifier"])
    assert len(found) == 3
