"""What is shown while something is made ready: its lines as they come, then what came of it, or why nothing did."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import RichLog, Static

from core.errors import AutoresearchError
from tui import text

Made = TypeVar("Made")
Say = Callable[[str], None]
Born = Callable[["subprocess.Popen[bytes]"], object]
_MOST_LINES = 500


class WaitingScreen(ModalScreen[Made | None], Generic[Made]):
    """Does `do(say, born)` in a thread and returns what it made; None where it failed or was called off.

    `say` shows a line; `born` is told of the process that does it, which is ended where the user calls it off.
    """

    CSS_PATH = "start.tcss"
    BINDINGS = [("escape,q,ctrl+c", "leave", "call it off"), ("enter", "back", "back")]  # noqa: RUF012

    @dataclass
    class Said(Message):
        """A line of progress."""

        line: str

    def __init__(self, title: str, do: Callable[[Say, Born], Made]) -> None:
        super().__init__()
        self._title, self._do = title, do
        self._process: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._stands: Literal["working", "called off", "failed", "over"] = "working"
        self._lines = RichLog(wrap=True, markup=False, highlight=False, max_lines=_MOST_LINES, min_width=20, id="said")
        self._foot = Static("", classes="box-foot", markup=False)
        self._why = Static("", classes="trouble", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="box waiting") as box:
            box.border_title = self._title
            yield self._lines
            with VerticalScroll(id="why"):
                yield self._why
            yield self._foot

    def on_mount(self) -> None:
        self.query_one("#why").display = False
        self._lines.can_focus = False
        self.set_interval(1.0, self._tick)
        self._tick()
        self._work()

    @work
    async def _work(self) -> None:
        try:
            made = await asyncio.to_thread(self._do, self._say, self._born)
        except (AutoresearchError, OSError) as error:
            self._fail(str(error))
        else:
            self._end(made)

    def _say(self, line: str) -> None:
        """From whatever thread."""
        self.post_message(self.Said(line))

    def _born(self, process: subprocess.Popen[bytes]) -> None:
        """In the thread that waits for it."""
        self._process = process
        if self._stands == "called off":
            process.terminate()

    def _fail(self, why: str) -> None:
        if self._stands == "called off":
            self._end(None)
            return
        self._stands = "failed"
        self._why.update("× " + "\n".join(text.clean_lines(why)))
        self.query_one("#why").display = True
        self.query_one("#why").focus()
        self._tick()

    def _end(self, made: Made | None) -> None:
        self._stands = "over"
        self.dismiss(made)

    def _tick(self) -> None:
        if self._stands == "failed":
            self._foot.update("enter goes back")
        elif self._stands == "called off":
            self._foot.update("calling it off …")
        else:
            self._foot.update(f"{text.clock(time.monotonic() - self._began)}   esc calls it off")

    def on_waiting_screen_said(self, message: Said) -> None:
        self._lines.write(Text(text.one_line(message.line)))

    def action_back(self) -> None:
        if self._stands == "failed":
            self._end(None)

    def action_leave(self) -> None:
        """Back, or call it off; the page stays until that is done, so that nothing is left over."""
        if self._stands == "working":
            self._stands = "called off"
            self._end_process()
            self._tick()
        else:
            self.action_back()

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def on_unmount(self) -> None:
        """The app goes while it works: so does what it started."""
        if self._stands in ("working", "called off"):
            self._stands = "called off"
            self._end_process()
