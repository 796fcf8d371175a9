"""Just enough Markdown to read our own documentation: links, headings, fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
    if "node_modules" not in path.parts
)

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, and where it stands."""

    page: str
    line: int
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """The page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(*, language: str, mark: str | None = None) -> list[Block]:
    """The fenced blocks of a language, or those of them that carry a mark, such as `python run`."""
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in _FENCE.finditer(text):
            words = tuple(fence.group(1).split())
            if words[:1] == (language,) and (mark is None or mark in words[1:]):
                line = text.count("\n", 0, fence.start()) + 1
                found.append(Block(name_of(page), line, words, fence.group(2)))
    return found


def links(page: Path) -> Iterator[str]:
    """Every link and picture of a page, outside its fenced blocks."""
    for hit in _LINK.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        yield hit.group(1) or hit.group(2)


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
