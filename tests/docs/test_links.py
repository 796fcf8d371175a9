"""No page points into the void, and every page can be found."""

from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, links, name_of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_resolves(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_documentation_is_reachable_from_its_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        targets = (link.partition("#")[0] for link in links(page) if "://" not in link)
        waiting.extend((page.parent / target).resolve() for target in targets if target.endswith(".md"))
    unreachable = {name_of(page) for page in PAGES if page.is_relative_to(ROOT / "docs")} - {name_of(p) for p in seen}
    assert unreachable == set()
