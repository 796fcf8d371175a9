"""Grants that nobody needs, as far as they were observed, and the policy without them."""

from datetime import date

import pytest

from bartizan.model.observation import RuleUse
from bartizan.policy import check
from bartizan.policy.explain import Explainer
from bartizan.policy.narrow import Advice, Period, narrow, narrowed
from bartizan.policy.subject import Subject

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

SINCE, BEFORE, TODAY = date(2026, 11, 1), date(2026, 10, 1), date(2026, 11, 20)
PERIOD = Period(SINCE, BEFORE)
PRESSES = [Subject(name, name, ("press",)) for name in ("press-01", "press-02")]
DASH = Subject("dash-01", "dash-01", ("dash",))
MEASURES = 'roles.press via topics."data/{asset}/temperature".publish'
READS = 'roles.dash via topics."data/{asset}/temperature".subscribe'


def use(identity: str, rule: str, topic: str, *, several: bool = False, on: date = TODAY) -> RuleUse:
    return RuleUse(identity, rule, topic, several, BEFORE, on)


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


def found(uses: list[RuleUse], subjects: list[Subject] | None = None) -> list[Advice]:
    seen = {"press-02": TODAY}
    return narrow(explainer(), [*PRESSES, DASH] if subjects is None else subjects, uses, PERIOD, seen)


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
    several = [*ALL[:2], use("press-02", "roles.press.permit[0]", "log/press-02/boot", several=True), *ALL[3:]]
    assert told(found(several), "wider-than-used") == []
    unlike = [*ALL[:2], use("press-02", "roles.press.permit[0]", "log/other", several=False), *ALL[3:]]
    assert told(found(unlike), "wider-than-used") == []


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
    advice = narrow(same, [], [], PERIOD, {})
    assert told(advice, "roles-alike") == ["the roles a, b grant the same: one of them is enough"]


def test_the_narrower_policy_keeps_comments_and_everything_else():
    uses = [each for each in ALL if each.rule not in {"roles.press.permit[2]", READS}]
    advice = [each for each in found(uses) if each.rule]
    (text,) = narrowed(explainer().places, advice).values()
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


@pytest.mark.parametrize(("watched_since", "is_whole"), [(None, False), (BEFORE, True), (SINCE, True), (TODAY, False)])
def test_a_period_is_whole_if_it_was_watched_from_its_beginning(watched_since, is_whole):
    assert Period(SINCE, watched_since).is_whole is is_whole
