"""A scroll of lines, drawn only where it is seen: what the diff, the log and the notes have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tui.widgets.marking import characters, copied, marked
from tui.widgets.paint import Piece, crop, strip

Line = TypeVar("Line")


class LineView(ScrollView, Generic[Line], can_focus=False):
    """Lines of any kind; `draw` makes of one its pieces and the style of its row."""

    def __init__(self, draw: Callable[[Line], tuple[Sequence[Piece], str]], id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw
        self.content: Sequence[Line] = ()

    def put(self, content: Sequence[Line], longest: int) -> None:
        """Show other lines; `longest` is the width of the widest in cells."""
        self.content = content
        self.virtual_size = Size(max(1, longest), len(content))
        self.refresh()

    def scroll_rows(self, rows: int) -> None:
        """Scroll at once, without animation."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    @property
    def below(self) -> int:
        """How many lines there are below what is seen."""
        return max(0, len(self.content) - round(self.scroll_offset.y) - self.scrollable_content_region.height)

    def render_line(self, y: int) -> Strip:
        width, (x, top) = self.scrollable_content_region.width, self.scroll_offset
        if top + y >= len(self.content):
            return strip(self, (), width)
        pieces, row_style = self._draw(self.content[top + y])
        before = characters(pieces, x)
        if (selection := self.text_selection) and (span := selection.get_span(top + y)):
            pieces = list(marked(pieces, *span))
        if x or sum(cell_len(words) for words, _ in pieces) > width:
            pieces = crop(pieces, x, width)
        return strip(self, pieces, width, row_style).apply_offsets(before, top + y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was marked with the mouse, without line numbers."""
        first = selection.start.y if selection.start else 0
        last = selection.end.y if selection.end else len(self.content) - 1
        spans = ((y, selection.get_span(y)) for y in range(first, min(last, len(self.content) - 1) + 1))
        return "\n".join(copied(self._draw(self.content[y])[0], *span) for y, span in spans if span), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
