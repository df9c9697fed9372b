"""The cockpit as one would write it from stock widgets: a DataTable of experiments, a RichLog of the diff, one of the
log, a Static for the status. It reads the run folder with the cockpit's own feed, five times a second.

    python bench/cockpit_twin.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual import work
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, RichLog, Static

from tui.feed import Feed, State, find


class Twin(App[None]):
    CSS = "#status { height: 3; } #list { width: 64; } DataTable { height: 1fr; } RichLog { height: 1fr; }"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, run_folder: Path) -> None:
        super().__init__()
        self.feed = Feed(run_folder)
        self.state = State()
        self.listed = 0

    def compose(self) -> ComposeResult:
        yield Static(id="status")
        with Horizontal():
            yield DataTable[str](id="list", cursor_type="row")
            with Vertical():
                yield RichLog(id="diff")
                yield RichLog(id="log")

    def on_mount(self) -> None:
        self.query_one(DataTable).add_columns("#", "score", "Δ", "verdict", "description")
        self.query_one(DataTable).focus()
        self.follow()

    @work
    async def follow(self) -> None:
        while True:
            await asyncio.to_thread(self.feed.read)
            if self.feed.state is not self.state:
                self.state = self.feed.state
                self.show()
            if not self.feed.behind:
                await asyncio.sleep(0.2)

    def show(self) -> None:
        state, table = self.state, self.query_one(DataTable)
        for e in state.history.experiments[self.listed :]:
            value = f"{e.measurement.value:.4f}" if e.measurement else "—"
            delta = f"{e.delta:+.4f}" if e.delta is not None else ""
            table.add_row(str(e.number), value, delta, e.verdict.outcome, e.description)
        if state.history.experiments and not self.feed.behind and table.cursor_row == 0:
            table.move_cursor(row=len(state.history.experiments) - 1)
        self.listed = len(state.history.experiments)
        best, live = state.best, state.live
        told = f"best {best.measurement.value:.4f} (#{best.number})" if best and best.measurement else ""
        doing = f"step {live.step}  loss {live.loss}  {live.tokens_per_second} tok/s" if live else ""
        self.query_one("#status", Static).update(f"{told}\n{state.history.phase} {doing}")
        if state.log:
            log = self.query_one("#log", RichLog)
            log.clear()
            log.write("\n".join(state.log.lines))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        e = find(self.state.history, event.cursor_row)
        diff = self.query_one("#diff", RichLog)
        diff.clear()
        diff.write(e.diff if e else "")


Twin(Path(sys.argv[1])).run()
