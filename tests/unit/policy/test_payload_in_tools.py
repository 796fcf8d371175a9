"""What topics ask of messages, in every tool: explain, diff, lint, fmt, pages."""

import json

from bartizan.policy.advice import advise
from bartizan.policy.asyncapi import asyncapi
from bartizan.policy.diff_messages import message_terms
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.explain import Explainer
from bartizan.policy.format import formatted
from bartizan.policy.page import page_of
from bartizan.policy.payload import Enforce
from bartizan.policy.subject import Ask, Subject
from tests.unit.policy.plant import good

TEXT = """\
[contract]
enforce = "warn"

[topics."data/{asset}/t"]
title       = "Temperature"
publish     = ["press"]
subscribe   = ["press"]
payload     = { format = "json", schema = { type = "number" } }
enforce     = "reject"
rate_per_s  = 2
retention_s = 3_600
examples    = [21.5]

[topics."data/{asset}/#"]
publish   = ["press"]
subscribe = ["press"]
payload   = { format = "text", pattern = "[a-z]+" }

[topics."data/{asset}/free"]
publish   = ["press"]
subscribe = ["press"]

[roles.press]
binds  = { asset = "client_id" }
permit = [{ action = "publish", filter = "other/#" }]
"""
PRESS = Subject("press-01", "press-01", ("press",))


def explained(topic: str, payload: bytes | None = None):
    return Explainer(good(TEXT)).explain(PRESS, Ask.parse(f"publish {topic}"), payload)


def test_explain_tells_what_is_declared_and_whether_a_payload_fits():
    told = explained("data/press-01/t", b"21.5")
    assert told.held is not None
    assert told.declaration is not None
    assert (told.held.declared, told.held.broken, told.passes) == ("data/{asset}/t", None, True)
    assert told.declaration.line == 8
    told = explained("data/press-01/t", b'"hot"')
    assert told.held is not None
    assert (told.decision.allow, told.held.broken, told.held.why, told.passes) == (
        True, "payload", "it does not meet /type of the schema", False,
    )  # fmt: skip
    assert explained("data/press-01/t").passes


def test_what_is_only_told_passes():
    told = explained("data/press-01/x/y", b"123")
    assert told.held is not None
    assert (told.held.declared, told.held.broken, told.passes) == ("data/{asset}/#", "payload", True)
    told = explained("other/x", b"")
    assert told.held is not None
    assert (told.held.declared, told.held.broken, told.passes) == (None, "topic", True)


def test_what_is_counted_passes_and_says_so():
    said_off = TEXT.replace('"warn"', '"off"').replace('"reject"', '"off"')
    for text in (said_off, said_off.replace('[contract]\nenforce = "off"', "")):
        told = Explainer(good(text)).explain(PRESS, Ask.parse("publish data/press-01/t"), b'"hot"')
        assert told.held is not None
        assert (told.held.enforce, told.held.broken, told.passes) == (Enforce.OFF, "payload", True)
        undeclared = Explainer(good(text)).explain(PRESS, Ask.parse("publish other/x"), b"")
        assert undeclared.held is not None
        assert undeclared.held.broken == ("topic" if text == said_off else None)


def test_what_is_denied_is_not_held_to_anything():
    assert explained("data/press-02/t", b"21.5").held is None
    assert Explainer(good(TEXT)).explain(PRESS, Ask.parse("subscribe data/press-01/t")).held is None


def test_diff_tells_what_topics_ask_anew():
    before = good(TEXT).policy
    changed = (
        TEXT.replace('"number"', '"integer"')
        .replace("[21.5]", "[21]")
        .replace("rate_per_s  = 2\n", "")
        .replace('"warn"', '"off"')
    )
    after = good(changed).policy
    assert before is not None
    assert after is not None
    assert message_terms(before, before) == ()
    told = {term.of: (term.before, term.after) for term in message_terms(before, after)}
    assert told.keys() == {"undeclared topics", "data/{asset}/t", "data/{asset}/#"}
    assert told["undeclared topics"] == ("told, and passed on", "counted, and passed on")
    matching = "text that matches [a-z]+, else"
    assert told["data/{asset}/#"] == (f"{matching} told, and passed on", f"{matching} counted, and passed on")
    assert told["data/{asset}/t"][0].endswith(", at most 2 per second, else refused, of no use after 3600 s")


def test_diff_tells_that_nobody_looks_at_undeclared_topics_any_more():
    before, after = good(TEXT).policy, good(TEXT.replace('[contract]\nenforce = "warn"', "")).policy
    assert before is not None
    assert after is not None
    told = {term.of: (term.before, term.after) for term in message_terms(before, after)}
    assert told["undeclared topics"] == ("told, and passed on", "nothing")
    assert told["data/{asset}/free"] == ("declared, any message", "nothing")


def test_lint_tells_what_is_counted_only():
    codes = [(found.code, found.line) for found in advise(good(TEXT)) if found.code.startswith("declar")]
    assert codes == [("declaration-hidden", 19)]
    codes = {(found.code, found.line) for found in advise(good(TEXT.replace('"warn"', '"off"')))}
    assert ("declared-not-enforced", 14) in codes
    assert ("declared-not-enforced", 4) not in codes


def test_fmt_has_a_place_for_every_key():
    once = formatted(TEXT)
    assert formatted(once) == once
    assert once.index("[contract]") < once.index("[topics")
    own = once.partition('[topics."data/{asset}/t"]')[2].splitlines()[1:9]
    assert [line.split()[0] for line in own] == [
        "title", "examples", "payload", "publish", "subscribe", "rate_per_s", "retention_s", "enforce",
    ]  # fmt: skip


def test_tools_know_of_provenance():
    said = '[topics.a]\npublish = ["x"]\nenforce = "warn"\nprovenance = true\nretention_s = 1\n[roles.x]\n'
    assert [line.split()[0] for line in formatted(said).splitlines()[2:5]] == ["retention_s", "provenance", "enforce"]
    before, after = good(said.replace("provenance = true\n", "")).policy, good(said).policy
    assert before is not None
    assert after is not None
    (term,) = message_terms(before, after)
    assert (term.before, term.after) == ("of no use after 1 s", "of no use after 1 s, with provenance")
    assert "- Told of each: whose it is, by the broker" in markdown(page_of(Explainer(good(said)), "Plant", ""))


def test_pages_show_what_messages_are():
    page = page_of(Explainer(good(TEXT)), "Plant", "")
    text = markdown(page)
    assert "Messages to other topics: told, and passed on." in text
    assert "- Payload: JSON by a schema" in text
    assert "- What is not so: refused" in text
    assert "- Such as: `21.5`" in text
    assert "<dt>Payload</dt><dd>JSON by a schema</dd>" in html(page)
    messages = json.loads(asyncapi(page))["components"]["messages"]
    message = next(each for each in messages.values() if each["title"] == "Temperature")
    assert (message["contentType"], message["payload"]) == ("application/json", {"type": "number"})
    assert message["examples"] == [{"payload": 21.5}]
