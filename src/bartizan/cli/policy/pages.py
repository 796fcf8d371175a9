"""`bartizan policy docs` and `graph`: the contract as pages, for people and for tools."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bartizan.cli.policy.files import good, written
from bartizan.policy.asyncapi import asyncapi
from bartizan.policy.docs_html import html
from bartizan.policy.docs_markdown import markdown
from bartizan.policy.explain import Explainer
from bartizan.policy.graph import graph as drawn
from bartizan.policy.page import Page, page_of

TITLE = "MQTT topics"
Out = Annotated[Path | None, Parameter(name=["--out", "-o"])]


def docs(
    *files: Path,
    form: Annotated[Literal["html", "markdown", "asyncapi"], Parameter(name="--format")] = "html",
    out: Out = None,
    title: str = TITLE,
    date: str | None = None,
) -> int:
    """Make a page of the contract: topics, units, who may write and who may read.

    HTML is one file to look at or print, AsyncAPI 3.0 is JSON for tools.

    For example:

        bartizan policy docs policy.toml -o contract.html --title "Plant Chicago"

        bartizan policy docs policy/ --format asyncapi

    Parameters
    ----------
    files
        The policy: files or directories of them, which together are one. Default: policy.toml.
    form
        What to make.
    out
        The file to write. Default: standard output.
    title
        The title of the page.
    date
        The date on it. Default: today's; "" for none.
    """
    page = _page(files, title, datetime.now(UTC).date().isoformat() if date is None else date)
    made = {"html": html, "markdown": markdown, "asyncapi": asyncapi}[form](page)
    written(out, made, lambda text: print(text, end=""))
    return 0


def graph(*files: Path, out: Out = None, title: str = TITLE) -> int:
    """Draw roles and topics as SVG: who writes on the left, who reads on the right.

    For example:

        bartizan policy graph policy.toml -o contract.svg

    Parameters
    ----------
    files
        The policy: files or directories of them, which together are one. Default: policy.toml.
    out
        The file to write. Default: standard output.
    title
        The title of the picture.
    """
    written(out, drawn(_page(files, title, "")), lambda text: print(text, end=""))
    return 0


def _page(files: tuple[Path, ...], title: str, dated: str) -> Page:
    return page_of(Explainer(good(files or (Path("policy.toml"),))), title, dated)
