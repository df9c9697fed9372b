"""The columns of the list of experiments: how wide what stands in them makes them, and which of them tell anything.

Pure: no widget.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len

from core.experiment import Experiment
from core.facts import fact
from tui import text
from tui.text import MOST_DECIMALS
from tui.widgets.paint import cell

WITH_COST = 76  # columns from which memory and seconds are shown; below, the description needs the room
WITH_REASON = 88  # columns from which the reason has a column; below, only one that says something is shown
_ROOMY = 112  # columns from which memory and seconds are shown also where they are the same in all rows
_LEAST_NAMED = 4  # cells of a name that is cut so that its values are seen
_LEAST_CELLS = 5
_REPORTED = "self-reported"
_CHANGE = re.compile(r"(\S+) (\S+) → (\S+)(.*)")


@fact
class Figures:
    """What a column of numbers has to hold: the most digits before the point and behind it, and the longest of all."""

    whole: int = 0
    decimals: int = 0
    longest: int = 0

    def with_(self, number: str) -> Figures:
        before, _, behind = number.partition(".")
        if "e" in number:
            before, behind = "", ""
        return Figures(
            max(self.whole, len(before)), max(self.decimals, len(behind)), max(self.longest, len(number))
        )  # fmt: skip

    def cells(self, most: int) -> int:
        """How many it takes, so that the points stand below each other as far as there is room."""
        return max(_LEAST_CELLS, min(most, max(self.longest, self.whole + bool(self.decimals) + self.decimals)))


@fact
class Columns:
    """`scores`, `deltas`: what they have to hold. `cost`: memory and seconds as the rows so far show them; `differs`:
    not the same in all. `counted`: how many rows that are, the last of them of the commit `last`."""

    metric: str = ""
    scores: Figures = Figures()
    deltas: Figures = Figures()
    cost: tuple[str, str] | None = None
    differs: bool = False
    counted: int = 0
    last: str = ""

    def after(self, experiments: Sequence[Experiment], metric: str) -> Columns:
        """The columns with all of these. What was counted is not looked at again, and none gets narrower by it."""
        same = not self.counted or (
            self.counted <= len(experiments) and experiments[self.counted - 1].commit == self.last
        )
        was = self if same else Columns()
        new = experiments[was.counted :]
        if not new:
            return replace(was, metric=metric)
        scores, deltas, cost, differs = was.scores, was.deltas, was.cost, was.differs
        seen: set[tuple[int, int]] = set()
        seen_deltas: set[tuple[int, int]] = set()
        for e in new:
            m = e.measurement
            if m is None:
                continue
            if _is_new(m.value, seen, scores):
                scores = scores.with_(text.score(m.value))
            if e.delta is not None and _is_new(round(e.delta, 6) or e.delta, seen_deltas, deltas):
                deltas = deltas.with_(text.delta(e.delta))
            if not differs:
                shown = text.memory(m.peak_memory_mb), text.clock(m.total_seconds)
                differs = cost not in (None, shown)
                cost = shown
        return Columns(metric, scores, deltas, cost, differs, len(experiments), experiments[-1].commit)

    @property
    def value(self) -> int:
        """The cells of a score."""
        return max(self.scores.cells(text.SCORE_CELLS), min(text.SCORE_CELLS, cell_len(self.metric)))

    @property
    def delta(self) -> int:
        """The cells of its difference to the incumbent."""
        return self.deltas.cells(text.SCORE_CELLS + 1)

    @property
    def figures(self) -> int:
        """Those of both."""
        return self.value + 1 + self.delta

    def with_cost(self, width: int) -> bool:
        """Whether memory and seconds have a column in a list of this width."""
        return width >= WITH_COST and (self.differs or width >= _ROOMY)

    def heading(self, width: int, reported: bool, room: int) -> str:
        """The columns' names, in `room` cells: none of them is cut, what has no room is left out. Of scores that are
        `reported` by what they measure it is said first, if need be in more room."""
        figures = [f"{'#':>5}", f"  {cell(self.metric, self.value, 'right')}", f" {'Δ':>{self.delta}}"]
        names = [*figures, f"  {'verdict':<11}" if width >= WITH_REASON else " " * 4]
        names += [f"{'memory':>8} {'time':>7}  "] if self.with_cost(width) else []
        if reported:
            said = f"{self.metric} is {_REPORTED}"  # never the bare word there: it would be the descriptions' name
            whole = "".join(names)
            wanted = [f"{whole}description ({said})", f"{whole}{said}"]
            wanted += [f"{''.join(figures[:count])} ({_REPORTED})" for count in (3, 2, 1)]
            heading = next((words for words in wanted if cell_len(words) < room), _REPORTED)
            return cell(heading, max(room, len(_REPORTED) + 1))
        heading = ""
        for name in names:
            if cell_len((heading + name).rstrip()) >= room:
                return cell(heading.rstrip(), room)
            heading += name
        return cell((heading + "description" * (cell_len(heading) + len("description") < room)).rstrip(), room)


def _is_new(number: float, seen: set[tuple[int, int]], known: Figures) -> bool:
    """Whether a number may have more digits than those before it: to write out each of ten thousand takes its time."""
    whole, _, behind = repr(number).partition(".")
    shape = len(whole), len(behind)
    if shape in seen and (len(behind) <= MOST_DECIMALS or known.decimals == MOST_DECIMALS):
        return False
    seen.add(shape)
    return True


def in_room(words: str, room: int) -> str:
    """A description in a row with so little room: of `NAME 4096 → 2048` the values are seen, though the name is cut."""
    if cell_len(words) <= room:
        return words
    first_words, *others = words.split(", ")
    first = _CHANGE.fullmatch(first_words)
    if first is None:
        return words
    close = words.replace(" → ", "→")
    if cell_len(close) <= room:
        return close
    values, more = f"{first[2]}→{first[3]}", " …" if others or first[4] else ""
    left = room - cell_len(values) - len(more) - 1
    if left >= _LEAST_NAMED:
        return f"{cell(first[1], min(left, cell_len(first[1])))} {values}{more}"
    return f"{values}{more}" if cell_len(values + more) <= room else words
