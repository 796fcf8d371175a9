"""An imported ACL file decides as the real Mosquitto does, but for the differences that the import names.

Each random file starts one broker, which is asked for every client and topic at once.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.model.difference import Weight
from bartizan.model.topics import TopicFilter, TopicName
from bartizan.policy import Asked, CompiledPolicy, Request, check
from bartizan.policy.contract import Action
from bartizan.policy.imports import Imported, UnreadableLine
from bartizan.policy.imports.acl_file import AclFile, AclRule, read_acl
from bartizan.policy.imports.mosquitto import Around, import_mosquitto
from bartizan.policy.imports.passwords import read_passwords
from bartizan.policy.writer import policy_text
from tests.integration.real_mosquitto import Answers, Client, MosquittoRefuses, ask, hashed, mosquitto
from tests.left_out import require_program

USERS = ("bob", "amy", "zoe", "x y")
CLIENTS = (
    Client("bob-1", "bob", "pw"),
    Client("a", "bob", "pw"),
    Client("amy-1", "amy", "pw"),
    Client("zoe", "zoe", "pw"),
    Client("b c", "x y", "pw"),
    Client("b"),
    Client("bob"),
    Client("a/b"),
    Client("a+"),
)
TOPICS = (
    "a", "b", "a/b", "a/a", "b/a", "bob", "amy", "a/bob", "a/bob-1", "a/amy", "a/amy-1", "bob/a", "a/zoe/b", "a/b/c", "b c",
    "a/", "/", "/a", "a//b", "bob/bob", "x y/a", "$foo/a", "$foo", "$SYS/a", "$SYS/broker/connection/a/state",
    "%u", "a/%c", "a/a/b/c", "b/a/b", "{x}", "a/{x}",
)  # fmt: skip
"""Words so few that rules, users and topics often meet."""

FILTERS = (
    "#", "+", "+/#", "+/+", "a/#", "a/+", "+/a", "a/+/b", "b/#", "bob/#", "a/b/#", "a", "a/b", "bob", "b c", "/#",
    "$SYS/#", "$foo/#", "{x}/#", "$share/g/a/#", "$share/g/#", "$share/g/a/b",
)  # fmt: skip

WORDS = st.sampled_from(["a", "b", "+", "bob", "amy", "b c", "", "a", "+"])
ACCESS = st.sampled_from(["read ", "write ", "readwrite ", "deny ", "deny "])


@pytest.fixture(scope="module")
def passwords() -> str:
    require_program("mosquitto", "mosquitto")
    require_program("mosquitto_passwd", "mosquitto")
    return "".join(f"{user}:{kept}\n" for user, kept in hashed(USERS).items())


@st.composite
def filters(draw: st.DrawFn, *, pattern: bool) -> str:
    words = st.one_of(WORDS, st.sampled_from(["%c", "%u"])) if pattern else WORDS
    levels = draw(st.lists(words, min_size=1, max_size=3))
    if draw(st.integers(0, 3)) == 0:
        levels.append("#")
    if draw(st.integers(0, 9)) == 0:
        levels = [draw(st.sampled_from(["$foo", "$SYS", "#", "{x}", "dev-%c"])), *levels[:1]]
        levels = ["#"] if levels[0] == "#" else levels
    return "/".join(levels) or "a"


@st.composite
def acl_files(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from(["topic", "topic", "topic", "pattern", "pattern", "user", "user", "# x", ""]))
        if kind == "user":
            lines.append(f"user {draw(st.sampled_from(USERS[:3]))}")
        elif kind in ("topic", "pattern"):
            lines.append(f"{kind} {draw(ACCESS)}{draw(filters(pattern=kind == 'pattern'))}")
        else:
            lines.append(kind)
    return draw(st.sampled_from(["\n", "\n", "\r\n"])).join(lines)


def imported(acl: bytes | None, passwords: str) -> tuple[Imported, CompiledPolicy]:
    read = None if acl is None else read_acl(acl, "acl")
    whole = import_mosquitto(read, read_passwords(passwords.encode(), "passwords"), Around(anonymous=True))
    result = check(policy_text(whole.roles), "policy.toml")
    assert result.compiled is not None, [str(error) for error in result.errors]
    return whole, result.compiled


def unlike(
    whole: Imported, policy: CompiledPolicy, answers: dict[Client, Answers]
) -> Iterator[tuple[Client, str, str, bool]]:
    """Who, action, topic, and whether it is allowed here: wherever the two differ."""
    roles = {identity.name: identity.roles for identity in whole.identities}
    for client, answer in answers.items():
        assert answer.connected
        mine = roles[client.user_name] if client.user_name is not None else ("anonymous",)
        who = {"identity": client.user_name or "", "client_id": client.client_id, "roles": mine}
        for action, there, topics in (
            (Asked.PUBLISH, answer.publish, TOPICS),
            (Asked.RECEIVE, answer.receive, sorted(answer.sent)),
        ):
            for topic in topics:
                here = policy.decide(Request(action, topic, **who)).allow
                if here != (topic in there):
                    yield client, action.value, topic, here


def is_named(whole: Imported, client: Client, action: str, topic: str, *, here: bool) -> bool:
    """True if a difference that the import names is about this."""
    names = {difference.name for difference in whole.differences}
    if client.user_name is None and "/" in client.client_id and "slash-in-value" in names:
        return True
    if client.user_name is None and "+" in client.client_id and "special-client-id" in names:
        return True
    if here:
        return False  # an import takes, it never gives
    lost = [difference for difference in whole.differences if difference.weight is Weight.LOST]
    return any(may_match(difference.topics, topic) for difference in lost)


def may_match(pattern: str, topic: str) -> bool:
    """True if the topic is one of the pattern's, for some value of its variables."""
    levels, names = pattern.split("/"), topic.split("/")
    if levels[-1] == "#":
        levels.pop()
        names = names[: len(levels)]
    return len(levels) == len(names) and all(
        level in ("+", name) or level.startswith("{") for level, name in zip(levels, names, strict=True)
    )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(acl=acl_files())
