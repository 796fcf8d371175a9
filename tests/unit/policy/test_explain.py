"""Every decision is explained by a rule where it stands, and every denial by the smallest grant there is."""

import json
import tomllib
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import check
from bartizan.policy.compiled import Asked, filter_covers
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Ask, Subject
from tests.oracle import Identity, all_roles
from tests.unit.policy.plant import DASH, PLANT, PRESS, answer, explainer, subject_of
from tests.unit.policy.strategies import as_toml, asked_filters, identities, names, policies


def line_of(part: str) -> int:
    return next(at for at, line in enumerate(PLANT.splitlines(), start=1) if part in line)


@pytest.mark.parametrize(
    ("who", "text", "rule", "line"),
    [
        (PRESS, "publish data/chicago/press-01/temperature", 'roles.press via topics."data/{site}/{asset}/temperature".publish', 6),
        (PRESS, "subscribe data/chicago/press-01/status", 'roles.press via topics."data/{site}/{asset}/status".subscribe', 12),
        (DASH, "publish commands/chicago/secret/x", "roles.dash.forbid[0]", line_of("+/{site}/secret")),
        (replace(PRESS, roles=("admin",)), "subscribe $SYS/#", "roles.admin.permit[1]", line_of("$SYS")),
    ],
)  # fmt: skip
def test_a_decision_names_its_rule_and_where_it_stands(who, text, rule, line):
    told = explainer().explain(who, Ask.parse(text))
    assert told.rule is not None
    assert told.excerpt is not None
    assert (told.rule.name, told.excerpt.file, told.excerpt.line) == (rule, "plant.toml", line)
    assert (line, PLANT.splitlines()[line - 1].strip()) in told.excerpt.lines


def test_a_rule_of_a_topic_is_shown_with_its_topic():
    told = explainer().explain(PRESS, Ask.parse("publish data/chicago/press-01/temperature"))
    assert told.excerpt is not None
    assert told.excerpt.lines == (
        (1, '[topics."data/{site}/{asset}/temperature"]'),
        (6, 'publish     = ["press"]'),
    )


def test_a_denial_is_explained_by_the_smallest_grant():
    told = explainer().explain(PRESS, Ask.parse("publish data/chicago/press-01/oil qos=1"))
    assert told.grant is not None
    assert told.grant.table.splitlines() == [
        "[[roles.press.permit]]",
        'action = "publish"',
        'filter = "data/{site}/{asset}/oil"',
        "qos_max = 1",
        "retain = false",
    ]
    assert told.paste == "at the end of plant.toml"


def test_a_grant_goes_into_the_list_that_a_role_has():
    told = explainer().explain(replace(PRESS, roles=("admin",)), Ask.parse("publish data/x"))
    assert told.grant is not None
    assert told.paste == f"into permit of [roles.admin], plant.toml:{line_of('permit = [')}"
    text = told.grant.added_to(PLANT)
    assert explainer(text).explain(replace(PRESS, roles=("admin",)), Ask.parse("publish data/x")).decision.allow


@pytest.mark.parametrize(
    ("who", "text", "advice"),
    [
        (PRESS, "publish $SYS/x", "no permit can allow it: topics that begin with $"),
        (DASH, "publish commands/chicago/secret/x", "no permit can allow it: a forbid beats every permit"),
        (PRESS, "publish data/{x}", "no permit of a policy can spell this topic"),
        (replace(PRESS, roles=()), "publish a", "it has no role: give it the role press-01 as well"),
        (replace(PRESS, roles=("pres",)), "publish a", "the policy has no role pres"),
        (replace(PRESS, attributes={}), "publish data/chicago/press-01/status", "it lacks attr.site (role press binds {site} to it)"),
    ],
)  # fmt: skip
def test_what_to_know_beside_a_denial_is_told(who, text, advice):
    told = explainer().explain(who, Ask.parse(text))
    assert not told.decision.allow
    assert told.advice.startswith(advice)


