"""`check`: every mistake is refused with its line and column; what is doubtful is warned about."""

from pathlib import Path

import pytest

from bartizan.policy import CompiledPolicy, check, default_policy_text

PRESS = """
[topics."data/{site}/{asset}/t"]
publish = ["press"]
subscribe = ["dash"]
[roles.press]
binds = { site = "attr.site", asset = "client_id" }
[roles.dash]
binds = { site = "attr.site" }
"""


def errors(text: str) -> list[tuple[int, int, str]]:
    result = check(text, "p.toml")
    assert (result.policy is None) == bool(result.errors) == (not result.ok)
    return [(error.line, error.column, error.message) for error in result.errors]


def test_a_good_policy_is_compiled_without_a_warning():
    result = check(PRESS, "p.toml")
    assert result.ok
    assert result.warnings == ()
    assert result.policy is not None
    assert [role.name for role in result.policy.roles] == ["dash", "press"]


def test_an_empty_text_is_a_policy_that_denies_everything():
    assert check("", "p.toml").ok


def test_the_default_policy_is_good_and_shows_its_roles():
    result = check(default_policy_text(), "default")
    assert result.errors == ()
    assert result.warnings == ()
    assert result.policy is not None
    assert {role.name for role in result.policy.roles} == {
        "admin",
        "anonymous",
        "dashboard",
        "monitor",
        "press",
        "quarantine",
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("topic = 1", 1, 1, "unknown key topic"),
        ("topics = 1", 1, 10, "topics is a table"),
        ("[topics]\nx = 1", 2, 1, "this is a table"),
        ('[topics."a"]\npublished = []', 2, 1, "unknown key published"),
        ('[topics."a"]\npublish = "press"', 2, 11, "publish is a list"),
        ('[topics."a"]\npublish = ["x",\n 3]', 3, 2, "a role's name is a text"),
        ('[topics."a"]\npublish = ["x", "x"]', 2, 17, "role x is there twice"),
        ('[topics."a"]\nqos_max = 3', 2, 11, "qos_max is a whole number from 0 to 2"),
        ('[topics."a"]\nwhen = { listener = "x" }\nwhy = 1', 3, 1, "unknown key why"),
        ('[topics."a"]\nwhen = {}', 2, 8, "the condition is empty"),
        ('[topics."a"]\nwhen = { hour = 1 }', 2, 10, "unknown key hour"),
        ('[topics."a"]\nwhen = { listener = 1 }', 2, 21, "listener is a text, or a list of texts"),
        ('[topics."a"]\nwhen = { listener = [] }', 2, 21, "listener has 1 to 4096 entries"),
        ('[topics."a"]\nwhen = { address = "10.0.0.1/8" }', 2, 20, "10.0.0.1/8 has host bits set"),
        ('[topics."a"]\nwhen = { strength = "strong" }', 2, 21, "there is no strength strong"),
        ('[topics."a"]\nwhen = { window = "day" }', 2, 19, "there is no window day"),
        ('[topics."a"]\nwhen = { attr = { Site = "a" } }', 2, 19, "'Site' is no attribute's name"),
        (
            '[topics."a"]\nsubscribe = ["x"]\nwhen = { retain = true }',
            3, 1, "the condition is about publishing, and nobody may publish here",
        ),
        (
            '[topics."a"]\npublish = ["x"]\nwhen = { payload_bytes_min = 2, payload_bytes_max = 1 }',
            3, 30, "payload_bytes_min is above payload_bytes_max",
        ),
        (
            '[roles.r]\npermit = [{ action = "subscribe", filter = "a", when = { qos = 1 } }]',
            2, 49, "the condition is about publishing, and this rule is not",
        ),
        ('[roles.r]\nincludes = ["s"]', 2, 13, "there is no role s"),
        ('[roles.r]\nincludes = ["r"]', 2, 13, "role r includes r already"),
        (
            '[roles.r]\nincludes = ["s"]\n[roles.s]\nincludes = ["r"]',
            2, 13, "role s includes r already",
        ),
        ('[windows.day]\nfrom = "1:00"', 1, 10, "days is missing"),
        (
            '[windows.day]\ndays = "mon"\nfrom = "6:00"\nto = "07:00"\nzone = "UTC"',
            3, 8, "from is a time of day",
        ),
        (
            '[windows.day]\ndays = "mo"\nfrom = "06:00"\nto = "07:00"\nzone = "UTC"',
            2, 8, "'mo' is no day",
        ),
        (
            '[windows.day]\ndays = "mon"\nfrom = "06:00"\nto = "06:00"\nzone = "UTC"',
            4, 6, "the window ends when it begins",
        ),
        (
            '[windows.day]\ndays = "mon"\nfrom = "06:00"\nto = "07:00"\nzone = "../etc/passwd"',
            5, 8, "there is no time zone '../etc/passwd'",
        ),
        ('[topics."a"]\nqos_max = true', 2, 11, "qos_max is a whole number from 0 to 2"),
        ('[topics."a"]\nretain = 1', 2, 10, "retain is true or false"),
        ('[topics."a"]\ntitle = 1', 2, 9, 'title is a text: "..."'),
        ('[topics.""]', 1, 9, "a topic has at least one character"),
        ('[topics."a/#/b"]', 1, 9, "# is not the last level"),
        ('[topics."a/+/b"]', 1, 9, "a template names its levels: it has no +"),
        ('[topics."a/b+"]', 1, 9, "the level 'b+' mixes a wildcard with text"),
        ('[topics."a/x{site}"]', 1, 9, "the level 'x{site}' is not a variable"),
        ('[topics."a/{si te}"]', 1, 9, "the level '{si te}' is not a variable"),
        ('[topics."a/{x}/{x}"]', 1, 9, "the variable {x} is there twice"),
        ('[topics."$share/g/a"]', 1, 9, "$share is not part of a topic"),
        ('[topics."a\\u0000b"]', 1, 9, "the topic holds a control character"),
        ('[topics."$SYS/x"]\npublish = ["x"]', 2, 1, "topics that begin with $ are the server's: no client may publish to them"),
        ("[roles.x]\nbind = {}", 2, 1, "unknown key bind"),
        ("[roles]\nx = 1", 2, 1, "this is a table"),
        ("[roles.x]\nbinds = { a = 1 }", 2, 15, "the variable {a} has no such source"),
        ('[roles.x]\nbinds = { a = "password" }', 2, 15, "the variable {a} has no such source"),
        ('[roles.x]\nbinds = { a = "attr.a" }', 2, 11, "no topic and no rule of role x has the variable {a}"),
        ("[roles.x]\npermit = {}", 2, 10, "permit is a list"),
        ("[roles.x]\npermit = [1]", 2, 11, "an entry of permit is a table"),
        ('[roles.x]\npermit = [{ action = "read", filter = "a" }]', 2, 22, 'an action is "publish", "subscribe" or "all"'),
        ('[roles.x]\npermit = [{ action = [], filter = "a" }]', 2, 22, 'action is empty'),
        ('[roles.x]\npermit = [{ filter = "a" }]', 2, 11, "action is missing"),
        ('[roles.x]\npermit = [{ action = "all" }]', 2, 11, "filter is missing"),
        ('[roles.x]\npermit = [{ action = "all", filter = "{a}/b" }]', 2, 38, "the variable {a} is not bound by this role"),
        ('[roles.x]\npermit = [{ action = "all", filter = "$SYS/#" }]', 2, 22, "topics that begin with $ are the server's: no client may publish to them"),
        ('[roles.x]\npermit = [{ action = "subscribe", filter = "a", qos_max = 1 }]', 2, 49, "qos_max is about publishing, and this rule is not"),
        ('[roles.x]\nforbid = [{ action = "all", filter = "a", retain = true }]', 2, 43, "a forbid holds for every message: it has no retain"),
        ('[[roles.x.permit]]\naction = "all"\nfilter = "a/#b"', 3, 10, "the level '#b' mixes a wildcard with text"),
        ("[roles.x.limits]\ninflight_max = 0", 2, 16, "inflight_max is a whole number from 1 to 65535"),
        ("[roles.x.limits]\ninflight = 1", 2, 1, "unknown key inflight"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_and_column(text, line, column, message):
    assert (line, column, message) in errors(text)


def test_a_bad_role_name_is_refused_where_it_stands():
    assert errors('[roles."Press 1"]')[0][:2] == (1, 8)
    assert errors('[topics."a"]\npublish = ["Press 1"]')[0][:2] == (2, 12)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text():
    found = errors('[topics."a/b+"]\nretain = 1\n[roles.x]\nbind = {}\n')
    assert [line for line, _, _ in found] == [1, 2, 4]


def test_a_misspelt_key_gets_a_hint():
    error = check('[topics."a"]\nsubscibe = []', "p.toml").errors[0]
    assert str(error) == "p.toml:2:1: unknown key subscibe; did you mean subscribe?"


def test_a_pattern_of_too_many_levels_is_refused_before_the_engine_sees_it():
    assert check(f'[topics."{"/".join("a" * 128)}"]', "p").ok
    assert errors(f'[topics."{"/".join("a" * 129)}"]') == [(1, 9, "the topic is too long")]


def warnings(text: str) -> list[tuple[int, str]]:
    result = check(text, "p.toml")
    assert result.ok, result.errors
    return [(warning.line, warning.message) for warning in result.warnings]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (PRESS.replace("[roles.dash]\nbinds = { site = \"attr.site\" }", ""), 2, "role dash has no table, so it binds no variable"),
        ("[roles.x.limits]\ninflight_max = 1", 1, "role x grants nothing"),
        ('[topics."a"]\nsubscribe = ["x"]\n[roles.x]', 1, "nobody may publish to a"),
        ('[topics."a"]\npublish = ["x"]\n[roles.x]', 1, "nobody may subscribe to a"),
        (PRESS + '[topics."data/{a}/{b}/t"]\npublish = ["dash"]', 9, "this names the same topics as data/{site}/{asset}/t in line 2"),
        ('[roles.x]\npermit = [{ action = "all", filter = "#" }]', 2, "role x may publish to every topic"),
        ('[roles.x]\npermit = [{ action = "subscribe", filter = "a/#" }]\nforbid = [{ action = "all", filter = "a/b" }]', 2, "a/# covers a/b, which this role is forbidden"),
        (PRESS + '[topics."state/{stie}"]\npublish = ["press"]', 9, "the variable {stie} is bound by no role of this topic, so it is any level"),
        ('[windows.day]\ndays = "mon-fri"\nfrom = "06:00"\nto = "22:00"\nzone = "UTC"\n[roles.anonymous]', 1, "no rule asks for the window day"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_warned_about(text, line, message):
    assert (line, message) in warnings(text)


@pytest.mark.parametrize(
    "text",
    [
        '[topics."a"]\npublish = ["x"]\n[roles.x]\n[roles.y]\npermit = [{ action = "subscribe", filter = "#" }]',
        '[topics."$SYS/x"]\nsubscribe = ["x"]\n[roles.x]',
        "[roles.anonymous]",
        '[windows.day]\ndays = "mon-fri"\nfrom = "06:00"\nto = "22:00"\nzone = "UTC"\n[roles.x]\nforbid = [{ action = "publish", filter = "a", when = { window = "day" } }]',
    ],
)
def test_what_is_meant_is_not_warned_about(text):
    assert warnings(text) == []


def test_the_same_text_gives_the_same_image_and_another_text_another():
    first, again, other = check(PRESS, "a"), check(PRESS, "b"), check(PRESS.replace('"t"', '"u"') + "[roles.z]", "a")
    assert first.compiled == again.compiled
    assert hash(first.compiled) == hash(again.compiled)
    assert isinstance(first.compiled, CompiledPolicy)
    assert other.compiled is not None
    assert first.compiled.digest != other.compiled.digest


def test_comments_titles_and_the_order_of_roles_change_nothing_for_the_engine():
    reordered = """
[roles.dash]
binds = { site = "attr.site" }
[roles.press] # the presses
binds = { asset = "client_id", site = "attr.site" }
[topics."data/{site}/{asset}/t"]
title = "Temperature"
subscribe = ["dash"]
publish = ["press"]
"""
    assert check(reordered, "p").compiled == check(PRESS, "p").compiled


EXAMPLES = sorted((Path(__file__).parents[3] / "examples/policies").glob("*.toml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_passes_without_a_warning(example):
    result = check(example.read_bytes(), example.name)
    assert (result.errors, result.warnings) == ((), ())


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
