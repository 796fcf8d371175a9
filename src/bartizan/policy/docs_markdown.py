"""The page of a policy as Markdown: for a wiki or a repository."""

import re
from collections.abc import Iterator, Sequence

from bartizan.policy.page import Page, Party, RoleEntry, TopicEntry, party_words
from bartizan.policy.payload import ENFORCE_WORDS
from bartizan.policy.words import LIMIT_WORDS, TENANTS, condition_words, tenant_words, window_words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|])")


def markdown(page: Page) -> str:
    """The whole page."""
    lines = [
        f"# {_plain(page.title)}",
        "",
        f"Topic contract{f' of {page.dated}' if page.dated else ''}: {len(page.topics)} topics, {len(page.roles)} roles.",
        f"Policy `{page.digest}`. What no line of this page permits is refused.",
        *([] if page.undeclared is None else [f"Messages to other topics: {ENFORCE_WORDS[page.undeclared]}."]),
        "",
        *_glance(page),
        "## Topics",
        "",
        *(line for entry in page.topics for line in _entry(entry)),
        "## Roles",
        "",
        *(line for entry in page.roles for line in _role(entry)),
        *(["## Time windows", ""] if page.windows else []),
        *(f"- {window.name}: {window_words(window)}" for window in page.windows),
        *(["", "## Tenants", "", TENANTS, ""] if page.tenants else []),
        *(f"- {_plain(tenant.name)}: {_plain(tenant_words(tenant))}" for tenant in page.tenants),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _glance(page: Page) -> Iterator[str]:
    yield "| topic | may write | may read |"
    yield "|---|---|---|"
    for entry in page.topics:
        writers, readers = (
            ", ".join(party.role for party in side) or "nobody" for side in (entry.writers, entry.readers)
        )
        yield f"| {_code(entry.topic.template.text)} | {writers} | {readers} |"
    yield ""


def _entry(entry: TopicEntry) -> Iterator[str]:
    topic = entry.topic
    yield f"### {_plain(entry.name)}"
    yield ""
    yield _code(topic.template.text)
    yield ""
    if topic.description:
        yield _plain(topic.description)
        yield ""
    facts = [("Unit", _plain(entry.unit)), ("Owner", _plain(topic.owner))]
    facts += [("Written by its owner alone", ", ".join(entry.owners)), ("Highest QoS", str(topic.qos_max))]
    facts += [("Retained", "allowed" if topic.retain else "never"), ("For example", _code(entry.example))]
    facts += [(name, _plain(words)) for name, words in entry.messages]
    facts += [("Such as", ", ".join(_code(example.text) for example in topic.examples))]
    yield from (f"- {name}: {value}" for name, value in facts if value)
    yield f"- May write: {_parties(entry.writers)}"
    yield f"- May read: {_parties(entry.readers)}"
    yield ""


def _parties(parties: Sequence[Party]) -> str:
    found = [f"**{party.role}**{f' {words}' if (words := party_words(party)) else ''}" for party in parties]
    return "; ".join(found) or "nobody"


def _role(entry: RoleEntry) -> Iterator[str]:
    role = entry.role
    yield f"### {role.name}"
    yield ""
    if role.includes:
        yield f"- Includes: {', '.join(role.includes)}"
    if entry.own:
        yield "- Its own: " + ", ".join(f"`{{{name}}}` is its {what}" for name, what in entry.own)
    for name, texts in (("Writes", entry.publishes), ("Reads", entry.subscribes)):
        shown = [f"{_code(text)}{f' {_plain(when)}' if when else ''}" for text, when in texts]
        yield f"- {name}: {'; '.join(shown) or 'nothing'}"
    for owned in role.owns:
        together = ", together with others" if owned.shared else ""
        yield f"- Each owns {_code(owned.filter.text)}{together}: no one else writes there"
    for rule in role.forbid:
        reason = f": {_plain(rule.reason)}" if rule.reason else ""
        when = f" {_plain(words)}" if (words := condition_words(rule.when)) else ""
        yield f"- Forbidden to {' or '.join(rule.actions)} {_code(rule.filter.text)}{when}{reason}"
    if role.limits:
        yield "- Limits: " + "; ".join(f"{LIMIT_WORDS.get(name, name)} {value:,}" for name, value in role.limits)
    yield ""


def _plain(text: str) -> str:
    """Text as it is, whatever of it would mean something to Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    inside = f" {text} " if "`" in text else text
    return f"{fence}{inside}{fence}".replace("|", "\\|")
