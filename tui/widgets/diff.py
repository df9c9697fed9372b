"""What an experiment changed: its words, then its diff, in one column or side by side."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core import events as ev
from core.experiment import Experiment
from core.history import Pending
from tui import text
from tui.diffs import DiffLine, Pair, changed, each_line
from tui.sheet import Lines, Packed, Sheet, Way, all_of, beginning, lay_out
from tui.told import about, folded, no_diff
from tui.widgets.lines import LineView
from tui.widgets.paint import Piece, cell, crop

_NOTE_WIDTH = 72  # columns at most
_ROOMY = 12  # rows from which there is room for more than a line of words above the diff
SPLIT_FROM = 88  # columns from which side by side is the default
_MARGIN = 3  # cells beside the number of a line: a space, the sign, a space
_TOKENS = re.compile(
    r"""(?P<comment>\#.*)|(?P<string>[rbfu]{0,2}(?:\"{3}.*?(?:\"{3}|$)|'{3}.*?(?:'{3}|$)|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))"""
    r"""|(?P<number>\b\d[\d_.]*(?:[eE][+-]?\d+)?\w*)|(?P<name>\b[A-Za-z_]\w*\b)"""
)
_SIGNS = {"+": "plus", "-": "minus"}
_ROWS = {"+": "added", "-": "removed", "@": "hunk"}
_WORDS = {"+": "added-word", "-": "removed-word"}


@lru_cache(maxsize=512)
def coloured(line: str) -> tuple[Piece, ...]:
    """A line of Python in pieces. Line by line: the inside of a long string may be coloured as code."""
    pieces: list[Piece] = []
    end = 0
    for token in _TOKENS.finditer(line):
        style = token.lastgroup or ""
        if style == "name":
            style = "keyword" if keyword.iskeyword(token[0]) else ""
        if style:
            pieces += [(line[end : token.start()], ""), (token[0], style)]
            end = token.end()
    return (*pieces, (line[end:], ""))


def marked(line: DiffLine) -> Sequence[Piece]:
    """The line coloured, and of a pair the part that differs set off."""
    pieces = coloured(line.text)
    start, end = changed(line.text, line.mate) if line.mate is not None else (0, 0)
    if start >= end:
        return pieces
    found: list[Piece] = []
    at = 0
    for words, style in pieces:
        a, b = max(0, start - at), max(0, end - at)
        found += [(words[:a], style), (words[a:b], _WORDS[line.kind]), (words[max(a, b) :], style)]
        at += len(words)
    return [piece for piece in found if piece[0]]


