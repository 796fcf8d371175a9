"""The guides name every difference that an import can name, and no other."""

import re
import tomllib
from pathlib import Path

import pytest

from bartizan.cli.app import run
from bartizan.config.imports import keys
from tests.docs.markdown import ROOT, blocks
from tests.docs.test_reference import rows, spelt

SOURCES = [
    path
    for room in ("policy/imports", "config/imports")
    for path in sorted((ROOT / "src/bartizan" / room).glob("*.py"))
]
CONDITIONS = re.compile(r'"([a-z-]+)": "the rule asks')


def in_the_code() -> set[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    told = set(re.findall(r'(?:Weight\.[A-Z]+,\s+|Trouble\(|_lose\(|Unknown\()"([a-z0-9_.-]+)"', text))
    return told | set(CONDITIONS.findall(text)) | {"bridge"}


def in_the_guides() -> set[str]:
    pages = [
        (ROOT / f"docs/guides/coming-from-{name}.md").read_text(encoding="utf-8") for name in ("mosquitto", "emqx")
    ]
    return {name for page in pages for cells in rows(page) for name in spelt(cells[0])}


def test_every_difference_is_in_a_guide_and_every_one_there_exists() -> None:
    assert in_the_code() == in_the_guides()


def test_no_key_of_mosquitto_has_two_fates() -> None:
    fates = [keys.LISTENER_KEYS, keys.SECURITY_KEYS, keys.GLOBAL_KEYS, set(keys.LOST), set(keys.CHANGED), keys.NOTED]
    known = [key for fate in fates for key in fate]
    assert len(known) == len(set(known))
    assert keys.LOST_IF.keys() <= keys.LOST.keys()


@pytest.mark.parametrize("guide", ["mosquitto", "emqx"])
def test_the_policy_that_a_guide_shows_is_the_one_that_its_example_makes(guide, tmp_path, monkeypatch, capsys) -> None:
    page = f"docs/guides/coming-from-{guide}.md"
    example = next(block for block in blocks(language="sh", mark="run") if block.page == page)
    shown = next(block for block in blocks(language="toml", mark="policy") if block.page == page)
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", example.text, re.DOTALL | re.MULTILINE):
        Path(name).write_text(text, encoding="utf-8")
    commands = [line.split()[1:] for line in example.text.splitlines() if line.startswith("bartizan import")]
    assert [run(command) for command in commands] == [0, 0]
    made = tomllib.loads(Path("imported/policy.toml").read_text(encoding="utf-8"))
    assert made == tomllib.loads(shown.text)
