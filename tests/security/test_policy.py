"""The policy on the wire: what is not covered is refused, with the reason code and an event that says why."""

import pytest

from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Pubrec, Suback
from tests.security.party import NOT_AUTHORIZED, NOT_AUTHORIZED_V311, PLANT, Party, listener, party

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
WIDER = [
    "#",
    "+/#",
    "data/#",
    "data/+/#",
    "data/+/+",
    "+/+/temperature",
    "data/press-01/#",
    "/data/+/temperature",
    "DATA/+/temperature",
]
OTHERS = ["commands/press-01", "$SYS/#", "$SYS/broker/version", "$data/+/temperature", "$share/g/$SYS/#"]


@DIALECTS
@pytest.mark.parametrize("filter_", [*WIDER, *OTHERS, *(f"$share/g/{wide}" for wide in WIDER)])
def test_subscribe_is_granted_only_where_it_is_covered(plant: Party, dialect: Dialect, filter_: str):
    wire = plant.connect("dash", client_id="dash-cover", dialect=dialect)
    wire.send(dialect.subscribe(1, (filter_, 1)))
    wire.expect(Suback, reasons=(NOT_AUTHORIZED if dialect is v5 else 0x80,))


@DIALECTS
@pytest.mark.parametrize("filter_", ["data/+/temperature", "data/press-01/temperature", "$share/g/data/+/temperature"])
def test_subscribe_is_granted_where_it_is_covered(plant: Party, dialect: Dialect, filter_: str):
    wire = plant.connect("dash", client_id="dash-covered", dialect=dialect)
    wire.send(dialect.subscribe(1, (filter_, 1)))
    wire.expect(Suback, reasons=(1,))


def test_one_denied_filter_does_not_deny_the_others_of_its_subscribe(plant: Party):
    wire = plant.connect("dash")
    wire.send(v5.subscribe(1, "data/+/temperature", "#", ("data/+/status", 1)))
    wire.expect(Suback, reasons=(0, NOT_AUTHORIZED, 1))


