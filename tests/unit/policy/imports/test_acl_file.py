"""Every corner of Mosquitto's ACL file: what 2.0.11 takes is taken, what it refuses is refused with the line.

The same files are given to the real broker in tests/integration/test_import_mosquitto.py.
"""

import pytest

from bartizan.policy.contract import Action
from bartizan.policy.imports import UnreadableLine
from bartizan.policy.imports.acl_file import AclRule, read_acl

READ, WRITE = (Action.SUBSCRIBE,), (Action.PUBLISH,)
BOTH = (Action.PUBLISH, Action.SUBSCRIBE)


def test_rules_belong_to_the_user_before_them_and_to_nobody_before_the_first():
    acl = read_acl(b"topic read a\n\nuser bob\ntopic write b/#\ntopic readwrite c\ntopic d\ntopic deny e\n", "acl")
    assert acl.sections == {
        None: [AclRule(READ, "a", 1)],
        "bob": [AclRule(WRITE, "b/#", 4), AclRule(BOTH, "c", 5), AclRule(BOTH, "d", 6), AclRule((), "e", 7)],
    }


def test_patterns_are_of_everybody_wherever_they_stand():
    acl = read_acl(b"user bob\npattern read a/%c\npattern %u/#\n", "acl")
    assert acl.patterns == [AclRule(READ, "a/%c", 2), AclRule(BOTH, "%u/#", 3)]
    assert acl.sections == {"bob": []}


def test_sections_of_one_user_are_one():
    acl = read_acl(b"user bob\ntopic a\nuser amy\ntopic b\nuser bob\ntopic c\n", "acl")
    assert [rule.filter for rule in acl.sections["bob"]] == ["a", "c"]
    assert acl.lines == {"bob": 1, "amy": 3}


@pytest.mark.parametrize("ends", ["\n", "\r\n", " \t\r\n"])
def test_the_end_of_a_line_is_no_part_of_a_topic(ends):
    acl = read_acl(f"user x y{ends}topic read a b/c{ends}".encode(), "acl")
    assert acl.sections == {"x y": [AclRule(READ, "a b/c", 2)]}


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("topic read a b/c d", "a b/c d"),
        ("topic  read   a", "a"),
        ("  topic read a", "a"),
        ("topic read \t a\t", "a"),
        ("topic read a//b", "a//b"),
        ("topic read é/+/#", "é/+/#"),
        ("topic read /", "/"),
    ],
)
def test_spaces_part_the_words_and_may_stand_in_a_topic(line, topic):
    assert read_acl(line.encode(), "acl").sections[None] == [AclRule(READ, topic, 1)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# topic a\n", b"#\r\n \t\n"])
def test_a_file_without_rules_has_none(content):
    acl = read_acl(content, "acl")
    assert (acl.sections, acl.patterns) == ({}, [])


@pytest.mark.parametrize("word", ["read", "write", "readwrite", "deny"])
def test_an_access_without_a_topic_is_a_topic_and_said_so(word):
    acl = read_acl(f"topic {word}\n".encode(), "acl")
    assert acl.sections[None] == [AclRule(BOTH, word, 1)]
    assert [(remark.name, remark.line) for remark in acl.remarks] == [("word-as-topic", 1)]


@pytest.mark.parametrize(
    "bad",
    [
        b"topic", b"pattern  ", b"topic some a", b"user", b"user  ", b"nonsense a", b"  # indented", b"\ttopic a",
        b"topic a+/b", b"topic a/#/b", b"topic read a#", b"topic a/+b", b"\xff", b"topic \xff", b"topic a\0b",
        b"\xef\xbb\xbftopic a", b"Topic a", b"topic " + b"a/" * 201 + b"a",
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_with_its_place(bad):
    with pytest.raises(UnreadableLine) as refused:
        read_acl(b"# first\nuser bob\n" + bad + b"\ntopic ok\n", "acl")
    assert refused.value.where == "acl:3"
    assert refused.value.exit_code == 2
