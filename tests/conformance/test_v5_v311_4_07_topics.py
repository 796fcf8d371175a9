"""4.7 Topic Names and Topic Filters, both versions: what matches, and what is neither."""

import pytest

from tests.conformance.clauses import clause
from tests.conformance.lab import Lab
from tests.conformance.packets import Dialect, Will, v5, v311
from tests.conformance.received import Connack, Publish, Unsuback
from tests.conformance.steps import (
    heard,
    in_both,
    lasting,
    published,
    refused_filter,
    refused_name,
    subscribe,
    subscriber,
    taken,
)
from tests.conformance.wire import Wire

# A filter, topics it matches, topics it does not. "{}" is a level of this test alone.
MULTI_LEVEL = [
    ("{}/tennis/#", ["{}/tennis", "{}/tennis/", "{}/tennis/p", "{}/tennis/p/ranking"], ["{}/tennisp", "{}", "{}/ten"]),
    ("{}/#", ["{}", "{}/", "{}//", "{}/a/b/c/d/e/f"], ["{}a", "/{}", "a/{}"]),
    ("/{}/#", ["/{}", "/{}/a"], ["{}", "{}/a", "//{}"]),
    ("+/{}/#", ["a/{}", "/{}", "/{}/b/c"], ["{}", "a/b/{}", "a/{}b"]),
]
SINGLE_LEVEL = [
    ("{}/+", ["{}/a", "{}/"], ["{}", "{}/a/b", "{}//"]),
    ("{}/+/c", ["{}/b/c", "{}//c"], ["{}/c", "{}/b/b/c", "{}/b/c/"]),
    ("+/{}", ["a/{}", "/{}"], ["{}", "a/b/{}", "/{}/"]),
    ("/+/{}", ["/a/{}", "//{}"], ["a/{}", "/{}", "/a/b/{}"]),
    ("{}/+/+", ["{}/a/b", "{}//"], ["{}/a", "{}/a/b/c"]),
    ("{}/+/b/#", ["{}/a/b", "{}//b/c"], ["{}/b", "{}/a/c/b"]),
]
EXACT = [
    ("{}/a", ["{}/a"], ["{}/A", "{}/a/", "/{}/a", "{}//a", "{}/a ", "{}/ a", "{}/a/b", "{}"]),
    ("{}/\u00e9", ["{}/\u00e9"], ["{}/e\u0301", "{}/e", "{}/\u00c9"]),
    ("{}/a b", ["{}/a b"], ["{}/a%20b", "{}/a+b".replace("+", "\u2002"), "{}/ab"]),
    ("{}/./..", ["{}/./.."], ["{}", "{}/.", "{}/"]),
    ("{}/\\a*?", ["{}/\\a*?"], ["{}/a", "{}/\\ab?", "{}/\\a*b"]),
    ("{}//", ["{}//"], ["{}/", "{}", "{}///"]),
]
BAD_MULTI_LEVEL = ["a#", "a/b#", "a/#/b", "#/a", "#a", "##", "a/##", "+#", "#/", "#/#", "a/#b"]
BAD_SINGLE_LEVEL = ["a+", "+a", "a/b+", "a/+b/c", "++", "a/++/b", "+a/#", "a/+#", "+/b+"]
NAMES_WITH_WILDCARDS = ["#", "+", "a/#", "a/+", "+/a", "a#", "a+b", "/#", "a/+/b"]


def matches_only(lab: Lab, dialect: Dialect, case: tuple[str, list[str], list[str]]) -> None:
    """Of these topics, published in turn, the filter's subscriber gets those that match."""
    filter, matching, others = case
    level = lab.name()
    client = subscriber(lab, filter.format(level), dialect=dialect)
    publisher = lab.client("p", dialect=dialect)
    publisher.send(*(dialect.publish(topic.format(level), b"x") for topic in [*others, *matching]))
    for topic in matching:
        client.expect(Publish, topic=topic.format(level))
    client.expect_alive()


def names(case: tuple[str, list[str], list[str]]) -> str:
    return case[0].encode("ascii", "backslashreplace").decode()


@clause("MQTT-4.7.0-1", v=5)
@pytest.mark.parametrize("name", NAMES_WITH_WILDCARDS)
def test_mqtt_4_7_0_1_a_topic_name_with_wildcards_is_refused(lab: Lab, name: str) -> None:
    refused_name(lab, v5, name, 0x90)


@clause("MQTT-4.7.0-1", v=5)
@pytest.mark.parametrize("name", ["#", "a/+", "a+b"])
def test_mqtt_4_7_0_1_a_will_topic_with_wildcards_is_refused(wire: Wire, name: str) -> None:
    wire.send(v5.connect("a", will=Will(topic=name)))
    wire.expect_refusal(Connack, 0x90)


