"""A scroll of lines, drawn only where it is seen: what the diff, the log and the notes have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tui.widgets.marking import characters, copied, holds, lit, marked
from tui.widgets.paint import Piece, crop, strip

Line = TypeVar("Line")

_LOOKED_THROUGH = 1000  # lines, for a match to begin with


class LineView(ScrollView, Generic[Line], can_focus=False):
    """Lines of any kind; `draw` makes of one its pieces and the style of its row. `shown_of_search`: of a line the
    words in which what is searched for is brought into view; without it nothing moves for a search."""

    def __init__(
        self,
        draw: Callable[[Line], tuple[Sequence[Piece], str]],
        id: str | None = None,
        shown_of_search: Callable[[Line], str] = lambda line: "",
    ) -> None:
        super().__init__(id=id)
        self._draw, self._shown_of_search = draw, shown_of_search
        self._painting = False
        self.content: Sequence[Line] = ()
        self.sought: re.Pattern[str] | None = None
        self._at_end = False  # the user went there, and stays
        self._match: int | None = None  # the row that holds it and was gone to last

    def put(self, content: Sequence[Line], longest: int) -> None:
        """Show other lines; `longest` is the width of the widest in cells."""
        self.content, self._match = content, None
        self.virtual_size = Size(max(1, longest), len(content))
        if self._at_end:
            self.to_end(1)
        self.refresh()

    # --- what is searched for

    def search(self, sought: re.Pattern[str] | None) -> None:
        """Let this stand out wherever it stands."""
        if sought != self.sought:
            self.sought, self._match = sought, None
            self.show_match()
            self.refresh()

    def show_match(self) -> None:
        """Bring the first line that is worth it into view."""
        sought, first = self.sought, islice(self.content, _LOOKED_THROUGH)
        wanted = (i for i, line in enumerate(first) if sought and sought.search(self._shown_of_search(line)))
        if (row := next(wanted, None)) is not None:
            self._match = row
            self._reveal(row)

    def go_to_match(self, direction: int) -> bool:
        """Bring the next row that holds it into view, or the one before; whether there is one."""
        sought, rows = self.sought, len(self.content)
        at = self._match if self._match is not None and self._match < rows else round(self.scroll_offset.y) - 1
        way = range(at + 1, rows) if direction > 0 else range(min(at, rows) - 1, -1, -1)
        row = next((i for i in way if sought and holds(self._draw(self.content[i])[0], sought)), None)
        if row is not None:
            self._match = row
            self._reveal(row)
            self.refresh()
        return row is not None

    def _reveal(self, row: int) -> None:
        top, height = round(self.scroll_offset.y), max(1, self.scrollable_content_region.height)
        if not top <= row < top + height:
            self.scroll_to(y=row - height // 3, animate=False, force=True)

    # --- scrolling

    def scroll_rows(self, rows: int) -> None:
        """Scroll at once, without animation."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    def to_end(self, direction: int) -> None:
        """To the last line, also when more of them come (1), or to the first (-1)."""
        self._at_end = direction > 0
        self.scroll_to(y=self.max_scroll_y if self._at_end else 0, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self._at_end and round(new_value) >= self.max_scroll_y

    @property
    def below(self) -> int:
        """How many lines there are below what is seen."""
        return max(0, len(self.content) - round(self.scroll_offset.y) - self.scrollable_content_region.height)

    def render_lines(self, crop: Region) -> list[Strip]:
        """To be painted: without the offsets that only the mouse asks for. Each is a style of its own, of which
        Textual keeps the last 16,384."""
        self._painting = True
        try:
            return super().render_lines(crop)
        finally:
            self._painting = False

    def render_line(self, y: int) -> Strip:
        width, (x, top) = self.scrollable_content_region.width, self.scroll_offset
        if top + y >= len(self.content):
            return strip(self, (), width)
        pieces, row_style = self._draw(self.content[top + y])
        before = characters(pieces, x)
        if self.sought:
            pieces = lit(pieces, self.sought, "match-now" if top + y == self._match else "match")
        if (selection := self.text_selection) and (span := selection.get_span(top + y)):
            pieces = list(marked(pieces, *span))
        if x or sum(cell_len(words) for words, _ in pieces) > width:
            pieces = crop(pieces, x, width)
        line = strip(self, pieces, width, row_style)
        return line if self._painting else line.apply_offsets(before, top + y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was marked with the mouse, without line numbers."""
        first = selection.start.y if selection.start else 0
        last = selection.end.y if selection.end else len(self.content) - 1
        spans = ((y, selection.get_span(y)) for y in range(first, min(last, len(self.content) - 1) + 1))
        return "\n".join(copied(self._draw(self.content[y])[0], *span) for y, span in spans if span), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
