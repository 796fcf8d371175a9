"""Grants that nobody needs, as far as they were observed, and the policy without them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bartizan.model.observation import RuleUse
from bartizan.policy import Asked, check
from bartizan.policy.explain import Explainer
from bartizan.policy.narrow import Advice, Period, Used, narrow, narrowed, unknown
from bartizan.policy.rule_names import fingerprints
from bartizan.policy.subject import Ask, Subject
from tests.unit.policy import strategies

POLICY = """\
# The plant.
[topics."data/{asset}/temperature"]
publish   = ["press"]     # they measure
subscribe = ["dash"]

[roles.press]
binds  = { asset = "client_id" }
permit = [
  { action = "publish", filter = "log/#" },              # was for the old firmware
  { action = "subscribe", filter = "commands/{asset}" }, # they obey
  { action = "publish", filter = "debug" },
]
forbid = [{ action = "publish", filter = "log/secret" }]

[roles.dash]

[roles.screen]

[roles.unheld]
permit = [{ action = "publish", filter = "unheld" }]
"""

BEFORE, TODAY = date(2026, 10, 1), date(2026, 11, 20)
FIRST, SINCE, NOW = (datetime(2026, *day, tzinfo=UTC) for day in ((10, 1), (11, 1), (11, 20)))
PRESSES = [Subject(name, name, ("press",)) for name in ("press-01", "press-02")]
DASH = Subject("dash-01", "dash-01", ("dash",))
MEASURES = 'roles.press via topics."data/{asset}/temperature".publish'
READS = 'roles.dash via topics."data/{asset}/temperature".subscribe'


def use(identity: str, rule: str, topic: str, *, several_on: date | None = None, on: date = TODAY) -> RuleUse:
    """A use, its rule by name; `used` has it by fingerprint."""
    return RuleUse(identity, identity, rule, topic, on, several_on)


ALL = [
    use("press-01", MEASURES, "data/press-01/temperature"),
    use("press-01", "roles.press.permit[0]", "log/press-01/boot"),
    use("press-02", "roles.press.permit[0]", "log/press-02/boot"),
    use("press-01", "roles.press.permit[1]", "commands/press-01"),
    use("press-02", "roles.press.permit[2]", "debug"),
    use("dash-01", READS, "data/+/temperature"),
]


def explainer(text: str = POLICY) -> Explainer:
    return Explainer(check(text, "policy.toml"))


def used(
    uses: list[RuleUse],
    of: Explainer | None = None,
    *,
    now: Explainer | None = None,
    young: Mapping[str, datetime] | None = None,
    subjects: list[Subject] | None = None,
) -> Used:
    """These uses, of rules of the policy that the broker had; `now`: the one that it has."""
    then = fingerprints((of or explainer()).image)
    now = now or of or explainer()
    rules_since = dict.fromkeys(fingerprints(now.image).values(), FIRST) | dict(young or {})
    period = Period(SINCE, FIRST, rules_since)
    return Used(now, [replace(each, rule=then[each.rule]) for each in uses], period, subjects or [*PRESSES, DASH])


def found(uses: list[RuleUse], subjects: list[Subject] | None = None) -> list[Advice]:
    seen = {"press-02": TODAY}
    return narrow(explainer(), [*PRESSES, DASH] if subjects is None else subjects, used(uses), seen)


def told(advice: list[Advice], code: str) -> list[str]:
    return [each.message for each in advice if each.code == code]


def test_a_permit_that_was_used_lately_is_needed_and_one_that_was_not_is_told_with_its_place():
    old = [
        each if each.rule != "roles.press.permit[2]" else use("press-02", each.rule, "debug", on=BEFORE) for each in ALL
    ]
    (advice,) = [each for each in found(old) if each.code == "unused-permit"]
    assert (str(advice.at), advice.message) == (
        "policy.toml:11",
        "publish debug: press has it and nobody used it",
    )


def test_what_nobody_has_and_what_forbids_is_not_told():
    messages = " ".join(told(found([]), "unused-permit"))
    assert "unheld" not in messages
    assert "secret" not in messages


def test_a_wildcard_that_each_used_for_its_own_topic_can_be_that():
    assert told(found(ALL), "wider-than-used") == ["publish log/#: press used it for log/{asset}/boot alone"]
    several = [*ALL[:2], use("press-02", "roles.press.permit[0]", "log/press-02/boot", several_on=TODAY), *ALL[3:]]
    assert told(found(several), "wider-than-used") == []
    long_ago = [*ALL[:2], use("press-02", "roles.press.permit[0]", "log/press-02/boot", several_on=BEFORE), *ALL[3:]]
    assert told(found(long_ago), "wider-than-used") == told(found(ALL), "wider-than-used")
    unlike = [*ALL[:2], use("press-02", "roles.press.permit[0]", "log/other"), *ALL[3:]]
    assert told(found(unlike), "wider-than-used") == []


def test_what_a_client_used_that_is_not_named_as_its_identity_is_no_topic_of_its_own():
    other = replace(ALL[2], client_id="press-02-b")
    assert told(found([*ALL[:2], other, *ALL[3:]]), "wider-than-used") == []


@pytest.mark.parametrize(
    ("filter", "topic", "narrower"),
    [
        ("log/press-01/+", "log/press-01/boot", "log/press-01/boot"),
        ("log/+/{asset}", "log/a/press-01", "log/a/{asset}"),
        ("log/{asset}/+", "log/elsewhere/boot", "log/{asset}/boot"),
        ("+/boot", "press-01/boot", "{asset}/boot"),
        ("log/#", "log", "log"),
        ("log/+", "log/{asset}", None),
        ("log/{asset}", "log/press-01", None),
    ],
)
def test_what_is_proposed_is_covered_by_the_permit_itself(filter, topic, narrower):
    # A level that the permit spells, or binds, is not read as another value that happens to be the same.
    text = f"""[roles.press]
