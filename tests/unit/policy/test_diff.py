"""Two policies compared by what they decide: what is told is true, and what changes is told."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import check
from bartizan.policy.diff import Comparison
from bartizan.policy.explain import Explainer
from bartizan.policy.samples import exemplars
from bartizan.policy.subject import Subject
from tests.oracle import decide
from tests.unit.policy.plant import PLANT, PRESS, answer, explainer, identity_of, subject_of
from tests.unit.policy.strategies import as_toml, asked_filters, contents, identities, names, policies


def changes(old: str, new: str) -> dict[str, list[str]]:
    comparison = Comparison(explainer(old, "old.toml"), explainer(new, "new.toml"))
    return {
        each.subject.roles[0]: [f"{one.sign} {one.example} @ {one.at}" for one in each.changes]
        for each in comparison.roles()
    }


def test_a_policy_decides_as_itself():
    assert changes(PLANT, PLANT) == {}


def test_another_order_and_other_words_change_nothing():
    tables = PLANT.split("\n\n")
    assert changes(PLANT, "\n\n".join(reversed(tables)).replace("Press temperature", "Oil")) == {}


def test_a_right_that_moves_to_another_role_is_lost_and_gained():
    new = PLANT.replace('publish   = ["dash"]', 'publish   = ["spare"]')
    assert changes(PLANT, new) == {
        "dash": ["- publish commands/site-1/asset-1/any-1 @ old.toml:16"],
        "spare": ["+ publish commands/site-1/asset-1/any-1 @ new.toml:16"],
    }


def test_a_new_forbid_names_itself():
    new = PLANT.replace(
        "[roles.press.limits]", 'forbid = [{ action = "publish", filter = "+/+/+/status" }]\n[roles.press.limits]'
    )
    assert changes(PLANT, new) == {"press": ["- publish data/site-1/press-1/status @ new.toml:23"]}


def test_the_right_to_command_is_told():
    """Whoever may send commands of dynamic security may change what everybody may."""
    permit = 'permit = [{ action = "publish", filter = "$CONTROL/dynamic-security/v1" }]\n[roles.press.limits]'
    new = PLANT.replace("[roles.press.limits]", permit)
    assert changes(PLANT, new) == {"press": ["+ publish $CONTROL/dynamic-security/v1 @ new.toml:23"]}


def test_a_higher_qos_and_retain_are_told_by_an_example_that_has_them():
    assert changes(PLANT, PLANT.replace("qos_max     = 1\n", "")) == {
        "press": ["+ publish data/site-1/press-1/temperature qos=2 @ new.toml:6"]
    }
    assert changes(PLANT, PLANT.replace("retain    = false\n", "")) == {
        "dash": ["+ publish commands/site-1/asset-1/any-1 retain @ new.toml:16"]
    }


def test_a_variable_that_is_no_longer_bound_widens():
    new = PLANT.replace('[roles.dash]\nbinds  = { site = "attr.site" }', "[roles.dash]").replace(
        "+/{site}/secret", "+/+/secret"
    )
    told = changes(PLANT, new)["dash"]
    assert "+ subscribe data/+/+/temperature @ new.toml:7" in told


def test_limits_are_told():
    comparison = Comparison(explainer(), explainer(PLANT.replace("publish_rate_per_s = 100", "inflight_max = 5")))
    assert [each.limits for each in comparison.roles()] == [
        (("inflight_max", None, 5), ("publish_rate_per_s", 100, None))
    ]


def test_an_identity_is_told_with_its_own_topics():
    new = PLANT.replace(
        '[topics."data/{site}/{asset}/status"]\npublish   = ["press"]', '[topics."data/{site}/{asset}/status"]'
    )
    comparison = Comparison(explainer(PLANT, "old.toml"), explainer(new, "new.toml"))
    nobody = Subject("x", "x", ("dash",), {})
    told = {each.subject.identity: each.changes for each in comparison.subjects([PRESS, nobody])}
    assert [str(change.example) for change in told["press-01"]] == ["publish data/chicago/press-01/status"]
    assert list(told) == ["press-01"]


relaxed = [HealthCheck.too_slow]


def plain(answer: str) -> bool:
    return answer != "deny"


def sides(policy: dict[str, Any]) -> Explainer:
    return Explainer(check(as_toml(policy), "random"))


@pytest.mark.timeout(600)
@settings(max_examples=120, deadline=None, suppress_health_check=relaxed)
@given(policies(), policies(), st.integers(0, 2**32).map(Random))
def test_every_change_told_is_one_and_every_change_there_is_is_told(old, new, random):
    comparison = Comparison(sides(old), sides(new))
    told = {each.subject.roles[0]: each for each in comparison.roles()}
    for role in ("reader", "writer", "both"):
        for subject in exemplars(role, comparison._old.places, comparison._new.places):
            who = identity_of(subject)
            for topic in names(random, 15):
                before, after = (plain(decide(each, who, "publish", topic, 0, False)) for each in (old, new))
                assert before == after or any(one.gained == after for one in told[role].changes), topic
            for asked in asked_filters(random, 15):
                before, after = (plain(decide(each, who, "subscribe", asked)) for each in (old, new))
                assert before == after or role in told, asked


@pytest.mark.timeout(600)
@settings(max_examples=60, deadline=None, suppress_health_check=relaxed)
@given(policies(), policies(), st.lists(identities, min_size=3, max_size=3), st.integers(0, 2**32).map(Random))
def test_however_somebody_is_connected_what_changes_for_him_is_told(old, new, people, random):
    comparison = Comparison(sides(old), sides(new))
    told = {each.subject.roles[0]: each for each in comparison.roles()}
    for role in ("reader", "writer", "both"):
        first, *_ = exemplars(role, comparison._old.places, comparison._new.places)
        for one in people:
            who = replace(identity_of(first), there=one.there, windows=one.windows)
            for topic in names(random, 15):
                qos, retain, content = random.randint(0, 2), random.random() < 0.5, contents(random)
                asked = ("publish", topic, qos, retain)
                before, after = (plain(decide(each, who, *asked, **content)) for each in (old, new))
                assert before == after or any(one.gained == after for one in told[role].changes), (asked, content, who)


@pytest.mark.timeout(600)
@settings(max_examples=120, deadline=None, suppress_health_check=relaxed)
@given(policies(), policies(), identities)
def test_an_example_is_decided_as_the_oracle_decides_it(old, new, who):
    for each in Comparison(sides(old), sides(new)).subjects([subject_of(who)]):
        for one in each.changes:
            before, after = (plain(answer(policy, identity_of(one.by), one.example)) for policy in (old, new))
            assert (before, after) == (not one.gained, one.gained), one.example


CONDITIONAL = """\
[windows.early]
days = "mon"
from = "06:00"
to = "14:00"
zone = "UTC"
[windows.late]
days = "mon"
from = "14:00"
to = "22:00"
zone = "UTC"
[roles.r]
permit = [{{ action = "publish", filter = "a", when = {{ {} }} }}]
forbid = [{{ action = "publish", filter = "{}", when = {{ {} }} }}]
"""


@pytest.mark.parametrize(
    ("permit", "forbid"),
    [
        ('listener = "mqtts"', 'method = "jwt"'),
        ('listener = ["ws", "mqtts"]', 'listener = "mqtts", strength = "mfa"'),
        ('address = "10.0.0.0/8"', 'address = "10.1.0.0/16", listener = "mqtts"'),
        ('method = "certificate"', 'method = "jwt"'),
        ('attr.site = ["x", "y"]', 'attr.site = "y"'),
        ('window = "early"', 'window = "late"'),
        ('strength = "certificate"', 'strength = "mfa"'),
        ('content_type = "text/plain"', "payload_bytes_min = 100"),
        ("qos = 1", "retain = true, utf8 = true"),
        ('listener = "mqtts"', "payload_bytes_max = 5"),
    ],
)
def test_a_forbid_that_counts_only_together_with_a_permit_is_told(permit, forbid):
    without, beside = (CONDITIONAL.format(permit, filter, forbid) for filter in ("b", "a"))
    assert [each[:11] for each in changes(without, beside)["r"]] == ["- publish a"]
    assert [each[:11] for each in changes(beside, without)["r"]] == ["+ publish a"]


def test_a_permit_that_counts_only_where_a_window_is_closed_is_told():
    new = CONDITIONAL.format('window = "late"', "a", 'listener = "mqtts", window = "early"')
    assert changes(new.replace('filter = "a", when = { window = "late" }', 'filter = "b"'), new)["r"]


def test_what_is_too_much_to_look_at_is_named():
    rules = ", ".join(
        f'{{ action = "publish", filter = "a", when = {{ listener = "l{n}", payload_bytes_max = {n * 9}, content_type = "{n}" }} }}'
        for n in range(1, 13)
    )
    old, new = (explainer(f"[roles.r]\npermit = [{text}]\n") for text in ("", rules))
    comparison = Comparison(old, new)
    assert list(comparison.roles())
    assert {what.partition(":")[0] for what in comparison.not_looked_at} == {"role r"}
    assert Comparison(old, old).not_looked_at == {}


def terms(old: str, new: str) -> dict[str, list[tuple[str, str, str]]]:
    comparison = Comparison(Explainer(check(old, "old")), Explainer(check(new, "new")))
    return {
        each.subject.roles[0]: [(term.of, term.before, term.after) for term in each.terms]
        for each in comparison.roles()
    }


PERMIT = '[roles.r]\npermit = [{{ action = "publish", filter = "a/#"{} }}]\n'


def test_a_condition_that_changes_is_told_though_at_best_nothing_does():
    strong, weak = PERMIT.format(', when = { strength = "mfa" }'), PERMIT.format("")
    assert terms(strong, weak) == {"r": [("permit publish a/#", 'strength ["mfa"]', "nothing")]}
    assert terms(weak, strong) == {"r": [("permit publish a/#", "nothing", 'strength ["mfa"]')]}
    assert terms(strong, strong) == {}


def test_other_hours_are_another_condition():
    window = '[windows.w]\ndays = "{}"\nfrom = "06:00"\nto = "14:00"\nzone = "UTC"\n'
    rule = PERMIT.format(', when = { window = "w" }')
    (told,) = terms(window.format("mon") + rule, window.format("mon-tue") + rule)["r"]
    assert told[1:] == ('window ["w (mon 06:00-14:00 UTC)"]', 'window ["w (mon tue 06:00-14:00 UTC)"]')


def test_names_ages_and_what_a_role_includes_are_told():
    old = '[roles.r]\nclient_id = "identity"\n[roles.s]\npermit = [{ action = "subscribe", filter = "b" }]\n'
    new = old.replace(
        'client_id = "identity"', 'includes = ["s"]\nclient_id = "r-*"\ncredentials = { password_days_max = 9 }'
    )
    assert terms(old, new)["r"] == [
        ("client_id", "identity", "r-*"),
        ("credentials.password_days_max", "nothing", "9"),
        ("includes", "nothing", "s"),
    ]


def test_a_change_of_an_included_role_is_a_change_of_who_includes_it():
    old = '[roles.r]\nincludes = ["s"]\n[roles.s]\npermit = [{ action = "subscribe", filter = "b" }]\n'
    comparison = Comparison(Explainer(check(old, "old")), Explainer(check(old.replace('"b"', '"c"'), "new")))
    told = {each.subject.roles[0]: {(one.gained, one.pattern) for one in each.changes} for each in comparison.roles()}
    assert told == {"r": {(True, "c"), (False, "b")}, "s": {(True, "c"), (False, "b")}}