@clause("MQTT-4.7.1-1", v=311)
@pytest.mark.parametrize("name", NAMES_WITH_WILDCARDS)
def test_mqtt_4_7_1_1_a_topic_name_with_wildcards_ends_the_connection(lab: Lab, name: str) -> None:
    refused_name(lab, v311, name)


@clause("MQTT-4.7.1-1", v=311)
def test_mqtt_4_7_1_1_a_will_topic_with_wildcards_ends_the_connection(lab: Lab) -> None:
    wire = lab.dial(v311)
    wire.send(v311.connect("a", will=Will(topic="a/#")))
    wire.expect_close()


@clause("MQTT-4.7.1-1", v=5)
@pytest.mark.parametrize("filter", BAD_MULTI_LEVEL)
def test_mqtt_4_7_1_1_the_multi_level_wildcard_is_alone_and_last(lab: Lab, filter: str) -> None:
    refused_filter(lab, v5, filter, 0x8F)


@clause("MQTT-4.7.1-2", v=311)
@pytest.mark.parametrize("filter", BAD_MULTI_LEVEL)
def test_mqtt_4_7_1_2_the_multi_level_wildcard_is_alone_and_last(lab: Lab, filter: str) -> None:
    refused_filter(lab, v311, filter)


@clause("MQTT-4.7.1-2", v=5)
@pytest.mark.parametrize("filter", BAD_SINGLE_LEVEL)
def test_mqtt_4_7_1_2_the_single_level_wildcard_fills_its_level(lab: Lab, filter: str) -> None:
    refused_filter(lab, v5, filter, 0x8F)


@clause("MQTT-4.7.1-3", v=311)
@pytest.mark.parametrize("filter", BAD_SINGLE_LEVEL)
def test_mqtt_4_7_1_3_the_single_level_wildcard_fills_its_level(lab: Lab, filter: str) -> None:
    refused_filter(lab, v311, filter)


@clause("MQTT-4.7.1-1", v=5)
@pytest.mark.parametrize("case", MULTI_LEVEL, ids=names)
def test_mqtt_4_7_1_1_the_multi_level_wildcard_matches_all_below(
    lab: Lab, case: tuple[str, list[str], list[str]]
) -> None:
    matches_only(lab, v5, case)


@clause("MQTT-4.7.1-2", v=311)
@pytest.mark.parametrize("case", MULTI_LEVEL, ids=names)
def test_mqtt_4_7_1_2_the_multi_level_wildcard_matches_all_below(
    lab: Lab, case: tuple[str, list[str], list[str]]
) -> None:
    matches_only(lab, v311, case)


@clause("MQTT-4.7.1-2", v=5)
@pytest.mark.parametrize("case", SINGLE_LEVEL, ids=names)
def test_mqtt_4_7_1_2_the_single_level_wildcard_matches_one(lab: Lab, case: tuple[str, list[str], list[str]]) -> None:
    matches_only(lab, v5, case)


@clause("MQTT-4.7.1-3", v=311)
@pytest.mark.parametrize("case", SINGLE_LEVEL, ids=names)
def test_mqtt_4_7_1_3_the_single_level_wildcard_matches_one(lab: Lab, case: tuple[str, list[str], list[str]]) -> None:
    matches_only(lab, v311, case)


@clause("MQTT-4.7.2-1", v=5)
@clause("MQTT-4.7.2-1", v=311)
@in_both
def test_mqtt_4_7_2_1_a_leading_wildcard_matches_no_dollar_topic(lab: Lab, dialect: Dialect) -> None:
    # Nobody may publish below $SYS but the broker, and it does so all the time.
    wild = subscriber(lab, "#", "+/#", "+/+/#", "+/broker/#", dialect=dialect)
    named = subscriber(lab, "$SYS/#", suffix="n", dialect=dialect)
    while named.expect(Publish, within_s=15).retain:
        pass  # until one has been published, not only kept
    assert not [one.topic for one in heard(wild) if one.topic.startswith("$")]


@clause("MQTT-4.7.2-1", v=5)
@clause("MQTT-4.7.2-1", v=311)
@in_both
def test_mqtt_4_7_2_1_a_named_first_level_does(lab: Lab, dialect: Dialect) -> None:
    client = lab.client(dialect=dialect)
    subscribe(client, "$SYS/#")
    assert client.expect(Publish, within_s=15).topic.startswith("$SYS/")
    other = lab.client("o", dialect=dialect)
    subscribe(other, "$SYS/+/#")
    assert other.expect(Publish, within_s=15).topic.startswith("$SYS/")