def test_the_imported_policy_and_a_real_mosquitto_decide_alike(acl: str, passwords: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        compare(acl.encode(), passwords, Path(directory))


def compare(acl: bytes, passwords: str, directory: Path) -> None:
    """Asks both whatever there is to ask: they refuse the file alike, or decide alike but for what is named."""
    try:
        with mosquitto(directory, acl=acl, passwords=passwords) as broker:
            answers = ask(broker, CLIENTS, TOPICS, filters=FILTERS)
    except MosquittoRefuses:
        with pytest.raises(UnreadableLine):
            read_acl(acl, "acl")
        return
    whole, policy = imported(acl, passwords)
    for client, action, topic, here in unlike(whole, policy, answers):
        assert is_named(whole, client, action, topic, here=here), (acl, client, action, topic, here, whole.differences)
    compare_subscriptions(read_acl(acl, "acl"), whole, policy, answers)


def compare_subscriptions(
    acl: AclFile, whole: Imported, policy: CompiledPolicy, answers: Mapping[Client, Answers]
) -> None:
    """There every SUBSCRIBE is granted. Here one that a single rule allows in whole, and the import says so.

    What comes by a SUBSCRIBE that both grant is the same, but for what else is named.
    """
    assert "subscribe-refused" in {difference.name for difference in whole.differences}
    roles = {identity.name: identity.roles for identity in whole.identities}
    for client, answer in answers.items():
        assert answer.subscribe == set(FILTERS)
        mine = roles[client.user_name] if client.user_name is not None else ("anonymous",)
        who = {"identity": client.user_name or "", "client_id": client.client_id, "roles": mine}
        lists = lists_of(acl, client)
        for asked in FILTERS:
            # Of a Shared Subscription the filter inside counts.
            filter_ = TopicFilter.parse(asked.removeprefix("$share/g/"))
            here = policy.decide(Request(Asked.SUBSCRIBE, filter_, **who))
            is_to_be = next((allow for allow, filters in lists if any(one.covers(filter_) for one in filters)), False)
            about = (acl, client, asked, here, whole.differences)
            assert here.allow == is_to_be or is_named_of(whole, client, filter_, here=here.allow), about
            if not here.allow:
                continue
            for topic in [topic for topic in answer.sent if filter_.matches(TopicName.parse(topic))]:
                comes = not here.per_delivery or policy.decide(Request(Asked.RECEIVE, topic, **who)).allow
                assert comes == (topic in answer.receive) or is_named(whole, client, "receive", topic, here=comes), (
                    topic,
                    *about,
                )


def lists_of(acl: AclFile, client: Client) -> list[tuple[bool, list[TopicFilter]]]:
    """The four lists that Mosquitto asks in turn what a client may read, and whether each allows it."""
    words = {"%c": client.client_id, **({} if client.user_name is None else {"%u": client.user_name})}
    own = [(rule, rule.filter) for rule in acl.sections.get(client.user_name, [])]
    patterns = [
        (rule, re.sub("%[cu]", lambda found: words[found[0]], rule.filter))
        for rule in acl.patterns
        # A client that could spell a wildcard has none.
        if not set("+#") & set(client.client_id) and (client.user_name is not None or "%u" not in rule.filter)
    ]
    return [
        (allow, [TopicFilter.parse(text) for rule, text in rules if is_of(rule, allow=allow) and text[:7] != "$share/"])
        for rules in (own, patterns)
        for allow in (False, True)
    ]


def is_of(rule: AclRule, *, allow: bool) -> bool:
    return Action.SUBSCRIBE in rule.allows if allow else not rule.allows


def is_named_of(whole: Imported, client: Client, filter_: TopicFilter, *, here: bool) -> bool:
    """True if a difference that the import names is about this SUBSCRIBE, whoever else may do it."""
    if here:
        return is_named(whole, client, "subscribe", "", here=True)
    lost = [difference.topics for difference in whole.differences if difference.weight is Weight.LOST]
    return is_named(whole, client, "subscribe", "", here=False) or any(may_meet(each, str(filter_)) for each in lost)


def may_meet(pattern: str, filter_: str) -> bool:
    """True if some topic is of both, for some value of the pattern's variables."""
    ours, theirs = pattern.split("/"), filter_.split("/")
    for one, other in zip(ours, theirs, strict=False):
        if "#" in (one, other):
            return True
        if not (one in ("+", other) or one.startswith("{") or other == "+"):
            return False
    shorter, longer = sorted((ours, theirs), key=len)
    return len(ours) == len(theirs) or longer[len(shorter) :] == ["#"]


CORNERS = (
    b"", b"# only\n", b"\n \t\n", b"topic read a", b"topic deny\n", b"topic read \t a\t\n", b"  topic a\n", b"topic a//b\n",
    b"topic read a\r\nuser bob\r\ntopic b\r\n", b"user x y\ntopic read a\n", b"user  bob \ntopic  read   a\n",
    b"user bob\ntopic read a\nuser amy\ntopic b\nuser bob\ntopic deny a\n", b"user bob\n", b"pattern #\n",
    b"topic #\ntopic write $SYS/#\ntopic read $foo/#\n", b"topic $share/g/a\n", b"topic {x}\n", b"pattern %u/%c\npattern %c\n",
    b"user a/b\ntopic a\n", b"user #\ntopic a\n",
    b"topic\n", b"pattern  \n", b"topic some a\n", b"user\n", b"user  \n", b"nonsense a\n", b"  # indented\n", b"\ttopic a\n",
    b"topic a+/b\n", b"topic a/#/b\n", b"topic read a#\n", b"\xff\n", b"\xef\xbb\xbftopic a\n", b"Topic a\n",
    b"topic " + b"a/" * 201 + b"a\n",
)  # fmt: skip


@pytest.mark.parametrize("acl", CORNERS, ids=repr)
def test_every_corner_of_the_grammar_is_read_as_the_real_mosquitto_reads_it(acl, passwords, tmp_path) -> None:
    compare(acl, passwords, tmp_path)


def test_without_an_acl_file_everything_is_allowed_but_for_topics_of_the_server(passwords, tmp_path) -> None:
    with mosquitto(tmp_path, acl=None, passwords=passwords) as broker:
        answers = ask(broker, CLIENTS, TOPICS, filters=FILTERS)
    whole, policy = imported(None, passwords)
    for _, action, topic, here in unlike(whole, policy, answers):
        assert not here
        assert topic.startswith("$")
        assert action == "publish" or not topic.startswith("$SYS")
    for client, answer in answers.items():
        roles = ("anonymous",) if client.user_name is None else whole.identities[0].roles
        who = {"identity": client.user_name or "", "client_id": client.client_id, "roles": roles}
        asked = {each: TopicFilter.parse(each.removeprefix("$share/g/")) for each in FILTERS}
        here = {
            each for each, filter_ in asked.items() if policy.decide(Request(Asked.SUBSCRIBE, filter_, **who)).allow
        }
        assert (answer.subscribe, answer.subscribe - here) == (set(FILTERS), {"$foo/#"})
    assert {"dollar-publish", "subscribe-refused"} <= {difference.name for difference in whole.differences}


def test_the_users_of_a_password_file_are_those_that_the_real_mosquitto_lets_in(passwords, tmp_path) -> None:
    kept = passwords.split("\n")[0].split(":")[1]
    lines = [
        "plain:pw",
        f" spaced : {kept} ",
        f"more:{kept}:more",
        f"#comment:{kept}",
        "noline",
        "empty:",
        f"x:{kept}\r",
    ]
    text = "\n".join(lines)
    clients = [Client(name, name, "pw") for name in ("plain", "spaced", "more", "#comment", "noline", "empty", "x")]
    with mosquitto(tmp_path, acl=None, passwords=text, anonymous=False) as broker:
        answers = ask(broker, clients, ["a"])
    users = {user for user, line in read_passwords(text.encode(), "passwords").users.items() if line.hash}
    assert users == {client.user_name for client in clients if answers[client].connected}
