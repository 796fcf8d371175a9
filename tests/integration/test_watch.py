"""`bartizan watch` on a broker that runs: real clients are seen, keys act on them, and they really go."""

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from bartizan.cli.live.app import Live
from bartizan.cli.live.asking import Ask
from bartizan.cli.live.rows import COLUMNS, List
from bartizan.cli.live.source import here
from tests.integration.conftest import COMMAND, Up, port_of, run
from tests.integration.recorder import Place, Proof, Recorder, RefusedError

WITHIN_S = 20.0
SMALL = (80, 24)
ADMINISTRATIVE_ACTION = 0x98
TOPIC = "data/chicago/hall-2/press-01/temperature"
PLAYBOOK = (
    "playbooks.cut={action = 'disconnect', mode = 'confirm', severity = 'low', detectors = ['wide_subscription']}"
)


class Plant:
    """A broker of a first run, its demo press and its demo dashboard."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.place = Place(
            port_of(next(one for one in up.summary["places"] if one["name"] == "mqtts")),
            ca_file=str(up.data / "pki/ca.crt"),
        )
        self._open: list[Recorder] = []

    def client(self, name: str) -> Recorder:
        bundle = self.up.data / "demo" / name
        proof = Proof(certificate_file=bundle / f"{name}.crt", key_file=bundle / f"{name}.key")
        self._open.append(Recorder(self.place, name, proof=proof).open())
        return self._open[-1]

    def close(self) -> None:
        for client in self._open:
            client.close()


@pytest.fixture
def plant(up: Callable[..., Up]) -> Iterator[Plant]:
    made = Plant(up("--set", PLAYBOOK))
    yield made
    made.close()


class Watcher:
    """Somebody at the view."""

    def __init__(self, app: Live, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    def text(self, name: str) -> str:
        return str(self.app.query_one(f"#{name}", Static).content)

    def rows(self, which: List) -> list[dict[str, str]]:
        table: DataTable[Any] = self.app.query_one(f"#table-{which}", DataTable)
        heads = [column.head for column in COLUMNS[which]]
        return [
            dict(zip(heads, (str(cell).strip() for cell in table.get_row_at(place)), strict=True))
            for place in range(table.row_count)
        ]

    async def until(self, ready: Callable[[], Any], what: str) -> Any:
        async with asyncio.timeout(WITHIN_S):
            while not (found := ready()):
                await self.pilot.pause(0.05)
        return found

    async def select(self, which: List, head: str, value: str) -> None:
        await self.pilot.press(str(list(List).index(which) + 1))
        await self.until(lambda: any(row[head] == value for row in self.rows(which)), f"{value} in {which}")
        place = next(place for place, row in enumerate(self.rows(which)) if row[head] == value)
        self.app.query_one(f"#table-{which}", DataTable).move_cursor(row=place)
        await self.pilot.pause()

    async def asked(self) -> str:
        """What the dialog says."""
        await self.until(lambda: isinstance(self.app.screen, Ask), "dialog")
        await self.pilot.pause()
        return str(self.app.screen.query(Static).first().content)

    async def says(self, words: str) -> None:
        await self.until(lambda: words in self.text("said"), words)

    def write(self, *texts: str) -> None:
        for field, text in zip(self.app.screen.query(Input), texts, strict=True):
            field.value = text


@asynccontextmanager
async def watching(plant: Plant) -> AsyncIterator[Watcher]:
    app = Live(here(plant.up.data), lambda _took_s: 0.2)
    async with app.run_test(size=SMALL) as pilot:
        yield Watcher(app, pilot)


def traffic(client: Recorder) -> Callable[[], None]:
    """Publishes until it is told to end."""
    ends = threading.Event()

    def publish() -> None:
        while not ends.wait(0.02):
            client.send(TOPIC, "71.5")

    thread = threading.Thread(target=publish)
    thread.start()

    def end() -> None:
        ends.set()
        thread.join()

    return end


async def test_who_is_connected_is_seen_with_rates_and_disconnected_by_a_key(plant: Plant) -> None:
    press, dash = plant.client("press-01"), plant.client("dash-01")
    end = traffic(press)
    try:
        async with watching(plant) as watcher:
            await watcher.until(lambda: len(watcher.rows(List.CLIENTS)) == 2, "both clients")
            # Who publishes is the busiest, so it comes first.
            await watcher.until(
                lambda: (
                    watcher.rows(List.CLIENTS)[0]["client id"] == "press-01"
                    and watcher.rows(List.CLIENTS)[0]["in/s"] != "0"
                ),
                "a rate of press-01",
            )
            assert "2 connected" in watcher.text("above")
            assert "in 0 msg/s" not in watcher.text("above")
            await watcher.select(List.CLIENTS, "client id", "press-01")
            assert "identity press-01 by certificate, roles press" in watcher.text("full")
            await watcher.pilot.press("d")
            assert "Disconnect press-01?" in await watcher.asked()
            # Without a reason nothing is done.
            await watcher.pilot.press("enter")
            assert isinstance(watcher.app.screen, Ask)
            watcher.write("measures nonsense")
            await watcher.pilot.press("enter")
            await watcher.says("press-01 is disconnected")
    finally:
        end()
    assert press.ended == ADMINISTRATIVE_ACTION
    assert dash.ended is None
    record = json.loads(
        run("audit", "search", "--what", "client.disconnect", "--json", "--data", plant.up.data).stdout.splitlines()[0]
    )
    assert "measures nonsense" in json.dumps(record)


async def test_nothing_is_done_that_was_not_confirmed(plant: Plant) -> None:
    press = plant.client("press-01")
    async with watching(plant) as watcher:
        await watcher.select(List.CLIENTS, "client id", "press-01")
        for key in ("d", "Q", "r", "R"):
            await watcher.pilot.press(key)
            await watcher.asked()
            await watcher.pilot.press("escape")
            await watcher.says("cancelled, nothing was done")
    assert press.ended is None


async def test_an_identity_is_quarantined_released_and_revoked_after_a_look_at_whom_that_hits(plant: Plant) -> None:
    press = plant.client("press-01")
    async with watching(plant) as watcher:
        await watcher.select(List.CLIENTS, "client id", "press-01")
        await watcher.pilot.press("Q")
        question = await watcher.asked()
        assert "press-01 is enabled, roles press" in question
        assert "1 connection:\n- press-01 from 127.0.0.1" in question
        watcher.write("INC-4711", "2d")
        await watcher.pilot.press("enter", "enter")
        await watcher.says("press-01 is in quarantine")
        await watcher.until(lambda: "roles quarantine" in watcher.text("full"), "the role quarantine")
        assert press.ended is None
        await watcher.pilot.press("r")
        assert "press-01 is quarantined" in await watcher.asked()
        await watcher.pilot.click("#yes")
        await watcher.says("press-01 is released")
        press = plant.client("press-01")
        await watcher.select(List.CLIENTS, "client id", "press-01")
        await watcher.pilot.press("R")
        assert "For ever" in await watcher.asked()
        watcher.write("stolen")
        await watcher.pilot.press("enter")
        await watcher.says("press-01 is revoked: 1 Session ended, 1 connection cut")
    assert press.ended == ADMINISTRATIVE_ACTION
    with pytest.raises((RefusedError, OSError)):
        plant.client("press-01")


async def test_denials_findings_and_what_waits_are_seen_and_seen_to(plant: Plant) -> None:
    press = plant.client("press-01")
    press.subscribe("#")
    async with watching(plant) as watcher:
        await watcher.select(List.DENIALS, "topic", "#")
        assert "press-01 (client press-01) may not subscribe #: no_permit" in watcher.text("full")
        await watcher.select(List.WAITING, "of", "identity press-01")
        await watcher.pilot.press("x")
        assert "Dismiss response 1?" in await watcher.asked()
        await watcher.pilot.click("#yes")
        await watcher.says("response 1 is dismissed")
        await watcher.until(lambda: not watcher.rows(List.WAITING), "nothing that waits")
        await watcher.select(List.FINDINGS, "detector", "wide_subscription")
        # No key for what is not there.
        assert not watcher.app.check_action("act", ("disconnect",))
        await watcher.pilot.press("a")
        await watcher.asked()
        watcher.write("an engineer with a tool")
        await watcher.pilot.press("enter")
        await watcher.says("is acknowledged")
        await watcher.until(lambda: not watcher.rows(List.FINDINGS), "no open finding")
    kept = json.loads(run("findings", "list", "--all", "--json", "--data", plant.up.data).stdout)
    assert [(each["state"], each["why"]) for each in kept] == [("acknowledged", "an engineer with a tool")]


async def test_rows_are_filtered_and_a_broker_that_went_away_is_told(plant: Plant) -> None:
    plant.client("press-01"), plant.client("dash-01")
    async with watching(plant) as watcher:
        await watcher.until(lambda: len(watcher.rows(List.CLIENTS)) == 2, "both clients")
        await watcher.pilot.press("slash", *"dash", "enter")
        await watcher.until(
            lambda: [row["client id"] for row in watcher.rows(List.CLIENTS)] == ["dash-01"], "dash-01 alone"
        )
        await watcher.pilot.press("escape")
        await watcher.until(lambda: len(watcher.rows(List.CLIENTS)) == 2, "both again")
        assert await asyncio.to_thread(plant.up.stop) == 0
        await watcher.until(lambda: "NOT CONNECTED" in watcher.text("above"), "NOT CONNECTED")


def test_scripts_get_one_snapshot(plant: Plant) -> None:
    press = plant.client("press-01")
    press.subscribe("#")
    end = traffic(press)
    try:
        done = run("watch", "--once", "--json", "--data", plant.up.data)
        shown = run("watch", "--once", "--data", plant.up.data)
    finally:
        end()
    told = json.loads(done.stdout)
    (client,) = told["clients"]
    assert (client["client_id"], told["now"]["connected"], told["clients_are_all"]) == ("press-01", 1, True)
    assert client["messages_in_per_s"] > 0
    assert told["rates_per_s"]["publish_in"] > 0
    assert [(each["topic"], each["count"]) for each in told["denials"]] == [("#", 1)]
    assert told["not_told"] == {}
    assert "Clients (1)" in shown.stdout
    assert "press-01" in shown.stdout


def test_without_textual_it_says_what_to_install(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError(name='textual')\n")
    program = COMMAND[-1].replace(
        "from bartizan", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from bartizan", 1
    )
    words = [*COMMAND[:-1], program, "watch", "--data", str(plant.up.data)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "pip install 'bartizan[watch]'" in done.stderr


def test_without_a_terminal_it_names_what_scripts_use(plant: Plant) -> None:
    done = run("watch", "--data", plant.up.data)
    assert (done.returncode, "--once" in done.stderr) == (2, True)
