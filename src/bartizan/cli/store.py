"""`bartizan store`: look at what the broker keeps on disk, copy it out and in, make it smaller."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bartizan.broker.lock import DirectoryLock
from bartizan.cli.console import plain_console
from bartizan.cli.opening import DEFAULT_DATA, existing, settings_of, trail_of
from bartizan.store.embedded import EmbeddedStore

app = App(
    name="store",
    help="Check, export, import or compact what the broker keeps on disk. No broker may run on it meanwhile.",
)

LOOK_EVERY_S = 0.1
Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]


@app.command
def check(*, data: Path = DEFAULT_DATA, json_output: Json = False) -> int:
    """Read everything stored, and name every place that is not as it was written.

    Changes nothing. Exit code 1 if there is damage: restore a copy of the whole directory. A torn
    tail is no damage: the broker was killed while it wrote something that it never acknowledged.

    For example:

        bartizan store check

        bartizan store check --data /var/lib/bartizan --json

    Parameters
    ----------
    data
        The broker's data directory.
    json_output
        Print one JSON object.
    """
    report = _work(data, lambda store: store.check())
    if json_output:
        print(json.dumps(report))
    else:
        _show(report)
    return 1 if report["damage"] else 0


@app.command
def export(file: Path, /, *, data: Path = DEFAULT_DATA, json_output: Json = False) -> int:
    """Write every Session, Subscription, message and Will into a file of JSON lines.

    The file holds what clients sent: it is readable by its owner only.

    For example:

        bartizan store export backup.jsonl

    Parameters
    ----------
    file
        The file to write.
    data
        The broker's data directory.
    json_output
        Print one JSON object.
    """
    with _recorded(data, "store.export", file):
        counts = _work(data, lambda store: store.export_to(file))
    return _tell(f"exported to {file}", counts, as_json=json_output)


@app.command(name="import")
def import_(file: Path, /, *, data: Path = DEFAULT_DATA, json_output: Json = False) -> int:
    """Make the store of a file that `export` wrote: whole, or not at all.

    The data directory's store must be empty, or not there yet.

    For example:

        bartizan store import backup.jsonl --data /var/lib/bartizan

    Parameters
    ----------
    file
        The file to read.
    data
        The broker's data directory.
    json_output
        Print one JSON object.
    """
    with _recorded(data, "store.import", file):
        counts = _work(data, lambda store: store.import_from(file))
    return _tell(f"imported from {file}", counts, as_json=json_output)


@app.command
def compact(*, data: Path = DEFAULT_DATA, json_output: Json = False) -> int:
    """Give room in the store's index that holds nothing back to the disk.

    For example:

        bartizan store compact

    Parameters
    ----------
    data
        The broker's data directory.
    json_output
        Print one JSON object.
    """
    sizes = _work(data, lambda store: store.compact())
    if json_output:
        print(json.dumps(sizes))
    else:
        print(f"the index had {sizes['bytes_before']:,} bytes and has {sizes['bytes_after']:,}")
    return 0


def _recorded(data: Path, what: str, file: Path) -> AbstractContextManager[None]:
    """On record: who took everything that clients sent, or put it there."""
    directory = existing(data)
    return trail_of(directory, settings_of(directory, None)).changing(what, "store", after={"file": str(file)})


def _work(data: Path, call: Callable[[EmbeddedStore], dict[str, Any]]) -> dict[str, Any]:
    """Calls with the directory locked, and shows how far it is where somebody looks."""
    directory = existing(data)
    store = EmbeddedStore(directory.store)
    console = plain_console(stderr=True)
    with DirectoryLock(directory.root), ThreadPoolExecutor(1) as worker, _bar(console) as bar:
        future = worker.submit(call, store)
        task = bar.add_task("store", total=None)
        while not future.done():
            now = store.progress()
            bar.update(task, description=now.what or "opening", completed=now.done, total=now.of or None)
            _wait(future, LOOK_EVERY_S)
        return future.result()


def _wait(future: Future[dict[str, Any]], seconds: float) -> None:
    try:
        future.exception(timeout=seconds)
    except TimeoutError:
        return


def _bar(console: Console) -> Bar:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
    return Bar(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)


def _tell(what: str, counts: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(counts))
    else:
        print(f"{what}: " + ", ".join(f"{number:,} {name}" for name, number in counts.items()))
    return 0


def _show(report: dict[str, Any]) -> None:
    names = ("sessions", "subscriptions", "queued", "in_flight", "received", "retained", "wills", "messages")
    print(", ".join(f"{report[name]:,} {name.replace('_', ' ')}" for name in names))
    groups = sum(segment["groups"] for segment in report["segments"])
    print(f"log: {len(report['segments'])} segments, {groups:,} groups; index: {report['index_bytes']:,} bytes")
    for segment in report["segments"]:
        if segment["torn_tail_at"] is not None:
            print(f"{segment['file']}: torn tail at offset {segment['torn_tail_at']}; nothing in it was acknowledged")
    for damage in report["damage"]:
        place = "" if damage["offset"] is None else f" at offset {damage['offset']}"
        print(f"damaged: {damage['file']}{place}: {damage['what']}", file=sys.stderr)
    if not report["damage"]:
        print("nothing is damaged")
