"""What the rows at the top say, without an end cut off, and what they said before."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import text


class SaidScreen(ModalScreen[None]):
    """`now`: a line a sentence; `before`: what was said lately and when (Unix seconds), the last first."""

    BINDINGS = [("escape,q,i,enter", "dismiss", "back"), ("c", "copy", "copy")]  # noqa: RUF012

    def __init__(self, now: Sequence[str], before: Sequence[tuple[float, str]]) -> None:
        super().__init__()
        self._now = list(now) or ["nothing is said now"]
        self._before = [(text.time_of_day(at, "%H:%M:%S"), words) for at, words in before]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box said") as box:
            box.border_title, box.border_subtitle = "said", "↓ ↑ scroll   c copies   esc goes back"
            for sentence in self._now:
                yield Static(sentence, markup=False, classes="now")
            if self._before:
                yield Static("before, the last first", markup=False, classes="box-foot")
            for at, words in self._before:
                yield Static(f"{at}  {words}", markup=False, classes="discarded")

    def action_copy(self) -> None:
        """All of it: a command in it is to be typed elsewhere."""
        self.app.copy_to_clipboard("\n".join([*self._now, *(f"{at}  {words}" for at, words in self._before)]))
        self.dismiss(None)
