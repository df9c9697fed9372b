"""What an experiment changed: its words, then its diff with line numbers and colours."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len

from core import events as ev
from core.experiment import Experiment
from core.history import Pending
from tui import text
from tui.widgets.lines import LineView
from tui.widgets.paint import OUTCOMES, Piece

_NOTE_WIDTH = 72  # columns at most
_LONGEST_NOTE = 12  # rows at most
_ROOMY = 12  # rows from which there is room for more than a line of words above the diff
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_TOKENS = re.compile(
    r"""(?P<comment>\#.*)|(?P<string>[rbfu]{0,2}(?:\"{3}.*?(?:\"{3}|$)|'{3}.*?(?:'{3}|$)|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))"""
    r"""|(?P<number>\b\d[\d_.]*(?:[eE][+-]?\d+)?\w*)|(?P<name>\b[A-Za-z_]\w*\b)"""
)
_FILE = "file "
_SIGNS = {"+": "plus", "-": "minus"}
_ROWS = {"+": "added", "-": "removed", "@": "hunk"}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """`kind`: "+", "-", " " (context), "@" (a hunk or a file begins), "" (words about the experiment)."""

    kind: str
    number: int | None
    text: str
    style: str = ""


def diff_lines(diff: str) -> Iterator[DiffLine]:
    """The lines of a unified diff, cleaned and numbered; deletions carry the old number, the rest the new one."""
    old = new = 0
    in_hunk = False
    for line in diff.removesuffix("\n").split("\n") if diff else ():
        if match := _HUNK.match(line):
            old, new, in_hunk = int(match[1]), int(match[2]), True
            yield DiffLine("@", None, text.clean(line))
        elif line.startswith(("diff ", "--- ", "+++ ")) and (not in_hunk or line.startswith("diff ")):
            in_hunk = False
            if line.startswith("+++ "):
                yield DiffLine("@", None, _FILE + text.clean(line[4:].split("\t")[0]).removeprefix("b/"))
        elif in_hunk and line[:1] in ("+", "-", " ", ""):
            kind = line[:1] or " "
            yield DiffLine(kind, old if kind == "-" else new, text.clean(line[1:]))
            old, new = old + (kind != "+"), new + (kind != "-")
        else:
            yield DiffLine("", None, text.clean(line), "dim")


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
        wrapped = [row for line in text.clean_lines(paragraph) for row in textwrap.wrap(line, width)]
        yield from (DiffLine("", None, row, words_style) for row in wrapped[:_LONGEST_NOTE])
    yield DiffLine("", None, "")


class DiffView(LineView[DiffLine]):
    """The selected experiment's words and diff."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(self._line, id=id)
        self._shown: object = None
        self._gutter = 4
        self.summary = ""  # `train.py +1 −1`

    def show(self, entry: Experiment | Pending | None, run: ev.RunStarted | None = None) -> None:
        """Show another experiment, from its top; the same one stays where it is.

        The baseline has no diff: there stands what the `run` said before it began.
        """
        diff, brief = _diff_of(entry), self.size.height < _ROOMY
        width = max(20, min(_NOTE_WIDTH, self.size.width - 3))
        key = (entry.number, diff, isinstance(entry, Experiment), _proposed(entry), width, brief) if entry else None
        if key == self._shown:
            return
        same = (
            self._shown is not None and key is not None and isinstance(self._shown, tuple) and self._shown[0] == key[0]
        )
        self._shown = key
        lines = [*about(entry, width, brief), *diff_lines(diff or "")] if entry else []
        if entry and diff == "":
            said = ("the artifact as it was committed; nothing was edited", *((run.plan, *run.notes) if run else ()))
            rows = [row for line in said for row in textwrap.wrap(text.one_line(line), width)]
            lines += [DiffLine("", None, row, "dim") for row in rows]
        self._gutter = max(3, len(str(max((line.number or 0 for line in lines), default=0))))
        self.summary = summarise(lines)
        if brief and sum(line.text.startswith(_FILE) and line.kind == "@" for line in lines) == 1:
            lines = [line for line in lines if line.kind != "@" or not line.text.startswith(_FILE)]
        self.put(lines, max((cell_len(line.text) for line in lines), default=0) + self._gutter + 4)
        if not same:
            self.scroll_to(0, 0, animate=False)

    def _line(self, line: DiffLine) -> tuple[Sequence[Piece], str]:
        row = _ROWS.get(line.kind, "")
        if line.kind in ("", "@"):
            return [(" " + line.text, line.style)], row
        number = f"{line.number if line.number is not None else '':>{self._gutter}} "
        return [(number, "gutter"), (f"{line.kind} ", _SIGNS.get(line.kind, "")), *coloured(line.text)], row


def summarise(lines: Sequence[DiffLine]) -> str:
    """Which files, how many lines came and went."""
    files = [line.text.removeprefix(_FILE) for line in lines if line.kind == "@" and line.text.startswith(_FILE)]
    added, removed = (sum(line.kind == kind for line in lines) for kind in "+-")
    return f"{', '.join(files)}  +{added} −{removed}" if added or removed else ""


def _diff_of(entry: Experiment | Pending | None) -> str | None:
    if isinstance(entry, Experiment):
        return entry.diff
    return entry.committed.diff if entry and entry.committed else None


def _proposed(entry: Experiment | Pending) -> bool:
    return isinstance(entry, Experiment) or entry.proposed is not None
