"""A policy as a picture: roles that write on the left, topics, roles that read on the right. SVG, laid out here.

It stands alone, in a page or as a file: no script, no font and no program outside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bartizan.policy.page import Page, Party, TopicEntry

_ROW, _GAP, _TOP = 34, 10, 56
_SIDE, _CHANNEL, _MARGIN = 150, 150, 16
_CHAR = 7.0
"""Width of a character of the picture's fonts, in its units; a little more than it is."""
_COLOURS: Final = ("#1f6feb", "#b35900", "#1a7f37", "#8250df", "#bf3989", "#0f766e", "#9a6700", "#57606a")

_STYLE: Final = """
text { font: 12px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.t { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 11.5px; }
.h { font-size: 11px; font-weight: 600; letter-spacing: .06em; fill: #59636e; }
.s { font-size: 10.5px; fill: #59636e; }
.e { fill: none; stroke-width: 1.6; opacity: .75; }
.w { stroke-dasharray: 5 4; }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def graph(page: Page) -> str:
    """The picture, as one `<svg>`."""
    writers = _roles(page, writes=True)
    readers = _roles(page, writes=False)
    topic_width = max([180.0, *(_width(entry) for entry in page.topics)])
    left, middle = float(_MARGIN), float(_MARGIN + _SIDE + _CHANNEL)
    right = middle + topic_width + _CHANNEL
    topic_height = _ROW + 10
    topics = _column([entry.anchor for entry in page.topics], middle, topic_width, topic_height)
    height = max((box.y + box.height for box in topics.values()), default=_TOP) + _MARGIN
    height = max(height, _TOP + max(len(writers), len(readers), 1) * (_ROW + _GAP) + _MARGIN)
    sides = [
        _spread(names, x, _targets(page, topics, writes=writes), height)
        for names, x, writes in ((writers, left, True), (readers, right, False))
    ]
    colours = {role.role.name: _COLOURS[at % len(_COLOURS)] for at, role in enumerate(page.roles)}
    width = right + _SIDE + _MARGIN
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = f'role="img" aria-label="{escape(page.title)}: roles and topics"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>',
        f"<title>{escape(page.title)}: roles and topics</title>",
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_headings((left, "WRITE"), (middle, "TOPICS"), (right, "READ")),
        *_edges(page, topics, sides, colours),
        *(line for side in sides for name, box in side.items() for line in _role(name, box, colours[name])),
        *(line for entry in page.topics for line in _topic(entry, topics[entry.anchor])),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _width(entry: TopicEntry) -> float:
    below = len(" · ".join([entry.topic.title, *_owned(entry)]))
    return max(len(entry.topic.template.text), below) * _CHAR + 24


def _roles(page: Page, *, writes: bool) -> list[str]:
    named = {party.role for entry in page.topics for party in _parties(entry, writes=writes)}
    return [role.role.name for role in page.roles if role.role.name in named]


def _parties(entry: TopicEntry, *, writes: bool) -> Sequence[Party]:
    return entry.writers if writes else entry.readers


def _column(names: Sequence[str], x: float, width: float, height: float) -> dict[str, _Box]:
    return {name: _Box(x, _TOP + at * (height + _GAP), width, height) for at, name in enumerate(names)}


def _targets(page: Page, topics: Mapping[str, _Box], *, writes: bool) -> Mapping[str, float]:
    """By role, the mean height of its topics: a role stands beside what it uses, so that few lines cross."""
    heights: dict[str, list[float]] = {}
    for entry in page.topics:
        for party in _parties(entry, writes=writes):
            heights.setdefault(party.role, []).append(topics[entry.anchor].middle)
    return {role: sum(found) / len(found) for role, found in heights.items()}


def _spread(names: Sequence[str], x: float, targets: Mapping[str, float], height: float) -> dict[str, _Box]:
    """Each as near to its target as the others let it."""
    order = sorted(names, key=lambda name: (targets[name], name))
    boxes: dict[str, _Box] = {}
    below = float(_TOP)
    for at, name in enumerate(order):
        room = (len(order) - at) * (_ROW + _GAP)
        y = max(below, min(targets[name] - _ROW / 2, height - _MARGIN - room))
        boxes[name] = _Box(x, y, _SIDE, _ROW)
        below = y + _ROW + _GAP
    return boxes


def _headings(*headings: tuple[float, str]) -> Iterator[str]:
    for x, text in headings:
        yield f'<text class="h" x="{x:.0f}" y="34">{text}</text>'


def _edges(
    page: Page, topics: Mapping[str, _Box], sides: Sequence[Mapping[str, _Box]], colours: Mapping[str, str]
) -> Iterator[str]:
    for entry in page.topics:
        box = topics[entry.anchor]
        for side, writes in zip(sides, (True, False), strict=True):
            parties = _parties(entry, writes=writes)
            for at, party in enumerate(parties, start=1):
                role = side[party.role]
                # Lines arrive one below the other, so that each can be followed.
                y = box.y + box.height * at / (len(parties) + 1)
                begin, end = (role.x + role.width, role.middle), (box.x, y)
                if not writes:
                    begin, end = (box.x + box.width, y), (role.x, role.middle)
                yield _edge(begin, end, colours[party.role], is_wide=bool(party.by))


def _edge(begin: tuple[float, float], end: tuple[float, float], colour: str, *, is_wide: bool) -> str:
    (x, y), (to_x, to_y) = begin, (end[0] - 7, end[1])
    bend = (to_x - x) / 2
    path = f"M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    head = f"M{end[0]:.1f} {to_y:.1f}l-8 -4v8z"
    dashed = " w" if is_wide else ""
    return f'<path class="e{dashed}" stroke="{colour}" d="{path}"/><path fill="{colour}" d="{head}"/>'


def _role(name: str, box: _Box, colour: str) -> Iterator[str]:
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="17" '
        f'fill="#ffffff" stroke="{colour}" stroke-width="1.6"/>'
    )
    shown = name if len(name) * _CHAR < box.width - 20 else f"{name[: int((box.width - 30) / _CHAR)]}…"
    yield (
        f'<text x="{box.x + box.width / 2:.1f}" y="{box.middle + 4:.1f}" text-anchor="middle">'
        f"<title>{escape(name)}</title>{escape(shown)}</text>"
    )


def _topic(entry: TopicEntry, box: _Box) -> Iterator[str]:
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6" '
        'fill="#f6f8fa" stroke="#d1d9e0"/>'
    )
    below = " · ".join([*([entry.topic.title] if entry.topic.title else []), *_owned(entry)])
    y = box.middle if below else box.middle + 4
    yield f'<text class="t" x="{box.x + 12:.1f}" y="{y - 2:.1f}">{escape(entry.topic.template.text)}</text>'
    if below:
        yield f'<text class="s" x="{box.x + 12:.1f}" y="{box.middle + 14:.1f}">{escape(below)}</text>'


def _owned(entry: TopicEntry) -> list[str]:
    return [f"owned by each {' and '.join(entry.owners)}"] if entry.owners else []
