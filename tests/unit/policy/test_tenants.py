"""`[tenants.NAME]`: what is one, what is none, and what the tools say of them."""

import json
from datetime import UTC, datetime

import pytest

from bartizan.model.ids import AttributeName, IdentityName, RoleName
from bartizan.model.principal import Identity
from bartizan.policy import Asked, CompiledPolicy, Request, check
from bartizan.policy.diff import Comparison
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.explain import Explainer
from bartizan.policy.lint_identities import identities_beside_tenants
from bartizan.policy.page import page_of
from bartizan.policy.places import Places
from bartizan.policy.subject import Ask, Subject

ROLE = '[roles.press]\npermit = [{ action = "all", filter = "data/#" }]\n'
TWO = '[tenants.bolt]\n[tenants.acme]\nroot = "customers/acme"\n[tenants.acme.limits]\nconnections_max = 5\n' + ROLE


def wrong(text: str) -> list[str]:
    return [str(problem) for problem in check(text, "p.toml").errors]


def of(tenant: str | None) -> Subject:
    return Subject("p", "p", ("press",), {} if tenant is None else {"tenant": tenant})


def test_tenants_are_in_the_image_by_name_and_without_them_it_is_as_before():
    compiled = check(TWO, "p.toml").compiled
    assert compiled is not None
    assert json.loads(compiled.image)["tenants"] == [
        {"name": "acme", "root": "customers/acme", "limits": {"connections_max": 5}},
        {"name": "bolt", "root": "bolt"},
    ]
    assert compiled.tenants == {"acme": "customers/acme", "bolt": "bolt"}
    plain = check(ROLE, "p.toml").compiled
    assert plain is not None
    assert "tenants" not in json.loads(plain.image)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tenants."a b"]', "no name of a tenant"),
        ('[tenants.""]', "no name of a tenant"),
        ('[tenants.a]\nroot = ""', "empty level"),
        ('[tenants.a]\nroot = "/a"', "empty level"),
        ('[tenants.a]\nroot = "a/"', "empty level"),
        ('[tenants.a]\nroot = "a//b"', "empty level"),
        ('[tenants.a]\nroot = "$SYS/a"', "the server's"),
        ('[tenants.a]\nroot = "a/+"', "no wildcard"),
        ('[tenants.a]\nroot = "#"', "no wildcard"),
        ('[tenants.a]\nroot = "{a}"', "no variable"),
        ('[tenants.a]\nroot = "a\\u0001"', "no control character"),
        (f'[tenants.a]\nroot = "{"x" * 513}"', "at most 512"),
        ("[tenants.a]\nroot = 7", "root is a text"),
        ('[tenants.a]\nroots = "a"', "did you mean root?"),
        ("[tenants.a]\nlimits = { connection_max = 1 }", "did you mean connections_max?"),
        ("[tenants.a]\nlimits = { connections_max = -1 }", "whole number from 0"),
        ("[tenants.a]\nlimits = { publish_rate_per_s = 0 }", "whole number from 1"),
        ('[tenants.a]\nroot = "x"\n[tenants.b]\nroot = "x"', "is in the root of tenant a"),
        ('[tenants.a]\nroot = "x/y"\n[tenants.b]\nroot = "x"', "is in the root of tenant b"),
        ('[tenants.a]\n[tenants.b]\nroot = "a/b/c"', "is in the root of tenant a"),
    ],
)
def test_what_is_no_tenant_is_an_error_with_its_place(text, said):
    problems = wrong(text)
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("p.toml:") for problem in problems)


def test_roots_beside_each_other_are_none_in_the_other():
    text = "".join(
        f'[tenants.t{at}]\nroot = "{root}"\n' for at, root in enumerate(("a", "ab", "a.", "b/a", "b/ab", "A"))
    )
    assert wrong(text) == []


def test_every_root_that_is_taken_is_one_to_the_engine():
    for root in ("a", "a/b", "é", "a b", "a\u00a0b", "../a", ".", "{"):
        result = check(f"[tenants.t]\nroot = {json.dumps(root)}", "p.toml")
        if result.ok:
            assert result.compiled is not None


def test_an_undeclared_tenant_is_denied_where_any_is_declared():
    two, plain = check(TWO, "p").compiled, check(ROLE, "p").compiled
    assert isinstance(two, CompiledPolicy)
    assert isinstance(plain, CompiledPolicy)

    def decided(policy: CompiledPolicy, tenant: str | None) -> str:
        attributes = {} if tenant is None else {"tenant": tenant}
        return policy.decide(Request(Asked.PUBLISH, "data/x", roles=("press",), attributes=attributes)).why

    assert [decided(two, tenant) for tenant in (None, "acme", "bolt")] == ["permitted"] * 3
    assert [decided(two, tenant) for tenant in ("Acme", "", "nobody")] == ["tenant_not_declared"] * 3
    assert decided(plain, "nobody") == "permitted"


def test_explain_says_where_the_topics_of_a_tenant_are_and_who_is_of_none():
    explainer = Explainer(check(TWO, "p.toml"))
    ask = Ask.parse("publish data/x")
    assert "customers/acme/" in explainer.explain(of("acme"), ask).advice
    assert explainer.explain(of(None), ask).advice == ""
    told = explainer.explain(of("nobody"), ask)
    assert (told.decision.allow, told.grant) == (False, None)
    assert "declare [tenants.NAME]" in told.advice


def test_lint_names_identities_of_no_declared_tenant():
    def identity(name: str, tenant: str | None) -> Identity:
        attributes = () if tenant is None else ((AttributeName("tenant"), tenant),)
        roles = (RoleName("press"),)
        return Identity(IdentityName(name), datetime(2026, 1, 1, tzinfo=UTC), roles=roles, attributes=attributes)

    them = [identity("a", "acme"), identity("b", "old"), identity("c", None)]

    def found(text: str) -> list[str]:
        places = Places(check(text, "p.toml"))
        return [each.message for each in identities_beside_tenants(places, them)]

    assert found(TWO) == ["b has the tenant old, which the policy does not declare, and may not connect"]
    assert found(ROLE) == []


def test_pages_name_the_tenants():
    page = page_of(Explainer(check(TWO, "p.toml")), "Plant", "")
    assert "- acme: below customers/acme; connections: 5" in markdown(page)
    assert "<dt>acme</dt><dd>below customers/acme; connections: 5</dd>" in html(page)
    plain = page_of(Explainer(check(ROLE, "p.toml")), "Plant", "")
    assert "Tenants" not in markdown(plain)


def test_diff_tells_a_tenant_that_comes_goes_or_moves():
    def tenants(old: str, new: str) -> list[tuple[str, str, str]]:
        found = Comparison(Explainer(check(old, "old")), Explainer(check(new, "new"))).tenants()
        return [(term.of, term.before, term.after) for term in found]

    assert tenants(TWO, TWO) == []
    assert tenants(ROLE, TWO) == [
        ("acme", "nothing", "root customers/acme, connections_max 5"),
        ("bolt", "nothing", "root bolt"),
    ]
    moved = TWO.replace("customers/acme", "acme").replace("= 5", "= 6")
    assert tenants(TWO, moved) == [("acme", "root customers/acme, connections_max 5", "root acme, connections_max 6")]
