"""ACL file and password file -> roles, identities, differences. The decisions are compared with the real broker elsewhere."""

import pytest

from bartizan.policy import Asked, Request, check
from bartizan.policy.imports.acl_file import read_acl
from bartizan.policy.imports.mosquitto import Around, import_mosquitto
from bartizan.policy.imports.passwords import read_passwords
from bartizan.policy.writer import policy_text

HASH = "$7$101$c2FsdA==$aGFzaA=="


def imported(acl: str | None, *users: str, anonymous: bool = False, **around):
    passwords = read_passwords("".join(f"{user}:{HASH}\n" for user in users).encode(), "passwords")
    read = None if acl is None else read_acl(acl.encode(), "acl")
    return import_mosquitto(read, passwords, Around(anonymous=anonymous, **around))


def told(whole, name):
    return [(each.weight.value, each.place) for each in whole.differences if each.name == name]


def roles(whole):
    return {identity.name: identity.roles for identity in whole.identities}


def policy(whole):
    result = check(policy_text(whole.roles), "policy.toml")
    assert result.compiled is not None, [str(error) for error in result.errors]
    return result.compiled


def may(whole, user, action, topic, client_id=None):
    asked = Request(action, topic, identity=user, client_id=client_id or user, roles=roles(whole)[user])
    return policy(whole).decide(asked).allow


def test_users_share_the_role_of_the_patterns_and_have_their_own():
    whole = imported("user bob\ntopic a\npattern read c/%u\n", "bob", "amy")
    assert roles(whole) == {"bob": ("user-bob", "all-users"), "amy": ("all-users",)}
    assert may(whole, "amy", Asked.RECEIVE, "c/amy")
    assert not may(whole, "amy", Asked.RECEIVE, "c/bob")


def test_a_pattern_that_denies_what_a_user_is_allowed_first_does_not_reach_him():
    whole = imported("user bob\ntopic read a/b\npattern deny a/b\npattern read a/#\n", "bob", "amy")
    assert told(whole, "order") == []
    assert may(whole, "bob", Asked.RECEIVE, "a/b")
    assert not may(whole, "amy", Asked.RECEIVE, "a/b")
    assert roles(whole)["bob"] == ("user-bob",)


def test_where_the_order_cannot_be_kept_it_is_a_loss_with_its_lines_and_denied():
    whole = imported("user bob\ntopic read a/b\npattern deny a/#\npattern read #\n", "bob")
    assert told(whole, "order") == [("lost", "acl:3")]
    assert not may(whole, "bob", Asked.RECEIVE, "a/b")
    assert may(whole, "bob", Asked.RECEIVE, "c")


def test_a_user_is_denied_first_whatever_the_order_of_his_lines():
    whole = imported("user bob\ntopic a/#\ntopic deny a/x\n", "bob")
    assert may(whole, "bob", Asked.PUBLISH, "a/y")
    assert not may(whole, "bob", Asked.PUBLISH, "a/x")
    assert not may(whole, "bob", Asked.RECEIVE, "a/x")


@pytest.mark.parametrize("anonymous", [True, False])
def test_rules_before_the_first_user_are_the_anonymous_ones_if_these_are_let_in(anonymous):
    whole = imported("topic read a\npattern read b/%c\npattern read c/%u\n", anonymous=anonymous)
    names = {role.name for role in whole.roles}
    assert ("anonymous" in names) == anonymous
    assert told(whole, "anonymous-section") == [("changed" if anonymous else "noted", "acl:1")]
    if anonymous:
        decide = policy(whole).decide
        mine = {"client_id": "x", "roles": ("anonymous",)}
        assert decide(Request(Asked.RECEIVE, "b/x", **mine)).allow
        assert not decide(Request(Asked.RECEIVE, "c/x", **mine)).allow


def test_without_an_acl_file_everybody_may_do_everything_and_it_is_told():
    whole = imported(None, "bob")
    assert told(whole, "no-acl-file") == [("changed", "mosquitto.conf")]
    assert may(whole, "bob", Asked.PUBLISH, "a/b")
    assert may(whole, "bob", Asked.SUBSCRIBE, "#")
    assert may(whole, "bob", Asked.SUBSCRIBE, "$SYS/#")


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_an_empty_acl_file_lets_nobody_do_anything(content):
    whole = imported(content, "bob")
    assert (whole.roles, roles(whole)) == ((), {"bob": ()})