binds  = {{ asset = "client_id" }}
permit = [{{ action = "publish", filter = "x/{{asset}}" }}, {{ action = "publish", filter = "{filter}" }}]
"""
    of = explainer(text)
    uses = used([use("press-01", "roles.press.permit[1]", topic)], of)
    advice = [each for each in narrow(of, PRESSES[:1], uses, {}) if each.code == "wider-than-used"]
    assert [each.narrower for each in advice] == ([narrower] if narrower else [])


def test_use_follows_its_permit_through_an_edit_and_what_is_changed_begins_anew():
    moved = POLICY.replace(
        '  { action = "publish", filter = "log/#" },              # was for the old firmware\n',
        '  { action = "publish", filter = "log/boot/#" },\n',
    ).replace(
        '  { action = "subscribe", filter = "commands/{asset}" }, # they obey\n',
        '  { action = "publish", filter = "first" },\n  { action = "subscribe", filter = "commands/{asset}" },\n',
    )
    after = explainer(moved)
    named = fingerprints(after.image)
    young = {named[f"roles.press.permit[{at}]"]: NOW for at in (0, 1)}
    uses = used(ALL, explainer(), now=after, young=young)
    assert told(narrow(after, [*PRESSES, DASH], uses, {"press-02": TODAY}), "wider-than-used") == []
    assert told(narrow(after, [*PRESSES, DASH], uses, {"press-02": TODAY}), "unused-permit") == []
    assert unknown(uses) == 2
    # Once they are old enough, it is said of them that nobody used them, and of the moved ones still nothing.
    old = used(ALL, explainer(), now=after)
    assert told(narrow(after, [*PRESSES, DASH], old, {"press-02": TODAY}), "unused-permit") == [
        "publish log/boot/#: press has it and nobody used it",
        "publish first: press has it and nobody used it",
    ]


def test_who_was_not_seen_is_idle():
    assert told(found(ALL), "idle-identity") == []
    gone = Subject("press-09", "press-09", ("press",))
    assert told(found(ALL, [*PRESSES, DASH, gone]), "idle-identity") == [
        "press-09 was never seen: disable or remove it, if it is gone"
    ]


def test_roles_that_grant_the_same_are_told():
    same = explainer(
        '[roles.a]\npermit = [{ action = "publish", filter = "t" }]\n' * 1
        + '[roles.b]\npermit = [{ action = "publish", filter = "t" }]\n'
    )
    advice = narrow(same, [], used([], same), {})
    assert told(advice, "roles-alike") == ["the roles a, b grant the same: one of them is enough"]


def test_the_narrower_policy_keeps_comments_and_everything_else():
    uses = [each for each in ALL if each.rule not in {"roles.press.permit[2]", READS}]
    advice = [each for each in found(uses) if each.rule]
    (text,) = narrowed(explainer(), advice, used(uses)).values()
    assert "# The plant." in text
    assert 'publish   = ["press"]     # they measure' in text
    assert "subscribe = []" in text
    assert '"log/{asset}/boot"' in text
    assert "# they obey" in text
    assert '"debug"' not in text
    again = check(text, "policy.toml")
    assert again.ok
    assert again.policy is not None
    (press,) = [role for role in again.policy.roles if role.name == "press"]
    assert [rule.filter.text for rule in press.permit] == ["log/{asset}/boot", "commands/{asset}"]


def test_advice_that_would_take_away_what_was_used_is_not_taken():
    (unneeded,) = [each for each in found(ALL[:4] + ALL[5:]) if each.code == "unused-permit"]
    with pytest.raises(ValueError, match="would refuse press-02 what it used: publish debug"):
        narrowed(explainer(), [unneeded], used(ALL))


@pytest.mark.parametrize(
    ("watched_since", "lost_on", "gaps"),
    [
        (None, None, ["use was never observed"]),
        (FIRST, None, []),
        (SINCE, None, []),
        (NOW, None, ["use is observed since 2026-11-20 00:00 UTC only"]),
        (FIRST, BEFORE, []),
        (FIRST, TODAY, ["some uses are missing, the last on 2026-11-20"]),
    ],
)
def test_a_period_has_gaps_where_nobody_looked_or_uses_were_lost(watched_since, lost_on, gaps):
    assert list(Period(SINCE, watched_since, {}, lost_on).gaps) == gaps


# ---- whatever the policy, its edits and the traffic ------------------------------------------------


Asking = tuple[Subject, Ask]


@st.composite
def traffic(draw: st.DrawFn) -> list[Asking]:
    """Who asked for what: identities of all roles, each under a Client Identifier that may be its name."""
    found: list[Asking] = []
    for _ in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(["a", "b", "c"]))
        client_id = draw(st.sampled_from([name, name, "b"]))
        who = Subject(name, client_id, strategies.ROLES, {"site": "a", "area": "b"})
        topic = "/".join(draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)))
        if draw(st.booleans()):
            found.append((who, Ask(Asked.PUBLISH, topic, draw(st.integers(0, 2)), draw(st.booleans()))))
        else:
            found.append((who, Ask(Asked.SUBSCRIBE, draw(st.sampled_from([topic, f"{topic}/#", f"+/{topic}"])))))
    return found


def uses_of(policy: Explainer, asked: list[Asking]) -> list[RuleUse]:
    """What a broker with this policy writes of it."""
    named, found = fingerprints(policy.image), dict[tuple[str, str], RuleUse]()
    for who, ask in asked:
        decision, _ = policy.decide(who, ask)
        if decision.allow and decision.rule is not None:
            key = (who.identity, named[decision.rule])
            other_on = None
            if (before := found.get(key)) is not None:
                is_other = (before.topic, before.client_id) != (ask.topic, who.client_id)
                other_on = TODAY if is_other else before.other_on
            found[key] = RuleUse(who.identity, who.client_id, key[1], ask.topic, TODAY, other_on)
    return list(found.values())


@settings(max_examples=150)
@given(policy=strategies.policies(), edits=st.data(), asked=traffic(), more=traffic())
def test_the_patch_keeps_what_was_used_and_allows_nothing_new(policy, edits, asked, more):
    before = Explainer(check(strategies.as_toml(policy), "policy.toml"))
    # The policy is edited between use and advice: entries move, and some are gone.
    for role in policy["roles"].values():
        role["permit"] = edits.draw(st.permutations(role["permit"]))[: edits.draw(st.integers(1, 3))]
    for topic in policy["topics"].values():
        topic["publish"] = edits.draw(st.permutations(topic["publish"]))[:2]
    result = check(strategies.as_toml(policy), "policy.toml")
    assume(result.ok)
    now = Explainer(result)
    subjects = list({who.identity: replace(who, client_id=who.identity) for who, _ in asked}.values())
    period = Period(SINCE, FIRST, dict.fromkeys(fingerprints(now.image).values(), FIRST))
    counted = Used(now, uses_of(before, asked), period, subjects)
    try:
        texts = narrowed(now, narrow(now, subjects, counted, {}), counted)
    except ValueError as error:
        # Then there is no patch: a condition on messages, say, is left with nobody who publishes.
        if "no policy" in str(error):
            return
        raise
    after = Explainer(check("".join(texts.values()), "policy.toml")) if texts else now
    for who, ask in [*asked, *more]:
        is_allowed = after.decide(who, ask)[0].allow
        if now.decide(who, ask)[0].allow:
            assert is_allowed or (who, ask) not in asked or not before.decide(who, ask)[0].allow, (who, ask, texts)
        else:
            assert not is_allowed, (who, ask, texts)
