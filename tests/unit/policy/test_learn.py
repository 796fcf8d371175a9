"""A contract that was learned allows what was seen, and nothing that its list does not show."""

from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy.compiled import Asked, CompiledPolicy, Request, filter_covers
from bartizan.policy.contract import Action
from bartizan.policy.learn import Allowance, Client, Lesson, Seen, learn, pattern_of, stem

PUBLISH, SUBSCRIBE = Action.PUBLISH, Action.SUBSCRIBE


def press(number: int, site: str = "chicago") -> Client:
    return Client(f"press-0{number}", f"press-0{number}", (("site", site),))


DASH = Client("dash-01", "dash-01", (("site", "chicago"),))


def temperature(client: Client, qos: int = 0) -> Seen:
    site = dict(client.attributes)["site"]
    return Seen(client, PUBLISH, f"data/{site}/{client.client_id}/temperature", qos, bytes=4)


def test_own_values_become_variables_and_those_who_do_the_same_have_one_role():
    seen = [
        temperature(press(1), qos=1),
        temperature(press(2, "lyon")),
        Seen(DASH, SUBSCRIBE, "data/chicago/+/temperature"),
    ]
    lesson = learn(seen, ["For review."])
    assert (
        lesson.text
        == """\
# For review.

[topics."data/{site}/{client_id}/temperature"]
# for example data/chicago/press-01/temperature, 4 octets at most
title   = ""
publish = ["press"]
qos_max = 1
retain  = false

[roles.dash]
# dash-01
binds  = { site = "attr.site" }
permit = [
  { action = "subscribe", filter = "data/{site}/+/temperature" },
]

[roles.press]
# press-01, press-02
binds = { client_id = "client_id", site = "attr.site" }
"""
    )
    unseen = [(each.client.name, each.topic, each.qos_max) for each in lesson.allowances if not each.was_seen]
    assert unseen == [("press-02", "data/lyon/press-02/temperature", 1)]


def test_a_topic_that_one_publishes_and_another_reads_is_declared_once():
    reader = Client("reader", "reader")
    lesson = learn([Seen(press(1), PUBLISH, "state/all", 2, retain=True), Seen(reader, SUBSCRIBE, "state/all")])
    assert 'publish   = ["press"]\nsubscribe = ["reader"]\nqos_max   = 2\nretain    = true' in lesson.text


def test_who_does_less_has_a_role_of_its_own():
    lesson = learn([temperature(press(1)), temperature(press(2)), Seen(press(2), PUBLISH, "log")])
    assert {role: [client.name for client in clients] for role, clients in lesson.roles.items()} == {
        "press": ["press-01"],
        "press-2": ["press-02"],
    }


def test_a_role_that_they_alone_have_keeps_its_name():
    one, other = (Client(name, name, roles=("machines",)) for name in ("a-1", "b-1"))
    lesson = learn([Seen(client, PUBLISH, f"t/{client.client_id}") for client in (one, other)])
    assert list(lesson.roles) == ["machines"]


def test_clients_that_nobody_proved_are_told_apart_by_what_they_are_called():
    names = ("press-01", "press-02", "robot-7")
    lesson = learn([Seen(Client(name), PUBLISH, f"t/{name}") for name in names])
    assert sorted(lesson.roles) == ["press", "robot"]
    assert [stem(name) for name in ("press-01", "line3.press7", "42", "x")] == ["press", "line3.press", "42", "x"]


def test_what_no_policy_can_spell_is_told_and_not_granted():
    client = Client("c", "c")
    seen = [Seen(client, PUBLISH, "a/{x}"), Seen(client, PUBLISH, "a/x{"), Seen(client, PUBLISH, "ok")]
    lesson = learn(seen)
    assert [each.topic for each in lesson.unspelt] == ["a/{x}", "a/x{"]
    assert [each.topic for each in lesson.allowances] == ["ok"]


def test_one_variable_is_not_twice_in_a_topic():
    client = Client("x", "y", (("a", "x"),))
    pattern = pattern_of(client, "x/x/x/y")
    assert pattern is not None
    assert pattern.text == "{client_id}/{a}/x/{identity}"