@clause("MQTT-4.7.2-1", v=5)
@clause("MQTT-4.7.2-1", v=311)
@in_both
def test_mqtt_4_7_2_1_a_dollar_elsewhere_is_a_character(lab: Lab, dialect: Dialect) -> None:
    matches_only(lab, dialect, ("{}/+/#", ["{}/$x", "{}/$SYS/a", "{}/a$"], ["{}", "{}$/a"]))


@clause("MQTT-4.7.3-1", v=5)
@clause("MQTT-4.7.3-1", v=311)
@in_both
def test_mqtt_4_7_3_1_an_empty_name_or_filter_is_refused(lab: Lab, dialect: Dialect) -> None:
    refused_filter(lab, dialect, "", 0x8F)
    refused_name(lab, dialect, "", 0x82, 0x90)  # without an alias, a Protocol Error (3.3.2.3.4)


@clause("MQTT-4.7.3-1", v=5)
@clause("MQTT-4.7.3-1", v=311)
@in_both
@pytest.mark.parametrize("topic", ["/", "//", " ", "a"])
def test_mqtt_4_7_3_1_one_character_is_enough(lab: Lab, dialect: Dialect, topic: str) -> None:
    client = subscriber(lab, topic, dialect=dialect)
    client.send(dialect.publish(topic, lab.name().encode()))
    client.expect(Publish, topic=topic, payload=lab.name().encode())


@clause("MQTT-4.7.3-2", v=5)
@clause("MQTT-4.7.3-2", v=311)
@in_both
@pytest.mark.parametrize("octets", [b"\x00", b"a\x00b", b"a/\x00", b"\x00/#"])
def test_mqtt_4_7_3_2_a_null_character_is_refused(lab: Lab, dialect: Dialect, octets: bytes) -> None:
    refused_filter(lab, dialect, octets, 0x81)
    refused_name(lab, dialect, octets.replace(b"#", b"x"), 0x81)


@clause("MQTT-4.7.3-3", v=5)
@clause("MQTT-4.7.3-3", v=311)
@in_both
@pytest.mark.parametrize("last", ["x", "\u00e9", "/", "+/", "#"])
def test_mqtt_4_7_3_3_65535_bytes_are_a_topic(lab: Lab, dialect: Dialect, last: str) -> None:
    room = 65535 - len(lab.name()) - 1
    # A filter of two wildcards and otherwise the same levels matches what is as long.
    levels = last * (room // len(last.encode())) if last in {"x", "\u00e9", "/"} else "x" * (room - 2) + "/" + last[0]
    filter = f"{lab.name()}/{levels}"
    filter += "x" * (65535 - len(filter.encode()))
    topic = filter.replace("/+", "/y").replace("/#", "/y")
    client = subscriber(lab, (filter, 1), dialect=dialect)
    published(lab.client("p", dialect=dialect), topic, b"x")
    taken(client, topic=topic)
    client.send(dialect.unsubscribe(2, filter))
    client.expect(Unsuback, pid=2)


@clause("MQTT-4.7.3-4", v=5)
@clause("MQTT-4.7.3-4", v=311)
@in_both
@pytest.mark.parametrize("case", EXACT, ids=names)
def test_mqtt_4_7_3_4_matching_compares_characters_as_they_are(
    lab: Lab, dialect: Dialect, case: tuple[str, list[str], list[str]]
) -> None:
    matches_only(lab, dialect, case)


@clause("MQTT-4.7.3-4", v=5)
@clause("MQTT-4.7.3-4", v=311)
@in_both
def test_mqtt_4_7_3_4_what_is_kept_is_matched_the_same_way(lab: Lab, dialect: Dialect) -> None:
    # Retained Messages and queued ones go other ways than what is forwarded at once.
    level = lab.name()
    publisher = lab.client("p", dialect=dialect)
    lasting(lab, (f"{level}/+", 1), dialect=dialect).drop()
    topics = [f"{level}/a", f"{level}/A", f"{level}/", f"{level}/a/b", level]
    for topic in topics:
        published(publisher, topic, b"x", retain=True)
    client = subscriber(lab, f"{level}/+", suffix="r", dialect=dialect)
    assert sorted(one.topic for one in heard(client)) == sorted(topics[:3])
    away = lab.dial(dialect)
    away.send(dialect.connect(lab.name("s"), clean=False))
    away.expect(Connack, session_present=True)
    assert [away.expect(Publish).topic for _ in range(3)] == topics[:3]
    for topic in topics:
        published(publisher, topic, b"", retain=True)