@pytest.mark.parametrize(
    "topic", ["$SYS/broker/version", "$SYS", "$share/g/data/press-01/temperature", "$x/y", "commands/press-01"]
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_publish_is_answered_0x87_in_v5(plant: Party, topic: str, qos: int):
    wire = plant.connect("press-01")
    wire.send(v5.publish(topic, b"x", qos=qos, pid=7 if qos else None))
    if qos:
        wire.expect(Puback if qos == 1 else Pubrec, pid=7, reason=NOT_AUTHORIZED)
    wire.expect_alive()
    assert plant.wait_for("denied", action="publish", topic=topic, identity="press-01")["why"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_publish_closes_in_v311(plant: Party, qos: int):
    wire = plant.connect("press-01", dialect=v311)
    wire.send(v311.publish("commands/press-01", b"x", qos=qos, pid=7 if qos else None))
    wire.expect_close()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_publish_is_acknowledged_and_dropped_in_v311_where_so_configured(qos: int):
    with party(PLANT, "listeners.mqtt.denied_publish_v311=ignore") as plant:
        plant.enrol("press-01", "press")
        plant.enrol("dash", "dashboard")
        dash = plant.connect("dash")
        dash.send(v5.subscribe(1, "data/+/temperature"))
        dash.expect(Suback)
        wire = plant.connect("press-01", dialect=v311)
        wire.send(v311.publish("data/press-02/temperature", b"x", qos=qos, pid=7 if qos else None, retain=True))
        if qos:
            wire.expect(Puback if qos == 1 else Pubrec, pid=7)
        wire.expect_alive()
        dash.expect_nothing()
        late = plant.connect("dash", client_id="dash-late")
        late.send(v5.subscribe(1, "data/+/temperature"))
        late.expect(Suback)
        late.expect_nothing()


def test_sys_is_read_by_those_who_are_granted_it(plant: Party):
    monitor = plant.connect("monitor")
    monitor.send(v5.subscribe(1, "$SYS/#"))
    monitor.expect(Suback, reasons=(0,))
    assert monitor.expect(Publish).topic.startswith("$SYS/broker/")


def test_a_wildcard_in_the_first_level_never_reaches_sys():
    policy = '[roles.all]\npermit = [{ action = "all", filter = "#" }]\n'
    with party(policy) as plant:
        plant.enrol("root", "all")
        root = plant.connect("root")
        root.send(v5.subscribe(1, "#", "+/broker/#", "$SYS/#"))
        root.expect(Suback, reasons=(0, 0, NOT_AUTHORIZED))
        root.expect_nothing(for_s=0.5)


def test_a_retained_message_on_a_forbidden_topic_does_not_leak_through_a_wildcard():
    policy = PLANT + '\n[topics."data/secret/temperature"]\npublish = ["press"]\n'
    with party(policy) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("auditor", "auditor")
        press = plant.connect("press-01")
        press.send(v5.publish("data/secret/temperature", b"secret", retain=True, qos=1, pid=1))
        press.expect(Puback, reason=0x10)
        press.send(v5.publish("data/press-01/temperature", b"public", retain=True, qos=1, pid=2))
        press.expect(Puback, reason=0x10)
        auditor = plant.connect("auditor")
        auditor.send(v5.subscribe(1, ("data/#", 1)))
        auditor.expect(Suback, reasons=(1,))
        auditor.expect(Publish, topic="data/press-01/temperature", payload=b"public", retain=True)
        press.send(v5.publish("data/secret/temperature", b"live secret", qos=1, pid=3))
        press.expect(Puback)
        auditor.expect_nothing()
        assert plant.wait_for("denied", action="receive", identity="auditor")["rule"]
        auditor.send(v5.subscribe(2, "data/secret/temperature", "data/secret/+", "$share/g/data/secret/#"))
        auditor.expect(Suback, reasons=(NOT_AUTHORIZED,) * 3)


def test_a_shared_subscription_is_no_way_around_a_forbid():
    policy = PLANT + '\n[topics."data/secret/temperature"]\npublish = ["press"]\n'
    with party(policy) as plant:
        plant.enrol("press-01", "press")
        plant.enrol("auditor", "auditor")
        auditor = plant.connect("auditor")
        auditor.send(v5.subscribe(1, ("$share/g/data/#", 1)))
        auditor.expect(Suback, reasons=(1,))
        press = plant.connect("press-01")
        press.send(v5.publish("data/secret/temperature", b"secret", qos=1, pid=1))
        press.expect(Puback)
        auditor.expect_nothing()


def test_an_alias_to_a_denied_topic_is_denied_each_time(plant: Party):
    dash = plant.connect("dash", client_id="dash-alias")
    dash.send(v5.subscribe(1, "data/+/temperature"))
    dash.expect(Suback)
    wire = plant.connect("press-01")
    wire.send(v5.publish("data/press-02/temperature", b"x", qos=1, pid=1, props={"topic_alias": 1}))
    wire.expect(Puback, reason=NOT_AUTHORIZED)
    wire.send(v5.publish("", b"x", qos=1, pid=2, props={"topic_alias": 1}))
    wire.expect(Puback, reason=NOT_AUTHORIZED)
    wire.send(v5.publish("data/press-01/temperature", b"own", qos=1, pid=3, props={"topic_alias": 2}))
    wire.expect(Puback, reason=0)
    wire.send(v5.publish("data/press-02/temperature", b"x", qos=1, pid=4, props={"topic_alias": 2}))
    wire.expect(Puback, reason=NOT_AUTHORIZED)
    wire.send(v5.publish("", b"x", qos=1, pid=5, props={"topic_alias": 2}))
    wire.expect(Puback, reason=NOT_AUTHORIZED)
    dash.expect(Publish, payload=b"own")
    dash.expect_nothing()


def test_the_same_topic_with_more_than_was_admitted_is_decided_again():
    policy = '[topics."data/{asset}"]\npublish = ["press"]\nqos_max = 1\nretain = false\n[roles.press]\nbinds = { asset = "client_id" }\n'
    with party(policy) as plant:
        plant.enrol("press-01", "press")
        press = plant.connect("press-01")
        for pid in range(1, 4):
            press.send(v5.publish("data/press-01", b"x", qos=1, pid=pid))
            press.expect(Puback, reason=0x10)
        press.send(v5.publish("data/press-01", b"x", qos=1, pid=4, retain=True))
        press.expect(Puback, reason=NOT_AUTHORIZED)
        press.send(v5.publish("data/press-01", b"x", qos=2, pid=5))
        press.expect(Pubrec, reason=NOT_AUTHORIZED)
        plant.wait_for("denied", why="retain_not_allowed")
        plant.wait_for("denied", why="qos_above_max")


@DIALECTS
@pytest.mark.parametrize("topic", ["$SYS/broker/x", "$share/g/data", "data/press-02/status", "commands/press-01"])
def test_a_will_on_a_topic_that_is_not_ones_own_refuses_the_connect(plant: Party, dialect: Dialect, topic: str):
    wire = plant.dial(plant.names["press-01"], dialect=dialect)
    wire.send(dialect.connect("press-01", will=Will(topic=topic, payload=b"x", retain=True)))
    wire.expect_refusal(Connack, NOT_AUTHORIZED if dialect is v5 else NOT_AUTHORIZED_V311)


@pytest.mark.parametrize("topic", ["data/#", "data/+/status", ""])
def test_a_will_topic_with_a_wildcard_or_none_is_no_topic(plant: Party, topic: str):
    wire = plant.dial(plant.names["press-01"])
    wire.send(v5.connect("press-01", will=Will(topic=topic, payload=b"x")))
    wire.expect_refusal(Connack, 0x90, 0x81, 0x82)


def test_a_response_topic_grants_nothing(plant: Party):
    dash, press = plant.connect("dash", client_id="dash-rr"), plant.connect("press-01")
    press.send(v5.subscribe(1, "commands/press-01"))
    press.expect(Suback, reasons=(0,))
    props = {"response_topic": "commands/press-02", "correlation_data": b"1"}
    dash.send(v5.publish("commands/press-01", b"do", props=props))
    press.expect(Publish, payload=b"do")
    press.send(v5.publish("commands/press-02", b"answer", qos=1, pid=1))
    press.expect(Puback, reason=NOT_AUTHORIZED)


@pytest.mark.parametrize("topic", ["data/press-01/+", "data/#", "data/press-01/\0"])
def test_a_topic_name_with_wildcards_or_nul_is_no_topic(plant: Party, topic: str):
    wire = plant.connect("press-01")
    wire.send(v5.publish(topic, b"x"))
    wire.expect_refusal(Disconnect, 0x90, 0x81, 0x82)


def test_denied_anonymous_clients_are_told_apart_by_address(plant: Party):
    with party(PLANT, listener("lab")) as lab:
        wire = lab.dial(listener="lab", tls=False)
        wire.send(v5.connect("someone"))
        wire.expect(Connack, reason=0)
        wire.send(v5.subscribe(1, "#"))
        wire.expect(Suback, reasons=(NOT_AUTHORIZED,))
        told = lab.wait_for("denied", action="subscribe", topic="#")
        assert (told["identity"], told["client_id"], told["address"]) == ("anonymous", "someone", "127.0.0.1")
