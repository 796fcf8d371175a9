"""EMQX's acl.conf -> roles, identities, differences."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import Asked, Circumstances, Request, check
from bartizan.policy.imports import UnreadableLine
from bartizan.policy.imports.emqx import import_emqx
from bartizan.policy.imports.erlang import read_terms
from bartizan.policy.writer import policy_text
from tests import oracle

SHIPPED = """
{allow, {username, {re, "^dashboard$"}}, subscribe, ["$SYS/#"]}.
{allow, {ipaddr, "127.0.0.1"}, all, ["$SYS/#", "#"]}.
{deny, all, subscribe, ["$SYS/#", {eq, "#"}]}.
{allow, all}.
"""


def imported(text: str, *, no_match_allows: bool = False):
    return import_emqx(read_terms(text.encode(), "acl.conf"), "acl.conf", no_match_allows=no_match_allows)


def told(whole, name):
    return [(each.weight.value, each.line) for each in whole.differences if each.name == name]


def lost(whole):
    return sorted({each.name for each in whole.differences if each.weight.value == "lost"})


def decide(whole, user, action, topic, *, client_id="c", attributes=None, address=None, **message):
    result = check(policy_text(whole.roles), "policy.toml")
    assert result.compiled is not None, [str(error) for error in result.errors]
    known = {identity.name: identity.roles for identity in whole.identities}
    mine = known.get(user, ("all-users",))
    who: dict[str, Any] = {"identity": user, "client_id": client_id, "roles": mine, "attributes": attributes or {}}
    there = Circumstances("mqtts", address)
    return result.compiled.decide(Request(action, topic, there=there, **who, **message)).allow


def test_the_file_that_emqx_ships():
    whole = imported(SHIPPED)
    assert lost(whole) == ["dollar-publish", "eq"]
    assert told(whole, "dollar-publish") == [("lost", 3)]
    assert told(whole, "eq") == [("lost", 4)]
    assert decide(whole, "bob", Asked.SUBSCRIBE, "$SYS/#", address="127.0.0.1")
    assert decide(whole, "dashboard", Asked.SUBSCRIBE, "$SYS/#")
    assert not decide(whole, "bob", Asked.SUBSCRIBE, "$SYS/#")
    assert decide(whole, "bob", Asked.PUBLISH, "a/b")


def test_the_first_rule_that_matches_decides():
    whole = imported('{allow, {user, "bob"}, all, ["a/b"]}. {deny, all, all, ["a/#"]}. {allow, all}.')
    assert lost(whole) == ["order"]
    whole = imported('{allow, {user, "bob"}, all, ["a/#"]}. {deny, all, all, ["a/#"]}. {allow, all}.')
    assert lost(whole) == []
    assert decide(whole, "bob", Asked.PUBLISH, "a/b")
    assert not decide(whole, "amy", Asked.PUBLISH, "a/b")
    assert decide(whole, "amy", Asked.PUBLISH, "b")


@pytest.mark.parametrize(
    ("who", "name"),
    [
('{clientid, "x"}', "client-id-condition"), ('{client, {re, "^x"}}', "client-id-condition"),
        ('{username, {re, "^x"}}', "regex"), ('{username, {re, "^a|b$"}}', "regex"),
        ('{client_attr, "site", {re, "a"}}', "attribute-condition"), ('{client_attr, "Site", "a"}', "attribute-condition"),
        ('{zone, "z"}', "zone-condition"), ('{listener, "tcp:default"}', "listener-condition"),
        ("{security_profile, legacy}", "security-profile"), ('{\'and\', [all, {zone, "z"}]}', "zone-condition"),
        ('{\'or\', [{zone, "z"}]}', "zone-condition"),
        ('{\'and\', [{ipaddr, "10.0.0.0/8"}, {ipaddr, "10.1.0.0/16"}]}', "address-condition"),
        ('{\'or\', [{ipaddr, "::1"}, {client_attr, "a", "b"}]}', "address-condition"),
        ('{\'and\', [{client_attr, "a", "b"}, {client_attr, "a", "c"}]}', "attribute-condition"),
    ],
)  # fmt: skip
def test_a_condition_that_is_not_known_allows_nobody_and_denies_everybody(who, name):
    whole = imported(f'{{allow, {who}, all, ["a"]}}.')
    assert (lost(whole), whole.roles) == ([name], ())
    whole = imported(f'{{deny, {who}, all, ["a"]}}. {{allow, all}}.')
    assert lost(whole) == [name]
    assert not decide(whole, "bob", Asked.PUBLISH, "a")
    assert decide(whole, "bob", Asked.PUBLISH, "b")


def test_what_is_known_decides_whatever_is_not():
    whole = imported('{deny, {\'and\', [{user, "bob"}, {zone, "z"}]}, all, ["a"]}. {allow, all}.')
    assert not decide(whole, "bob", Asked.PUBLISH, "a")
    assert decide(whole, "amy", Asked.PUBLISH, "a")
    whole = imported('{allow, {\'or\', [{user, "bob"}, {zone, "z"}]}, all, ["a"]}.')
    assert decide(whole, "bob", Asked.PUBLISH, "a")


def test_variables_stand_for_whole_levels():
    whole = imported(
        '{allow, all, publish, ["u/${username}", "c/${clientid}/#", "a/${client_attrs.site}", <<"${$}x">>]}.'
    )
    assert decide(whole, "bob", Asked.PUBLISH, "u/bob")
    assert not decide(whole, "bob", Asked.PUBLISH, "u/amy")
    assert decide(whole, "bob", Asked.PUBLISH, "c/c/d")
    assert decide(whole, "bob", Asked.PUBLISH, "a/x", attributes={"site": "x"})
    assert not decide(whole, "bob", Asked.PUBLISH, "a/x")
    assert lost(whole) == ["dollar-publish"]
    assert told(whole, "client-attributes") == [("changed", 0)]


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("dev-${clientid}", "partial-variable"),
        ("${cert_common_name}/a", "braces"),
        ("a/${zone}", "braces"),
        ("a/{x}", "braces"),
    ],
)
def test_what_is_no_variable_here_is_a_loss(topic, name):
    assert lost(imported(f'{{allow, all, publish, ["{topic}"]}}.')) == [name]


def test_exactly_this_filter_is_its_topics_where_that_takes_nothing():
    whole = imported('{allow, all, subscribe, [{eq, "a/#"}, "eq b"]}.')
    assert (lost(whole), told(whole, "eq")) == ([], [("changed", 1)])
    assert decide(whole, "bob", Asked.SUBSCRIBE, "a/#")
    assert decide(whole, "bob", Asked.SUBSCRIBE, "b")
    assert imported('{allow, all, publish, [{eq, "a/#"}]}.').roles == ()


@pytest.mark.parametrize(
    ("action", "qos_max", "retain"),
    [
        ("{publish, [{qos, [0, 1]}]}", 1, True),
        ("{publish, [{retain, false}]}", 2, False),
        ("{all, [{retain, all}]}", 2, True),
    ],
)
def test_bounds_that_a_permit_has_too_are_carried_over(action, qos_max, retain):
    whole = imported(f'{{allow, all, {action}, ["a"]}}.')
    assert lost(whole) == []
    for qos in range(3):
        assert decide(whole, "bob", Asked.PUBLISH, "a", qos=qos) == (qos <= qos_max)
    assert decide(whole, "bob", Asked.PUBLISH, "a", retain=True) == retain


@pytest.mark.parametrize(
    ("options", "qos", "retain"),
    [
        ("{qos, 1}", {1}, {False, True}),
        ("{retain, true}", {0, 1, 2}, {True}),
        ("{qos, [0, 2]}, {retain, false}", {0, 2}, {False}),
    ],
)
def test_other_bounds_of_a_publish_are_a_condition(options, qos, retain):
    for rule in (
        '{{allow, all, {{publish, [{}]}}, ["a"]}}.',
        '{{deny, all, {{publish, [{}]}}, ["a"]}}. {{allow, all}}.',
    ):
        whole = imported(rule.format(options))
        assert lost(whole) == []
        for level, flag in product(range(3), (False, True)):
            meant = level in qos and flag in retain
            assert decide(whole, "bob", Asked.PUBLISH, "a", qos=level, retain=flag) == (
                meant == rule.startswith("{{allow")
            )


def test_the_qos_of_a_subscribe_is_a_loss():
    whole = imported('{allow, all, {subscribe, [{qos, 0}]}, ["a"]}.')
    assert (lost(whole), whole.roles) == (["qos-condition"], ())
    whole = imported('{deny, all, {all, [{qos, 0}]}, ["a"]}. {allow, all}.')
    assert lost(whole) == ["qos-condition"]
    assert not decide(whole, "bob", Asked.SUBSCRIBE, "a")
    assert decide(whole, "bob", Asked.PUBLISH, "a", qos=1)


@pytest.mark.parametrize(
    ("who", "meant"),
    [
        ('{ipaddr, "10.0.0.0/8"}', "10.9.9.9"), ('{ipaddr, "10.9.9.9"}', "10.9.9.9"), ('{ipaddr, "10.9.9.9/8"}', "10.1.1.1"),
        ('{ipaddrs, ["10.0.0.1", "::1"]}', "::1"), ('{\'or\', [{ipaddr, "10.0.0.1"}, {ipaddr, "::1"}]}', "::1"),
        ('{\'and\', [all, {ipaddr, "10.0.0.1"}]}', "10.0.0.1"),
    ],
)  # fmt: skip
def test_an_address_is_a_condition(who, meant):
    whole = imported(f'{{allow, {who}, all, ["a"]}}.')
    assert (lost(whole), told(whole, "address")) == ([], [("changed", 1)])
    assert decide(whole, "bob", Asked.PUBLISH, "a", address=meant)
    assert not decide(whole, "bob", Asked.PUBLISH, "a", address="192.0.2.1")
    whole = imported(f'{{deny, {who}, all, ["a"]}}. {{allow, all}}.')
    assert lost(whole) == []
    assert not decide(whole, "bob", Asked.PUBLISH, "a", address=meant)
    assert decide(whole, "bob", Asked.PUBLISH, "a", address="192.0.2.1")


def test_an_attribute_is_a_condition_and_who_lacks_it_is_told():
    whole = imported('{allow, {\'or\', [{client_attr, "site", "x"}, {client_attr, "site", "y"}]}, all, ["a"]}.')
    assert decide(whole, "bob", Asked.PUBLISH, "a", attributes={"site": "y"})
    assert not decide(whole, "bob", Asked.PUBLISH, "a", attributes={"site": "z"})
    assert told(imported('{deny, {client_attr, "site", "x"}, all, ["a"]}.'), "attribute") == [("changed", 1)]


def test_a_denial_does_not_hide_what_it_denies_only_sometimes():
    whole = imported('{deny, {ipaddr, "10.0.0.1"}, all, ["#"]}. {allow, all, all, ["a"]}.')
    assert decide(whole, "bob", Asked.PUBLISH, "a", address="10.0.0.2")
    assert not decide(whole, "bob", Asked.PUBLISH, "a", address="10.0.0.1")


def test_what_is_allowed_only_sometimes_does_not_let_a_denial_through():
    whole = imported('{allow, {ipaddr, "10.0.0.1"}, all, ["a"]}. {deny, all, all, ["a"]}. {allow, all}.')
    assert lost(whole) == ["order"]
    assert not decide(whole, "bob", Asked.PUBLISH, "a", address="10.0.0.2")


@pytest.mark.parametrize("allows", [True, False])
def test_what_no_rule_matches_is_as_asked_for(allows):
    whole = imported('{deny, all, all, ["a"]}.', no_match_allows=allows)
    assert not decide(whole, "bob", Asked.PUBLISH, "a")
    assert decide(whole, "bob", Asked.PUBLISH, "b") == allows
    assert decide(whole, "bob", Asked.SUBSCRIBE, "$SYS/#") == allows


@pytest.mark.parametrize("topic", ["$share/g/a", "$queue/a", "a+", "a/#/b"])
def test_what_matches_no_topic_is_noted(topic):
    whole = imported(f'{{allow, all, all, ["{topic}"]}}.')
    assert (whole.roles, told(whole, "no-effect")) == ((), [("noted", 1)])


@pytest.mark.parametrize(
    "bad",
    [
        "allow.", "{permit, all}.", "{allow}.", "{allow, all, all}.", '{allow, all, read, ["a"]}.', '{allow, all, all, "a"}.',
        '{allow, bob, all, ["a"]}.', '{allow, {user, bob}, all, ["a"]}.', "{allow, all, all, [a]}.", '{allow, all, all, [""]}.',
        '{allow, all, {publish, [{qos, 3}]}, ["a"]}.', '{allow, all, {publish, [{retain, yes}]}, ["a"]}.',
        '{allow, all, {publish, [x]}, ["a"]}.', '{allow, all, {publish, [{qos, []}]}, ["a"]}.', "{allow, {'and', all}}.",
        '{allow, {ipaddr, "host"}}.', '{allow, {ipaddrs, []}}.', "{allow, {ipaddrs, [x]}}.",
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_its_line(bad):
    with pytest.raises(UnreadableLine, match=r"acl\.conf:2"):
        imported("\n" + bad)


# ---- the order, whatever the rules

WORDS = st.sampled_from(["a", "b", "+"])
FILTERS = st.tuples(st.lists(WORDS, min_size=1, max_size=2), st.sampled_from(["", "/#"])).map(
    lambda parts: "/".join(parts[0]) + parts[1]
)
RULES = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from(["", "bob", "amy"]), st.sampled_from(["publish", "subscribe", "all"]), FILTERS
    ),
    min_size=1,
    max_size=6,
)
TOPICS = ("a", "b", "c", "a/a", "a/b", "b/a", "c/c", "a/b/c", "b/b/b")


@given(rules=RULES)
def test_decisions_are_those_of_the_first_match_but_for_named_losses_where_they_are_denials(rules):
    lines = [
        f'{{{"allow" if allow else "deny"}, {f"{{user, {chr(34)}{user}{chr(34)}}}" if user else "all"}, {action}, ["{topic}"]}}.'
        for allow, user, action, topic in rules
    ]
    whole = imported("\n".join(lines))
    losses = [each.topics for each in whole.differences if each.name == "order"]
    for user in ("bob", "amy", "zoe"):
        for action in (Asked.PUBLISH, Asked.RECEIVE):
            for topic in TOPICS:
                there = first_match(rules, user, "publish" if action is Asked.PUBLISH else "subscribe", topic)
                here = decide(whole, user, action, topic)
                if here != there:
                    assert not here
                    assert any(matches(each, topic) for each in losses)


def first_match(rules, user, action, topic) -> bool:
    for allow, who, what, pattern in rules:
        if who in ("", user) and what in ("all", action) and matches(pattern, topic):
            return allow
    return False


def matches(pattern: str, topic: str) -> bool:
    spelt = {"+": oracle.ANY, "#": oracle.REST}
    return oracle.matches([spelt.get(level, level) for level in pattern.split("/")], topic)
