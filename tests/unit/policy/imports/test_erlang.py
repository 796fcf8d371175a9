"""The terms of Erlang: what a configuration is written in is read, everything else is refused with its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy.imports import UnreadableLine
from bartizan.policy.imports.erlang import Atom, List, Number, Text, Tuple, read_terms


def terms(text: str):
    return read_terms(text.encode(), "acl.conf")


def test_terms_know_their_lines():
    found = terms('%% first\n{allow, all}.\n\n[a,\n "b"].')
    assert found == [
        Tuple((Atom("allow", 2), Atom("all", 2)), 2),
        List((Atom("a", 4), Text("b", 5)), 4),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a b"', "a b"), ('""', ""), (r'"\"\\\n\t\s"', '"\\\n\t '), (r'"\x41\x{1F600}\101"', "A\U0001f600A"),
        ('<<"a/b">>', "a/b"), ('<< "é"/utf8 >>', "é"), ('"%c"', "%c"), ('"${clientid}"', "${clientid}"), (r'"\$"', "$"),
        ('"a\nb"', "a\nb"),
    ],
)  # fmt: skip
def test_texts(text, value):
    assert terms(text + ".") == [Text(value, 1)]


@pytest.mark.parametrize(
    ("text", "name"), [("allow", "allow"), ("'and'", "and"), ("a_B@1", "a_B@1"), (r"'a\'b'", "a'b")]
)
def test_atoms(text, name):
    assert terms(text + " .") == [Atom(name, 1)]


def test_numbers_and_empty_brackets():
    assert terms("{-1, 2, {}, []}.") == [Tuple((Number(-1, 1), Number(2, 1), Tuple((), 1), List((), 1)), 1)]


@pytest.mark.parametrize("text", ["", " \n", "% only", "%\n%"])
def test_a_file_without_terms(text):
    assert terms(text) == []


@pytest.mark.parametrize(
    "bad",
    [
        "{allow, all}", "{allow all}.", "{allow, all.", "{allow, }.", "[a|b].", "{a}}.", "A.", "1.5.", "2#101.", "$a.",
        "#{a => b}.", '"a" "b".', '"open', "'open", "fun() -> a end.", "<<1,2>>.", r'"\x{110000}".', "{a].", "a,b.",
        "{allow, all}.{deny, all}", "[" * 40, '"\\x{D800}".',
    ],
)  # fmt: skip
def test_what_is_no_term_is_refused_with_its_line(bad):
    with pytest.raises(UnreadableLine) as refused:
        terms("ok.\n" + bad)
    assert refused.value.where == "acl.conf:2"


def test_bytes_that_are_no_utf_8_are_refused_with_their_line():
    with pytest.raises(UnreadableLine, match=r"acl\.conf:2"):
        read_terms(b"ok.\n\xff.", "acl.conf")


@given(st.text(st.sampled_from("{}[],.\"'a1 \n%<>\\x"), max_size=30))
def test_nothing_but_a_refusal_comes_of_any_text(text):
    with suppress(UnreadableLine):
        assert all(1 <= term.line <= text.count("\n") + 1 for term in terms(text))
