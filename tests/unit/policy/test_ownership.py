"""Nobody publishes what another identity owns: what `check` accepts is so by the oracle, the rest is an error."""

import tomllib
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.policy import check
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.explain import Explainer
from bartizan.policy.format import formatted
from bartizan.policy.graph import graph
from bartizan.policy.page import page_of
from tests.oracle import ANY, REST, Identity, decide, matches, owned
from tests.unit.policy.plant import good
from tests.unit.policy.strategies import as_toml, names

BINDS = 'binds = { asset = "client_id", who = "identity", site = "attr.site" }\n'
OWNER = "[roles.press]\n" + BINDS
USES = 'forbid = [{ action = "subscribe", filter = "x/{asset}/{who}/{site}" }]\n'


def press(*owns: str, permit: str = "", more: str = "") -> str:
    rules = f'permit = [{{ action = "publish", filter = "{permit}" }}]\n' if permit else ""
    return f"{OWNER}owns = [{', '.join(owns)}]\n{rules}{USES}{more}"


def problems(text: str) -> list[tuple[int, str]]:
    return [(error.line, error.message) for error in check(text, "p.toml").errors]


@pytest.mark.parametrize(
    "text",
    [
        press('"data/{asset}/#"', permit="data/{asset}/status"),
        press('"data/{who}/#"', '"{asset}"', permit="data/{asset}/status"),
        press('"data/{site}/{who}/#"'),
        press('{ filter = "data/{site}/#", shared = true }', permit="data/{site}/status"),
        press('"data/{asset}/#"', more='[roles.other]\npermit = [{ action = "all", filter = "commands/#" }]\n'),
        press('"data/{asset}/#"', more='[roles.other]\npermit = [{ action = "subscribe", filter = "#" }]\n'),
        press('"a/+/{asset}"', more='[roles.o]\npermit = [{ action = "publish", filter = "a/b/c/d" }]\n'),
        press(
            '"data/{asset}/#"',
            more='[roles.admin]\npermit = [{ action = "publish", filter = "#" }]\n'
            'forbid = [{ action = "publish", filter = "data/#" }]\n',
        ),
        press('"data/{asset}/#"', more='[roles.r]\nincludes = ["press"]\n'),
        press('"data/{asset}/#"', more='[roles.r]\nclient_id = ["{identity}-*", "assigned"]\n'),
        f'[roles.press]\n{BINDS}owns = "data/{{asset}}/#"\n{USES}',
    ],
)
def test_what_cannot_be_anothers_is_a_policy(text):
    assert problems(text) == []
    assert good(formatted(text)).compiled == good(text).compiled


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (press('"data/#"'), 3, "two identities of role press may own the same of data/#"),
        (press('"data/{site}/#"'), 3, "two identities of role press may own the same of data/{site}/#"),
        (
            press('"data/{asset}/#"', '"data/+/status"'),
            3,
            "two identities may own the same: data/+/status, and data/{asset}/# (role press, line 3)",
        ),
        (
            press('"data/{asset}/#"', more='[roles.second]\nowns = [{ filter = "data/#", shared = true }]\n'),
            6,
            "two identities may own the same: data/#, and data/{asset}/# (role press, line 3)",
        ),
        (
            press('"data/{asset}/#"', more='[roles.admin]\npermit = [{ action = "publish", filter = "#" }]\n'),
            6,
            "role admin may publish to #, of which others own data/{asset}/# (role press, line 3)",
        ),
        (
            press(
                '"data/{asset}/#"',
                more='[roles.o]\npermit = [{ action = "publish", filter = "data" }, '
                '{ action = "publish", filter = "data/press-01/x" }]\n',
            ),
            6,
            "role o may publish to data/press-01/x, of which others own data/{asset}/# (role press, line 3)",
        ),
        (
            press('"data/a/{asset}"', permit="data/{site}/x"),
            4,
            "role press may publish to data/{site}/x, of which others own data/a/{asset} (role press, line 3)",
        ),
        (
            press('"data/{asset}/#"', permit="data/+/status"),
            4,
            "role press may publish to data/+/status, of which others own data/{asset}/# (role press, line 3)",
        ),
        (
            press('{ filter = "data/{site}/#", shared = true }', permit="data/#"),
            4,
            "role press may publish to data/#, of which others own data/{site}/# (role press, line 3)",
        ),
        (
            press('"data/{asset}/#"', more='[topics."data/{any}/x"]\npublish = ["o"]\n[roles.o]\n'),
            5,
            "role o may publish to data/{any}/x, of which others own data/{asset}/# (role press, line 3)",
        ),
        (
            press('"data/{asset}/#"', more='[roles.g]\nclient_id = "gate-*"\n'),
            3,
            "two identities of role press may own the same of data/{asset}/#",
        ),
        (press('"$SYS/{asset}"'), 3, "topics that begin with $ are the server's: nobody owns them"),
        (press('"data/{nobody}"'), 3, "the variable {nobody} is not bound by this role"),
        (press("3"), 3, "an entry of owns is a filter"),
        (press('{ filter = "a", share = true }'), 3, "unknown key share"),
    ],
)
def test_what_cannot_be_proved_is_an_error_where_it_stands(text, line, message):
    assert (line, message) in problems(text)