@pytest.mark.parametrize("user", ["a/b", "a+", "a#", "$SYS", "anonymous", "-x", "a\u202eb"])
def test_a_user_whose_name_no_identity_can_have_is_a_loss(user):
    whole = imported(f"user {user}\ntopic a\n", user)
    assert told(whole, "user-name") == [("lost", "passwords:1")]
    assert (whole.identities, whole.roles) == ((), ())


def test_a_user_with_rules_and_no_password_is_an_identity_that_nothing_proves():
    whole = imported("user bob\ntopic a\n")
    assert told(whole, "no-credential") == [("noted", "acl:1")]
    assert [identity.password_hash for identity in whole.identities] == [""]


@pytest.mark.parametrize(
    ("filter_", "weight"),
    [
        ("$SYS/broker/uptime", "noted"),
        ("$SYS/#", "lost"),
        ("$SYS/broker/connection/x/state", "lost"),
        ("$foo/a", "lost"),
    ],
)
def test_to_publish_to_the_servers_topics_is_lost_unless_mosquitto_forbids_it_too(filter_, weight):
    whole = imported(f"user bob\ntopic {filter_}\n", "bob")
    name = "dollar-publish" if weight == "lost" else "no-effect"
    assert told(whole, name) == [(weight, "acl:2")]
    assert may(whole, "bob", Asked.SUBSCRIBE, filter_)


@pytest.mark.parametrize(
    ("rule", "name"),
    [("topic a/{x}", "braces"), ("pattern dev-%c/x", "partial-variable"), ("pattern a/x%u", "partial-variable"),
     ("topic a/" + "b/" * 130 + "c", "long-topic"), ("topic read a\x01b", "control-character")],
)  # fmt: skip
def test_a_topic_that_no_policy_can_spell_is_a_loss_and_not_allowed(rule, name):
    whole = imported(f"user bob\n{rule}\ntopic ok\n", "bob")
    assert told(whole, name) == [("lost", "acl:2")]
    assert may(whole, "bob", Asked.PUBLISH, "ok")


def test_a_denial_that_no_policy_can_spell_denies_more_and_never_less():
    whole = imported("user bob\ntopic a/#\ntopic deny a/{x}/c\n", "bob")
    assert told(whole, "braces") == [("lost", "acl:3")]
    assert not may(whole, "bob", Asked.PUBLISH, "a/{x}/c")
    assert not may(whole, "bob", Asked.PUBLISH, "a/y/c")
    assert may(whole, "bob", Asked.PUBLISH, "a/y/d")


def test_percent_signs_are_text_in_a_topic_and_variables_in_a_pattern():
    whole = imported("user bob\ntopic a/%u\n", "bob")
    assert may(whole, "bob", Asked.PUBLISH, "a/%u")
    assert not may(whole, "bob", Asked.PUBLISH, "a/bob")


def test_bounds_on_what_is_published_are_in_the_permits():
    whole = imported("user bob\ntopic a\n", "bob", qos_max=1, retain=False)
    decide = policy(whole).decide
    mine = {"identity": "bob", "client_id": "bob", "roles": ("user-bob",)}
    assert decide(Request(Asked.PUBLISH, "a", qos=1, **mine)).allow
    assert not decide(Request(Asked.PUBLISH, "a", qos=2, **mine)).allow
    assert not decide(Request(Asked.PUBLISH, "a", retain=True, **mine)).allow


def test_the_names_of_roles_are_those_of_users_and_never_the_same():
    whole = imported("user Bob\ntopic a\nuser bob\ntopic b\nuser b ob\ntopic c\nuser 東\ntopic d\n")
    assert [role.name for role in whole.roles] == ["user-bob", "user-bob-2", "user-b-ob", "user"]


def test_every_rule_says_its_line():
    whole = imported("user bob\ntopic a\n\ntopic deny a/b\n", "bob")
    assert [rule.reason for role in whole.roles for rule in (*role.permit, *role.forbid)] == ["acl:2", "acl:4"]


def test_what_differs_in_general_is_told_with_every_import():
    whole = imported("user bob\ntopic a\npattern %u/a\n", "bob")
    names = {each.name for each in whole.differences}
    assert {"subscribe-refused", "client-ids", "slash-in-value", "dollar-in-value", "password-hash"} <= names
