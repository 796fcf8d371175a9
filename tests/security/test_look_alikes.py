"""A name that looks like another one is another name: it opens nothing, takes nothing over and reads nothing."""

import unicodedata
from collections.abc import Iterator

import pytest

from tests.conformance.packets import Dialect, v5, v311
from tests.conformance.received import Connack, Puback, Publish, Suback
from tests.security.party import NOT_AUTHORIZED, NOT_AUTHORIZED_V311, PLANT, Party, party

DIALECTS = pytest.mark.parametrize("dialect", [v5, v311], ids=["v5", "v311"])
COMPOSED = "pr\u00e9s-01"
ALIKE = {
    "cyrillic": "\u0440ress-01",
    "fullwidth": "\uff50ress-01",
    "another hyphen": "press\u201101",
    "another digit": "press-0\U0001d7cf",
    "upper case": "Press-01",
    "a space behind": "press-01 ",
    "zero width": "press-01\u200b",
    "soft hyphen": "press\u00ad-01",
    "turned round": "\u202e10-sserp",
}
BAD_PASSWORD, BAD_PASSWORD_V311 = 0x86, 0x04


@pytest.fixture(scope="module")
def _lines() -> Iterator[Party]:
    # Wrong names are slowed down elsewhere: here each one is answered.
    with party(PLANT, "passwords.free_failures=100", "passwords.free_failures_per_network=1000") as running:
        running.enrol("press-01", "press", password=True)
        running.enrol("press-02", "press", password=True)
        running.enrol(COMPOSED, "press", password=True)
        running.enrol(ALIKE["cyrillic"], "press", password=True)
        running.enrol("dash", "dashboard", password=True)
        yield running


@pytest.fixture
def lines(_lines: Party) -> Party:
    """A plant in which one press is called almost as another one."""
    return _lines


def secret(lines: Party, name: str) -> bytes:
    password = lines.names[name].password
    assert password is not None
    return password.encode()


@DIALECTS
@pytest.mark.parametrize("name", ALIKE.values(), ids=ALIKE)
def test_a_client_identifier_that_looks_like_ones_own_is_not(lines: Party, dialect: Dialect, name: str):
    wire = lines.dial(dialect=dialect)
    wire.send(dialect.connect(name, username="press-02", password=secret(lines, "press-02")))
    refused = (NOT_AUTHORIZED, 0x85) if dialect is v5 else (NOT_AUTHORIZED_V311, 0x02)
    wire.expect_refusal(Connack, *refused)


@DIALECTS
@pytest.mark.parametrize("name", [alike for alike in ALIKE.values() if alike != ALIKE["cyrillic"]])
def test_a_user_name_that_looks_like_an_identity_is_none(lines: Party, dialect: Dialect, name: str):
    wire = lines.dial(dialect=dialect)
    wire.send(dialect.connect("press-01", username=name, password=secret(lines, "press-01")))
    wire.expect_refusal(Connack, BAD_PASSWORD if dialect is v5 else BAD_PASSWORD_V311, within_s=5)


@DIALECTS
def test_another_normal_form_of_a_name_is_another_name(lines: Party, dialect: Dialect):
    decomposed = unicodedata.normalize("NFD", COMPOSED)
    assert decomposed != COMPOSED
    password = secret(lines, COMPOSED)
    for client_id, user_name in ((COMPOSED, decomposed), (decomposed, COMPOSED)):
        wire = lines.dial(dialect=dialect)
        wire.send(dialect.connect(client_id, username=user_name, password=password))
        refused = (BAD_PASSWORD, NOT_AUTHORIZED) if dialect is v5 else (BAD_PASSWORD_V311, NOT_AUTHORIZED_V311)
        wire.expect_refusal(Connack, *refused, within_s=5)


def test_an_identity_that_looks_like_another_takes_nothing_of_it(lines: Party):
    dash = lines.connect("dash")
    dash.send(v5.subscribe(1, "data/+/temperature"))
    dash.expect(Suback, reasons=(0,))
    press = lines.connect("press-01")
    press.send(v5.subscribe(1, "commands/press-01"))
    press.expect(Suback, reasons=(0,))
    alike = lines.connect(ALIKE["cyrillic"])
    alike.send(v5.subscribe(1, "commands/press-01"))
    alike.expect(Suback, reasons=(NOT_AUTHORIZED,))
    alike.send(v5.publish("data/press-01/temperature", b"forged", qos=1, pid=2))
    alike.expect(Puback, reason=NOT_AUTHORIZED)
    alike.send(v5.publish(f"data/{ALIKE['cyrillic']}/temperature", b"own", qos=1, pid=3))
    alike.expect(Puback, reason=0)
    dash.expect(Publish, topic=f"data/{ALIKE['cyrillic']}/temperature", payload=b"own")
    dash.send(v5.publish("commands/press-01", b"stop"))
    press.expect(Publish, payload=b"stop")
    alike.expect_nothing()


def test_a_topic_that_looks_like_a_forbidden_one_is_no_way_to_it(lines: Party):
    """Levels are compared octet by octet: what looks like `data` is not, neither to the policy nor to subscribers."""
    press = lines.connect("press-02")
    for pid, topic in enumerate(
        ("d\u0430ta/press-02/temperature", "data/press-02/temp\u0435rature", "data/press-02\u200b/temperature"), 1
    ):
        press.send(v5.publish(topic, b"x", qos=1, pid=pid))
        press.expect(Puback, reason=NOT_AUTHORIZED)


@DIALECTS
def test_a_client_identifier_with_nul_is_no_text(lines: Party, dialect: Dialect):
    wire = lines.dial(dialect=dialect)
    wire.send(dialect.connect("press-01\0", username="press-01", password=secret(lines, "press-01")))
    wire.expect_refusal(Connack, 0x81, 0x85, 0x02, silent=True)
