"""The page on identities: its CSV imports as it stands, and every column that it names is read."""

import io
import re
from datetime import UTC, datetime

import pytest

from bartizan.identity.csv_file import ImportRefused, import_lines, read_lines
from bartizan.identity.rotation import CREDENTIALS_MAX, KEPT_FOR
from bartizan.model.group import Group
from bartizan.model.ids import REMARK_CHARS_MAX, GroupName
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import CreateGroup
from tests.docs.markdown import ROOT, blocks

PAGE = "docs/reference/identities.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
AT = datetime(2026, 11, 20, tzinfo=UTC)


async def test_the_csv_of_the_page_imports() -> None:
    (block,) = [block for block in blocks(language="csv") if block.page == PAGE]
    store = MemoryIdentityStore()
    await store.commit([CreateGroup(Group(GroupName("line-3"), AT))])
    assert await import_lines(store, read_lines(io.StringIO(block.text)), at=AT) == (3, 0)


def test_the_page_names_every_column_and_no_other() -> None:
    told = re.search(r"^\| column .*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert told
    documented = {
        name for row in told.group().strip().splitlines() for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
    }
    with pytest.raises(ImportRefused) as refused:
        read_lines(io.StringIO("name,nonsense\nx,y\n"))
    listed = str(refused.value).partition("there are ")[2]
    assert documented == set(listed.split(", "))


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"{CREDENTIALS_MAX} live ones at most" in TEXT
    assert f"on record for {KEPT_FOR.days} days" in TEXT
    assert f"up to {REMARK_CHARS_MAX:,} characters" in TEXT
