"""The metric over the experiments: the best so far as a line of braille, a glyph for every verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip
from textual.widget import Widget

from core.history import History
from tui import text
from tui.feed import State
from tui.widgets.paint import OUTCOMES, STYLES, Piece, cell, strip

# Bits of the eight dots of a braille cell, U+2800 + bits: [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LEAST_SLOTS = 12  # so that the first experiments do not lie a screen apart
_RANKS = {"keep": 3, "discard": 2}


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment on the plot; `value` None: a crash. `best`: the incumbent's value after it."""

    number: int
    outcome: str
    value: float | None
    best: float | None


@dataclass(frozen=True, slots=True)
class Grid:
    """A drawn plot: `cells[row][column]` are glyph and style; `labels[row]` is what stands left of it."""

    cells: list[list[Piece]]
    labels: list[str]


class MetricPlot(Widget, can_focus=False):
    """A title row, the plot, and under it the rail of crashes."""

    COMPONENT_CLASSES = STYLES

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points: list[Point] = []
        self._title: list[Piece] = []
        self._better = "min"
        self._live: int | None = None
        self._selected: int | None = None
        self._rows: list[list[Piece]] | None = None
        self._shown: History | None = None

    def show(self, state: State, selected: int | None) -> None:
        """Paint another state; the selected experiment stands out."""
        history = state.history
        live = history.pending.number if history.pending and not history.ended else None
        if self._shown is not None and self._shown.experiments is history.experiments and self._rows is not None:
            if (live, selected) == (self._live, self._selected):
                return
        else:
            self._points = points(history)
            self._title = title(state)
            self._better = state.direction
        self._shown, self._live, self._selected, self._rows = history, live, selected, None
        self.refresh()

    def on_resize(self) -> None:
        self._rows = None

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._rows is None:
            self._rows = self._draw(width, height)
        return strip(self, self._rows[y] if y < len(self._rows) else (), width)

    def _draw(self, width: int, height: int) -> list[list[Piece]]:
        rows = [self._title]
        if height < 4 or width < 20:
            return rows
        if not any(p.value is not None for p in self._points) and self._live in (None, 0):
            return [*rows, [], [("  the baseline comes first; its score is the one to beat", "dim")]]
        grid = draw(self._points, width - 9, height - 2, self._better, self._selected)
        rows += [
            [(f"{label:>8}", "dim"), ("┤", "track"), *row] for label, row in zip(grid.labels, grid.cells, strict=True)
        ]
        return [*rows, [(" " * 8, ""), ("└", "track"), *rail(self._points, width - 9, self._live, self._selected)]]


def points(history: History) -> list[Point]:
    """One point for every finished experiment."""
    found: list[Point] = []
    best: float | None = None
    for e in history.experiments:
        value = e.measurement.value if e.measurement and math.isfinite(e.measurement.value) else None
        if e.verdict.outcome == "crash":
            value = None
        if e.verdict.outcome == "keep" and value is not None:
            best = value
        found.append(Point(e.number, e.verdict.outcome, value, best))
    return found


def title(state: State) -> list[Piece]:
    """The metric, its way, where it came from and where it is."""
    arrow = "↓" if state.direction == "min" else "↑"
    pieces: list[Piece] = [(f" {state.metric} {arrow}", "strong")]
    experiments, best = state.history.experiments, state.best
    first = experiments[0].measurement if experiments else None
    if first and best and best.measurement and best.number:
        change = text.percent_change(first.value, best.measurement.value)
        pieces += [
            (f"  {text.score(first.value)} → ", "dim"),
            (text.score(best.measurement.value), "kept"),
            (f"  {change}", ""),
        ]
    elif first:
        pieces.append((f"  baseline {text.score(first.value)}", "dim"))
    if any(e.measurement and e.measurement.self_reported for e in experiments[:1]):
        pieces.append(("  self-reported", "pausing"))
    return pieces


