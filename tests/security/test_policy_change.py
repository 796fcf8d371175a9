"""A change of policy is in force at once: Subscriptions, queued messages, retained ones, and a bad file changes nothing."""

import asyncio
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bartizan.store.ports import Replace
from tests.conformance.packets import v5, v311
from tests.conformance.received import Puback, Publish, Suback
from tests.security.party import NOT_AUTHORIZED, PLANT, Party, party
from tests.security.process import running

EXPIRY = {"session_expiry_interval": 300}
WITHOUT_DASHBOARD = PLANT.replace('publish   = ["press"]\nsubscribe = ["dashboard"]\n', 'publish   = ["press"]\n')
ALL_READ = '\n[roles.reader]\npermit = [{ action = "subscribe", filter = "data/#" }]\n'
NOT_02 = ALL_READ.rstrip() + '\nforbid = [{ action = "subscribe", filter = "data/press-02/#", reason = "repair" }]\n'


def press_says(plant: Party, name: str, payload: bytes) -> None:
    press = plant.connect(name, client_id=f"{name}-once")
    press.send(v5.publish(f"data/{name}-once/temperature", payload, qos=1, pid=1))
    press.expect(Puback)
    press.drop()


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_a_subscription_that_lost_its_permission_is_removed_with_what_is_queued(online: bool, cores: int):
    with party(PLANT, f"broker.cores={cores}") as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash", clean=False, props={**EXPIRY, "receive_maximum": 1})
        dash.send(v5.subscribe(1, ("data/+/temperature", 1), ("data/+/status", 1)))
        dash.expect(Suback, reasons=(1, 1))
        if online:
            press_says(plant, "press-01", b"in flight")
            dash.expect(Publish, payload=b"in flight")
        else:
            dash.drop()
            plant.wait_for("disconnected", client_id="dash")
        for _ in range(3):
            press_says(plant, "press-01", b"queued")
        assert plant.number("bartizan_queued_messages") == 3
        plant.broker.apply_policy(WITHOUT_DASHBOARD)
        told = plant.wait_for("subscription_removed", client_id="dash", filter="data/+/temperature")
        assert told["dropped_messages"] == 3
        assert plant.number("bartizan_queued_messages") == 0
        press_says(plant, "press-01", b"later")
        if online:
            dash.send(v5.puback(1))
        else:
            dash = plant.connect("dash", clean=False, props=EXPIRY)
        dash.expect_nothing()
        dash.send(v5.subscribe(2, ("data/+/temperature", 1)))
        dash.expect(Suback, reasons=(NOT_AUTHORIZED,))
        plant.broker.apply_policy(PLANT)
        press_says(plant, "press-01", b"granted again")
        dash.expect_nothing()


def test_what_was_in_flight_is_not_sent_again_after_its_permission_is_gone():
    with party(PLANT) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash", clean=False, props=EXPIRY)
        dash.send(v5.subscribe(1, ("data/+/temperature", 1)))
        dash.expect(Suback, reasons=(1,))
        press_says(plant, "press-01", b"in flight")
        dash.expect(Publish, payload=b"in flight", dup=False)
        dash.drop()
        plant.wait_for("disconnected", client_id="dash")
        plant.broker.apply_policy(WITHOUT_DASHBOARD)
        again = plant.connect("dash", clean=False, props=EXPIRY)
        again.expect_nothing()


def test_a_new_forbid_inside_a_subscription_decides_each_delivery():
    with party(PLANT + ALL_READ) as plant:
        for name in ("press-01", "press-02"):
            plant.enrol(name, "press")
        plant.enrol("reader", "reader")
        reader = plant.connect("reader")
        reader.send(v5.subscribe(1, ("data/#", 1)))
        reader.expect(Suback, reasons=(1,))
        one, two = plant.connect("press-01"), plant.connect("press-02")
        two.send(v5.publish("data/press-02/temperature", b"before", qos=1, pid=1, retain=True))
        two.expect(Puback)
        reader.expect(Publish, payload=b"before")
        plant.broker.apply_policy(PLANT + NOT_02)
        two.send(v5.publish("data/press-02/temperature", b"forbidden", qos=1, pid=2, retain=True))
        two.expect(Puback)
        one.send(v5.publish("data/press-01/temperature", b"permitted", qos=1, pid=1))
        one.expect(Puback)
        reader.expect(Publish, payload=b"permitted")
        reader.send(v5.subscribe(2, ("data/+/temperature", 1)))
        reader.expect(Suback, reasons=(1,))
        reader.expect_nothing()


