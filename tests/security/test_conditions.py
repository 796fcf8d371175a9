"""`when`: a rule counts only in the circumstances that it names, on live connections and real sockets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.packets import v5
from tests.conformance.received import Puback, Publish, Suback
from tests.security.party import GRANTED_QOS_1, NOT_AUTHORIZED, Party, party

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def another_day() -> str:
    """One that is neither today, nor yesterday, nor tomorrow, in no zone."""
    return DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]


def policy() -> str:
    return f"""
[windows.always]
days = "mon-sun"
from = "00:00"
to   = "24:00"
zone = "UTC"

[windows.another-day]
days = "{another_day()}"
from = "00:00"
to   = "24:00"
zone = "UTC"

[roles.press]
includes = ["base"]
permit = [
  {{ action = "all",     filter = "inner/#",   when = {{ listener = "inner" }} }},
  {{ action = "publish", filter = "proved/#",  when = {{ method = "certificate" }} }},
  {{ action = "publish", filter = "strong/#",  when = {{ strength = "certificate" }} }},
  {{ action = "publish", filter = "here/#",    when = {{ address = "127.0.0.0/8" }} }},
  {{ action = "publish", filter = "far/#",     when = {{ address = ["10.0.0.0/8", "local"] }} }},
  {{ action = "publish", filter = "site/#",    when = {{ attr.site = ["chicago", "berlin"] }} }},
  {{ action = "publish", filter = "small/#",   when = {{ payload_bytes_max = 4 }} }},
  {{ action = "publish", filter = "text/#",    when = {{ content_type = "text/plain" }} }},
  {{ action = "publish", filter = "always/#",  when = {{ window = "always" }} }},
  {{ action = "publish", filter = "another/#", when = {{ window = "another-day" }} }},
  {{ action = "all",     filter = "both/#" }},
]
forbid = [{{ action = "all", filter = "both/#", when = {{ listener = "inner" }} }}]

[roles.base]
permit = [{{ action = "all", filter = "base/#" }}]

[roles.reader]
permit = [{{ action = "subscribe", filter = "#" }}]
"""


@pytest.fixture(scope="module")
def plant() -> Iterator[Party]:
    with party(policy(), 'listeners.inner={ bind = "127.0.0.1:0" }') as running:
        running.enrol("cert", "press", site="chicago")
        running.enrol("word", "press", password=True, site="rome")
        running.enrol("bare", "press")
        running.enrol("dash", "reader")
        yield running


@pytest.mark.parametrize(
    ("name", "listener", "topic", "allowed"),
    [
        ("cert", "inner", "inner/t", True),
        ("cert", "mqtt", "inner/t", False),
        ("cert", "mqtt", "proved/t", True),
        ("word", "mqtt", "proved/t", False),
        ("cert", "mqtt", "strong/t", True),
        ("word", "mqtt", "strong/t", False),
        ("cert", "mqtt", "here/t", True),
        ("cert", "mqtt", "far/t", False),
        ("cert", "mqtt", "site/t", True),
        ("word", "mqtt", "site/t", False),
        ("bare", "mqtt", "site/t", False),
        ("cert", "mqtt", "always/t", True),
        ("cert", "mqtt", "another/t", False),
        ("cert", "mqtt", "both/t", True),
        ("cert", "inner", "both/t", False),
        ("cert", "mqtt", "base/t", True),
    ],
)
def test_a_rule_counts_where_its_condition_holds(plant, name, listener, topic, allowed):
    wire = plant.connect(name, listener=listener)
    for _ in range(2):  # decided once, and once more from what is remembered
        wire.send(v5.publish(topic, b"x", qos=1, pid=1))
        wire.expect(Puback, reason=0x10 if allowed else NOT_AUTHORIZED)
    wire.drop()


def test_properties_of_a_message_are_judged_with_each_message(plant):
    wire = plant.connect("cert")
    for payload, reason in ((b"1234", 0x10), (b"12345", NOT_AUTHORIZED), (b"1", 0x10), (b"12345", NOT_AUTHORIZED)):
        wire.send(v5.publish("small/t", payload, qos=1, pid=1))
        wire.expect(Puback, reason=reason)
    for content_type, reason in (("text/plain", 0x10), ("text/html", NOT_AUTHORIZED), (None, NOT_AUTHORIZED)):
        props = {} if content_type is None else {"content_type": content_type}
        wire.send(v5.publish("text/t", b"x", qos=1, pid=1, props=props))
        wire.expect(Puback, reason=reason)
    wire.drop()


def test_a_subscription_is_granted_by_the_listener_of_its_connection(plant):
    for listener, reason in (("inner", GRANTED_QOS_1), ("mqtt", NOT_AUTHORIZED)):
        wire = plant.connect("cert", listener=listener)
        wire.send(v5.subscribe(1, ("inner/#", 1)))
        wire.expect(Suback, reasons=(reason,))
        wire.drop()


def test_a_session_that_comes_back_by_another_listener_loses_what_counted_only_there(plant):
    wire = plant.connect("cert", listener="inner", clean=False, props={"session_expiry_interval": 300})
    wire.send(v5.subscribe(1, ("inner/#", 1)))
    wire.expect(Suback, reasons=(GRANTED_QOS_1,))
    wire.drop()
    again = plant.connect("cert", clean=False, props={"session_expiry_interval": 0})
    told = plant.wait_for("subscription_removed", client_id="cert", filter="inner/#")
    assert told["dropped_messages"] == 0
    again.drop()


def test_what_was_retained_is_read_while_its_publisher_is_away(plant):
    wire = plant.connect("cert", listener="inner")
    wire.send(v5.publish("inner/kept", b"kept", qos=1, pid=1, retain=True))
    wire.expect(Puback)
    wire.drop()
    dash = plant.connect("dash")
    dash.send(v5.subscribe(1, ("inner/kept", 1)))
    dash.expect(Suback, reasons=(GRANTED_QOS_1,))
    dash.expect(Publish, payload=b"kept")
    dash.drop()
    # Whoever subscribes in another test is not to receive it.
    wire = plant.connect("cert", listener="inner")
    wire.send(v5.publish("inner/kept", b"", qos=1, pid=1, retain=True))
    wire.expect(Puback)
    wire.drop()


def test_a_denial_says_that_it_was_the_condition(plant):
    wire = plant.connect("word")
    wire.send(v5.publish("proved/told", b"x", qos=1, pid=1))
    wire.expect(Puback, reason=NOT_AUTHORIZED)
    told = plant.wait_for("denied", client_id="word", topic="proved/told")
    assert (told["why"], told["rule"]) == ("condition_not_met", "roles.press.permit[1]")
    wire.drop()
