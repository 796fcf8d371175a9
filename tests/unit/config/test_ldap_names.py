"""Names and filters of a directory: taken apart once, and a user's name is never more than one value in them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.config.ldap_names import (
    DEPTH_MAX,
    Composite,
    Extensible,
    Match,
    Present,
    Substrings,
    dn_key,
    fill_dn,
    parse_dn_template,
    parse_filter,
)
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError

KNOWN = {"user_name", "user_dn"}
TEMPLATE = "uid={user_name},ou=people,dc=example"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(uid={user_name})", Match("=", "uid", ("user_name",))),
        ("(uid=x-{user_name}.y)", Match("=", "uid", (b"x-", "user_name", b".y"))),
        ("(cn=a\\2ab\\28)", Match("=", "cn", (b"a*b(",))),
        ("(cn=\u00e9)", Match("=", "cn", ("\u00e9".encode(),))),
        ("(cn=)", Match("=", "cn", ())),
        ("(age>=5)", Match(">=", "age", (b"5",))),
        ("(age<=5)", Match("<=", "age", (b"5",))),
        ("(cn~=x)", Match("~=", "cn", (b"x",))),
        ("(mail=*)", Present("mail")),
        ("(cn=a*)", Substrings("cn", ((b"a",), ()))),
        ("(cn=*{user_name}*z)", Substrings("cn", ((), ("user_name",), (b"z",)))),
        ("(2.5.4.3=x)", Match("=", "2.5.4.3", (b"x",))),
        ("(cn;lang-en=x)", Match("=", "cn;lang-en", (b"x",))),
        (
            "(member:1.2.840.113556.1.4.1941:={user_dn})",
            Extensible("member", "1.2.840.113556.1.4.1941", ("user_dn",)),
        ),
        (
            "(&(a=b)(!(c=d))(|(e=*)(f=g)))",
            Composite(
                "&",
                (
                    Match("=", "a", (b"b",)),
                    Composite("!", (Match("=", "c", (b"d",)),)),
                    Composite("|", (Present("e"), Match("=", "f", (b"g",)))),
                ),
            ),
        ),
    ],
)
def test_a_filter_is_taken_apart(text, found):
    assert parse_filter(text, KNOWN) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uid=x",
        "(uid=x",
        "(uid=x))",
        "(uid=x)(uid=y)",
        "()",
        "(&)",
        "(!(a=b)(c=d))",
        "(=x)",
        "(uid)",
        "(uid:=x)",
        "(uid=a**b)",
        "(age>=*)",
        "(uid={nobody})",
        "(uid={})",
        "(uid={user_name)",
        "(uid=\\zz)",
        "(uid=a\0)",
        "(" + "&(" * (DEPTH_MAX + 2) + "a=b" + ")" * (DEPTH_MAX + 3),
    ],
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(ValueError):
        parse_filter(text, KNOWN)


@given(st.text(max_size=40))
def test_reading_a_filter_ends_in_a_filter_or_in_an_error_of_its_own(text):
    with suppress(ValueError):
        assert parse_filter(text, KNOWN)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_user_name_in_a_name_is_one_value(name):
    filled = fill_dn(TEMPLATE, name)
    found = dn_key(filled)
    assert found is not None
    assert len(found) == 3
    assert found[0] == {("uid", " ".join(name.casefold().split()))}
    assert found[1:] == dn_key("ou=people,dc=example")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=Operators,ou=groups,dc=example", "CN=operators, OU=Groups, DC=example"),
        ("cn=a\\,b,dc=x", "cn=a\\2cb,dc=x"),
        ("cn=a+sn=b,dc=x", "sn=b+cn=a,dc=x"),
        ("cn=a  b,dc=x", "cn=a b,dc=x"),
        ("cn=a\\3db,dc=x", "cn=a=b,dc=x"),
        ("cn=\u00e9,dc=x", "cn=\\c3\\a9,dc=x"),
    ],
)
def test_two_spellings_of_a_name_are_one_name(one, other):
    assert dn_key(one) == dn_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a,dc=x", "cn=a,dc=y"),
        ("cn=a,dc=x", "cn=a,ou=b,dc=x"),
        ("cn=a\\,dc=x", "cn=a,dc=x"),
        ("cn=a+sn=b,dc=x", "cn=a,sn=b,dc=x"),
        ("cn=a,dc=x,dc=y", "cn=a,dc=y,dc=x"),
    ],
)
def test_two_names_are_two_names(one, other):
    assert dn_key(one) != dn_key(other)


@pytest.mark.parametrize(
    "text", ["", "alice", "cn=", "cn=a,", ",cn=a", "cn=a,,dc=x", 'cn="a"', "cn=a\\", "cn=\\ff", "=a"]
)
def test_what_is_no_name_has_no_key(text):
    assert dn_key(text) is None


@pytest.mark.parametrize("text", ["uid=x,dc=y", "{user_name}", "uid={user_name},uid={user_name}", "uid={name},dc=x"])
def test_a_template_names_the_user_once_in_a_value(text):
    with pytest.raises(ValueError):
        parse_dn_template(text)


PLACE = 'ldap_url = "ldaps://ldap.example"'
BY_NAME = f'{PLACE}, user_dn = "{TEMPLATE}"'
BY_SEARCH = f'{PLACE}, search_base = "dc=example", search_filter = "(uid={{user_name}})"'
BY_GROUP = f'{BY_NAME}, identities = "answer", group_attribute = "memberOf"'
GROUPS = 'group_roles = { "cn=a,dc=example" = ["press"] }'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (PLACE, "one of the two"),
        (f'{BY_NAME}, search_base = "dc=example", search_filter = "(uid={{user_name}})"', "one of the two"),
        (f'{PLACE}, search_base = "dc=example"', "belong together"),
        (BY_SEARCH.replace("{user_name}", "alice"), "the same for everyone"),
        (BY_SEARCH.replace("(uid=", "(uid"), "no '='"),
        (BY_NAME.replace("ldaps://ldap.example", "https://ldap.example"), "ldaps://"),
        (BY_NAME.replace("ldaps://ldap.example", "ldaps://u:p@ldap.example"), "neither user"),
        (BY_NAME.replace("ldaps://ldap.example", "ldaps://ldap.example/dc=x??sub"), "ldaps://directory.example"),
        (f'{BY_NAME}, danger_plaintext_ldap = "lab"', "remove it"),
        (f'{BY_SEARCH}, bind_dn = "cn=finder,dc=example"', "belong together"),
        (f'{BY_NAME}, bind_dn = "cn=finder,dc=example", bind_password_file = "x"', "remove bind_dn"),
        (f"{BY_NAME}, {GROUPS}", "group_roles needs one of"),
        (f'{BY_NAME}, group_attribute = "memberOf"', "they need group_roles"),
        (f'{BY_NAME}, group_attribute = "memberOf", {GROUPS}', "identity store"),
        (f'{BY_NAME}, attribute_names = {{ site = "l" }}', "identity store"),
        (f'{BY_NAME}, identity_attribute = "uid;x"', "identity_attribute"),
        (f"{BY_GROUP}, {GROUPS[:-2]}, \"CN=A, dc=example\" = ['y'] }}", "one group twice"),
        (f'{BY_NAME}, identities = "answer", group_base = "dc=example", {GROUPS}', "belong together"),
    ],
)
def test_a_setting_that_cannot_work_is_told(table, said):
    words = ['listeners.mqtts.authentication=["staff"]', f'authenticators.staff={{kind = "ldap", {table}}}']
    with pytest.raises(ConfigurationError, match=said):
        load_settings(None, words)


@pytest.mark.parametrize("table", [BY_NAME, BY_SEARCH, f'{BY_NAME}, identities = "answer"'])
def test_a_setting_that_can_is_taken(table):
    words = ['listeners.mqtts.authentication=["staff"]', f'authenticators.staff={{kind = "ldap", {table}}}']
    assert load_settings(None, words)
