"""Lines over minutes, one panel below the other, as SVG for light and dark pages."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from bench.chart import STYLE, line, text

WIDTH = 760.0
LEFT = 74.0
RIGHT = 96.0
TOP = 64.0
PANEL = 150.0
GAP = 58.0
COLOURS = """
.line { fill: none; stroke-width: 1.6 }
.of0 { stroke: #0b7f79 } .of1 { stroke: #c2410c } .of2 { stroke: #6b4fbb }
text.of0 { stroke: none; fill: #0b7f79 } text.of1 { stroke: none; fill: #c2410c } text.of2 { stroke: none; fill: #6b4fbb }
@media (prefers-color-scheme: dark) {
  .of0 { stroke: #33bfb3 } .of1 { stroke: #fb923c } .of2 { stroke: #a996f0 }
  text.of0 { fill: #33bfb3 } text.of1 { fill: #fb923c } text.of2 { fill: #a996f0 }
}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity: minutes and values."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines that share a scale, which begins at zero."""

    title: str
    unit: str
    lines: tuple[Line, ...]

    @property
    def top(self) -> float:
        """The upper end of the scale: 1, 2 or 5 times a power of ten."""
        highest = max((value for one in self.lines for _, value in one.points), default=1.0) or 1.0
        power = 10.0 ** math.floor(math.log10(highest))
        return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= highest)


def draw(title: str, subtitle: str, graphs: Sequence[Graph]) -> str:
    """The whole picture."""
    longest = max((at for graph in graphs for one in graph.lines for at, _ in one.points), default=1.0) or 1.0
    height = TOP + len(graphs) * (PANEL + GAP)
    body = [text(LEFT, 26, title, "title"), text(LEFT, 44, subtitle, "quiet")]
    for number, graph in enumerate(graphs):
        body += _panel(graph, TOP + number * (PANEL + GAP) + 24, longest)
    size = f'width="{WIDTH:.0f}" height="{height:.0f}" viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return "\n".join((opening, f"<style>{STYLE}{COLOURS}</style>", *body, "</svg>", ""))


def _panel(graph: Graph, y: float, longest: float) -> Iterable[str]:
    width, bottom = WIDTH - LEFT - RIGHT, y + PANEL
    yield text(LEFT, y - 8, f"{graph.title}, {graph.unit}", "panel")
    for share in (0.0, 0.5, 1.0):
        at = bottom - share * PANEL
        yield line(LEFT, at, LEFT + width, at, "grid")
        yield text(LEFT - 8, at + 4, f"{graph.top * share:g}", "quiet", anchor="end")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield text(LEFT + share * width, bottom + 16, f"{longest * share:.0f} min", "quiet", anchor="middle")
    for number, one in enumerate(graph.lines):
        places = [(LEFT + at / longest * width, bottom - value / graph.top * PANEL) for at, value in one.points]
        for (x1, y1), (x2, y2) in pairwise(places):
            yield line(x1, y1, x2, y2, f"line of{number % 3}")
        if places:
            # One below the other, so that names of lines that end at one height can be read.
            yield text(LEFT + width + 8, y + 12 + 16 * number, one.name, f"of{number % 3}")
