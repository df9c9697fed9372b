"""The end of a trial's log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui.widgets.lines import LineView
from tui.widgets.paint import Piece


class LogView(LineView[str]):
    """Stays at the end while it is there; a reader who scrolled up is left alone."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(_line, id=id)
        self._of: object = None

    @property
    def following(self) -> bool:
        """Whether the last line is in view."""
        return self.scroll_offset.y >= self.max_scroll_y

    def show(self, of: object, lines: Sequence[str]) -> None:
        """Show these lines; `of` says whose they are: another one's are shown from the end."""
        if of == self._of and lines == self.content:
            return
        to_end = of != self._of or self.following
        self._of = of
        self.put(lines, max(map(cell_len, lines), default=0) + 1)
        if to_end:
            self.scroll_to(0, self.max_scroll_y, animate=False)

    def on_resize(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False)


def _line(line: str) -> tuple[Sequence[Piece], str]:
    trouble = line.startswith("Traceback ") or _is_error(line)
    return [(" " + line, "crashed" if trouble else "")], ""


def _is_error(line: str) -> bool:
    """Whether this is the last line of a traceback: `SomeError: what`."""
    name = line.split(":", 1)[0]
    return name.endswith(("Error", "Exception", "Interrupt")) and " " not in name
