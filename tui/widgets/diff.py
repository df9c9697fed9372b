"""What an experiment changed: its words, then its diff, in one column or side by side."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from textual.message import Message

from core import events as ev
from core.experiment import Experiment
from core.history import Pending
from tui import text
from tui.diffs import FILE, DiffLine, Pair, changed, diff_lines, side_by_side, summarise, wrapped
from tui.widgets.lines import LineView
from tui.widgets.paint import OUTCOMES, Piece, cell, crop

_NOTE_WIDTH = 72  # columns at most
_LONGEST_NOTE = 12  # rows at most
_ROOMY = 12  # rows from which there is room for more than a line of words above the diff
SPLIT_FROM = 88  # columns from which side by side is the default
_TOKENS = re.compile(
    r"""(?P<comment>\#.*)|(?P<string>[rbfu]{0,2}(?:\"{3}.*?(?:\"{3}|$)|'{3}.*?(?:'{3}|$)|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))"""
    r"""|(?P<number>\b\d[\d_.]*(?:[eE][+-]?\d+)?\w*)|(?P<name>\b[A-Za-z_]\w*\b)"""
)
_SIGNS = {"+": "plus", "-": "minus"}
_ROWS = {"+": "added", "-": "removed", "@": "hunk"}
_WORDS = {"+": "added-word", "-": "removed-word"}


@lru_cache(maxsize=2048)
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


def about(entry: Experiment | Pending, width: int, brief: bool) -> Iterator[DiffLine]:
    """The words above the diff: verdict, description, hypothesis, wrapped to `width`; `brief`: in one line."""
    if isinstance(entry, Experiment):
        verdict, m = entry.verdict, entry.measurement
        figures = f"{text.score(m.value, 6)}  {text.delta(entry.delta, 6)}  " if m else ""
        head = f"{text.GLYPHS.get(verdict.outcome, '?')} {verdict.outcome}: {text.one_line(verdict.reason)}  {figures}"
        style = OUTCOMES.get(verdict.outcome, "")
        words = (entry.description, entry.hypothesis)
    else:
        head, style = f"{text.RUNNING} no verdict yet  ", "live"
        words = (entry.proposed.description, entry.proposed.hypothesis) if entry.proposed else ("", "")
    if brief:
        yield DiffLine("", None, head + text.one_line(words[1]), style)
        return
    commit = entry.commit[:7] if isinstance(entry, Experiment) else ""
    yield DiffLine("", None, f"#{entry.number} {head}{commit}", style)
    for words_style, paragraph in zip(("strong", "dim"), words, strict=True):
        rows = [row for line in text.clean_lines(paragraph) for row in textwrap.wrap(line, width)]
        yield from (DiffLine("", None, row, words_style) for row in rows[:_LONGEST_NOTE])
    yield DiffLine("", None, "")


class DiffView(LineView[DiffLine | Pair]):
    """Words and diff. `split`: None lets the width decide."""

    @dataclass
    class Changed(Message):
        """What it shows has changed by itself: a comparison was finished."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(self._row, id=id)
        self._shown: object = None
        self._whose: object = None
        self._lines: list[DiffLine] = []
        self._gutter = 4
        self._half = 0  # cells of one side; 0: one column
        self.split: bool | None = None
        self.wrap = False
        self.summary = ""  # `train.py +1 −1`

    # --- what it shows

    def show(
        self, entry: Experiment | Pending | None, run: ev.RunStarted | None = None, diff: str | None = None
    ) -> None:
        """Show another experiment, from its top; the same one stays where it is.

        diff: against something else than its parent. The baseline has none: there stands what the `run` said before it
        began.
        """
        own = _diff_of(entry)
        found, brief = (own if diff is None else diff), self.size.height < _ROOMY
        width = max(20, min(_NOTE_WIDTH, self.size.width - 3))
        key = (entry.number, found, isinstance(entry, Experiment), _proposed(entry), width, brief) if entry else None
        if key == self._shown:
            return
        self._shown = key
        head = list(about(entry, width, brief)) if entry else []
        body = diff_lines(found or "")
        if entry and own == "" and diff is None and entry.number:
            body = [DiffLine("", None, "no diff was recorded", "dim")]
        elif entry and own == "" and diff is None:
            said = ("the artifact as it was committed; nothing was edited", *((run.plan, *run.notes) if run else ()))
            body = [DiffLine("", None, row, "dim") for s in said for row in textwrap.wrap(text.one_line(s), width)]
        elif entry and diff == "":
            body = [DiffLine("", None, "no difference", "dim")]
        self.summary = summarise(body)
        if brief and sum(line.kind == "@" and line.text.startswith(FILE) for line in body) == 1:
            body = [line for line in body if line.kind != "@" or not line.text.startswith(FILE)]
        self.show_lines([*head, *body], entry.number if entry else None)

    def show_lines(self, lines: list[DiffLine], whose: object) -> None:
        """Show lines that are made already; those of somebody else are shown from the top."""
        self._lines = lines
        self._gutter = max(3, len(str(max((line.number or 0 for line in lines), default=0))))
        self._lay_out()
        if whose != self._whose:
            self._whose = whose
            self.scroll_to(0, 0, animate=False)

    def set_layout(self, split: bool | None, wrap: bool) -> None:
        """One column or two; long lines cut or wrapped."""
        self.split, self.wrap = split, wrap
        self._lay_out()

    @property
    def splits(self) -> bool:
        """Whether it is drawn side by side now."""
        return self.size.width >= SPLIT_FROM if self.split is None else self.split

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        side = self._gutter + 3  # number, sign
        self._half = max(side + 8, (width - 1) // 2) if self.splits else 0
        lines: list[DiffLine] | list[DiffLine | Pair] = self._lines
        if self.wrap and width:
            lines = list(wrapped(self._lines, (self._half or width) - side))
        longest = max((cell_len(line.text) for line in lines), default=0) + side + 1  # type: ignore[union-attr]
        rows = list(side_by_side(lines)) if self._half else lines  # type: ignore[arg-type]
        self.put(rows, max(longest, width) if self._half else longest)

    def on_resize(self) -> None:
        self._lay_out()

    # --- moving

    def hunk(self, direction: int) -> None:
        """Scroll to the next hunk, or the one before."""
        at = round(self.scroll_offset.y)
        starts = [i for i, row in enumerate(self.content) if isinstance(row, DiffLine) and row.kind == "@"]
        found = [i for i in starts if (i > at if direction > 0 else i < at)]
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
        number = f"{line.number if line.number is not None else '':>{self._gutter}} "
        return [(number, "gutter"), (f"{line.kind} ", _SIGNS.get(line.kind, ""))]

    def _side(self, line: DiffLine | None, x: int) -> list[Piece]:
        """One half of a row, exactly as wide as a half; its text, not its margin, is shifted by `x`."""
        if line is None:
            return [(cell("", self._half), "")]
        row = _ROWS.get(line.kind, "")
        margin = self._margin(line)
        body = crop(marked(line), x, self._half - sum(cell_len(words) for words, _ in margin))
        return [(words, f"{row} {style}".strip()) for words, style in (*margin, *body)]


def _diff_of(entry: Experiment | Pending | None) -> str | None:
    if isinstance(entry, Experiment):
        return entry.diff
    return entry.committed.diff if entry and entry.committed else None


def _proposed(entry: Experiment | Pending) -> bool:
    return isinstance(entry, Experiment) or entry.proposed is not None
