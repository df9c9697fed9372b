"""The end of a trial's log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, chop_cells

from tui.told import folded
from tui.widgets.lines import LineView
from tui.widgets.paint import Piece

LONGEST = 2000  # characters of a line that are drawn


class LogView(LineView[str]):
    """Stays at the end while that is in view (`following`); a reader who scrolled up is left alone."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(_line, id=id)
        self._of: object = None
        self._lines: Sequence[str] = ()
        self.following = True
        self.wrap = False
        self._prose = False

    def plain(self) -> str:
        """All of it, for the clipboard and the pager."""
        return "\n".join(self._lines)

    def show(self, of: object, lines: Sequence[str], prose: bool = False) -> None:
        """Show these lines; `of` says whose they are: another one's are shown from the end. `prose`: they are words,
        broken between two of them where the view ends."""
        if of == self._of and lines == self._lines:
            return
        self._prose = prose
        self.following = self.following or of != self._of
        self._of, self._lines = of, lines
        self._lay_out()

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self._to_end()

    def turn_wrap(self) -> None:
        """Long lines cut, or in several rows."""
        self.wrap = not self.wrap
        self._lay_out()

    def _lay_out(self) -> None:
        room = self.scrollable_content_region.width - 2
        rows = [line if len(line) <= LONGEST else line[:LONGEST] + "…" for line in self._lines]
        if self._prose and room > 0:
            rows = [row for line in self._lines for row in _as_prose(line, max(8, room))]
        elif self.wrap and room > 0:
            rows = [row for line in rows for row in (chop_cells(line, max(8, room)) or [""])]
        self.put(rows, max(map(cell_len, rows), default=0) + 1)
        self._to_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.following = round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        if self.wrap or self._prose:
            self._lay_out()
        self.call_after_refresh(self._to_end)  # how far it scrolls is known only then

    def _to_end(self) -> None:
        if self.following and self.size.height:  # forced: whether it scrolls is settled only with the next layout
            self.scroll_to(0, self.max_scroll_y, animate=False, force=True)


def _as_prose(line: str, room: int) -> list[str]:
    return [line] if cell_len(line) <= room else folded(line, room)


def _line(line: str) -> tuple[Sequence[Piece], str]:
    trouble = line.startswith("Traceback ") or _is_error(line)
    return [(" " + line, "crashed" if trouble else "")], ""


def _is_error(line: str) -> bool:
    """Whether this is the last line of a traceback: `SomeError: what`."""
    name = line.split(":", 1)[0]
    return name.endswith(("Error", "Exception", "Interrupt")) and " " not in name