def limits(points: Sequence[Point], better: str) -> tuple[float, float]:
    """The lowest and the highest value drawn: all that was kept, and of the worse ones those inside Tukey's fence
    (a quartile and a half of the middle half beyond it); the rest is drawn at the edge."""
    kept = [p.best for p in points if p.best is not None]
    values = sorted(p.value for p in points if p.value is not None)
    if not values:
        return 0.0, 1.0
    if len(values) >= 4:
        low, high = values[len(values) // 4], values[-1 - len(values) // 4]
        reach = 1.5 * (high - low)
        values = [v for v in values if (v <= high + reach if better == "min" else v >= low - reach)]
    low, high = min(values + kept), max(values + kept)
    margin = 0.02 * (high - low) or 0.01 * abs(high) or 1.0
    return low - margin, high + margin


def column(index: int, count: int, width: int) -> int:
    """The column of the experiment at this index."""
    slots = max(count, _LEAST_SLOTS)
    return index * (width - 1) // (slots - 1)


def draw(points: Sequence[Point], width: int, height: int, better: str, selected: int | None) -> Grid:
    """The plot without its rail, `height` rows of `width` cells."""
    low, high = limits(points, better)
    count = len(points) + 1  # the one that runs has its place already
    bits = [[0] * width for _ in range(height)]
    _step_line(bits, points, count, low, high)
    cells: list[list[Piece]] = [[(chr(0x2800 + b), "accent") if b else (" ", "") for b in row] for row in bits]
    ranks: dict[tuple[int, int], int] = {}
    for index, p in enumerate(points):
        if p.value is None:
            continue
        x, y = column(index, count, width), _row(p.value, low, high, height)
        beyond = not low <= p.value <= high
        rank = 4 if p.number == selected else _RANKS.get(p.outcome, 1)
        if ranks.get((x, y), 0) > rank:
            continue
        ranks[x, y] = rank
        glyph = ("↑" if p.value > high else "↓") if beyond else text.GLYPHS.get(p.outcome, "?")
        cells[y][x] = (glyph, "cursor" if p.number == selected else OUTCOMES.get(p.outcome, ""))
    return Grid(cells, _labels(low, high, height))


def _step_line(bits: list[list[int]], points: Sequence[Point], count: int, low: float, high: float) -> None:
    """Draw the best so far, dot by dot, up to the experiment that runs now."""
    height, width = len(bits), len(bits[0])
    previous: int | None = None
    for index, p in enumerate(points):
        if p.best is None:
            continue
        y = _row(p.best, low, high, height * 4)
        x = 2 * column(index, count, width)
        end = min(2 * column(index + 1, count, width), 2 * width - 1)
        for row in range(min(y, previous), max(y, previous) + 1) if previous is not None else ():
            bits[row // 4][x // 2] |= _DOTS[row % 4][x % 2]
        for dot in range(x, end + 1):
            bits[y // 4][dot // 2] |= _DOTS[y % 4][dot % 2]
        previous = y


def _row(value: float, low: float, high: float, height: int) -> int:
    """The row of a value, 0 at the top; values beyond the limits lie on the edge."""
    share = (high - value) / (high - low)
    return min(height - 1, max(0, int(share * height)))


def _labels(low: float, high: float, height: int) -> list[str]:
    """Values for every second or third row, at the middle of the row they stand beside."""
    every = 2 if height < 8 else 3
    decimals = min(6, max(0, 1 - math.floor(math.log10((high - low) / height)))) if high > low else 4
    return [
        cell(text.score(high - (row + 0.5) * (high - low) / height, decimals), 7, "right") if row % every == 0 else ""
        for row in range(height)
    ]


def rail(points: Sequence[Point], width: int, live: int | None, selected: int | None) -> list[Piece]:
    """The row under the plot: what has no value (crashes, skipped trials), and the experiment that runs."""
    cells: list[Piece] = [("─", "track")] * width
    count = len(points) + 1
    for index, p in enumerate(points):
        if p.value is None:
            cells[column(index, count, width)] = (
                text.GLYPHS.get(p.outcome, "?"),
                "cursor" if p.number == selected else OUTCOMES.get(p.outcome, ""),
            )
    if live is not None:
        cells[column(len(points), count, width)] = (text.RUNNING, "cursor" if live == selected else "live")
    return cells
