"""Every key and value of a TOML text is found at its line and column."""

import tomllib
from collections.abc import Iterator

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy.source import Position, Problem, Source, read
from bartizan.policy.syntax import Path, Tree, parse


def tree(text: str) -> Tree:
    parsed = parse(Source(text, "p.toml"))
    assert isinstance(parsed, Tree), parsed
    return parsed


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every path of a parsed text."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, (*path, key))
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from paths(each, (*path, index))


TEXT = '''# a comment with [brackets] = "and quotes"
[topics."data/{site}/#"]
publish = ["press",
  # between
  'other']
title = """two
lines \\""" here"""

[roles.press] # behind
binds = { site = "attr.site", "a b" = "client_id" }
permit = [{ action = "all", filter = "x" }, { action = "publish", filter = "y" }]
limits.inflight_max = 3

[[roles.x.permit]]
action = "all"
[[roles.x.permit]]
filter = 'z'
'''


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("topics", "data/{site}/#"), (2, 9), None),
        (("topics", "data/{site}/#", "publish", 0), None, (3, 12)),
        (("topics", "data/{site}/#", "publish", 1), None, (5, 3)),
        (("topics", "data/{site}/#", "title"), (6, 1), (6, 9)),
        (("roles", "press"), (9, 8), None),
        (("roles", "press", "binds", "a b"), (10, 31), (10, 39)),
        (("roles", "press", "permit", 1, "filter"), (11, 67), (11, 76)),
        (("roles", "press", "limits", "inflight_max"), (12, 8), (12, 23)),
        (("roles", "x", "permit", 1, "filter"), (17, 1), (17, 10)),
    ],
)
def test_a_path_stands_where_an_editor_shows_it(path, key, value):
    found = tree(TEXT)
    assert found.keys.get(path) == (Position(*key) if key else None)
    assert found.values.get(path) == (Position(*value) if value else None)


def test_every_path_of_the_text_has_a_place():
    found = tree(TEXT)
    assert set(paths(tomllib.loads(TEXT))) == set(found.keys) | set(found.values)


words = st.text(st.sampled_from("ab/{}#+.\"'\\ é\t=[],\n"), max_size=5)
scalars = st.one_of(words, st.integers(), st.booleans(), st.floats(allow_nan=False), st.dates(), st.datetimes())
bodies = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(words, bodies, max_size=4))
def test_the_locator_and_tomllib_see_the_same_paths(value):
    text = tomlkit.dumps(value)
    root = tomllib.loads(text)
    found = tree(text)
    assert set(paths(root)) == set(found.keys) | set(found.values)


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("ab=[]{}\"'.,# \n\t\\1\0é-"), max_size=40))
def test_no_text_hangs_or_breaks_the_parser(text):
    parsed = parse(Source(text, "p.toml"))
    if isinstance(parsed, Tree):
        assert set(paths(parsed.root)) == set(parsed.keys) | set(parsed.values)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = = 2\n", 2, 5),
        ("a = 1\na = 2\n", 2, 6),
        ('a = "open', 1, 10),
        ("[a]\n[a]\n", 2, 3),
        ("a = " + "9" * 5000, 1, 5005),
    ],
)
def test_what_is_no_toml_is_told_with_line_and_column(text, line, column):
    problem = parse(Source(text, "p.toml"))
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column) == (line, column), problem


def test_nesting_too_deep_is_a_problem_not_a_crash():
    assert isinstance(parse(Source("a = " + "[" * 5000 + "]" * 5000, "p.toml")), Problem)


def test_lines_end_as_they_like():
    assert tree("a = 1\r\nb = [1,\r\n 2]\r\n").values["b", 1] == Position(3, 2)


def test_bytes_that_are_not_utf_8_are_told_with_line_and_column():
    problem = read(b"a = 1\n# \xc3\xa9 \xff", "p.toml")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column, problem.message) == (2, 5, "this is not UTF-8")


def test_a_byte_order_mark_and_a_lone_surrogate():
    assert read(b"\xef\xbb\xbfa = 1", "p.toml") == Source("a = 1", "p.toml")
    assert isinstance(read("a = '\ud800'", "p.toml"), Problem)


def test_a_text_beyond_the_bound_is_refused():
    assert isinstance(read(b"#" * (16 * 1024 * 1024 + 1), "p.toml"), Problem)
