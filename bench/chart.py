"""Horizontal bars on a logarithmic scale, one panel per row of the report, as SVG for light and dark pages.

Bars are labelled where they stand, so that no legend is needed; Bartizan alone has a colour. A thin line
shows the least and the greatest repetition. A hatched bar lost, doubled or reordered messages.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

PANEL_WIDTH = 560.0
COLUMNS = 2
GAP = 36.0
MARGIN = 24.0
NAMES = 118.0
VALUES = 118.0
BAR = 13.0
STEP = 19.0
HEAD = 46.0
FOOT = 30.0
LINE = 16.0
NOTE_CHARS = 92
SUBTITLE_CHARS = 92

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #3b434c }
.title { font-size: 19px; font-weight: 600; fill: #14181d }
.panel { font-size: 13.5px; font-weight: 600; fill: #14181d }
.quiet { font-size: 11px; fill: #6b7580 }
.own { font-weight: 600; fill: #14181d }
.value { paint-order: stroke; stroke: #fff; stroke-width: 3px; stroke-linejoin: round }
.grid { stroke: #dfe4e9; stroke-width: 1 }
.bar { fill: #a9b4bf }
.bar.own { fill: #0b7f79 }
.bar.limit { fill: #e4e9ee; stroke: #a9b4bf; stroke-dasharray: 3 2 }
.flaw { fill: url(#flaw) }
.hatch { stroke: #c2410c; stroke-width: 1.6 }
.spread { stroke: #3b434c; stroke-width: 1.2 }
.must { stroke: #c2410c; stroke-width: 1.6 }
.must-text { font-size: 10.5px; fill: #c2410c }
@media (prefers-color-scheme: dark) {
  text { fill: #c4ccd4 }
  .title, .panel, .own { fill: #f2f5f8 }
  .quiet { fill: #8b96a1 }
  .value { stroke: #0d1117 }
  .grid { stroke: #2c333b }
  .bar { fill: #5d6976 }
  .bar.own { fill: #33bfb3 }
  .bar.limit { fill: #20262d; stroke: #5d6976 }
  .spread { stroke: #e3e8ed }
  .hatch { stroke: #fb923c } .must { stroke: #fb923c } .must-text { fill: #fb923c }
}
"""
FLAW = """\
<defs><pattern id="flaw" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One broker in one panel."""

    name: str
    median: float
    low: float
    high: float
    beside: str = ""
    """A few characters behind the value, such as the ratio to another broker."""
    is_own: bool = False
    is_limit: bool = False
    is_flawed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One row of the report."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    more_is_better: bool = True
    is_time: bool = False
    must: float | None = None
    notes: tuple[str, ...] = field(default=())
    """What is said below, such as who has no bar."""

    @property
    def height(self) -> float:
        """With heading and notes."""
        return HEAD + STEP * len(self.bars) + FOOT + LINE * len(self._folded())

    def _folded(self) -> list[str]:
        return [line for note in self.notes for line in fold(note, NOTE_CHARS)]

    def draw(self, x: float, y: float) -> Iterable[str]:
        """Its elements, its upper left corner at x, y."""
        scale = Scale.of(self, x + NAMES, PANEL_WIDTH - NAMES - VALUES)
        top, bottom = y + HEAD, y + HEAD + STEP * len(self.bars)
        yield text(x, y + 14, self.title, "panel")
        yield text(x, y + 30, f"{self.unit}, {'more' if self.more_is_better else 'less'} is better", "quiet")
        for decade in scale.decades():
            at = scale.x(decade)
            yield line(at, top - 4, at, bottom, "grid")
            yield text(at, bottom + 13, short(decade, is_time=self.is_time), "quiet", anchor="middle")
        for index, bar in enumerate(self.bars):
            yield from _bar(bar, scale, x, top + index * STEP)
        if self.must is not None:
            at = scale.x(self.must)
            yield line(at, top - 6, at, bottom, "must")
            yield text(at, top - 8, "must", "must-text", anchor="middle")
        for index, bar in enumerate(self.bars):
            yield _value(bar, scale, top + index * STEP, is_time=self.is_time)
        for index, note in enumerate(self._folded()):
            yield text(x, bottom + FOOT + index * LINE, note, "quiet")


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to places, by decades."""

    lowest: int
    highest: int
    left: float
    width: float

    @classmethod
    def of(cls, panel: Panel, left: float, width: float) -> "Scale":
        """Whole decades around everything that is drawn; the least bar keeps some length."""
        shown = [value for bar in panel.bars for value in (bar.low, bar.high) if value > 0]
        if panel.must is not None:
            shown.append(panel.must)
        shown = shown or [1.0, 10.0]
        lowest = math.floor(math.log10(min(shown)) - 0.15)
        highest = max(lowest + 1, math.ceil(math.log10(max(shown))))
        return cls(lowest, highest, left, width)

    def x(self, value: float) -> float:
        """The place of a value; what is off the scale is at its end."""
        share = (math.log10(max(value, 1e-9)) - self.lowest) / (self.highest - self.lowest)
        return self.left + self.width * min(1.0, max(0.0, share))

    def decades(self) -> list[float]:
        """Where lines are drawn."""
        return [10.0**power for power in range(self.lowest, self.highest + 1)]


def render(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """The whole picture."""
    columns = min(COLUMNS, max(1, len(panels)))
    width = 2 * MARGIN + columns * PANEL_WIDTH + (columns - 1) * GAP
    body: list[str] = []
    said = fold(subtitle, SUBTITLE_CHARS * columns)
    y = MARGIN + 36.0 + 15.0 * len(said)
    for begin in range(0, len(panels), columns):
        side_by_side = panels[begin : begin + columns]
        for column, panel in enumerate(side_by_side):
            body += panel.draw(MARGIN + column * (PANEL_WIDTH + GAP), y)
        y += max(panel.height for panel in side_by_side) + GAP / 2
    height = y + MARGIN / 2
    head = [text(MARGIN, MARGIN + 14, title, "title")]
    head += [text(MARGIN, MARGIN + 34 + 15 * index, part, "quiet") for index, part in enumerate(said)]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return "\n".join((opening, f"<style>{STYLE}</style>", FLAW, *head, *body, "</svg>", ""))


def _bar(bar: Bar, scale: Scale, x: float, y: float) -> Iterable[str]:
    kind = " own" if bar.is_own else " limit" if bar.is_limit else ""
    width = max(1.0, scale.x(bar.median) - scale.left)
    middle = y + BAR / 2
    yield text(x + NAMES - 8, y + BAR - 2.5, bar.name, "own" if bar.is_own else "", anchor="end")
    shape = f'x="{scale.left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR:.1f}" rx="2"'
    yield f'<rect class="bar{kind}" {shape}/>'
    if bar.is_flawed:
        yield f'<rect class="flaw" {shape}/>'
    if bar.high > bar.low:
        yield line(scale.x(bar.low), middle, scale.x(bar.high), middle, "spread")


def _value(bar: Bar, scale: Scale, y: float, *, is_time: bool) -> str:
    words = f"{short(bar.median, is_time=is_time)}  {bar.beside}".rstrip()
    kind = "value own" if bar.is_own else "value"
    return text(max(scale.x(bar.median), scale.x(bar.high)) + 6, y + BAR - 2.5, words, kind)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    of_class = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{of_class}{place} xml:space="preserve">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


COUNTS = ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, ""))
TIMES = ((1e6, " s"), (1e3, " ms"), (1.0, " µs"))


def short(value: float, *, is_time: bool = False) -> str:
    """Three digits and a unit: 1.21 M, 109 k, 0.82; of microseconds 3.4 ms."""
    if not value:
        return "0"
    units = TIMES if is_time else COUNTS
    factor, letter = next((unit for unit in units if abs(value) >= 0.9995 * unit[0]), units[-1])
    return f"{_three_digits(value / factor)}{letter}"


def _three_digits(value: float) -> str:
    places = max(0, 2 - math.floor(math.log10(abs(value) * 1.0005)))
    return f"{value:.{min(places, 3)}f}".rstrip("0").rstrip(".") if places else f"{value:.0f}"


def fold(words: str, width: int) -> list[str]:
    """Lines of at most `width` characters, if words allow it."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [one for one in lines if one]
