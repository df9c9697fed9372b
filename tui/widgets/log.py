"""The end of a trial's log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui.widgets.lines import LineView
from tui.widgets.paint import Piece


class LogView(LineView[str]):
    """Stays at the end while that is in view (`following`); a reader who scrolled up is left alone."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(_line, id=id)
        self._of: object = None
        self.following = True

    def show(self, of: object, lines: Sequence[str]) -> None:
        """Show these lines; `of` says whose they are: another one's are shown from the end."""
        if of == self._of and lines == self.content:
            return
        self.following = self.following or of != self._of
        self._of = of
        self.put(lines, max(map(cell_len, lines), default=0) + 1)
        self._to_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.following = round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        self.call_after_refresh(self._to_end)  # how far it scrolls is known only then

    def _to_end(self) -> None:
        if self.following:
            self.scroll_to(0, self.max_scroll_y, animate=False)


def _line(line: str) -> tuple[Sequence[Piece], str]:
    trouble = line.startswith("Traceback ") or _is_error(line)
    return [(" " + line, "crashed" if trouble else "")], ""


def _is_error(line: str) -> bool:
    """Whether this is the last line of a traceback: `SomeError: what`."""
    name = line.split(":", 1)[0]
    return name.endswith(("Error", "Exception", "Interrupt")) and " " not in name