class DiffView(LineView[DiffLine | Pair]):
    """Words and diff. `split`: None lets the width decide.

    Of a long diff the beginning is there at once, the rest as soon as a thread has laid it out.
    """

    @dataclass
    class Changed(Message):
        """What it shows has changed by itself: a comparison was finished, the rest of a long diff is there."""

    @dataclass
    class LaidOut(Message):
        """A thread is done with these lines."""

        lines: Lines
        sheet: Sheet

    def __init__(self, id: str | None = None) -> None:
        super().__init__(self._row, id=id, shown_of_search=_changed_lines)
        self._shown: object = None
        self._whose: object = None
        self._lines: Lines = lambda: iter(())
        self._sheet = lay_out([], Way())
        self._named = True
        self._side_width = 0  # cells of one side, where there are two
        self._sought: int | None = None  # the experiment that is to stand at the top, once it is laid out
        self.split: bool | None = None
        self.wrap = False

    # --- what it shows

    def show(
        self,
        entry: Experiment | Pending | None,
        run: ev.RunStarted | None = None,
        diff: str | None = None,
        beside: Experiment | None = None,
        trouble: str = "",
        said: Sequence[str] = (),
    ) -> None:
        """Show another experiment, from its top; the same one stays where it is.

        diff: against something else than its parent, namely `beside`; `trouble`: why it is against its parent after
        all. The baseline has none: there stands what the `run` said before it began. `said`: what the agent says while
        there is no proposal yet; its end is shown.
        """
        own = diff_of(entry)
        found, brief = (own if diff is None else diff) or "", self.size.height < _ROOMY
        width = max(20, min(_NOTE_WIDTH, self.size.width - 3))
        head = [DiffLine("", None, *words) for words in about(entry, width, brief, beside)] if entry else []
        if trouble:
            instead = f"{trouble}; below, what it changed" if found else trouble
            head += [DiffLine("", None, row, "pausing") for row in folded(instead, width)]
        if said:
            rows = [row for line in said[-max(1, self.size.height) :] for row in folded(line, self.size.width - 2)]
            head += [DiffLine("", None, row, "dim") for row in rows[-max(1, self.size.height - len(head)) :]]
        key = (entry.number, found, diff is None, head, width, brief) if entry else None
        if key == self._shown:
            return
        if trouble:
            pass
        elif entry and own == "" and diff is None and entry.number:
            said_so = folded(text.one_line(no_diff(run, entry.number)), width)
            head = [*head, *(DiffLine("", None, row, "dim") for row in said_so)]
        elif entry and own == "" and diff is None:
            imported = run is not None and run.imported_from
            first = no_diff(run, 0) if imported else "the artifact as it was committed; nothing was edited"
            said = (first, *((run.plan, *run.notes) if run else ()))
            head = [*head, *(DiffLine("", None, r, "dim") for s in said for r in folded(text.one_line(s), width))]
        elif entry and diff == "":
            head = [*head, DiffLine("", None, "no difference", "dim")]
        self._named = not (brief and found.count("\n+++ ") == 1)  # one file is named in the title already

        def lines() -> Iterator[DiffLine]:
            yield from head
            yield from each_line(found)

        self.show_lines(lines, entry.number if entry else None)
        self._shown = key

    def show_lines(self, lines: Lines, whose: object) -> None:
        """Show these lines; those of somebody else are shown from the top. What is read of the same stays in its place:
        of a long one nothing is taken away until all of it is there again."""
        self._lines, self._shown = lines, None
        first, same = beginning(lines, self._way), whose == self._whose
        if first.whole or not same:
            self._sought = None if same else self._sought
            self._take(first)
        if not first.whole:
            self._lay_out_all(lines, self._way)
        if not same:
            self._whose, self._at_end = whose, False
            self.scroll_to(0, 0, animate=False)
            self.show_match()

    def seek(self, number: int) -> None:
        """Of lines that name experiments: bring this one to the top, as soon as it is laid out."""
        self._sought = number
        self._find()

    def _find(self) -> None:
        row = self._sheet.places.get(self._sought) if self._sought is not None else None
        if row is not None:
            self.scroll_to(y=row, animate=False, force=True)
        if row is not None or self._sheet.whole:
            self._sought = None

    def set_layout(self, split: bool | None, wrap: bool) -> None:
        """One column or two; long lines cut or wrapped."""
        self.split, self.wrap = split, wrap
        self._lay_out()

    @property
    def splits(self) -> bool:
        """Whether it is drawn side by side now."""
        return self.size.width >= SPLIT_FROM if self.split is None else self.split

    @property
    def summary(self) -> str:
        """Which files, how many lines came and went."""
        return self._sheet.summary if self._sheet.whole else "a long one …"

    def _way(self, digits: int) -> Way:
        """How rows are made in the space there is; see `_side`."""
        width = self.scrollable_content_region.width
        side = _half(width, digits) if self.splits else width
        return Way(self.splits, max(8, side - digits - _MARGIN) if self.wrap and width else 0, self._named)

    def _lay_out(self) -> None:
        """Once more, after something about the space or the way has changed."""
        sheet = self._sheet
        if sheet.way == self._way(sheet.gutter):
            self._take(sheet)
        elif sheet.whole and not isinstance(sheet.rows, Packed):
            self._take(lay_out(sheet.lines, self._way(sheet.gutter)))
        else:
            self._lay_out_all(self._lines, self._way)

    @work(thread=True, exclusive=True)
    def _lay_out_all(self, lines: Lines, way: Callable[[int], Way]) -> None:
        worker = get_current_worker()
        sheet = all_of(lines, way, lambda: worker.is_cancelled)
        if sheet is not None and not worker.is_cancelled:
            self.post_message(self.LaidOut(lines, sheet))

    def on_diff_view_laid_out(self, message: LaidOut) -> None:
        message.stop()
        if message.lines is self._lines:
            self._take(message.sheet)
            self._lay_out()  # where the space has changed meanwhile
            self.post_message(self.Changed())

    def _take(self, sheet: Sheet) -> None:
        reading = self._sheet.at(round(self.scroll_offset.y))
        self._sheet = sheet
        width, longest = self.scrollable_content_region.width, sheet.longest + sheet.gutter + _MARGIN + 1
        self._side_width = _half(width, sheet.gutter)
        self.put(sheet.rows, max(longest, width) if sheet.way.paired else longest)
        if reading and reading[0] in sheet.places and not self._at_end:
            self.scroll_to(y=sheet.places[reading[0]] + reading[1], animate=False, force=True)
        self._find()

    def on_resize(self) -> None:
        self._lay_out()
        self.post_message(self.Changed())  # there may be room for more words now, or less

    # --- moving

    def hunk(self, direction: int) -> None:
        """Scroll to the next hunk, or the one before."""
        at = round(self.scroll_offset.y)
        found = [row for row in self._sheet.hunks if (row > at if direction > 0 else row < at)]
        if found:
            self.scroll_to(y=found[0] if direction > 0 else found[-1], animate=False)

    # --- drawing

    def _row(self, row: DiffLine | Pair) -> tuple[Sequence[Piece], str]:
        if isinstance(row, Pair):
            x = round(self.scroll_offset.x)
            left, right = (self._side(line, x) for line in (row.left, row.right))
            return [(" " * x, ""), *left, ("│", "track"), *right], ""
        if row.kind in ("", "@"):
            return [(" " + row.text, row.style)], _ROWS.get(row.kind, "")
        return [*self._margin(row), *marked(row)], _ROWS.get(row.kind, "")

    def _margin(self, line: DiffLine) -> list[Piece]:
        number = f"{line.number if line.number is not None else '':>{self._sheet.gutter}} "
        return [(number, "gutter"), (f"{line.kind} ", _SIGNS.get(line.kind, ""))]

    def _side(self, line: DiffLine | None, x: int) -> list[Piece]:
        """One half of a row, exactly as wide as a half; its text, not its margin, is shifted by `x`."""
        if line is None:
            return [(cell("", self._side_width), "")]
        row = _ROWS.get(line.kind, "")
        margin = self._margin(line)
        body = crop(marked(line), x, self._side_width - sum(cell_len(words) for words, _ in margin))
        return [(words, f"{row} {style}".strip()) for words, style in (*margin, *body)]


def _changed_lines(row: DiffLine | Pair) -> str:
    """Those that came or went: what a search looks through."""
    lines = (row,) if isinstance(row, DiffLine) else (row.left, row.right)
    return "\n".join(line.text for line in lines if line and line.kind in _SIGNS)


def _half(width: int, digits: int) -> int:
    """Cells of one side: the number, its sign, and some of the text at least."""
    return max(digits + _MARGIN + 8, (width - 1) // 2)


def diff_of(entry: Experiment | Pending | None) -> str | None:
    """Its diff against its parent; of a proposal that waits for the user's word, what would be committed."""
    if entry is None or isinstance(entry, Experiment):
        return entry.diff if entry else None
    if entry.committed:
        return entry.committed.diff
    return entry.awaited.diff if entry.awaited else None