def test_a_forbid_with_a_condition_or_of_subscribing_proves_nothing():
    for rule in (
        'action = "publish", filter = "data/#", when = { listener = "a" }',
        'action = "subscribe", filter = "data/#"',
    ):
        more = f'[roles.a]\npermit = [{{ action = "publish", filter = "#" }}]\nforbid = [{{ {rule} }}]\n'
        assert problems(press('"data/{asset}/#"', more=more))


def test_a_hint_says_how_to_mend_it():
    (error,) = check(press('"data/{asset}/#"', more='[roles.g]\nclient_id = "gate-*"\n'), "p").errors
    assert "role g lets its identities use Client Identifiers outside of their namespace" in error.hint
    (error,) = check(press('"data/{asset}/#"', permit="data/#"), "p").errors
    assert '{ action = "publish", filter = "data/+/#" } for role press' in error.hint


def test_owners_stand_on_the_pages():
    text = press('"data/{asset}/#"', more='[topics."data/{asset}/t"]\ntitle = "T"\npublish = ["press"]\n')
    page = page_of(Explainer(good(text)), "Plant", "")
    assert "- Written by its owner alone: press" in markdown(page)
    assert "- Each owns `data/{asset}/#`: no one else writes there" in markdown(page)
    assert "<dt>Owns</dt><dd><ul><li><code>data" in html(page)
    assert "T · owned by each press" in graph(page)


# ---- the proof, by the oracle -------------------------------------------------------------------

_LEVELS = ("a", "b", "+", "{asset}", "{who}", "{site}")
_PEOPLE = [
    Identity("a", "a", (), {"site": "a"}),
    Identity("b", "b-1", (), {"site": "a"}),
    Identity("c", "c", (), {"site": "b"}),
]
_SOURCES = {"asset": "client_id", "who": "identity", "site": "attr.site"}


def _filters(random: Random) -> str:
    levels = random.choices(_LEVELS, k=random.randint(1, 3)) + random.choice([[], [], ["#"]])
    return "/".join(levels)


def _rule(random: Random) -> dict[str, Any]:
    return {"action": random.choice(["publish", "all", "subscribe"]), "filter": _filters(random)}


def _policy(random: Random) -> dict[str, Any]:
    roles: dict[str, Any] = {}
    for name in ("r", "s"):
        permit = [_rule(random) for _ in range(random.randint(0, 2))]
        forbid = [_rule(random) for _ in range(random.randint(0, 1))]
        owns = [{"filter": _filters(random), "shared": random.random() < 0.3} for _ in range(random.randint(0, 2))]
        used = " ".join(rule["filter"] for rule in permit + forbid + owns)
        binds = {variable: source for variable, source in _SOURCES.items() if f"{{{variable}}}" in used}
        includes = ["r"] if name == "s" and random.random() < 0.3 else []
        roles[name] = {"includes": includes, "binds": binds, "permit": permit, "forbid": forbid, "owns": owns}
    return {"topics": {}, "roles": roles}


def _inside(levels: list[Any], random: Random) -> str:
    """A topic that such a filter has."""
    parts = [
        random.choice(["a", "b", "b-1", "c", "q"]) if level is ANY else level for level in levels if level is not REST
    ]
    return "/".join([*parts, *random.choices("abc", k=random.randint(0, 2) if levels[-1] is REST else 0)]) or "a"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**48).map(Random))
def test_of_a_policy_that_is_accepted_nobody_publishes_what_another_owns(random):
    for _ in range(40):
        policy = _policy(random)
        text = as_toml(policy)
        if not check(text, "p").ok:
            continue
        assert tomllib.loads(text)["roles"] == policy["roles"]
        people = [
            Identity(p.id, p.client_id, tuple(random.choices("rs", k=random.randint(1, 2))), p.attributes)
            for p in _PEOPLE
        ]
        for owner, other in permutations(people, 2):
            alone, together = (owned(policy, owner, shared=shared) for shared in (False, True))
            his = [levels for shared in (False, True) for levels in owned(policy, other, shared=shared)]
            for topic in [*names(random, 10), *(_inside(levels, random) for levels in (alone + together) * 3)]:
                if any(matches(levels, topic) for levels in alone):
                    assert not any(matches(levels, topic) for levels in his), (text, topic)
                    assert decide(policy, other, "publish", topic) == "deny", (text, topic)
                if any(matches(levels, topic) for levels in together) and not any(matches(each, topic) for each in his):
                    assert decide(policy, other, "publish", topic) == "deny", (text, topic)
