"""A policy of several texts: one policy, whose places name the right text."""

import pytest

from bartizan.policy import Asked, Request, check, check_all

TOPICS = '[topics."data/{site}/t"]\npublish = ["press"]\nsubscribe = ["dash"]\n'
ROLES = '[roles.press]\nbinds = { site = "attr.site" }\n[roles.dash]\nbinds = { site = "attr.site" }\n'


def test_two_texts_are_the_policy_that_one_would_be():
    split = check_all([("a.toml", TOPICS), ("b.toml", ROLES)])
    whole = check(TOPICS + ROLES, "p.toml")
    assert split.compiled == whole.compiled
    assert check_all([("b.toml", ROLES), ("a.toml", TOPICS)]).compiled == whole.compiled


def test_roles_may_be_in_both_files_if_they_are_different_roles():
    more = '[roles.monitor]\npermit = [{ action = "subscribe", filter = "$SYS/#" }]'
    result = check_all([("a.toml", TOPICS), ("b.toml", ROLES), ("c.toml", more)])
    assert result.compiled is not None
    assert result.compiled.decide(Request(Asked.SUBSCRIBE, "$SYS/#", roles=("monitor",))).allow


def test_the_same_table_in_two_files_is_an_error_that_names_both():
    result = check_all([("a.toml", TOPICS), ("b.toml", ROLES), ("c.toml", "\n\n[roles.dash]\n")])
    assert [(p.origin, p.line, p.column, p.message) for p in result.errors] == [
        ("c.toml", 3, 8, "roles.dash is in b.toml:3 too")
    ]


def test_a_key_of_a_section_that_is_no_table_is_an_error_and_not_lost():
    result = check_all([("a.toml", ROLES), ("b.toml", "roles = 1")])
    assert [str(p) for p in result.errors] == [
        "b.toml:1:1: roles is in a.toml:1 too; a table stands in one file: make one of the two"
    ]
    alone = check_all([("a.toml", "topics = 1"), ("b.toml", ROLES)]).errors
    assert (alone[0].origin, alone[0].message) == ("a.toml", "topics is a table")


def test_a_mistake_names_the_file_it_stands_in():
    wrong = '[roles.x]\npermit = [{ action = "subscribe", filter = "a/#/b" }]'
    result = check_all([("a.toml", TOPICS), ("b.toml", ROLES), ("c.toml", wrong)])
    assert [(p.origin, p.line, p.column) for p in result.errors] == [("c.toml", 2, 44)]


@pytest.mark.parametrize("broken", ["a = = 1", b"\xff"])
def test_what_is_no_toml_is_told_of_every_file(broken):
    result = check_all([("a.toml", broken), ("b.toml", ROLES), ("c.toml", broken)])
    assert [p.origin for p in result.errors] == ["a.toml", "c.toml"]


def test_a_warning_names_the_file_it_stands_in():
    result = check_all([("a.toml", TOPICS), ("b.toml", ROLES), ("c.toml", '[topics."lonely"]')])
    assert {p.origin for p in result.warnings} == {"c.toml"}


def test_no_text_is_a_policy_that_denies_everything():
    assert check_all([]).ok
