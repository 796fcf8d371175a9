"""A Client Identifier is a name somebody chose: it gains nothing by what is written in it."""

import pytest

from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack, Puback, Publish, Suback
from tests.security.party import NOT_AUTHORIZED, NOT_AUTHORIZED_V311, OPEN, Party, listener, party

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
HOSTILE = [
    "#",
    "+",
    "a/b",
    "/",
    "press-01/#",
    "press-01-/+",
    "$SYS",
    "{asset}",
    "%c",
    "press-01\n",
    "press-02",
    "dash",
    "x" * 65_535,
]

PERSONAL = """
[topics."inbox/{owner}/#"]
publish   = ["anonymous"]
subscribe = ["anonymous"]

[roles.anonymous]
binds = { owner = "client_id" }
"""


@DIALECTS
@pytest.mark.parametrize("client_id", HOSTILE, ids=[name[:12].replace("/", "|") for name in HOSTILE])
def test_an_identity_gets_no_client_id_but_its_own(plant: Party, dialect: Dialect, client_id: str):
    wire = plant.dial(plant.names["press-01"], dialect=dialect)
    wire.send(dialect.connect(client_id))
    refused = (NOT_AUTHORIZED, 0x85, 0x95) if dialect is v5 else (NOT_AUTHORIZED_V311, 0x02)
    wire.expect_refusal(Connack, *refused, silent=client_id.startswith("xx"))


@DIALECTS
@pytest.mark.parametrize(
    "client_id",
    ["#", "+", "a/b", "/", "+/#", "", "$x"],
    ids=["hash", "plus", "slash", "bare", "both", "empty", "dollar"],
)
def test_a_client_id_is_a_value_in_the_policy_and_never_text(dialect: Dialect, client_id: str):
    """CVE-2017-7650 of Mosquitto: a Client Identifier of `#` or `+` was put into an ACL pattern as it was."""
    with party(PERSONAL, listener("lab")) as lab:
        victim = lab.dial(listener="lab", tls=False)
        victim.send(v5.connect("victim"))
        victim.expect(Connack, reason=0)
        victim.send(v5.subscribe(1, "inbox/victim/#"))
        victim.expect(Suback, reasons=(0,))
        thief = lab.dial(listener="lab", tls=False, dialect=dialect)
        thief.send(dialect.connect(client_id))
        if thief.expect(Connack).reason:
            return
        denied = NOT_AUTHORIZED if dialect is v5 else 0x80
        filters = ("inbox/victim/#", "inbox/+/#", "inbox/#", "#", "inbox/+/secret", "+/victim/#")
        thief.send(dialect.subscribe(1, *filters))
        thief.expect(Suback, reasons=(denied,) * len(filters))
        thief.send(dialect.publish("inbox/victim/x", b"forged"))
        victim.expect_nothing()


def test_an_assigned_client_id_is_in_its_identitys_own_namespace(plant: Party):
    wire = plant.dial(plant.names["press-01"])
    wire.send(v5.connect(""))
    assigned = wire.expect(Connack, reason=0).properties["assigned_client_identifier"]
    assert isinstance(assigned, str)
    assert assigned.startswith("press-01-")
    assert len(assigned) >= len("press-01-") + 16, "nobody can guess it"


def test_an_anonymous_client_gets_no_identitys_client_id():
    with party(OPEN, listener("lab")) as lab:
        lab.enrol("press-01", "press")
        for client_id in ("press-01", "press-01-a"):
            wire = lab.dial(listener="lab", tls=False)
            wire.send(v5.connect(client_id))
            wire.expect_refusal(Connack, NOT_AUTHORIZED)


@DIALECTS
def test_a_credential_is_judged_also_where_anonymous_clients_are_let_in(dialect: Dialect):
    with party(OPEN, listener("lab")) as lab:
        lab.enrol("dash", "dashboard", password=True)
        for password in (b"wrong", None):
            wire = lab.dial(listener="lab", tls=False, dialect=dialect)
            wire.send(dialect.connect("x", username="dash", password=password))
            reason = wire.expect(Connack, within_s=5).reason
            assert reason in ((0x86, NOT_AUTHORIZED) if dialect is v5 else (0x04, NOT_AUTHORIZED_V311))


@DIALECTS
def test_presses_reach_their_own_topics_and_no_other(plant: Party, dialect: Dialect):
    dash = plant.connect("dash", client_id=f"dash-{dialect.level}")
    dash.send(v5.subscribe(1, "data/+/temperature"))
    dash.expect(Suback, reasons=(0,))
    own = plant.connect("press-01", dialect=dialect)
    own.send(dialect.publish("data/press-01/temperature", b"mine"))
    dash.expect(Publish, topic="data/press-01/temperature", payload=b"mine")
    for topic in (
        "data/press-02/temperature",
        "data//temperature",
        "data/press-01/temperature/x",
        "Data/press-01/temperature",
    ):
        wire = plant.connect("press-01", client_id=f"press-01-{abs(hash(topic))}", dialect=dialect)
        wire.send(dialect.publish(topic, b"forged", qos=1, pid=1))
        if dialect is v5:
            wire.expect(Puback, reason=NOT_AUTHORIZED)
        else:
            wire.expect_close()
    dash.expect_nothing()
