"""What a token allows narrows what roles permit: no token widens, however it is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packets import Will, v5, v311
from tests.conformance.received import Auth, Connack, Disconnect, Puback, Publish, Suback
from tests.conformance.wire import Wire
from tests.security.party import Party, party, tls_stream
from tests.security.test_tokens import EC, METHOD, Door, configured
from tests.unit.authn.issuer import claims, jwks, signed

POLICY = """
[roles.press]
binds  = { asset = "client_id" }
permit = [
  { action = "all",       filter = "data/{asset}/#" },
  { action = "subscribe", filter = "commands/#" },
]
forbid = [{ action = "all", filter = "data/{asset}/secret" }]

[roles.reader]
permit = [{ action = "subscribe", filter = "#" }, { action = "subscribe", filter = "$SYS/#" }]
"""
REFUSED, NO_SUBSCRIBERS = 0x87, 0x10


def grant(action: str, text: str) -> dict[str, str]:
    return {"action": action, "filter": text}


def token(*grants: Any, **more: Any) -> bytes:
    return signed(EC, "ES256", claims(mqtt={"grants": list(grants)}, **more))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(EC))
    return file


@pytest.fixture
def door(keys: Path) -> Door:
    return Door.of(f'jwks_file = "{keys}"', ', grants_claim = "mqtt.grants", token_bytes_max = 65535')


@pytest.fixture
def plant(keys: Path) -> Iterator[Party]:
    listed = 'listeners.mqtt.authentication=["password", "tokens"]'
    with party(POLICY, listed, configured(f'jwks_file = "{keys}"', ', grants_claim = "mqtt.grants"')) as running:
        running.enrol("press-01", "press")
        running.enrol("press-02", "reader")
        yield running


def connect(
    plant: Party, presented: bytes, *, name: str = "press-01", dialect: Any = v5, by_auth: bool = False
) -> Wire:
    wire = Wire(tls_stream(plant), dialect=dialect)
    if by_auth:
        props = {"authentication_method": METHOD, "authentication_data": presented}
        wire.send(dialect.connect(name, props=props))
    else:
        wire.send(dialect.connect(name, username=name, password=presented))
    wire.expect(Connack, reason=0, within_s=10)
    return wire


def subscribed(wire: Wire, *filters: str) -> tuple[int, ...]:
    wire.send(wire.dialect.subscribe(7, *((text, 1) for text in filters)))
    return wire.expect(Suback, pid=7).reasons


def published(wire: Wire, topic: str) -> bool:
    wire.send(wire.dialect.publish(topic, b"p", qos=1, pid=9))
    packet = wire.next_packet(within_s=10)
    while isinstance(packet, Publish):  # its own, where it subscribes to that too
        packet = wire.next_packet(within_s=10)
    assert isinstance(packet, Puback), packet
    return packet.reason in {0, NO_SUBSCRIBERS}


# ---- the claim ------------------------------------------------------------------------------------


def test_a_good_claim_narrows_and_a_bad_one_is_refused(door):
    verdict = door.ask(token(grant("publish", "a/+"), grant("all", "b/{client_id}")))
    assert verdict.principal is not None, verdict.why
    ((one, other),) = verdict.principal.narrowed_to
    assert (one.action, one.filter, other.action, other.filter) == ("publish", "a/+", "all", "b/{client_id}")
    assert door.ask(token()).principal.narrowed_to == ((),)


@pytest.mark.parametrize(
    "grants",
    [None, True, 7, {}, {"action": "all", "filter": "#"}, [None], [grant("read", "a")], [grant("all", "a/#/b")],
     [grant("all", "a"), grant("all", "")], [{**grant("all", "a"), "qos": 2}], "all:a+", [grant("all", "$share/g/a")],
     [grant("all", "a")] * 257],
)  # fmt: skip
def test_a_claim_that_cannot_be_read_is_refused_and_never_left_out(door, grants):
    door.refuses(signed(EC, "ES256", claims(mqtt={"grants": grants})), "the token's mqtt.grants: ")


def test_a_token_without_the_claim_is_not_free_of_it(door):
    door.refuses(signed(EC, "ES256", claims()), "the token's mqtt.grants: ")
    door.refuses(signed(EC, "ES256", claims(mqtt={})), "the token's mqtt.grants: ")


# ---- over the wire --------------------------------------------------------------------------------


@pytest.mark.parametrize("by_auth", [False, True])
def test_a_token_that_asks_for_everything_gives_what_the_roles_give(plant, by_auth):
    wire = connect(plant, token(grant("all", "#"), grant("all", "$SYS/#"), grant("all", "+/+/secret")), by_auth=by_auth)
    assert subscribed(wire, "data/press-01/#", "commands/a", "#", "$SYS/#", "data/press-02/a", "data/press-01/secret") == (
        1, 1, REFUSED, REFUSED, REFUSED, REFUSED,
    )  # fmt: skip
    assert published(wire, "data/press-01/a")
    assert not published(wire, "data/press-02/a")
    assert not published(wire, "data/press-01/secret")
    assert not published(wire, "commands/a")


def test_what_the_token_does_not_allow_is_denied_and_told(plant):
    wire = connect(plant, token(grant("publish", "data/press-01/a"), grant("subscribe", "commands/press-01/#")))
    assert subscribed(wire, "commands/press-01/x", "commands/#", "commands/press-01/#", "data/press-01/a") == (
        1, REFUSED, 1, REFUSED,
    )  # fmt: skip
    assert subscribed(wire, "$share/g/commands/press-01/x", "$share/g/commands/#") == (1, REFUSED)
    assert published(wire, "data/press-01/a")
    assert not published(wire, "data/press-01/b")
    told = plant.wait_for("denied", action="publish", why="not_in_token")
    assert (told["topic"], told["rule"]) == ("data/press-01/b", "roles.press.permit[0]")


def test_a_wildcard_in_a_token_reaches_no_dollar_topic(plant):
    wire = connect(plant, token(grant("all", "#"), sub="press-02"), name="press-02")
    assert subscribed(wire, "#", "$SYS/#", "$SYS/broker/uptime") == (1, REFUSED, REFUSED)
    wire = connect(plant, token(grant("all", "$SYS/#"), sub="press-02"), name="press-02")
    assert subscribed(wire, "#", "$SYS/#") == (REFUSED, 1)


def test_a_variable_in_a_token_is_a_text(plant):
    wire = connect(plant, token(grant("all", "data/{client_id}/a"), grant("all", "data/{asset}/a")))
    assert not published(wire, "data/press-01/a")


def test_mqtt_3_1_1_clients_are_narrowed_alike(plant):
    wire = connect(plant, token(grant("subscribe", "commands/a")), dialect=v311)
    assert subscribed(wire, "commands/a", "commands/b") == (1, 0x80)
    wire.send(v311.publish("data/press-01/a", b"p"))
    wire.expect_close(within_s=10)


def test_a_will_that_the_token_does_not_allow_is_refused(plant):
    for topic, reason in (("data/press-01/a", 0), ("data/press-01/b", REFUSED)):
        wire = Wire(tls_stream(plant))
        presented = token(grant("publish", "data/press-01/a"))
        wire.send(
            v5.connect("press-01", username="press-01", password=presented, will=Will(topic=topic, payload=b"gone"))
        )
        wire.expect(Connack, reason=reason, within_s=10)


def test_a_re_authentication_replaces_what_the_token_allows(plant):
    reader = connect(plant, token(grant("subscribe", "commands/#")), by_auth=True)
    writer = connect(plant, token(grant("all", "#"), sub="press-02"), name="press-02")
    assert subscribed(reader, "commands/a", "commands/b") == (1, 1)
    assert subscribed(writer, "data/press-01/#") == (1,)

    def renewed(*grants: dict[str, str]) -> None:
        again = {"authentication_method": METHOD, "authentication_data": token(*grants)}
        reader.send(v5.auth(0x19, again))
        reader.expect(Auth, reason=0, within_s=10)

    renewed(grant("subscribe", "commands/b"), grant("publish", "data/press-01/a"))
    assert plant.wait_for("subscription_removed", filter="commands/a")
    assert published(reader, "data/press-01/a")
    writer.expect(Publish, topic="data/press-01/a")
    assert subscribed(reader, "commands/a", "commands/b") == (REFUSED, 1)
    renewed(grant("subscribe", "commands/a"))
    assert not published(reader, "data/press-01/a")
    assert subscribed(reader, "commands/a") == (1,)
    bad = {"authentication_method": METHOD, "authentication_data": token("everything")}
    reader.send(v5.auth(0x19, bad))
    reader.expect(Disconnect, reason=REFUSED, within_s=10)


def test_certificate_and_token_together_are_narrowed_by_the_token(keys):
    listed = 'listeners.mqtt.authentication=["certificate + tokens"]'
    with party(POLICY, listed, configured(f'jwks_file = "{keys}"', ', grants_claim = "scope"')) as plant:
        bundle = plant.enrol("press-01", "press")
        wire = plant.dial(bundle)
        scope = signed(EC, "ES256", claims(scope="openid publish:data/press-01/a"))
        wire.send(v5.connect("press-01", username="press-01", password=scope))
        wire.expect(Connack, reason=0, within_s=10)
        assert published(wire, "data/press-01/a")
        assert not published(wire, "data/press-01/b")
        assert plant.wait_for("denied", why="not_in_token")["topic"] == "data/press-01/b"
