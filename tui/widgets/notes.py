"""The notes: all that is known of the selected experiment beside its diff and log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from core.experiment import Experiment
from core.history import History, Pending
from tui import told
from tui.widgets.lines import LineView
from tui.widgets.paint import Piece


class NotesView(LineView[told.Words]):
    """Always folded to its width; another experiment's notes are shown from the top."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(_row, id=id)
        self._history = History()
        self._entry: Experiment | Pending | None = None

    def plain(self) -> str:
        """All of it, for the clipboard and the pager."""
        return "\n".join(words for words, _ in self.content)

    def show(self, history: History, entry: Experiment | Pending | None) -> None:
        """Show what is known of this experiment."""
        if history is self._history and entry is self._entry:
            return
        another = (entry and entry.number) != (self._entry and self._entry.number)
        self._history, self._entry = history, entry
        self._at_end = self._at_end and not another
        self._fold()
        if another:
            self.scroll_to(0, 0, animate=False)

    def on_resize(self) -> None:
        self._fold()

    def _fold(self) -> None:
        width = self.scrollable_content_region.width
        if width:
            rows = told.notes(self._history, self._entry, width - 2)
            self.put(rows, max((cell_len(words) for words, _ in rows), default=0) + 1)


def _row(row: told.Words) -> tuple[Sequence[Piece], str]:
    return [(" " + row[0], row[1])], ""
