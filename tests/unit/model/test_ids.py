"""Names: what would change meaning as a topic level, a file name or a CN is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.errors import InvalidValue
from bartizan.model.ids import AttributeName, ClientId, IdentityName, RoleName, parse_attribute


@pytest.mark.parametrize("name", ["press-01", "press 02", "Prägewerk", "a" * 128, ("user@example.com"), "10.0.0.1"])
def test_plain_names_are_identities(name):
    assert IdentityName.parse(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 129,
        "a/b",
        "+",
        "#",
        "a+",
        "nul\0",
        "new\nline",
        "e\u0301",
        ("bidi\u202e"),
        "\ud800",
        "$SYS",
        ".hidden",
        "-x",
        " a",
        "a ",
    ],
)
def test_names_that_could_mean_something_else_are_refused(name):
    with pytest.raises(InvalidValue):
        IdentityName.parse(name)


@pytest.mark.parametrize("client_id", ["", "a/b", "press-01-+", "press-01-#", "x\0", "x" * 65_536])
def test_client_ids_that_are_no_topic_level_are_refused(client_id):
    with pytest.raises(InvalidValue):
        ClientId.parse(client_id)


@given(st.text(max_size=200))
def test_a_parsed_name_is_one_topic_level(text):
    try:
        name = IdentityName.parse(text)
    except InvalidValue:
        return
    assert name == text
    assert not set(name) & set("/+#\0")
    assert 1 <= len(name) <= 128


@pytest.mark.parametrize(
    ("role", "good"), [("press", True), (("line_3-b"), True), ("Press", False), ("3", False), ("press\n", False)]
)
def test_roles_are_lower_case_words(role, good):
    if good:
        assert RoleName.parse(role) == role
    else:
        with pytest.raises(InvalidValue):
            RoleName.parse(role)


def test_an_attribute_keeps_what_follows_the_first_equals_sign():
    assert parse_attribute("site=a=b") == (AttributeName("site"), "a=b")


@pytest.mark.parametrize("text", ["site", "site=", "=chicago", "Site=x", "site=a\nb", "site=" + "x" * 257])
def test_attributes_need_a_name_and_a_visible_value(text):
    with pytest.raises(InvalidValue):
        parse_attribute(text)