def test_a_subscription_with_a_forbidden_part_is_told_to_be_decided_by_delivery():
    told = explainer().explain(DASH, Ask.parse("subscribe data/chicago/+/status"))
    assert told.decision.allow
    assert told.advice == "" or "each delivery" in told.advice


def test_a_wide_topic_of_a_grant_is_bound_to_no_first_level_that_begins_with_dollar():
    text = '[roles.x]\nbinds = { v = "attr.v" }\nforbid = [{ action = "publish", filter = "a/{v}" }]'
    who = Subject("x", "x", ("x",), {"v": "$SYS"})
    told = explainer(text).explain(who, Ask.parse("subscribe $SYS/a"))
    assert told.grant is not None
    assert told.grant.rule.filter.text == "$SYS/a"


def test_a_grant_keeps_comments_and_everything_else():
    commented = "# first\n" + PLANT + "# last\n"
    told = explainer(commented).explain(PRESS, Ask.parse("publish a/b"))
    assert told.grant is not None
    assert told.grant.added_to(commented).startswith(commented.rstrip())


# ---- the property: a grant allows what was denied, and as little else as can be --------------------------

relaxed = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def answers(policy: dict[str, Any], who: Identity, asks: list[Ask]) -> list[str]:
    return [answer(policy, who, ask) for ask in asks]


@pytest.mark.timeout(600)
@settings(max_examples=300, deadline=None, suppress_health_check=relaxed)
@given(policies(), identities, identities, st.integers(0, 2**32).map(Random))
def test_the_smallest_grant_allows_what_was_denied_and_widens_nothing_else(policy, who, other, random):
    if not who.roles:
        return
    text = as_toml(policy)
    told = Explainer(check(text, "random"))
    subject = subject_of(who)
    asks = [Ask(Asked.PUBLISH, topic, random.randint(0, 2), random.random() < 0.5) for topic in names(random, 6)]
    asks += [Ask(Asked.SUBSCRIBE, filter) for filter in asked_filters(random, 6)]
    for ask in asks:
        explanation = told.explain(subject, ask)
        allowed = answer(policy, who, ask) != "deny"
        assert explanation.decision.allow == allowed
        grant = explanation.grant
        if grant is None:
            assert allowed or explanation.advice, ask
            continue
        assert not allowed
        wider = tomllib.loads(grant.added_to(text))
        assert answer(wider, who, ask) != "deny", ask
        tried = [Ask(Asked.PUBLISH, topic, random.randint(0, 2), random.random() < 0.5) for topic in names(random, 30)]
        tried += [Ask(Asked.RECEIVE, topic) for topic in names(random, 15)]
        tried += [Ask(Asked.SUBSCRIBE, filter) for filter in asked_filters(random, 15)]
        for one, before, after in zip(tried, answers(policy, who, tried), answers(wider, who, tried), strict=True):
            if before == after or "deny" not in (before, after):
                continue
            same_side = (one.action is Asked.PUBLISH) == (ask.action is Asked.PUBLISH)
            assert same_side, (ask, one)
            assert filter_covers(ask.topic, one.topic), (ask, one)
            assert one.qos <= ask.qos, (ask, one)
            assert not (one.retain and not ask.retain), (ask, one)
        if grant.role not in all_roles(policy, other.roles):
            assert answers(policy, other, tried) == answers(wider, other, tried)


@settings(max_examples=200, deadline=None, suppress_health_check=relaxed)
@given(policies())
def test_every_rule_of_the_image_is_found_by_its_name_and_has_a_line(policy):
    text = as_toml(policy)
    told = Explainer(check(text, "random"))
    image = json.loads(told.image)
    for rule in (rule for role in image["roles"] for rule in role["rules"]):
        excerpt = told.places.excerpt(told.places.by_name[rule["name"]])
        assert excerpt.line <= text.count("\n") + 1
        assert all(line for _, line in excerpt.lines)
