"""A list where the first match decides, made into permits and forbids: the same decisions, but for the clashes."""

from collections.abc import Sequence
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy.condition import ALWAYS, Condition
from bartizan.policy.contract import Action, Level, Literal, Variable, Wildcard
from bartizan.policy.imports.filters import Levels, covers, overlaps, shared, text_of
from bartizan.policy.imports.ordered import Entry, unordered
from tests import oracle

VALUES = ("a", "v", "w")
WHENS = (ALWAYS, ALWAYS, Condition(addresses=("10.0.0.0/8",)), Condition(listeners=("mqtts",)))
TOPICS = ["/".join(levels) for depth in range(1, 5) for levels in product(("a", "b", "v"), repeat=depth)] + [
    "$s",
    "$s/a",
    "$s/a/b",
]

words: st.SearchStrategy[Level] = st.sampled_from(
    [Literal("a"), Literal("a"), Literal("b"), Wildcard.ONE, Wildcard.ONE, Variable("x")]
)


@st.composite
def levels(draw: st.DrawFn) -> Levels:
    found = draw(st.lists(words, min_size=1, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        found.insert(0, Literal("$s"))
    if draw(st.integers(0, 2)) == 0:
        found.append(Wildcard.MANY)
    return tuple(found) if draw(st.integers(0, 9)) else (Wildcard.MANY,)


def matches(pattern: Levels, topic: str, value: str) -> bool:
    """As the oracle of the policy language has it, with this value for the variable."""
    spelt = {Wildcard.ONE: oracle.ANY, Wildcard.MANY: oracle.REST}
    resolved = [
        value if isinstance(level, Variable) else level.text if isinstance(level, Literal) else spelt[level]
        for level in pattern
    ]
    return oracle.matches(resolved, topic)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    return [
        Entry(draw(st.booleans()), Action.SUBSCRIBE, draw(levels()), line, when=draw(st.sampled_from(WHENS)))
        for line in range(1, draw(st.integers(1, 6)) + 1)
    ]


def first_match(rules: Sequence[Entry], topic: str, value: str) -> bool:
    return next((rule.allow for rule in rules if matches(rule.levels, topic, value)), False)


def counting(rules: Sequence[Entry], held: Sequence[Condition]) -> list[Entry]:
    """Those that count where these conditions hold."""
    return [rule for rule in rules if rule.when == ALWAYS or rule.when in held]


@settings(max_examples=300)
@given(rules=entries(), held=st.sets(st.sampled_from(WHENS)), value=st.sampled_from(VALUES))
def test_the_decisions_are_those_of_the_list_but_for_the_clashes_where_it_is_denied(rules, held, value) -> None:
    found = unordered(rules)
    permits, forbids, there = counting(found.permits, held), counting(found.forbids, held), counting(rules, held)
    for topic in TOPICS:
        here = any(matches(entry.levels, topic, value) for entry in permits)
        here = here and not any(matches(entry.levels, topic, value) for entry in forbids)
        if here != first_match(there, topic, value):
            assert not here, (topic, value, found)
            assert any(matches(clash.topics, topic, value) for clash in found.clashes), (topic, value, found)


@given(one=levels(), other=levels())
def test_what_two_filters_share_covers_all_that_is_in_both_and_nothing_outside_the_first(one, other):
    part = shared(one, other)
    for value in VALUES:
        for topic in TOPICS:
            both = matches(one, topic, value) and matches(other, topic, value)
            inside = part is not None and matches(part, topic, value)
            assert inside or not both, text_of(part) if part else None
            assert matches(one, topic, value) or not inside


@given(wide=levels(), narrow=levels())
def test_a_filter_covers_another_exactly_if_it_has_all_its_topics(wide, narrow):
    all_of_it = all(
        matches(wide, topic, value) for value in VALUES for topic in TOPICS if matches(narrow, topic, value)
    )
    assert covers(wide, narrow) == all_of_it


@given(one=levels(), other=levels())
def test_filters_that_do_not_overlap_have_no_topic_in_common(one, other):
    if not overlaps(one, other):
        assert not any(
            matches(one, topic, value) and matches(other, topic, value) for value in VALUES for topic in TOPICS
        )


def entry(allow: bool, text: str, line: int = 1, action: Action = Action.SUBSCRIBE, **bounds) -> Entry:
    spelt = tuple(Wildcard(part) if part in "+#" else Literal(part) for part in text.split("/"))
    return Entry(allow, action, spelt, line, **bounds)


def shown(found: Sequence[Entry]) -> list[str]:
    return [text_of(each.levels) for each in found]


def test_a_denial_that_an_earlier_rule_lets_through_in_whole_forbids_only_the_rest():
    found = unordered([entry(True, "a/b", 1), entry(False, "#", 2), entry(True, "a/b", 3), entry(True, "c", 4)])
    assert (shown(found.permits), shown(found.forbids), found.clashes) == (["a/b"], [], ())


def test_a_denial_of_a_part_of_what_comes_before_is_a_clash_and_forbidden():
    found = unordered([entry(True, "a/b", 1), entry(False, "a/#", 2), entry(True, "#", 3)])
    assert shown(found.forbids) == ["a/#"]
    assert [(clash.denied.line, clash.allowed.line, text_of(clash.topics)) for clash in found.clashes] == [
        (2, 1, "a/b")
    ]


def test_only_what_later_rules_allow_is_forbidden_where_an_earlier_one_meets_the_denial():
    found = unordered([entry(True, "a/b", 1), entry(False, "#", 2), entry(True, "c/+", 3)])
    assert (shown(found.permits), shown(found.forbids), found.clashes) == (["a/b"], [], ())
    found = unordered([entry(True, "a/b", 1), entry(False, "+/x", 2), entry(True, "+/b", 3), entry(True, "c/+", 4)])
    assert (shown(found.forbids), found.clashes) == (["+/x"], ())


def test_an_earlier_rule_with_bounds_does_not_let_a_denial_through():
    bounded = entry(True, "a", 1, Action.PUBLISH, qos_max=0)
    found = unordered([bounded, entry(False, "a", 2, Action.PUBLISH), entry(True, "#", 3, Action.PUBLISH)])
    assert shown(found.forbids) == ["a"]
    assert len(found.clashes) == 1


def test_actions_do_not_meet():
    found = unordered([entry(True, "a", 1, Action.PUBLISH), entry(False, "a", 2), entry(True, "#", 3)])
    assert shown(found.forbids) == ["a"]
    assert found.clashes == ()


def test_to_deny_everything_needs_no_forbid():
    assert unordered([entry(False, "#")]).forbids == ()
    assert unordered([entry(False, "+/#")]).forbids == ()
    assert shown(unordered([entry(False, "a/#")]).forbids) == ["a/#"]


def test_every_topic_has_a_first_level():
    one, many = (Wildcard.ONE, Wildcard.MANY), (Wildcard.MANY,)
    assert covers(one, many)
    assert covers(many, one)
    assert shared(one, many) == many
    assert not covers((Literal("a"), *one), (Literal("a"), *many))
