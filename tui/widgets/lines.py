"""A scroll of lines, drawn only where it is seen: what the diff and the log have in common."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.paint import STYLES, Piece, strip


class LineView(ScrollView, can_focus=False):
    """Subclasses keep their lines and say how one of them looks."""

    COMPONENT_CLASSES = STYLES

    def line_count(self) -> int:
        """How many lines there are."""
        raise AssertionError("a view says how many lines it has")

    def pieces(self, index: int, width: int) -> tuple[Sequence[Piece], str]:
        """One line and the style of its row."""
        raise AssertionError("a view says how a line looks")

    def resized(self, longest: int) -> None:
        """The lines have changed; `longest` in cells."""
        self.virtual_size = Size(max(1, longest), self.line_count())
        self.refresh()

    def scroll_by(self, rows: int) -> None:
        """Scroll at once, without animation."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    def render_line(self, y: int) -> Strip:
        width, (x, top) = self.size.width, self.scroll_offset
        if top + y >= self.line_count():
            return strip(self, (), width)
        pieces, row_style = self.pieces(top + y, width)
        return strip(self, pieces, max(width + x, self.virtual_size.width), row_style).crop(x, x + width)
