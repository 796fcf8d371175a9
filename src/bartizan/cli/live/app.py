"""The live view: lines about the broker, four lists, what the selected row says in full, and the keys that act on it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from bartizan.cli.live.acts import ACTS
from bartizan.cli.live.asking import Ask
from bartizan.cli.live.look import Look, Row, Snapshot
from bartizan.cli.live.rows import COLUMNS, SHOWN_MAX, List, above, aligned, fits, in_full, key, rows_of, spelt, title
from bartizan.cli.live.source import Source
from bartizan.errors import BartizanError

PAST_MAX: Final = 12
"""Looks that the bars go back."""

Table = DataTable[Text]


class Live(App[None]):
    """Looks at a broker, again and again, until `q`."""

    TITLE = "bartizan watch"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #above { height: 4; padding: 0 1; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    DataTable { height: 1fr; }
    #full { height: 4; padding: 0 1; border-top: solid $foreground; }
    #said { height: 1; padding: 0 1; text-style: bold; }
    #filter { display: none; }
    #filter.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(act.key, f"act('{name}')", act.label) for name, act in ACTS.items()),
        *(
            Binding(str(place), f"list('{which}')", "Lists", key_display="1-4", show=which is List.CLIENTS)
            for place, which in enumerate(List, start=1)
        ),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "unfilter", show=False),
    ]

    def __init__(self, source: Source, pause_s: Callable[[float], float]) -> None:
        super().__init__()
        self._source = source
        self._pause_s = pause_s
        self._turn = asyncio.Lock()
        self._before: Look | None = None
        self._snapshot: Snapshot | None = None
        self._past: dict[str, deque[float]] = {}
        self._text = ""
        """What rows have to have in them to be shown."""

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def compose(self) -> ComposeResult:
        """See `App`."""
        yield Static("asks the broker ...", id="above", markup=False)
        with TabbedContent(id="lists"):
            for which in List:
                with TabPane(which.value.capitalize(), id=which.value):
                    table: Table = DataTable(id=f"table-{which}", cursor_type="row", zebra_stripes=True)
                    for column in COLUMNS[which]:
                        table.add_column(column.head)
                    yield table
        yield Static("", id="full", markup=False)
        yield Static("", id="said", markup=False)
        yield Input(placeholder="any text of a row; Enter keeps it, Escape drops it", id="filter", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begins to look."""
        self._table(List.CLIENTS).focus()
        self._look_on()

    @property
    def shown(self) -> List:
        """The list that is shown."""
        return List(self.query_one(TabbedContent).active or List.CLIENTS)

    # ---- looking ---------------------------------------------------------------------------------

    @work(exclusive=True, group="look")
    async def _look_on(self) -> None:
        while True:
            began = time.monotonic()
            await self._look()
            await asyncio.sleep(self._pause_s(time.monotonic() - began))

    async def _look(self) -> None:
        async with self._turn:
            try:
                now = await asyncio.to_thread(self._source.look, self._text)
            except BartizanError as error:
                wrong = " ".join(str(error).split())
                self.query_one("#above", Static).update(f"NOT CONNECTED: {wrong}\nIt is tried again.")
                self._before = None
                return
            self._snapshot = Snapshot.between(self._before, now)
            if self._before is not None:
                for name, rate in self._snapshot.rates.items():
                    self._past.setdefault(name, deque(maxlen=PAST_MAX)).append(rate)
            self._before = now
            self._show()

    def _show(self) -> None:
        if self._snapshot is None:
            return
        self.query_one("#above", Static).update("\n".join(above(self._snapshot, self._past)))
        lists = self.query_one(TabbedContent)
        for which in List:
            lists.get_tab(which.value).label = title(self._snapshot, which)
        self._fill(self.shown)

    def _fill(self, which: List) -> None:
        table = self._table(which)
        rows = self._rows(which)
        heads, *lines = aligned(which, rows)
        for column, head in zip(table.ordered_columns, heads, strict=True):
            column.label = Text(head)
        cells = {key(which, row): [Text(cell) for cell in line] for row, line in zip(rows, lines, strict=True)}
        if list(cells) == [str(one.value) for one in table.rows]:
            for at, line in enumerate(cells.values()):
                for column, cell in enumerate(line):
                    if table.get_cell_at(Coordinate(at, column)) != cell:
                        table.update_cell_at(Coordinate(at, column), cell, update_width=True)
        else:
            selected, scrolled = self._selected_key(which), table.scroll_y
            before = table.cursor_row
            table.clear()
            for name, line in cells.items():
                table.add_row(*line, key=name)
            place = list(cells).index(selected) if selected in cells else min(before, len(cells) - 1)
            table.move_cursor(row=max(0, place), scroll=False)
            table.scroll_to(y=scrolled, animate=False, immediate=True)
        self._tell_in_full()

    def _rows(self, which: List) -> Sequence[Row]:
        if self._snapshot is None:
            return ()
        return [row for row in rows_of(self._snapshot, which) if fits(which, row, self._text)][:SHOWN_MAX]

    def _table(self, which: List) -> Table:
        return self.query_one(f"#table-{which}", DataTable)

    def _selected_key(self, which: List) -> str:
        table = self._table(which)
        if not 0 <= table.cursor_row < table.row_count:
            return ""
        return str(table.ordered_rows[table.cursor_row].key.value)

    def _selected(self) -> Row | None:
        which = self.shown
        wanted = self._selected_key(which)
        return next((row for row in self._rows(which) if key(which, row) == wanted), None)

    def _tell_in_full(self) -> None:
        row = self._selected()
        full = "" if row is None else in_full(self.shown, row)
        missing = {} if self._snapshot is None else self._snapshot.look.missing
        name = "responses" if self.shown is List.WAITING else self.shown.value
        self.query_one("#full", Static).update(missing.get(name, full))

    @on(DataTable.RowHighlighted)
    @on(TabbedContent.TabActivated)
    def _other_row(self, event: DataTable.RowHighlighted | TabbedContent.TabActivated) -> None:
        if isinstance(event, TabbedContent.TabActivated):
            self._fill(self.shown)
            self._table(self.shown).focus()
            self.refresh_bindings()
        self._tell_in_full()

    # ---- keys ------------------------------------------------------------------------------------

    def action_list(self, which: str) -> None:
        """Shows another list."""
        self.query_one(TabbedContent).active = which

    def action_filter(self) -> None:
        """Asks what rows have to have in them."""
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        field.focus()

    def action_unfilter(self) -> None:
        """All rows again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.remove_class("-open")
        self._table(self.shown).focus()

    @on(Input.Changed, "#filter")
    def _filter_by(self, event: Input.Changed) -> None:
        self._text = event.value.strip()
        self._fill(self.shown)

    @on(Input.Submitted, "#filter")
    def _filter_stays(self) -> None:
        self._table(self.shown).focus()

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key acts where there is something to act on, and is shown there only."""
        if action != "act":
            return True
        return self.shown in ACTS[str(parameters[0])].lists

    @work(group="act")
    async def action_act(self, name: str) -> None:
        """Asks, and does it."""
        act, which, row = ACTS[name], self.shown, self._selected()
        if row is None:
            self._say("no row is selected")
            return
        try:
            question = await asyncio.to_thread(act.question, self._source, which, row)
            answers = await self.push_screen_wait(Ask(question))
            if answers is None:
                self._say(f"{act.label}: cancelled, nothing was done")
                return
            self._say(f"{act.label} ...")
            self._say(await asyncio.to_thread(act.do, self._source, which, row, answers))
        except BartizanError as error:
            self._say(f"{act.label}: NOT DONE: {' '.join(str(error).split())}")
        await self._look()

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(spelt(text))
