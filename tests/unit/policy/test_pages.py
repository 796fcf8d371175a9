"""The pages of a contract: as the golden files show them, true, and safe whatever a policy holds.

To write the golden files anew: `python -m tests.unit.policy.test_pages`, then read what changed.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings

from bartizan.policy import check
from bartizan.policy.asyncapi import asyncapi
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.explain import Explainer
from bartizan.policy.graph import graph
from bartizan.policy.page import Page, page_of
from tests.unit.policy.plant import explainer
from tests.unit.policy.strategies import as_toml, policies

GOLDEN = Path(__file__).parent / "golden"
FORMS: dict[str, Callable[[Page], str]] = {
    "plant.html": html,
    "plant.md": markdown,
    "plant.asyncapi.json": asyncapi,
    "plant.svg": graph,
}


def plant() -> Page:
    # The digest is that of the image, whose form is no matter of a page.
    return replace(page_of(explainer(), "Plant Chicago", "2026-01-31"), digest="0123456789abcdef" * 4)


@pytest.mark.parametrize("name", FORMS)
def test_a_page_is_as_its_golden_file(name):
    assert FORMS[name](plant()) == (GOLDEN / name).read_text(encoding="utf-8")


def test_who_may_write_and_read_is_what_the_policy_decides():
    topics = {entry.topic.template.text: entry for entry in plant().topics}
    temperature = topics["data/{site}/{asset}/temperature"]
    assert [(party.role, party.own, party.by) for party in temperature.writers] == [
        ("press", (("site", "attribute site"), ("asset", "Client ID")), "")
    ]
    assert [(party.role, party.by) for party in temperature.readers] == [("dash", ""), ("admin", "#")]
    commands = topics["commands/{site}/{asset}/#"]
    assert [(party.role, party.but) for party in commands.writers] == [("dash", ("+/{site}/secret/#",))]


def test_a_role_that_is_forbidden_all_of_a_topic_is_not_named():
    text = '[topics."a/{x}"]\npublish = ["w"]\nsubscribe = ["r"]\n[roles.r]\nforbid = [{ action = "subscribe", filter = "a/#" }]'
    (entry,) = page_of(explainer(text), "", "").topics
    assert [party.role for party in entry.writers] == ["w"]
    assert entry.readers == ()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        if tag not in {"meta", "wbr"}:
            self.open.append(tag)

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_stands_alone_and_its_links_lead_somewhere():
    page = html(plant())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not tags.seen & {"script", "link", "img", "iframe", "object"}
    assert "@import" not in page
    assert "url(" not in page
    assert all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)
    assert len(tags.ids) == len(set(tags.ids))


HOSTILE = '<script>alert("x")</script>&`|*'


def hostile() -> Page:
    quoted = json.dumps(HOSTILE)
    text = f"""[topics."a/<b>&`|*/{{x}}"]
title = {quoted}
description = {quoted}
unit = {quoted}
owner = {quoted}
publish = ["w"]
subscribe = ["w"]
[roles.w]
forbid = [{{ action = "publish", filter = "z/<i>", reason = {quoted} }}]
"""
    return page_of(explainer(text), HOSTILE, HOSTILE)


def test_no_text_of_a_policy_becomes_markup():
    tags = Tags()
    tags.feed(html(hostile()))
    assert tags.open == []
    assert not tags.seen & {"script", "b", "i"}
    assert ET.fromstring(graph(hostile())).tag.endswith("svg")
    assert "<script>" not in re.sub(r"`[^`]*`|``.*?``", "", markdown(hostile())).replace("\\<script\\>", "")
    assert json.loads(asyncapi(hostile()))["info"]["title"] == HOSTILE


def test_an_asyncapi_document_refers_to_what_it_has():
    document = json.loads(asyncapi(plant()))
    assert document["asyncapi"] == "3.0.0"

    def resolves(reference: str) -> bool:
        value = document
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]
        return True

    assert all(resolves(found) for found in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
    for channel in document["channels"].values():
        named = re.findall(r"\{(\w+)\}", channel["address"])
        assert sorted(channel.get("parameters", {})) == sorted(named)


def forbids(policy, role):
    """The forbids of a role and of what it includes."""
    body = policy["roles"].get(role, {})
    yield from body.get("forbid", ())
    for more in body.get("includes", ()):
        yield from forbids(policy, more)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies())
def test_every_policy_has_its_pages(policy):
    told = Explainer(check(as_toml(policy), "random"))
    page = page_of(told, "any", "")
    for form in FORMS.values():
        assert form(page)
    ET.fromstring(graph(page))
    for entry in page.topics:
        for party in entry.writers:
            granted = {role for topic in policy["topics"].values() for role in topic["publish"]}
            own = policy["roles"].get(party.role, {}).get("permit", [])
            assert party.role in granted or own
        # Who is named in the topic and is forbidden nothing is on the page.
        template = entry.topic.template.text
        for role in policy["topics"][template]["subscribe"]:
            # What a condition asks of attributes, the made-up identities of a page need not have.
            is_plain = "attr" not in policy["topics"][template].get("when", {})
            if is_plain and not any(forbids(policy, role)) and "$" not in template:
                assert role in {party.role for party in entry.readers}, template


if __name__ == "__main__":
    for file, form in FORMS.items():
        (GOLDEN / file).write_text(form(plant()), encoding="utf-8")