def test_publishers_and_shared_subscribers_meet_the_new_policy_on_their_next_packet():
    with party(PLANT, "broker.cores=2") as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        press, dash = plant.connect("press-01"), plant.connect("dash")
        dash.send(v5.subscribe(1, ("$share/g/data/+/temperature", 1)))
        dash.expect(Suback, reasons=(1,))
        press.send(v5.publish("data/press-01/temperature", b"1", qos=1, pid=1))
        press.expect(Puback, reason=0)
        dash.expect(Publish, payload=b"1")
        plant.broker.apply_policy(WITHOUT_DASHBOARD)
        press.send(v5.publish("data/press-01/temperature", b"2", qos=1, pid=2))
        press.expect(Puback)
        dash.expect_nothing()
        plant.broker.apply_policy("[roles.press]\n[roles.dashboard]\n")
        press.send(v5.publish("data/press-01/temperature", b"3", qos=1, pid=3))
        press.expect(Puback, reason=NOT_AUTHORIZED)


def test_an_identity_that_loses_its_role_loses_what_it_granted():
    with party(PLANT) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash")
        dash.send(v5.subscribe(1, "data/+/temperature"))
        dash.expect(Suback)
        without_roles(plant, "dash")
        plant.wait_for("subscription_removed", client_id="dash")
        press_says(plant, "press-01", b"x")
        dash.expect_nothing()
        dash.send(v5.subscribe(2, "data/+/temperature"))
        dash.expect(Suback, reasons=(NOT_AUTHORIZED,))


def without_roles(plant: Party, name: str) -> None:
    """Takes an identity's roles away, as another process would."""
    store, loop = plant.broker._running._store, plant.broker._loop

    async def taken() -> None:
        identity = await store.get(name)
        assert identity is not None
        await store.commit([Replace(replace(identity, roles=()))])

    asyncio.run_coroutine_threadsafe(taken(), loop).result(5)


BAD = [
    ("[roles.press]\nbinds = 7\n", ":2:"),
    ("[topics.\n", ":1:"),
    ('[topics."data/#/x"]\npublish = ["press"]\n', ":1:"),
    ('[roles.press]\npermit = [{ action = "read", filter = "#" }]\n', ":2:"),
    ('[topics."data/{a}"]\nretain = "yes"\n', ":2:"),
    ("\x00\xff", ":1:"),
]


@pytest.mark.parametrize(("text", "where"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_policy_changes_nothing_and_says_where(tmp_path: Path, text: str, where: str):
    with running(tmp_path / "data") as broker:
        policy = broker.data / "policy.toml"
        good = policy.read_text(encoding="utf-8")
        before = broker.get("/v1/status")
        policy.write_bytes(text.encode("latin-1"))
        broker.process.send_signal(signal.SIGHUP)
        said = broker.wait_for("policy_refused")["reason"]
        assert f"{policy}{where}" in said
        assert _policy(broker.get("/v1/status")) == _policy(before)
        assert broker.process.poll() is None
        policy.write_text(good, encoding="utf-8")
        broker.process.send_signal(signal.SIGHUP)
        broker.wait_for("reloaded")


def _policy(status: str) -> object:
    return json.loads(status)["policy"]


def test_v311_clients_lose_a_subscription_too_and_stay_connected():
    with party(PLANT) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash", dialect=v311)
        dash.send(v311.subscribe(1, "data/+/temperature"))
        dash.expect(Suback, reasons=(0,))
        plant.broker.apply_policy(WITHOUT_DASHBOARD)
        press_says(plant, "press-01", b"x")
        dash.expect_nothing()
        dash.expect_alive()
