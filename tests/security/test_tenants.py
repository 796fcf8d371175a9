"""Clients of a tenant see one root as all there is: no name, alias, group, Will or answer leads out of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import Will, v5, v311
from tests.conformance.received import Connack, Disconnect, Puback, Publish, Suback, Unsuback
from tests.conformance.wire import Wire
from tests.security.party import Party, party, tls_stream
from tests.security.test_tokens import EC, configured
from tests.unit.authn.issuer import claims, jwks, signed

POLICY = """
[tenants.acme]
root = "customers/acme"

[tenants.bolt]

[roles.all]
client_id = ["identity", "shared-*"]
permit    = [{ action = "all", filter = "#" }]

[roles.sys]
permit = [{ action = "subscribe", filter = "$SYS/#" }]

[roles.press]
binds  = { asset = "client_id" }
permit = [{ action = "all", filter = "data/{asset}/#" }]
"""
OUTSIDE = ("bolt/x", "/bolt/x", "../bolt/x", "../../bolt/x", "customers/bolt/x", "//bolt/x", "./bolt/x", "x/../bolt/x")
REFUSED, QUOTA, TAKEN_OVER = 0x87, 0x97, 0x8E
DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["5", "3.1.1"])


@pytest.fixture(scope="module")
def plant() -> Iterator[Party]:
    with party(POLICY, "listeners.mqtt.denied_publish_v311=ignore") as running:
        for name, role, of in (
            ("acme-1", ["all"], "acme"),
            ("acme-2", ["all"], "acme"),
            ("acme-press", ["press"], "acme"),
            ("acme-sys", ["all", "sys"], "acme"),
            ("bolt-1", ["all"], "bolt"),
            ("stray-1", ["all"], "nobody"),
        ):
            running.enrol(name, role, tenant=of)
        running.enrol("over-all", ["all", "sys"])
        yield running


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    made: list[Wire] = []
    yield made
    for wire in made:
        wire.drop()


class Crew:
    """Connects clients that a test has closed at its end."""

    def __init__(self, plant: Party, wires: list[Wire]) -> None:
        self.plant = plant
        self._wires = wires

    def join(self, name: str, *, client_id: str | None = None, dialect: Any = v5, expect: int = 0, **more: Any) -> Wire:
        wire = self.plant.dial(self.plant.names[name], dialect=dialect)
        self._wires.append(wire)
        wire.send(dialect.connect(client_id or name, **more))
        wire.expect(Connack, reason=expect, within_s=10)
        return wire


@pytest.fixture
def crew(plant: Party, wires: list[Wire]) -> Crew:
    return Crew(plant, wires)


def subscribed(wire: Wire, *filters: str) -> tuple[int, ...]:
    wire.send(wire.dialect.subscribe(7, *((text, 1) for text in filters)))
    return wire.expect(Suback, pid=7).reasons


def publish(wire: Wire, topic: str, payload: bytes = b"p", **more: Any) -> int:
    wire.send(wire.dialect.publish(topic, payload, qos=1, pid=9, **more))
    return getattr(wire.expect(Puback, pid=9), "reason", 0)


def received(wire: Wire) -> Publish:
    message = wire.expect(Publish)
    if message.pid is not None:
        wire.send(wire.dialect.puback(message.pid))
    return message


@DIALECTS
def test_each_sees_its_own_root_and_the_operator_sees_both(crew, dialect):
    acme, bolt, over = (crew.join(name, dialect=dialect) for name in ("acme-1", "bolt-1", "over-all"))
    for wire in (acme, bolt, over):
        assert subscribed(wire, "#") == (1,)
    assert publish(crew.join("acme-2", dialect=dialect), "t", b"of acme") == 0
    assert publish(crew.join("over-all", client_id="over-all-w", dialect=dialect), "bolt/t", b"for bolt") == 0
    for wire, payload in ((acme, b"of acme"), (bolt, b"for bolt")):
        message = received(wire)
        assert (message.topic, message.payload) == ("t", payload)
    assert {received(over).topic for _ in range(2)} == {"customers/acme/t", "bolt/t"}
    for wire in (acme, bolt, over):
        wire.expect_nothing()


@DIALECTS
def test_no_name_leads_out_of_a_root(crew, dialect):
    acme, bolt, over = (crew.join(name, dialect=dialect) for name in ("acme-1", "bolt-1", "over-all"))
    assert subscribed(bolt, "#") == (1,)
    assert subscribed(over, "+/#") == (1,)
    for topic in OUTSIDE:
        publish(acme, topic)
        assert received(over).topic == f"customers/acme/{topic}"
    bolt.expect_nothing()
    assert set(subscribed(acme, *OUTSIDE, *(f"$share/g/{name}" for name in OUTSIDE))) == {1}
    publish(crew.join("bolt-1", client_id="bolt-1-w", dialect=dialect), "x", b"of bolt")
    assert received(bolt).topic == "x"
    acme.expect_nothing()


def test_an_alias_stands_for_the_name_behind_the_root(crew):
    acme, bolt, over = (crew.join(name) for name in ("acme-1", "bolt-1", "over-all"))
    assert subscribed(bolt, "#") == subscribed(over, "#") == (1,)
    assert publish(acme, "bolt/x", props={"topic_alias": 1}) == 0
    assert received(over).topic == "customers/acme/bolt/x"
    assert publish(acme, "", props={"topic_alias": 1}) == 0
    assert received(over).topic == "customers/acme/bolt/x"
    bolt.expect_nothing()
    acme.send(v5.publish("", b"p", qos=1, pid=3))
    acme.expect(Disconnect)


def test_an_alias_of_ours_is_for_the_name_that_the_client_sees(crew):
    acme = crew.join("acme-1", props={"topic_alias_maximum": 4})
    writer = crew.join("acme-2")
    assert subscribed(acme, "t") == (1,)
    for count in range(2):
        assert publish(writer, "t") == 0
        message = received(acme)
        assert message.topic == ("" if count else "t")
        assert message.properties["topic_alias"] == 1


@DIALECTS
def test_dollar_topics_are_seen_by_whom_a_role_spells_them_to(crew, dialect):
    acme, sys, over = (crew.join(name, dialect=dialect) for name in ("acme-1", "acme-sys", "over-all"))
    refused = REFUSED if dialect is v5 else 0x80
    assert subscribed(acme, "$SYS/#", "$share/g/$SYS/#") == (refused, refused)
    assert subscribed(sys, "$SYS/#") == (1,)
    assert sys.expect(Publish).topic.startswith("$SYS/")
    assert subscribed(acme, "#") == (1,)
    # Somebody else's word is not taken for the server's.
    for topic in ("customers/acme/$SYS/x", "customers/acme"):
        publish(over, topic, retain=True)
    acme.expect_nothing()
    for topic in ("customers/acme/$SYS/x", "customers/acme"):
        publish(over, topic, b"", retain=True)


@DIALECTS
def test_a_retained_message_stays_inside(crew, dialect):
    acme, bolt = (crew.join(name, dialect=dialect) for name in ("acme-1", "bolt-1"))
    assert publish(acme, "state", b"of acme", retain=True) in {0, 0x10}
    assert publish(bolt, "state", b"of bolt", retain=True) in {0, 0x10}
    for name, payload in (("acme-2", b"of acme"), ("bolt-1", b"of bolt")):
        wire = crew.join(name, client_id=f"{name}-late", dialect=dialect)
        assert subscribed(wire, "#") == (1,)
        message = received(wire)
        assert (message.topic, message.payload, message.retain) == ("state", payload, True)
        wire.expect_nothing()
    for wire in (acme, bolt):
        publish(wire, "state", b"", retain=True)


@DIALECTS
def test_a_will_stays_inside(crew, dialect):
    acme, bolt = (crew.join(name, dialect=dialect) for name in ("acme-1", "bolt-1"))
    assert subscribed(acme, "#") == subscribed(bolt, "#") == (1,)
    crew.join("acme-2", dialect=dialect, will=Will(topic="bolt/gone", payload=b"of acme", qos=1)).drop()
    assert received(acme).topic == "bolt/gone"
    bolt.expect_nothing()


def test_a_will_is_judged_by_what_its_client_sees(crew):
    crew.join("acme-press", will=Will(topic="data/acme-press/gone", payload=b"x")).drop()
    for topic in ("data/other/gone", "customers/acme/data/acme-press/gone"):
        crew.join("acme-press", will=Will(topic=topic, payload=b"x"), expect=REFUSED)


def test_a_shared_subscription_is_its_tenants(crew):
    acme, bolt = crew.join("acme-1"), crew.join("bolt-1")
    assert subscribed(acme, "$share/jobs/t") == subscribed(bolt, "$share/jobs/t") == (1,)
    writer = crew.join("acme-2")
    for _ in range(4):
        assert publish(writer, "t") == 0
        assert received(acme).topic == "t"
    bolt.expect_nothing()
    acme.send(v5.unsubscribe(5, "$share/jobs/t", "t"))
    assert acme.expect(Unsuback, pid=5).reasons == (0, 0x11)
    publish(writer, "t")
    acme.expect_nothing()


def test_a_request_is_answered_inside_and_across_the_edge(crew):
    acme, other, over = crew.join("acme-1"), crew.join("acme-2"), crew.join("over-all")
    assert subscribed(other, "ask") == subscribed(acme, "answers/acme-1") == (1,)
    assert subscribed(over, "customers/acme/ask") == (1,)
    more = {"response_topic": "answers/acme-1", "correlation_data": b"7", "user_property": ("a", "b")}
    assert publish(acme, "ask", props=more) == 0
    asked, seen = received(other), received(over)
    assert asked.properties["response_topic"] == "answers/acme-1"
    assert seen.properties["response_topic"] == "customers/acme/answers/acme-1"
    assert asked.properties["correlation_data"] == seen.properties["correlation_data"] == b"7"
    for wire, answer in ((other, asked), (over, seen)):
        assert publish(wire, str(answer.properties["response_topic"])) == 0
        assert received(acme).topic == "answers/acme-1"
    # From outside: an answer that can arrive is asked for, one that cannot is not.
    outside = crew.join("over-all", client_id="over-all-w")
    assert publish(outside, "customers/acme/ask", props={"response_topic": "customers/acme/back"}) == 0
    assert received(other).properties["response_topic"] == "back"
    received(over)
    more = {"response_topic": "bolt/back", "correlation_data": b"8"}
    assert publish(outside, "customers/acme/ask", props=more) == 0
    message = received(other)
    assert "response_topic" not in message.properties
    assert message.properties["correlation_data"] == b"8"


@DIALECTS
def test_clients_of_two_tenants_with_one_name_are_two(crew, dialect):
    acme, bolt, over = (
        crew.join(name, client_id="shared-1", dialect=dialect) for name in ("acme-1", "bolt-1", "over-all")
    )
    for wire in (acme, bolt, over):
        wire.expect_alive()
    # Within the tenant it is one, and another identity does not get it.
    thief = crew.plant.dial(crew.plant.names["acme-2"], dialect=dialect)
    thief.send(dialect.connect("shared-1"))
    assert thief.expect(Connack).reason != 0
    again = crew.join("acme-1", client_id="shared-1", dialect=dialect)
    if dialect is v5:
        acme.expect(Disconnect, reason=TAKEN_OVER)
    for wire in (again, bolt, over):
        wire.expect_alive()


def test_who_is_of_an_undeclared_tenant_does_not_come_in(crew):
    crew.join("stray-1", expect=REFUSED)
    assert crew.plant.wait_for("refused", why="the tenant of the identity is not declared")


def test_events_tell_what_the_client_knows_and_whose_it_is(crew):
    press = crew.join("acme-press")
    assert publish(press, "data/other/x") == REFUSED
    told = crew.plant.wait_for("denied", action="publish", topic="data/other/x")
    assert (told["tenant"], told["client_id"], told["identity"]) == ("acme", "acme-press", "acme-press")
    assert subscribed(press, "data/#", "$share/g/#") == (REFUSED, REFUSED)
    assert crew.plant.wait_for("denied", action="subscribe", topic="data/#")["tenant"] == "acme"
    assert "\\u0000" not in crew.plant.text()


def test_a_listing_tells_the_tenant_and_disconnects_the_right_one(crew):
    acme, bolt = (crew.join(name, client_id="shared-9") for name in ("acme-1", "bolt-1"))
    engine = crew.plant.broker._running.broker.engine
    found = {(one["client_id"], one.get("tenant")) for one in json.loads(engine.clients("", 1000))}
    assert {("shared-9", "acme"), ("shared-9", "bolt")} <= found
    assert not engine.disconnect("shared-9", 0x98)
    assert engine.disconnect("shared-9", 0x98, "bolt")
    bolt.expect(Disconnect, reason=0x98)
    acme.expect_alive()


def test_a_tenant_is_full_when_its_limit_is_met_and_others_are_not(wires):
    with party(POLICY.replace("[tenants.bolt]", "[tenants.acme.limits]\nconnections_max = 3\n[tenants.bolt]")) as plant:
        for name in ("acme-1", "acme-2", "bolt-1"):
            plant.enrol(name, "all", tenant=name.partition("-")[0])
        crew = Crew(plant, wires)
        for count in range(3):
            crew.join("acme-1", client_id=f"shared-{count}")
        crew.join("acme-2", expect=QUOTA)
        assert plant.wait_for("limit_met", limit="tenant_connections_max")["effect"] == "refused"
        assert plant.limit_count("tenant_connections_max") == 1
        crew.join("bolt-1")
        crew.join("acme-1", client_id="shared-0")


def test_a_whole_name_counts_for_the_limits_of_length_and_depth():
    with party(POLICY, "listeners.mqtt.limits.topic_levels_max=3") as plant:
        plant.enrol("acme-1", "all", tenant="acme")
        wire = plant.connect("acme-1")
        assert publish(wire, "a") in {0, 0x10}
        assert publish(wire, "a/b") == 0x90
        assert subscribed(wire, "a", "a/b", "$share/g/a/b") == (1, 0x8F, 0x8F)
        dying = plant.dial(plant.names["acme-1"])
        dying.send(v5.connect("acme-1-b", will=Will(topic="a/b", payload=b"x")))
        dying.expect(Connack, reason=0x90)


def test_a_token_names_the_tenant_where_it_names_the_identity(tmp_path: Path):
    keys = tmp_path / "jwks.json"
    keys.write_bytes(jwks(EC))
    more = (
        ', identities = "token", identity_prefix = "t:", roles_claim = "roles", roles_allowed = ["all"], '
        'attribute_claims = { tenant = "org" }'
    )
    listed = 'listeners.mqtt.authentication=["certificate", "tokens"]'
    with party(POLICY, listed, configured(f'jwks_file = "{keys}"', more)) as plant:
        plant.enrol("over-all", "all")
        over = plant.connect("over-all")
        assert subscribed(over, "#") == (1,)
        for org, reason in (("acme", 0), ("bolt", 0), ("other", REFUSED)):
            wire = Wire(tls_stream(plant))
            presented = signed(EC, "ES256", claims(sub=f"x-{org}", org=org, roles=["all"]))
            wire.send(v5.connect(f"t:x-{org}", username=f"t:x-{org}", password=presented))
            wire.expect(Connack, reason=reason, within_s=10)
            if reason == 0:
                assert publish(wire, "t") == 0
                root = {"acme": "customers/acme", "bolt": "bolt"}[org]
                assert received(over).topic == f"{root}/t"
