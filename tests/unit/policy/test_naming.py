"""Names that an identity may use: its own, its certificate's, a pattern of them, or none of its choice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.errors import InvalidValue
from bartizan.policy import CompiledPolicy, check
from bartizan.policy.naming import Named, admits, is_assigned, parse_naming
from tests.oracle import Identity, may_be_called

PRESS = Named("press-01", {"site": "rome"}, frozenset({"press-01.plant", "spiffe://plant/press-01"}))


@pytest.mark.parametrize(
    ("naming", "good", "bad"),
    [
        ("identity", ["press-01", "press-01-a"], ["press-0", "press-011", "press-02", "", "PRESS-01"]),
        ("certificate", ["press-01.plant", "spiffe://plant/press-01"], ["press-01", ""]),
        ("press-*", ["press-02", "press-"], ["press", "xpress-1"]),
        ("gateway", ["gateway"], ["gateway-1", "gatewa"]),
        ("{identity}-*", ["press-01-x", "press-01-"], ["press-01", "press-02-x"]),
        ("{attr.site}-{identity}", ["rome-press-01"], ["rome-press-01-x", "press-01", "rome-"]),
        ("{attr.hall}-*", [], ["-x", "x-", "rome-x"]),
        ("assigned", [], ["press-01", ""]),
    ],
)
def test_a_naming_admits_its_names_and_no_others(naming, good, bad):
    assert parse_naming(naming) == naming
    assert [name for name in good + bad if admits([naming], name, PRESS)] == good


def test_of_several_one_is_enough_and_assigned_holds_where_it_is_alone():
    assert admits(["gateway", "identity"], "press-01", PRESS)
    assert is_assigned(["assigned"])
    assert not is_assigned(["assigned", "identity"])


@pytest.mark.parametrize(
    "text", ["", "*", "a*b", "{site}", "{attr.Site}", "a/b", "a+", "#", "{identity", "x" * 257, "**"]
)
def test_what_is_no_naming_is_refused(text):
    with pytest.raises(InvalidValue):
        parse_naming(text)


def compiled(text: str) -> CompiledPolicy:
    result = check(text, "names")
    assert result.compiled is not None, result.errors
    return result.compiled


ROLES = """
[roles.press]
client_id = "{identity}-*"
[roles.press.credentials]
password_days_max = 90

[roles.gateway]
includes  = ["press"]
client_id = ["certificate", "assigned"]
user_name = "certificate"
[roles.gateway.credentials]
password_days_max    = 30
certificate_days_max = 365

[roles.plain]
"""


def test_the_roles_of_an_identity_say_its_names_together_with_what_they_include():
    policy = compiled(ROLES)
    assert policy.client_ids(["press"]) == ("{identity}-*",)
    assert set(policy.client_ids(["gateway"])) == {"certificate", "assigned", "{identity}-*"}
    assert policy.client_ids(["plain"]) == policy.client_ids([]) == policy.client_ids(["unknown"]) == ("identity",)
    assert policy.user_names(["gateway"]) == ("certificate",)
    assert policy.user_names(["press"]) == ("identity",)


def test_of_several_ages_the_shortest_holds():
    policy = compiled(ROLES)
    assert policy.credential_days_max(["press"]) == {"password": 90}
    assert policy.credential_days_max(["gateway", "plain"]) == {"password": 30, "certificate": 365}
    assert policy.credential_days_max(["plain"]) == {}


def test_names_and_ages_are_part_of_what_a_policy_is():
    assert compiled(ROLES) != compiled(ROLES.replace("90", "91"))
    assert compiled(ROLES) != compiled(ROLES.replace('"{identity}-*"', '"identity"'))


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('[roles.r]\nclient_id = "*"', 2, 13, "client_id is no naming"),
        ("[roles.r]\nclient_id = []", 2, 13, "client_id has 1 to 4096 entries"),
        ('[roles.r]\nuser_name = "assigned"', 2, 13, "user_name is no naming"),
        ("[roles.r.credentials]\npassword_days_max = 0", 2, 21, "password_days_max is a whole number from 1 to 36500"),
        ("[roles.r.credentials]\ntoken_days_max = 1", 2, 1, "unknown key token_days_max"),
    ],
)
def test_a_mistake_is_told_where_it_stands(text, line, column, message):
    (error, *_) = check(text, "names").errors
    assert (error.line, error.column, error.message) == (line, column, message)


@settings(max_examples=300)
@given(
    namings=st.lists(
        st.sampled_from(
            [
                "identity",
                "certificate",
                "assigned",
                "{identity}",
                "{identity}-*",
                "a-*",
                "{attr.site}*",
                "x{attr.site}-{identity}",
            ]
        ),
        min_size=1,
        max_size=2,
    ),
    words=st.lists(st.sampled_from(["a", "b", "x", "-", "ab"]), min_size=1, max_size=4),
    identity=st.sampled_from(["a", "b", "ab", "a-b"]),
    site=st.sampled_from([None, "", "a", "b-"]),
)
def test_names_are_admitted_as_the_oracle_says(namings, words, identity, site):
    name, attributes = "".join(words), {} if site is None else {"site": site}
    certificate = frozenset({"a", "x-b"})
    told = admits(namings, name, Named(identity, attributes, certificate))
    assert told is may_be_called(namings, name, Identity(identity, attributes=attributes), certificate)
