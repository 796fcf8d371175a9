"""The page of a policy as one HTML file: for a screen and for paper, without scripts, fonts or pictures from elsewhere."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from bartizan.policy.graph import graph
from bartizan.policy.page import Page, Party, RoleEntry, TopicEntry, party_words
from bartizan.policy.words import LIMIT_WORDS, TENANTS, condition_words, tenant_words, window_words

_VARIABLE = re.compile(r"(\{[A-Za-z_][A-Za-z0-9_]*\}|#)")
MATRIX_ROLES_MAX = 12
"""With more roles than this the table of topics and roles would not fit a page."""
UPRIGHT_ROLES_MAX = 4
"""With more roles than this their names are turned."""
GRAPH_TOPICS_MAX = 60
"""With more topics than this the picture would say nothing."""

_HOW: Final = (
    (
        "{name}",
        "One level of a topic, whatever it is: a site, a machine. Where it is somebody's own, the role says so.",
    ),
    ("#", "Everything below this level, and the level itself."),
    (
        "QoS",
        "How surely a message arrives: 0 at most once, 1 at least once, 2 exactly once. The highest one allowed is told.",
    ),
    ("Retained", "The broker keeps the last message, and gives it to whoever subscribes later."),
    ("Not listed", "What no line of this page permits is refused."),
)


def html(page: Page) -> str:
    """The whole file."""
    style = files("bartizan.policy").joinpath("docs.css").read_text(encoding="utf-8")
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(page.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        *_head(page),
        "<main>",
        *_contents(page),
        *_matrix(page),
        *_picture(page),
        *(line for family, entries in page.families.items() for line in _family(family, entries)),
        *_roles(page),
        *_windows(page),
        *_tenants(page),
        *_how(),
        "</main>",
        f"<footer>Made from policy <code>{page.digest}</code>. What the broker enforces is what this page says.</footer>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _head(page: Page) -> Iterator[str]:
    topics, roles = len(page.topics), len(page.roles)
    yield "<header>"
    yield '<p class="kind">Topic contract</p>'
    yield f"<h1>{escape(page.title)}</h1>"
    yield '<dl class="facts">'
    facts = [("Topics", str(topics)), ("Roles", str(roles)), ("Policy", page.digest[:12])]
    for name, value in [*([("Date", page.dated)] if page.dated else []), *facts]:
        yield f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"
    yield "</header>"


def _contents(page: Page) -> Iterator[str]:
    yield '<nav aria-label="Contents"><ul>'
    for family, entries in page.families.items():
        count = f"{len(entries)} topic{'s' if len(entries) > 1 else ''}"
        yield f'<li><a href="#{_id(family)}"><code>{escape(family)}</code></a> <span>{count}</span></li>'
    yield '<li><a href="#roles">Roles</a></li><li><a href="#how">How to read this page</a></li>'
    yield "</ul></nav>"


def _matrix(page: Page) -> Iterator[str]:
    used = {party.role for entry in page.topics for party in (*entry.writers, *entry.readers)}
    names = [entry.role.name for entry in page.roles if entry.role.name in used]
    if not page.topics or not names or len(names) > MATRIX_ROLES_MAX:
        return
    yield '<section id="glance"><h2>At a glance</h2>'
    many = " many" if len(names) > UPRIGHT_ROLES_MAX else ""
    yield f'<table class="matrix{many}"><thead><tr><th scope="col">Topic</th>'
    yield "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    yield "</tr></thead><tbody>"
    for entry in page.topics:
        writers, readers = ({party.role for party in side} for side in (entry.writers, entry.readers))
        cells = "".join(
            f"<td>{_mark('W') if name in writers else ''}{_mark('R') if name in readers else ''}</td>" for name in names
        )
        yield f'<tr><th scope="row"><a href="#{entry.anchor}">{_topic(entry.topic.template.text)}</a></th>{cells}</tr>'
    yield "</tbody></table>"
    yield f'<p class="legend">{_mark("W")} may write (publish) {_mark("R")} may read (subscribe)</p></section>'


def _mark(letter: str) -> str:
    return f'<span class="mark {letter}">{letter}</span>'


def _picture(page: Page) -> Iterator[str]:
    if page.topics and len(page.topics) <= GRAPH_TOPICS_MAX:
        yield '<section id="picture"><h2>Roles and topics</h2><figure>'
        yield graph(page)
        yield "<figcaption>A dashed line is a right by a wildcard that is wider than the topic.</figcaption></figure></section>"


def _family(family: str, entries: Sequence[TopicEntry]) -> Iterator[str]:
    yield f'<section id="{_id(family)}" class="family"><h2>Topics in <code>{escape(family)}</code></h2>'
    for entry in entries:
        yield from _entry(entry)
    yield "</section>"


def _entry(entry: TopicEntry) -> Iterator[str]:
    topic = entry.topic
    yield f'<article id="{entry.anchor}">'
    yield f"<h3>{escape(topic.title or 'Untitled topic')}</h3>"
    yield f'<p class="topic">{_topic(topic.template.text)}</p>'
    if topic.description:
        yield f'<p class="description">{escape(topic.description)}</p>'
    facts = [("Unit", entry.unit), ("Owner", topic.owner), ("Written by its owner alone", ", ".join(entry.owners))]
    facts += [("Highest QoS", str(topic.qos_max)), ("Retained", "allowed" if topic.retain else "never")]
    yield '<dl class="facts">'
    for name, value in facts:
        if value:
            yield f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"
    yield f"<div><dt>For example</dt><dd><code>{escape(entry.example)}</code></dd></div>"
    for name, value in entry.messages:
        yield f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"
    if topic.examples:
        shown = ", ".join(f"<code>{escape(example.text)}</code>" for example in topic.examples)
        yield f"<div><dt>Such as</dt><dd>{shown}</dd></div>"
    yield "</dl>"
    yield '<div class="who">'
    yield from _parties("May write", "W", entry.writers)
    yield from _parties("May read", "R", entry.readers)
    yield "</div></article>"


def _parties(title: str, letter: str, parties: Sequence[Party]) -> Iterator[str]:
    yield f"<div><h4>{_mark(letter)} {title}</h4>"
    if not parties:
        yield '<p class="nobody">nobody</p></div>'
        return
    yield "<ul>"
    for party in parties:
        words = party_words(party)
        more = f' <span class="how">{_spell(words)}</span>' if words else ""
        yield f'<li><a href="#role-{escape(party.role)}">{escape(party.role)}</a>{more}</li>'
    yield "</ul></div>"


def _roles(page: Page) -> Iterator[str]:
    yield '<section id="roles"><h2>Roles</h2>'
    for entry in page.roles:
        yield from _role(entry)
    yield "</section>"


def _role(entry: RoleEntry) -> Iterator[str]:
    role = entry.role
    yield f'<article id="role-{escape(role.name)}" class="role"><h3>{escape(role.name)}</h3>'
    if entry.own:
        own = ", ".join(f"<code>{{{escape(name)}}}</code> is its {escape(what)}" for name, what in entry.own)
        yield f'<p class="description">{own}</p>'
    yield '<dl class="rights">'
    if role.includes:
        included = ", ".join(f'<a href="#role-{escape(name)}">{escape(name)}</a>' for name in role.includes)
        yield f"<dt>Includes</dt><dd>{included}</dd>"
    for name, texts in (("Writes", entry.publishes), ("Reads", entry.subscribes)):
        shown = "".join(f"<li>{_topic(text)}{_how_far(when)}</li>" for text, when in texts)
        yield f"<dt>{name}</dt><dd>{f'<ul>{shown}</ul>' if texts else 'nothing'}</dd>"
    if role.owns:
        owned = "".join(
            f"<li>{_topic(each.filter.text)}{_how_far('shared' if each.shared else '')}</li>" for each in role.owns
        )
        yield f"<dt>Owns</dt><dd><ul>{owned}</ul></dd>"
    if role.forbid:
        forbidden = "".join(
            f"<li>to {' or '.join(rule.actions)} {_topic(rule.filter.text)}"
            f"{_how_far(condition_words(rule.when))}{f': {escape(rule.reason)}' if rule.reason else ''}</li>"
            for rule in role.forbid
        )
        yield f"<dt>Forbidden</dt><dd><ul>{forbidden}</ul></dd>"
    if role.limits:
        limits = "; ".join(f"{LIMIT_WORDS.get(name, name)} {value:,}" for name, value in role.limits)
        yield f"<dt>Limits</dt><dd>{escape(limits)}</dd>"
    yield "</dl></article>"


def _how_far(when: str) -> str:
    return f' <span class="how">{escape(when)}</span>' if when else ""


def _windows(page: Page) -> Iterator[str]:
    if page.windows:
        yield '<section id="windows"><h2>Time windows</h2><dl class="how-to">'
        for window in page.windows:
            yield f"<dt>{escape(window.name)}</dt><dd>{escape(window_words(window))}</dd>"
        yield "</dl></section>"


def _tenants(page: Page) -> Iterator[str]:
    if page.tenants:
        yield f'<section id="tenants"><h2>Tenants</h2><p>{escape(TENANTS)}</p><dl class="how-to">'
        for tenant in page.tenants:
            yield f"<dt>{escape(tenant.name)}</dt><dd>{escape(tenant_words(tenant))}</dd>"
        yield "</dl></section>"


def _how() -> Iterator[str]:
    yield '<section id="how"><h2>How to read this page</h2><dl class="how-to">'
    for term, meaning in _HOW:
        yield f"<dt><code>{escape(term)}</code></dt><dd>{escape(meaning)}</dd>"
    yield "</dl></section>"


def _topic(text: str) -> str:
    """A topic with its variables marked; it may break before a slash."""
    parts = [f"<var>{escape(part)}</var>" if _VARIABLE.fullmatch(part) else escape(part) for part in text.split("/")]
    return f"<code>{'<wbr>/'.join(parts)}</code>"


def _spell(words: str) -> str:
    return re.sub(r"`([^`]*)`", lambda hit: f"<code>{hit.group(1)}</code>", escape(words))


def _id(family: str) -> str:
    return "family-" + re.sub(r"[^A-Za-z0-9]+", "-", family).strip("-")
