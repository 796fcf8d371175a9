"""`bartizan policy ...`: what each verb prints, writes and ends with."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from tests.unit.policy.plant import PLANT

TESTS = """\
[principals.press-01]
roles      = ["press"]
attributes = { site = "chicago" }

[tests.own]
as    = "press-01"
allow = ["publish data/chicago/press-01/status"]
deny  = ["publish data/chicago/press-02/status"]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(PLANT)
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data directory: press-01 and a dashboard of its first run, press-02, and one whose role nobody knows."""
    root = tmp_path_factory.mktemp("data")
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    for name, role in (("press-02", "press"), ("odd", "pres")):
        words = ["enrol", name, "--role", role, "--attr", "site=chicago", "--password", "--data", str(root)]
        assert run([*words, "--out", str(root / name)]) == 0
    (root / "policy.toml").write_text(PLANT)
    return str(root)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


# ---- check and the files of a policy ------------------------------------------------------------


def split(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    folder.mkdir()
    topics, roles = PLANT.split("[roles.press]")
    (folder / "topics.toml").write_text(topics)
    (folder / "roles.toml").write_text(f"[roles.press]{roles}")
    (folder / "own.test.toml").write_text(TESTS)
    return folder


def test_check_takes_a_directory_or_several_files(tmp_path, capsys):
    folder = split(tmp_path)
    assert run(["policy", "check", str(folder)]) == 0
    assert run(["policy", "check", *map(str, sorted(folder.glob("[rt]*.toml")))]) == 0
    (folder / "more.toml").write_text("[roles.dash]\n")
    assert run(["policy", "check", str(folder)]) == 2
    assert f"{folder}/roles.toml:" in (error := capsys.readouterr().err)
    assert "roles.dash is in" in error


def test_without_a_name_it_is_policy_toml_here(policy, monkeypatch, capsys):
    monkeypatch.chdir(policy.parent)
    assert run(["policy", "check"]) == 0
    assert run(["policy", "fmt", "--check"]) in {0, 1}


# ---- fmt ----------------------------------------------------------------------------------------


def test_fmt_checks_and_then_writes(policy, capsys):
    policy.write_text("[roles.b]\n[roles.a]\n")
    assert run(["policy", "fmt", str(policy), "--check"]) == 1
    assert policy.read_text() == "[roles.b]\n[roles.a]\n"
    assert run(["policy", "fmt", str(policy)]) == 0
    assert policy.read_text() == "[roles.a]\n\n[roles.b]\n"
    assert run(["policy", "fmt", str(policy), "--check", "--json"]) == 0
    assert json.loads(told(capsys).splitlines()[-1]) == {"changed": []}


@pytest.mark.parametrize("content", [b"a = = 1", b"\xff"])
def test_fmt_leaves_what_it_cannot_read(policy, content):
    policy.write_bytes(content)
    assert run(["policy", "fmt", str(policy)]) == 2
    assert policy.read_bytes() == content


# ---- lint ---------------------------------------------------------------------------------------


def test_lint_ends_with_1_only_where_it_is_strict(policy, capsys):
    assert run(["policy", "lint", str(policy)]) == 0
    assert run(["policy", "lint", str(policy), "--strict"]) == 1
    assert "policy.toml:" in told(capsys)


def test_lint_in_json_has_code_place_and_hint(policy, data, capsys):
    assert run(["policy", "lint", str(policy), "--data", data, "--json"]) == 0
    findings = json.loads(told(capsys))["findings"]
    assert {finding["code"] for finding in findings} >= {"role-without-identity", "identity-with-unknown-role"}
    assert all(finding["line"] and finding["column"] and finding["hint"] for finding in findings)


def test_a_policy_with_an_error_is_not_linted(policy, capsys):
    policy.write_text("x = 1")
    assert run(["policy", "lint", str(policy)]) == 2
    assert "unknown key x" in capsys.readouterr().err


# ---- test ---------------------------------------------------------------------------------------


def test_test_runs_what_stands_beside_the_policy(tmp_path, capsys):
    folder = split(tmp_path)
    assert run(["policy", "test", str(folder)]) == 0
    assert told(capsys) == "1 tests, 2 expectations, 0 failed\n"


def test_test_ends_with_1_and_writes_junit(policy, tmp_path, capsys):
    (tmp_path / "p.test.toml").write_text(TESTS.replace("press-02/status", "press-01/temperature"))
    junit = tmp_path / "out.xml"
    assert run(["policy", "test", str(policy), "--junit", str(junit)]) == 1
    assert "- deny   publish data/chicago/press-01/temperature" in told(capsys)
    assert ET.parse(junit).getroot().attrib["failures"] == "1"
    assert run(["policy", "test", str(policy), "--json"]) == 1
    result = json.loads(told(capsys))
    assert result["passed"] is False
    assert [case["decided"] for case in result["expectations"]] == ["allow", "allow"]


def test_test_ends_with_2_where_there_is_nothing_to_run_or_it_is_wrong(policy, tmp_path, capsys):
    assert run(["policy", "test", str(policy)]) == 2
    assert "there are no expectations" in capsys.readouterr().err
    (tmp_path / "p.test.toml").write_text(TESTS.replace('"press"', '"pres"'))
    assert run(["policy", "test", str(policy)]) == 2
    assert "p.test.toml:2:15: the policy has no role pres; did you mean press?" in capsys.readouterr().err


# ---- explain and who ----------------------------------------------------------------------------


def test_explain_of_an_identity_of_the_store(data, capsys):
    topic = "data/chicago/press-01/status"
    assert run(["policy", "explain", "--as", "press-01", "publish", topic, "--data", data]) == 0
    out = told(capsys)
    assert out.startswith("allow: press-01 (roles press; site=chicago)")
    assert 'policy.toml:11: publish   = ["press"]' in out
    assert run(["policy", "explain", "--as", "press-02", "publish", topic, "--data", data, "--json"]) == 1
    assert json.loads(told(capsys))["grant"]["role"] == "press"


def test_explain_of_an_identity_made_up_needs_no_data_directory(policy, capsys):
    who = ["--role", "press", "--attr", "site=x", "--client-id", "p", "--policy", str(policy)]
    assert run(["policy", "explain", *who, "publish", "data/x/p/status", "--qos", "1", "--retain"]) == 0
    assert run(["policy", "explain", *who, "publish", "data/y/p/status"]) == 1
    assert 'filter = "data/y/{asset}/status"' in told(capsys)


def test_explain_with_what_a_token_allows(policy, tmp_path, capsys):
    who = ["--role", "press", "--attr", "site=x", "--client-id", "p", "--policy", str(policy)]
    token = tmp_path / "token.json"
    ask = ["policy", "explain", *who, "--token-grants", str(token), "publish", "data/x/p/status"]
    token.write_text('[{ "action": "publish", "filter": "data/x/+/status" }]')
    assert run(ask) == 0
    token.write_text('"openid subscribe:data/#"')
    assert run(ask) == 1
    out = told(capsys)
    assert "a rule permits it, but the token does not allow it" in out
    assert "its issuer must put the grant into it" in out
    for wrong in ("{", '{"a": 1}', '[{ "action": "publish" }]'):
        token.write_text(wrong)
        assert run(ask) == 2
    assert "token.json" in capsys.readouterr().err


def test_explain_of_nobody_known_and_of_no_topic(data, capsys):
    assert run(["policy", "explain", "--as", "nobody", "publish", "a", "--data", data]) == 1
    assert "no identity nobody" in capsys.readouterr().err
    assert run(["policy", "explain", "--as", "press-01", "publish", "a/+", "--data", data]) == 2


def test_what_explain_says_to_paste_allows_it(policy, capsys):
    ask = ["policy", "explain", "--role", "press", "--client-id", "p", "--policy", str(policy), "publish", "x/p"]
    assert run(ask) == 1
    policy.write_text(PLANT + "\n" + told(capsys).split(":\n\n")[-1])
    assert run(ask) == 0


def test_who_tells_identities_and_their_rules(data, capsys):
    for words in (["can", "publish"], ["publish"]):
        assert run(["policy", "who", *words, "data/chicago/press-02/status", "--data", data]) == 0
        lines = told(capsys).splitlines()
        assert len(lines) == 2
        assert lines[0].startswith('press-02  roles.press via topics."data/{site}/{asset}/status".publish')
        assert lines[1] == "1 identity may publish data/chicago/press-02/status"


def test_who_knows_the_other_client_identifiers_of_an_identity(data, capsys):
    assert run(["policy", "who", "publish", "data/chicago/press-02-b/status", "--data", data, "--json"]) == 0
    assert [(each["identity"], each["client_id"]) for each in json.loads(told(capsys))] == [("press-02", "press-02-b")]


def test_who_tells_whose_client_an_identity_is(tmp_path, capsys):
    root = tmp_path / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    for name, more in (("anne", ("--attr", "tenant=acme")), ("bert", ("--attr", "tenant=gone")), ("olga", ())):
        words = ["enrol", name, "--role", "lathe", *more, "--password", "--data", str(root)]
        assert run([*words, "--out", str(tmp_path / name)]) == 0
    role = '[roles.lathe]\npermit = [{ action = "publish", filter = "data/#" }]\n'
    who = ["policy", "who", "publish", "data/x", "--data", str(root)]
    (root / "policy.toml").write_text(f'[tenants.acme]\nroot = "customers/acme"\n{role}')
    told(capsys)
    assert run(who) == 0
    anne, olga, last = told(capsys).splitlines()
    assert anne.startswith("anne ")
    assert anne.endswith(", of tenant acme (below customers/acme)")
    assert olga.startswith("olga ")
    assert "tenant" not in olga
    assert last == "2 identities may publish data/x"
    assert run([*who, "--json"]) == 0
    assert [(each["identity"], each["tenant"], each["tenant_root"]) for each in json.loads(told(capsys))] == [
        ("anne", "acme", "customers/acme"),
        ("olga", None, None),
    ]
    # Where no tenant is declared the attribute means nothing.
    (root / "policy.toml").write_text(role)
    assert run([*who, "--json"]) == 0
    assert [each["tenant"] for each in json.loads(told(capsys))] == [None, None, None]


def test_who_of_roles_and_who_of_nobody(policy, data, capsys):
    assert run(["policy", "who", "subscribe", "#", "--roles", "--policy", str(policy)]) == 0
    assert told(capsys).splitlines()[-1] == "1 role may subscribe #"
    assert run(["policy", "who", "publish", "nowhere", "--data", data]) == 1
    assert told(capsys) == "no identities may publish nowhere\n"
    assert run(["policy", "who", "may", "publish", "x", "--data", data]) == 2


# ---- diff ---------------------------------------------------------------------------------------


def test_diff_tells_roles_and_identities(policy, data, tmp_path, capsys):
    new = tmp_path / "new.toml"
    new.write_text(PLANT.replace("qos_max     = 1\n", ""))
    assert run(["policy", "diff", str(policy), str(new), "--data", data]) == 1
    out = told(capsys).splitlines()
    assert out[0] == "role press"
    assert out[1].startswith("  + publish data/{site}/{asset}/temperature")
    assert out[2] == "      for example data/site-1/press-1/temperature qos=2"
    assert [line for line in out if line.startswith("identity")] == ["identity press-01", "identity press-02"]
    assert run(["policy", "diff", str(policy), str(new), "--json"]) == 1
    (role,) = json.loads(told(capsys))["roles"]
    assert (role["roles"], len(role["gains"]), role["loses"]) == (["press"], 1, [])


def test_diff_of_policies_that_decide_alike(policy, capsys):
    assert run(["policy", "diff", str(policy), str(policy)]) == 0
    assert told(capsys) == "the two policies decide alike\n"
    assert run(["policy", "diff", str(policy), str(policy), "--live"]) == 2


# ---- docs and graph -----------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "begins"), [("html", "<!DOCTYPE html>"), ("markdown", "# Plant"), ("asyncapi", "{")])
def test_docs_are_printed_or_written(policy, tmp_path, capsys, form, begins):
    words = ["policy", "docs", str(policy), "--format", form, "--title", "Plant", "--date", "2026-01-31"]
    assert run(words) == 0
    printed = told(capsys)
    assert printed.startswith(begins)
    out = tmp_path / "page"
    assert run([*words, "-o", str(out)]) == 0
    assert out.read_text() == printed
    assert "2026-01-31" in printed


def test_a_graph_is_svg(policy, capsys):
    assert run(["policy", "graph", str(policy)]) == 0
    assert ET.fromstring(told(capsys)).tag == "{http://www.w3.org/2000/svg}svg"


# ---- completion ---------------------------------------------------------------------------------


def test_the_shell_completes_the_verbs(capsys):
    assert run(["completion", "bash"]) == 0
    script = told(capsys)
    assert all(verb in script for verb in ("explain", "lint", "--junit", "asyncapi"))


@pytest.mark.parametrize("verb", ["check", "fmt", "lint", "test", "explain", "who", "diff", "docs", "graph"])
def test_every_verb_has_help_with_an_example(verb, capsys):
    assert run(["policy", verb, "--help"]) == 0
    assert f"bartizan policy {verb}" in told(capsys).partition("For example")[2]


# ---- what a message says of its payload ---------------------------------------------------------

OF_MESSAGES = """\
[roles.writer]
permit = [
  { action = "publish", filter = "text", when = { utf8 = true } },
  { action = "publish", filter = "typed", when = { content_type = "text/plain; charset=utf-8", payload_bytes_max = 9 } },
]
"""
TYPED = ("--content-type", "text/plain; charset=utf-8", "--bytes", "9")


@pytest.mark.parametrize(
    ("topic", "said", "is_allowed"),
    [
        ("text", ("--utf8",), True),
        ("text", (), False),
        ("typed", TYPED, True),
        ("typed", TYPED[:2], True),
        ("typed", (*TYPED[:3], "10"), False),
        ("typed", ("--content-type", "text/plain"), False),
    ],
)
def test_what_a_message_says_of_its_payload_is_asked_by_explain_and_who(tmp_path, topic, said, is_allowed):
    file = tmp_path / "policy.toml"
    file.write_text(OF_MESSAGES)
    named = ["--policy", str(file)]
    assert run(["policy", "explain", "--role", "writer", "publish", topic, *said, *named]) == (0 if is_allowed else 1)
    assert run(["policy", "who", "publish", topic, "--roles", *said, *named]) == (0 if is_allowed else 1)


def test_what_a_message_says_of_its_payload_can_be_expected(tmp_path, capsys):
    file, tests = tmp_path / "policy.toml", tmp_path / "policy.test.toml"
    file.write_text(OF_MESSAGES)
    tests.write_text("""\
[tests.messages]
as    = { roles = ["writer"] }
allow = ["publish text utf8", 'publish typed content_type="text/plain; charset=utf-8" bytes=9']
deny  = ["publish text", "publish typed content_type=text/plain"]
""")
    assert run(["policy", "test", str(file), "--tests", str(tests)]) == 0
    tests.write_text(tests.read_text().replace("publish text utf8", "publish text content_type=utf8"))
    assert run(["policy", "test", str(file), "--tests", str(tests)]) == 1
    assert "publish text content_type=utf8" in told(capsys)
