"""A Session belongs to the identity that made it (I11): nobody else resumes, wipes or kicks it."""

from typing import Any

import pytest

from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Puback, Publish, Suback
from tests.security.party import NOT_AUTHORIZED, NOT_AUTHORIZED_V311, Party, party

EXPIRY = {"session_expiry_interval": 300}
DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])


def refusal(dialect: Dialect) -> int:
    return NOT_AUTHORIZED if dialect is v5 else NOT_AUTHORIZED_V311


def kept(dialect: Dialect) -> dict[str, Any]:
    """Fields of a CONNECT whose Session outlives its connection."""
    return {"clean": False, "props": EXPIRY} if dialect is v5 else {"clean": False}


@DIALECTS
@pytest.mark.parametrize("clean", [False, True], ids=["resume", "wipe"])
def test_another_identity_neither_kicks_nor_wipes_nor_resumes_a_session(plant: Party, dialect: Dialect, *, clean: bool):
    victim = plant.connect("dash", client_id=f"dash-{dialect.level}{clean}", dialect=dialect, **kept(dialect))
    victim.send(dialect.subscribe(1, ("data/+/temperature", 1)))
    victim.expect(Suback, reasons=(1,))
    thief = plant.dial(plant.names["press-01"], dialect=dialect)
    thief.send(dialect.connect(f"dash-{dialect.level}{clean}", clean=clean))
    thief.expect_refusal(Connack, refusal(dialect))
    victim.expect_alive()
    victim.drop()
    thief = plant.dial(plant.names["press-01"], dialect=dialect)
    thief.send(dialect.connect(f"dash-{dialect.level}{clean}", clean=clean))
    thief.expect_refusal(Connack, refusal(dialect))
    press = plant.connect("press-01")
    press.send(v5.publish("data/press-01/temperature", b"for dash", qos=1, pid=1))
    press.expect(Puback, reason=0)
    back = plant.dial(plant.names["dash"], dialect=dialect)
    back.send(dialect.connect(f"dash-{dialect.level}{clean}", **kept(dialect)))
    back.expect(Connack, reason=0, session_present=True)
    back.expect(Publish, payload=b"for dash")


@DIALECTS
def test_an_identity_that_was_removed_and_made_again_under_another_name_gets_no_old_session(dialect: Dialect):
    with party() as plant:
        plant.enrol("dash", "dashboard")
        wire = plant.connect("dash", client_id="dash-a-b", dialect=dialect, **kept(dialect))
        wire.send(dialect.subscribe(1, ("data/+/temperature", 1)))
        wire.expect(Suback, reasons=(1,))
        wire.drop()
        plant.broker.remove("dash")
        # The longer name now owns that Client Identifier, but not what `dash` left behind.
        plant.enrol("dash-a", "dashboard")
        other = plant.dial(plant.names["dash-a"], dialect=dialect)
        other.send(dialect.connect("dash-a-b", **kept(dialect)))
        other.expect_refusal(Connack, refusal(dialect))


@DIALECTS
def test_the_will_of_a_refused_client_never_fires(plant: Party, dialect: Dialect):
    watcher = plant.connect("dash", client_id=f"dash-w{dialect.level}")
    watcher.send(v5.subscribe(1, "data/+/status"))
    watcher.expect(Suback, reasons=(0,))
    for client_id, name in (("press-02", "press-01"), ("dash", "press-01")):
        wire = plant.dial(plant.names[name], dialect=dialect)
        will = Will(topic="data/press-01/status", payload=b"stolen goodbye")
        wire.send(dialect.connect(client_id, will=will))
        wire.expect_refusal(Connack, refusal(dialect))
        wire.drop()
    watcher.expect_nothing(for_s=0.5)


@DIALECTS
def test_a_will_that_the_policy_denies_refuses_the_connect(plant: Party, dialect: Dialect):
    wire = plant.dial(plant.names["press-01"], dialect=dialect)
    will = Will(topic="data/press-02/status", payload=b"not mine")
    wire.send(dialect.connect("press-01", will=will))
    wire.expect_refusal(Connack, refusal(dialect))
    denied = plant.wait_for("denied", action="will", identity="press-01")
    assert denied["topic"] == "data/press-02/status"


def test_a_will_that_the_policy_came_to_deny_is_not_sent():
    with party() as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        watcher = plant.connect("dash")
        watcher.send(v5.subscribe(1, "data/+/status"))
        watcher.expect(Suback, reasons=(0,))
        press = plant.connect("press-01", will=Will(topic="data/press-01/status", payload=b"gone"))
        text = (plant.broker._running.data.policy).read_text(encoding="utf-8")
        plant.broker.apply_policy(
            text.replace(
                '[topics."data/{asset}/status"]\npublish   = ["press"]',
                '[topics."data/{asset}/status"]\npublish   = []',
            )
        )
        press.drop()
        plant.wait_for("denied", action="will", identity="press-01")
        watcher.expect_nothing(for_s=0.3)


@pytest.mark.parametrize("delay_s", [0, 1])
def test_the_will_of_a_removed_identity_is_not_sent(delay_s: int):
    with party() as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        watcher = plant.connect("dash")
        watcher.send(v5.subscribe(1, "data/+/status"))
        watcher.expect(Suback, reasons=(0,))
        props = {"will_delay_interval": delay_s}
        will = Will(topic="data/press-01/status", payload=b"gone", props=props)
        press = plant.connect("press-01", will=will, clean=False, props=EXPIRY)
        plant.broker.remove("press-01")
        press.drop()
        watcher.expect_nothing(for_s=0.5 + delay_s)
