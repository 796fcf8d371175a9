"""`fmt`: one form, the same meaning, every comment."""

import re
import tomllib
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import check, default_policy_text
from bartizan.policy.format import formatted
from tests.unit.policy.strategies import as_toml, policies

BEFORE = """\
# the whole file



[roles.b]   # behind a header
permit=[ { action="subscribe", filter="x" } ,   # first
  { action = "publish", filter = "y" } ]
# right above binds
binds = {site="attr.site"}
# right behind the last key

# ---- a group ----

[topics."z"]
subscribe = ["a"]
title = "Z" # z
publish=[ "b" ]

# alone in a table

[topics."a"]
description = '''
# no comment
[no.header]
'''
# above retain
retain=false
unit="x"

owner = "me"
qos_max=1

[roles.a]
[roles.a.limits]
inflight_max = 3

# the end
"""

AFTER = """\
# the whole file

[roles.b]  # behind a header
# right above binds
binds  = {site="attr.site"}
permit = [ { action="subscribe", filter="x" } ,   # first
  { action = "publish", filter = "y" } ]
# right behind the last key

# ---- a group ----

[topics."z"]
title     = "Z"  # z
publish   = [ "b" ]
subscribe = ["a"]

# alone in a table

[topics."a"]
description = '''
# no comment
[no.header]
'''
unit        = "x"
# above retain
retain      = false

owner   = "me"
qos_max = 1

[roles.a]

[roles.a.limits]
inflight_max = 3

# the end
"""


def test_a_policy_has_one_form():
    assert formatted(BEFORE) == AFTER
    assert formatted(AFTER) == AFTER


def test_topics_stand_before_roles_and_each_by_name():
    text = "[roles.b]\n[roles.a]\n[topics.y]\n[roles.a.limits]\ninflight_max = 1\n[topics.x]\n"
    headers = [line for line in formatted(text).splitlines() if line.startswith("[")]
    assert headers == ["[topics.x]", "[topics.y]", "[roles.a]", "[roles.a.limits]", "[roles.b]"]


def test_rules_written_as_tables_keep_their_order():
    text = '[[roles.x.permit]]\nfilter = "z"\naction = "all"\n[[roles.x.permit]]\nfilter = "a"\naction = "all"\n'
    assert [rule["filter"] for rule in tomllib.loads(formatted(text))["roles"]["x"]["permit"]] == ["z", "a"]
    assert formatted(text).startswith('[[roles.x.permit]]\naction = "all"\nfilter = "z"\n\n[[')


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "\n# a\n\n\n# b\n"])
def test_what_has_no_table_keeps_its_comments(text):
    assert formatted(text).split() == text.split()
    assert formatted(formatted(text)) == formatted(text)


def test_the_policy_that_a_new_broker_starts_with_is_formatted():
    assert formatted(default_policy_text()) == default_policy_text()


def test_formatting_moves_topics_and_keeps_the_name_of_the_policy():
    text = '[topics.y]\npublish = ["r"]\n[topics.x]\npublish = ["r"]\n'
    assert formatted(text).startswith("[topics.x]")
    assert digest(formatted(text)) == digest(text)


def test_what_is_no_toml_is_refused():
    with pytest.raises(tomllib.TOMLDecodeError):
        formatted("a = = 1")


_COMMENT = re.compile(r"#c\d+")


def sprinkled(text: str, random: Random) -> str:
    """The text with comments, empty lines and odd spaces where TOML lets them be."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines()):
        lines += random.choices(["", "", f"#c{number}", f"  #c{number}1"], k=random.randint(0, 3))
        lines.append(f"{line}{random.choice(['', ' ', f' #c{number}2'])}")
    return "\n".join([*lines, *random.choices(["", "#c9"], k=random.randint(0, 3))])


def digest(text: str) -> str:
    """The name of what the engine loads."""
    compiled = check(text, "p").compiled
    assert compiled is not None
    return compiled.digest


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies(), st.integers(0, 2**32).map(Random))
def test_every_policy_keeps_its_meaning_and_its_comments(policy, random):
    text = sprinkled(as_toml(policy), random)
    once = formatted(text)
    assert tomllib.loads(once) == tomllib.loads(text)
    assert sorted(_COMMENT.findall(once)) == sorted(_COMMENT.findall(text))
    assert formatted(once) == once
    assert digest(once) == digest(text)
