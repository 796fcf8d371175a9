"""The reference pages name everything there is, and nothing that is not: events, metrics, verbs and options.

Each page is compared with the code that it describes: the engine's own list of events, `/metrics` of a
running broker, the command line as its parser sees it. Settings have their test beside their generator.
"""

import re
from collections.abc import Iterator

import pytest
from cyclopts import App
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route

from bartizan.api.app import control
from bartizan.api.metrics import exposition
from bartizan.broker.log import LEVELS
from bartizan.cli.app import VERBS, build_app
from bartizan.testing import Broker
from tests.docs.markdown import ROOT

REFERENCE = ROOT / "docs/reference"
SOURCES = sorted((ROOT / "src/bartizan").rglob("*.py"))


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables, without their heads, as cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield cells


def spelt(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# ---- events -------------------------------------------------------------------------------------


def engine_events() -> dict[str, set[str]]:
    """Every variant of the engine's `What`, as its event is called, with its fields."""
    text = (ROOT / "crates/bartizan-core/src/event.rs").read_text(encoding="utf-8")
    found = re.search(r"pub enum What \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    assert found
    variants = re.findall(r"^    (\w+)(?: \{\n(.*?)^    \}|),$", found.group(1), re.DOTALL | re.MULTILINE)
    return {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): set(re.findall(r"^ +(\w+): ", fields, re.MULTILINE))
        for name, fields in variants
    }


def broker_events() -> set[str]:
    """Every event that the Python half tells of itself."""
    calls = re.compile(r"\.(?:note|tell)\(\s*\"(\w+)\"(?: if [\w.]+ else \"(\w+)\")?")
    return {name for path in SOURCES for hit in calls.findall(path.read_text(encoding="utf-8")) for name in hit if name}


def documented_events() -> dict[str, list[str]]:
    return {name: cells for cells in rows(page("events.md")) for name in spelt(cells[0])}


def test_every_event_is_documented_and_every_documented_event_exists() -> None:
    assert len(engine_events()) > 5
    assert documented_events().keys() == engine_events().keys() | broker_events()


def test_an_event_has_the_level_that_its_page_says() -> None:
    wrong = {
        name: cells[1] for name, cells in documented_events().items() if cells[1].strip() != LEVELS.get(name, "info")
    }
    assert wrong == {}


def test_the_fields_of_an_event_are_those_that_its_page_says() -> None:
    documented = documented_events()
    told = {
        name: set(spelt(re.sub(r"\([^)]*\)", "", documented[name][3]))) - {name}
        for name in engine_events()
        if name not in broker_events()
    }
    in_the_engine = {name: fields for name, fields in engine_events().items() if name in told}
    assert {name: fields ^ in_the_engine[name] for name, fields in told.items() if fields != in_the_engine[name]} == {}


# ---- metrics ------------------------------------------------------------------------------------


def expanded(text: str) -> Iterator[str]:
    """`a_{b,c}` is two names where the braces end the name after `_`; labels in braces are no part of one."""
    base, _, braces = text.partition("{")
    if not braces:
        yield text
    elif base.endswith(("_", "/")):
        yield from (base + choice for choice in braces.rstrip("}").split(","))
    else:
        yield base


@pytest.fixture(scope="module")
def told_metrics() -> dict[str, str]:
    """Name and kind of every metric of a running broker."""
    with Broker(settings=("metrics.emqx_names=true",)) as broker:
        running = broker._running.broker
        text, _ = exposition(running, "")
    return {family.name: family.type for family in text_string_to_metric_families(text.decode())}


def test_every_metric_is_documented_and_every_documented_metric_is_told(told_metrics: dict[str, str]) -> None:
    text = page("metrics.md")
    documented = {name for cells in rows(text) for cell in cells[:2] for word in spelt(cell) for name in expanded(word)}
    names = {name for name in documented if name.startswith(("broker_", "bartizan_", "emqx_"))}
    # The parser takes `_total` off a counter's name.
    told = {name + "_total" if kind == "counter" else name for name, kind in told_metrics.items()}
    assert names == told


def test_every_metric_has_the_kind_that_is_documented(told_metrics: dict[str, str]) -> None:
    """`untyped` is what the text says of those that the parser calls unknown."""
    kinds = {"gauge", "counter", "histogram", "untyped"}
    documented = {
        name.removesuffix("_total") if kind == "counter" else name: kind.replace("untyped", "unknown")
        for *names, kind, _ in rows(page("metrics.md"))
        if kind in kinds
        for word in spelt(names[-1])
        for name in expanded(word)
    }
    assert len(documented) > 100
    assert documented.items() <= told_metrics.items()


def test_a_documented_topic_of_sys_is_the_metric_beside_it() -> None:
    pairs = [cells for cells in rows(page("metrics.md")) if len(cells) == 4 and spelt(cells[1])]
    assert len(pairs) > 20
    for topics, metrics, *_ in pairs:
        for topic, metric in zip(expanded(spelt(topics)[0]), expanded(spelt(metrics)[0]), strict=True):
            assert metric == "broker_" + re.sub(r"[^a-z0-9]", "_", topic)


# ---- command line -------------------------------------------------------------------------------


def commands() -> dict[str, App]:
    """Every verb, and below a verb of several words each of them, by its words."""
    app = build_app()
    found: dict[str, App] = {}
    for verb in (each.name for each in VERBS):
        below = [name for name in app[verb] if not name.startswith("-")]
        found |= {f"{verb} {name}": app[verb][name] for name in below}
        if not below or app[verb].default_command is not None:
            found[verb] = app[verb]
    return found


def options(command: App) -> set[str]:
    """All names of all options, and of arguments without one."""
    names = {name for argument in command.assemble_argument_collection() for name in argument.names}
    return names - {"*"}


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"cli.md has no section {title}"
    return found.group(1)


@pytest.mark.parametrize("verb", sorted(commands()))
def test_every_option_of_a_verb_is_documented_and_no_other(verb: str) -> None:
    documented = {
        name
        for cells in rows(section(page("cli.md"), verb))
        for name in spelt(cells[0])
        if name.startswith("-") or name.isupper()
    }
    assert documented == options(commands()[verb])


def test_the_verbs_on_the_page_are_those_of_the_command() -> None:
    listed = re.findall(r"^\| \[`([^`]+)`\]\(#", page("cli.md"), re.MULTILINE)
    assert sorted(listed) == sorted(commands())


def test_the_pages_name_no_request_that_the_control_socket_lacks() -> None:
    with Broker() as broker:
        served = control(broker._running.broker).routes
    routes = {route.path: route.methods or set() for route in served if isinstance(route, Route)}
    listed = re.findall(r"(GET|POST) (/[^`? ]+)", section(page("cli.md"), "The control socket"))
    named = {"/ID/": "/{client_id:path}/", "/NAME/": "/{name:path}/"}
    told = {re.sub("/(ID|NAME)/", lambda found: named[found[0]], path): method for method, path in listed}
    assert told.keys() == routes.keys()
    assert all(method in routes[path] for path, method in told.items())
