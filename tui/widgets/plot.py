"""The metric over the experiments: the best so far as a line of braille, a glyph for every verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from core.experiment import Experiment
from tui import text
from tui.chart import (
    LABEL_CELLS,
    QUANTITIES,
    Grid,
    Point,
    Quantity,
    View,
    draw,
    index_of,
    pointed,
    points,
    rail,
    written,
)
from tui.feed import State
from tui.ticks import ticks
from tui.widgets.paint import Part, Piece, fit, part, strip

_NAMES = {"memory": "peak memory", "speed": "tokens/s"}
_MARGIN = LABEL_CELLS + 1  # columns left of the chart
_TICKS_FROM = 9  # rows from which one is spared for the numbers under the chart


class MetricPlot(Widget, can_focus=False):
    """A title row, the chart, and under it the rail of crashes. The chart is laid out anew when an experiment has come
    or its view has changed; to move the cursor costs no more with ten thousand experiments than with ten."""

    ALLOW_SELECT = False

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.quantity: Quantity = "metric"
        self._view = View("min")
        self._points: list[Point] = []
        self._state = State()
        self._selected: int | None = None
        self._live: int | None = None
        self._grid: Grid | None = None
        self._rail: list[Piece] = []
        self._rows: list[list[Piece]] | None = None
        self._drawn_for = Size(0, 0)
        self._shown: Sequence[Experiment] | None = None

    def show(self, state: State, selected: int | None) -> None:
        """Paint another state; the selected experiment stands out."""
        history = state.history
        goes_on = history.ended is None and state.alive is not False
        live = history.pending.number if history.pending and goes_on else None
        if self._shown is not history.experiments:
            self._shown, self._grid = history.experiments, None
            self._points = points(history, self.quantity)
        elif (live, selected) == (self._live, self._selected):
            return
        if live != self._live:
            self._grid = None
        self._state, self._live, self._selected, self._rows = state, live, selected, None
        better = state.direction if self.quantity == "metric" else ""
        self._view = replace(self._view, better=better)
        self.refresh()

    def turn(self, what: Literal["quantity", "scale", "axis"]) -> None:
        """Show another quantity, another scale, another axis."""
        if what == "quantity":
            self.quantity = QUANTITIES[(QUANTITIES.index(self.quantity) + 1) % len(QUANTITIES)]
        elif what == "scale":
            self._view = replace(self._view, scale="log" if self._view.scale == "clip" else "clip")
        else:
            self._view = replace(self._view, axis="time" if self._view.axis == "number" else "number")
        self._shown = None
        self.show(self._state, self._selected)

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._drawn_for != self.size:  # the first painting in another size comes before any word of it
            self._drawn_for, self._rows, self._grid = self.size, None, None
        if self._rows is None:
            self._rows = self._draw(width, height)
        return strip(self, self._rows[y] if y < len(self._rows) else (), width)

    def _draw(self, width: int, height: int) -> list[list[Piece]]:
        heading = fit(title(self._state, self.quantity, self._points), [], width)
        if height < 4 or width < 20:
            return [heading]
        if not any(p.value is not None for p in self._points):
            return [heading, [], [(f"  {self._nothing()}", "dim")]]
        if self._grid is None:
            high = height - 2 - (height >= _TICKS_FROM)
            self._grid = draw(self._points, width - _MARGIN, high, self._view, self.quantity)
            self._rail = rail(self._points, self._grid.at, width - _MARGIN, self._live)
        grid, index = self._grid, index_of(self._points, self._selected)
        chart = zip(grid.labels, grid.marked(index), strict=True)
        rows: list[list[Piece]] = [
            [(f"{label:>{LABEL_CELLS}}", "kept strong" if y == grid.best else "dim"), ("┤", "track"), *row]
            for y, (label, row) in enumerate(chart)
        ]
        below = self._rail
        if index is not None or (self._selected is not None and self._selected == self._live):
            below = pointed(below, grid.at[-1 if index is None else index])
        rows.append([(" " * LABEL_CELLS, ""), ("└", "track"), *below])
        if height >= _TICKS_FROM:
            rows.append([(" " * _MARGIN + ticks(self._points, grid.at, width - _MARGIN, self._view.axis), "dim")])
        return [fit([*title(self._state, self.quantity, self._points), self._modes(grid)], [], width), *rows]

    def _nothing(self) -> str:
        if self._live in (None, 0) and self.quantity == "metric" and not self._points:
            return "the baseline comes first; its score is the one to beat"
        if self.quantity == "metric" and (crashed := sum(p.outcome == "crash" for p in self._points)):
            return f"no score {'yet' if self._state.alive else 'in this run'}: {crashed} of {len(self._points)} crashed"
        if self._state.history.ended or self._state.recorded:
            return f"{_NAMES.get(self.quantity, self._state.metric)}: not measured in this run"
        return "nothing measured yet"

    def _modes(self, grid: Grid) -> Part:
        """What is not as it usually is; how it is drawn goes before what else is told of it."""
        named = []
        if self._view.scale == "log":
            named.append("log scale" if grid.log else "no log scale: not all values are above 0")
        if self._view.axis == "time":
            hours = self._points[-1].at
            named.append(f"by time, {hours:.1f} h" if hours > 0 else "by number: no times were recorded")
        return part(9, (", ".join(named), "dim"))


def title(state: State, quantity: Quantity, points: list[Point]) -> list[Part]:
    """The quantity, its way, whether anybody but the artifact measured it, where it came from and where it is."""
    if quantity != "metric":
        last = points[-1].best if points else None
        now = f"{written(last, quantity, 0)} at the best" if last is not None else ""
        return [part(10, (f" {_NAMES[quantity]}", "strong")), part(7, (now, "dim"))]
    arrow = "↓" if state.direction == "min" else "↑"
    experiments, best = state.history.experiments, state.best
    first = experiments[0].measurement if experiments else None
    believed = "self-reported" if first and first.self_reported else ""
    parts = [part(10, (f" {state.metric} {arrow}", "strong")), part(8, (believed, "pausing"))]
    if first and best and best.measurement and best.number:
        change = text.percent_change(first.value, best.measurement.value)
        now = text.score(best.measurement.value)
        parts += [part(7, (f"{text.score(first.value)} → ", "dim"), (now, "kept")), part(6, (change, ""))]
    elif first:
        parts.append(part(7, (f"baseline {text.score(first.value)}", "dim")))
    return parts
