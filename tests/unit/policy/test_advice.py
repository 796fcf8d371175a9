"""What `lint` finds: each code where it should be, and nowhere else."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.model.ids import AttributeName, IdentityName, RoleName
from bartizan.model.principal import Identity
from bartizan.policy import default_policy_text
from bartizan.policy.advice import CODES, advise
from bartizan.policy.compiled import Asked, Request
from bartizan.policy.lint import WARNINGS
from tests.unit.policy.plant import good

TOPIC = '[topics."data/{site}/{asset}"]\npublish = ["press"]\nsubscribe = ["dash"]\n'
ROLES = '[roles.press]\nbinds = { asset = "client_id" }\n[roles.dash]\n'


def found(text: str, identities: list[Identity] | None = None) -> list[tuple[str, int]]:
    if "quarantine" not in text:
        text += "\n[roles.quarantine]\n"  # empty: it is meant
    return [(each.code, each.line) for each in advise(good(text), identities)]


def test_a_plain_policy_has_nothing_to_mend():
    assert found(TOPIC + ROLES) == []


def test_the_first_policy_of_a_broker_has_one_right_that_is_wider_than_its_topics():
    assert [code for code, _ in found(default_policy_text())] == ["wider-than-topics"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (
            '[roles.x]\npermit = [\n{ action = "subscribe", filter = "a/#" },\n{ action = "subscribe", filter = "a/b" }]',
            "shadowed-permit",
            4,
        ),
        (
            '[roles.x]\npermit = [\n{ action = "publish", filter = "a/b", qos_max = 1 },\n{ action = "all", filter = "a/+" }]',
            "shadowed-permit",
            3,
        ),
        (
            (
                '[roles.x]\nbinds = { v = "client_id", w = "client_id" }\npermit = [\n{ action = "publish", filter = "a/{v}" },\n'
                '{ action = "publish", filter = "a/{w}" }]'
            ),
            "shadowed-permit",
            5,
        ),
        (
            '[roles.x]\nforbid = [\n{ action = "publish", filter = "a/b" },\n{ action = "all", filter = "a/#" }]',
            "shadowed-forbid",
            3,
        ),
        (
            '[roles.x]\npermit = [{ action = "publish", filter = "a/b" }]\nforbid = [{ action = "all", filter = "a/#" }]',
            "unreachable-permit",
            2,
        ),
        (
            (
                '[topics."a/b"]\npublish = ["x"]\nsubscribe = ["y"]\nretain = false\n[topics."a/{v}"]\npublish = ["x"]\n'
                'subscribe = ["y"]\n[roles.x]\nbinds = { v = "client_id" }\npermit = [{ action = "publish", filter = "a/+" }]\n[roles.y]'
            ),
            "limit-without-effect",
            2,
        ),
        (
            (
                '[topics."a/{v}"]\npublish = ["x"]\nsubscribe = ["x"]\n[topics."{w}/b"]\npublish = ["x"]\nsubscribe = ["x"]\n'
                '[roles.x]\nbinds = { v = "client_id", w = "attr.w" }'
            ),
            "overlapping-topics",
            4,
        ),
        (TOPIC + ROLES + 'permit = [{ action = "subscribe", filter = "dta/#" }]', "undeclared-topic", 7),
        (TOPIC + ROLES + 'permit = [{ action = "subscribe", filter = "data/+/+/#" }]', "wider-than-topics", 7),
        (
            (
                '[topics."valves/{id}/set"]\npublish = ["viewer"]\nsubscribe = ["valve"]\n[roles.viewer]\n'
                'binds = { id = "attr.id" }\n[roles.valve]'
            ),
            "actuator-writable",
            2,
        ),
        (
            (
                '[topics."plant/{id}/setpoint"]\npublish = ["operator"]\nsubscribe = ["valve"]\n[roles.operator]\n'
                'binds = { id = "attr.id" }\n[roles.valve]\n[roles.gateway]\n'
                'permit = [{ action = "publish", filter = "plant/+/+" }]'
            ),
            "actuator-writable",
            8,
        ),
        (TOPIC + "[roles.press]\n[roles.dash]", "publishes-as-anyone", 2),
        (
            TOPIC + ROLES + '[roles.anonymous]\npermit = [{ action = "publish", filter = "data/x/y" }]',
            "anonymous-publishes",
            8,
        ),
        (
            TOPIC
            + '[roles.press]\nbinds = { asset = "client_id" }\npermit = [{ action = "subscribe", filter = "$SYS/#" }]\n'
            "[roles.dash]",
            "sys-exposed",
            6,
        ),
        ('[roles.x]\npermit = [{ action = "subscribe", filter = "$queue/a" }]', "dollar-topic", 2),
        ('[roles.x]\npermit = [{ action = "subscribe", filter = "a/$share/g/b" }]', "dollar-topic", 2),
        (
            '[roles.x]\npermit = [{ action = "subscribe", filter = "$SYS/#" }]\nforbid = [{ action = "all", filter = "#" }]',
            "dollar-escapes-forbid",
            3,
        ),
    ],
)
def test_a_finding_has_its_code_and_its_line(text, code, line):
    assert (code, line) in found(text)


def test_two_rules_alike_are_told_once():
    text = '[roles.x]\npermit = [\n{ action = "publish", filter = "a" },\n{ action = "publish", filter = "a" }]'
    assert [each for each in found(text) if each[0] == "shadowed-permit"] == [("shadowed-permit", 4)]


def test_a_narrower_binding_is_not_shadowed_by_another():
    text = (
        '[roles.x]\nbinds = { v = "client_id", w = "attr.w" }\npermit = [\n{ action = "publish", filter = "a/{v}" },\n'
        '{ action = "publish", filter = "a/{w}" }]'
    )
    assert found(text) == []


def identity(name: str, role: str, **attributes: str) -> Identity:
    own = tuple((AttributeName(key), value) for key, value in attributes.items())
    return Identity(IdentityName(name), datetime.now(UTC), (RoleName(role),), own)


def test_a_policy_is_compared_with_the_identities_there_are():
    text = TOPIC + '[roles.press]\nbinds = { site = "attr.site" }\n[roles.dash]\n[roles.anonymous]\n'
    who = [identity("p1", "press", site="a"), identity("p2", "press"), identity("p3", "pres")]
    own = {"role-without-identity", "identity-with-unknown-role", "identity-lacks-value"}
    findings = [each for each in advise(good(text), who) if each.code in own]
    assert [(each.code, each.line, each.message) for each in findings] == [
        ("identity-with-unknown-role", 1, "p3 has the role pres, which the policy does not have"),
        ("identity-lacks-value", 4, "p2 has the role press and no attr.site, so its permits do not exist for them"),
        ("role-without-identity", 6, "no identity has the role dash"),
    ]


def test_what_two_identities_own_together_is_told_with_their_names():
    owns = 'binds = { site = "attr.site", asset = "client_id" }\nowns = ["own/{asset}", { filter = "line/{site}/#", shared = true }]\n'
    text = f"[roles.press]\n{owns}"
    who = [identity("p1", "press", site="a"), identity("p2", "press", site="b"), identity("p3", "press", site="a")]
    found = [each for each in advise(good(text), who) if each.code == "owned-by-two"]
    assert [(each.line, each.message) for each in found] == [(3, "p1 and p3 own line/a/# together")]


def test_a_role_that_is_only_included_is_a_role_that_somebody_has():
    text = TOPIC + ROLES + '[roles.boss]\nincludes = ["dash"]\n'
    codes = [code for code, _ in found(text, [identity("a", "boss"), identity("b", "press")])]
    assert "role-without-identity" not in codes


@pytest.mark.parametrize("mark", ["# lint: allow wider-than-topics", "# why it is meant, lint: allow undeclared-topic"])
def test_only_what_is_named_is_allowed(mark):
    rule = '[roles.dash]\npermit = [{ action = "subscribe", filter = "#" }]'
    text = TOPIC + '[roles.press]\nbinds = { asset = "client_id" }\n' + rule
    is_named = "wider" in mark
    assert [code for code, _ in found(f"{text}  {mark}")] == ([] if is_named else ["wider-than-topics"])
    assert [code for code, _ in found(text.replace("permit", f"{mark}\npermit"))] == (
        [] if is_named else ["wider-than-topics"]
    )


def test_a_policy_without_a_role_for_quarantine_is_told_the_lines_that_let_somebody_be_mended():
    (finding,) = [each for each in advise(good(TOPIC + ROLES)) if each.code == "no-quarantine-role"]
    assert (finding.line, "may do nothing" in finding.message) == (1, True)
    pasted = "\n".join(line.strip() for line in finding.hint.splitlines()[1:])
    result = good(TOPIC + ROLES + pasted)
    assert advise(result) == ()
    assert result.compiled is not None
    asked = Request(Asked.PUBLISH, "remediation/press-01/log", "press-01", "press-01", ("quarantine",))
    assert result.compiled.decide(asked).allow
    assert not result.compiled.decide(replace(asked, topic="remediation/press-02/log")).allow
    assert found(TOPIC + ROLES + "[roles.quarantine]\n") == [], "an empty table says that it is meant"


def test_every_code_is_documented(root: Path):
    page = (root / "docs/reference/policy.md").read_text(encoding="utf-8")
    assert [code for code in (*WARNINGS, *CODES) if f"| `{code}` |" not in page] == []
