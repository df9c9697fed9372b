"""Which experiments are listed, and in which row: all of them or what a filter and a search leave. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from core.experiment import Experiment
from core.history import History, Pending
from tui.repeats import further, mean_of

Filter = Literal["", "kept", "discarded", "crashed"]
Order = Literal["number", "score"]
FILTERS: tuple[Filter, ...] = ("", "kept", "discarded", "crashed")
_CHANGED = r"^[+-](?!(?:--|\+\+) (?:[ab]/|/dev/null)).*"  # a line that came or went; not one that names a file
_OUTCOMES = {"kept": "keep", "discarded": "discard", "crashed": "crash"}


def _merit(history: History) -> Callable[[Experiment], tuple[bool, float, int]]:
    """What grows with how good an experiment was: what has no score is worst, of equals the later one is worse. Where
    further trials have scored it, their mean counts: the first score may have been luck."""
    metric = history.run.task.get("metric") if history.run else None
    up = isinstance(metric, Mapping) and metric.get("direction") == "max"

    def merit(e: Experiment) -> tuple[bool, float, int]:
        value = e.measurement.value if e.measurement and e.verdict.outcome != "crash" else math.nan
        value = mean_of(again) if math.isfinite(value) and (again := further(e)) else value
        return (True, value if up else -value, -e.number) if math.isfinite(value) else (False, 0.0, -e.number)

    return merit


class Listing:
    """Rows from the newest down, or by score from the best down; the experiment in flight is the first, unless the list
    is narrowed or by score."""

    def __init__(self, history: History, filter: Filter = "", search: str = "", order: Order = "number") -> None:
        self.history, self.filter, self.search, self.order = history, filter, search, order
        self.narrowed = bool(filter or search)
        self.sought = re.compile(re.escape(search), re.IGNORECASE) if search else None
        self._changed = re.compile(_CHANGED + re.escape(search), re.IGNORECASE | re.MULTILINE)
        in_flight = None if history.ended or self.narrowed or order == "score" else history.pending
        self.pending: Pending | None = in_flight if in_flight and not in_flight.again else None  # else it has its row
        self.finished: Sequence[Experiment] = history.experiments
        if self.narrowed:
            self.finished = [e for e in history.experiments if self._wanted(e)]
        self.by_means = order == "score" and any(map(further, self.finished))
        if order == "score":
            self.finished = sorted(self.finished, key=_merit(history))

    def _wanted(self, e: Experiment) -> bool:
        if self.filter and (e.verdict.outcome != _OUTCOMES[self.filter] or (self.filter == "kept" and not e.number)):
            return False  # the baseline is no keep: see History.count
        words = f"#{e.number} {e.verdict.reason} {e.description} {e.hypothesis}".casefold()
        return self.search.casefold() in words or self._changed.search(e.diff) is not None

    def found_in(self, e: Experiment) -> str:
        """Where a listed experiment holds what is searched for, if its row does not show it."""
        sought = self.search.casefold()
        if sought in f"#{e.number} {e.verdict.reason} {e.description}".casefold():
            return ""
        return "in hypothesis" if sought in e.hypothesis.casefold() else "in diff"

    def after(self, history: History) -> Listing:
        """The listing of a later history; finished experiments are not looked at again where none has come."""
        if (self.narrowed or self.order == "score") and history.experiments is self.history.experiments:
            return self
        return Listing(history, self.filter, self.search, self.order)

    def place(self, number: int | None) -> str:
        """Which of those that a search found this one is: `3 of 12`; empty where nothing is searched for."""
        row = self.row_of(number) if number is not None else None
        if not self.search or row is None:
            return "none" if self.search and not len(self) else ""
        return f"{row + 1} of {len(self)}"

    def __len__(self) -> int:
        return len(self.finished) + (self.pending is not None)

    def entry(self, row: int) -> Experiment | Pending | None:
        """What stands in a row; None beyond the last."""
        row -= self.pending is not None
        if row < 0:
            return self.pending
        return self.finished[-1 - row] if row < len(self.finished) else None

    def number(self, row: int) -> int | None:
        """The number of the experiment in a row."""
        entry = self.entry(row)
        return entry.number if entry else None

    def row_of(self, number: int) -> int | None:
        """The row of an experiment; None if it is not listed."""
        if self.pending and self.pending.number == number:
            return 0
        rows = self.finished
        index = number if 0 <= number < len(rows) and rows[number].number == number else None
        if index is None:
            index = next((i for i, e in enumerate(rows) if e.number == number), None)
        return None if index is None else len(rows) - 1 - index + (self.pending is not None)

    def kept(self, number: int | None, direction: int) -> int | None:
        """The kept experiment before (-1) or after (1) this one."""
        at = number if number is not None else -1
        kept = sorted(e.number for e in self.finished if e.verdict.outcome == "keep")
        found = [n for n in kept if (n > at if direction > 0 else n < at)]
        return (found[0] if direction > 0 else found[-1]) if found else None