LEVELS = st.sampled_from(["a", "b", "c-1", "c-2", "i-1", "s", "", "{x}", "$x", "é"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=3).map("/".join).filter(bool)
FILTERS = st.tuples(st.lists(LEVELS | st.just("+"), max_size=2), LEVELS | st.sampled_from("+#")).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)
CLIENTS = st.builds(
    Client,
    st.sampled_from(["c-1", "c-2", "a", "+", "x/y"]),
    st.sampled_from(["", "i-1", "i-2", "c-1"]),
    st.sampled_from([(), (("s", "s"),), (("s", "a"), ("client_id", "b"))]),
)


@st.composite
def seen_things(draw: st.DrawFn) -> list[Seen]:
    clients = draw(st.lists(CLIENTS, min_size=1, max_size=4))
    # An identity has one set of attributes.
    attributes = {client.identity: client.attributes for client in clients}
    clients = [
        Client(each.client_id, each.identity, attributes[each.identity] if each.identity else ()) for each in clients
    ]
    topics = TOPICS.filter(lambda topic: not topic.startswith("$"))
    published = st.builds(
        Seen, st.sampled_from(clients), st.just(PUBLISH), topics, st.integers(0, 2), st.booleans(), st.integers(0, 9)
    )
    filters = FILTERS.filter(lambda text: bool(text) and not text.startswith("$share"))
    subscribed = st.builds(Seen, st.sampled_from(clients), st.just(SUBSCRIBE), filters)
    return draw(st.lists(published | subscribed, min_size=1, max_size=8))


def allows(lesson: Lesson, client: Client, role: str, seen: Seen) -> bool:
    policy: CompiledPolicy | None = lesson.result.compiled
    assert policy is not None
    request = Request(
        Asked(seen.action.value),
        seen.topic,
        identity=client.identity or client.client_id,
        client_id=client.client_id,
        roles=(role,),
        attributes=dict(client.attributes),
        qos=seen.qos,
        retain=seen.retain,
    )
    return policy.decide(request).allow


def shows(allowances: list[Allowance], seen: Seen) -> bool:
    if seen.action is SUBSCRIBE:
        return any(each.action is SUBSCRIBE and filter_covers(each.topic, seen.topic) for each in allowances)
    return any(
        each.action is PUBLISH
        and each.topic == seen.topic
        and seen.qos <= each.qos_max
        and (each.retain or not seen.retain)
        for each in allowances
    )


@given(seen_things(), st.lists(st.tuples(TOPICS, st.integers(0, 2), st.booleans()), max_size=6))
def test_it_allows_to_everybody_seen_just_what_the_list_shows(seen, others):
    lesson = learn(seen)
    unspelt = set(lesson.unspelt)
    assert all(not allows_any(lesson, each) or shown(lesson, each) for each in unspelt)
    for role, clients in lesson.roles.items():
        for client in clients:
            own = [each for each in lesson.allowances if each.client == client]
            asked = [
                Seen(client, each.action, each.topic, qos, retain)
                for each in seen
                for qos in range(3)
                for retain in (False, True)
            ]
            asked += [
                Seen(client, PUBLISH, topic, qos, retain) for topic, qos, retain in others if not topic.startswith("$")
            ]
            asked += [Seen(client, SUBSCRIBE, topic) for topic, *_ in others if not topic.startswith("$share")]
            for each in asked:
                described = each if each.action is PUBLISH else Seen(client, SUBSCRIBE, each.topic)
                assert allows(lesson, client, role, described) == shows(own, described), (described, lesson.text)
    assert all(shown(lesson, each) for each in seen if each not in unspelt)


def shown(lesson: Lesson, seen: Seen) -> bool:
    return shows([each for each in lesson.allowances if each.client == seen.client], seen)


def allows_any(lesson: Lesson, seen: Seen) -> bool:
    roles = [role for role, clients in lesson.roles.items() if seen.client in clients]
    return any(allows(lesson, seen.client, role, seen) for role in roles)
