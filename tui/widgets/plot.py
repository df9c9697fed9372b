"""The metric over the experiments: the best so far as a line of braille, a glyph for every verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from textual.strip import Strip
from textual.widget import Widget

from core.history import History
from tui import text
from tui.chart import QUANTITIES, Point, Quantity, View, draw, points, rail, written
from tui.feed import State
from tui.widgets.paint import STYLES, Piece, strip

_NAMES = {"memory": "peak memory", "speed": "tokens/s"}
_MARGIN = 9  # columns left of the chart


class MetricPlot(Widget, can_focus=False):
    """A title row, the chart, and under it the rail of crashes."""

    COMPONENT_CLASSES = STYLES

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.quantity: Quantity = "metric"
        self._view = View("min")
        self._points: list[Point] = []
        self._state = State()
        self._live: int | None = None
        self._rows: list[list[Piece]] | None = None
        self._shown: History | None = None

    def show(self, state: State, selected: int | None) -> None:
        """Paint another state; the selected experiment stands out."""
        history = state.history
        live = history.pending.number if history.pending and not history.ended else None
        if self._shown is not None and self._shown.experiments is history.experiments and self._rows is not None:
            if (live, selected) == (self._live, self._view.selected):
                return
        else:
            self._points = points(history, self.quantity)
        self._shown, self._state, self._live, self._rows = history, state, live, None
        better = state.direction if self.quantity == "metric" else ""
        self._view = replace(self._view, better=better, selected=selected)
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
        self.show(self._state, self._view.selected)

    def on_resize(self) -> None:
        self._rows = None

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._rows is None:
            self._rows = self._draw(width, height)
        return strip(self, self._rows[y] if y < len(self._rows) else (), width)

    def _draw(self, width: int, height: int) -> list[list[Piece]]:
        rows = [title(self._state, self.quantity, self._points) + self._modes()]
        if height < 4 or width < 20:
            return rows
        if not any(p.value is not None for p in self._points):
            told = (
                "the baseline comes first; its score is the one to beat"
                if self._live in (None, 0) and self.quantity == "metric"
                else "nothing measured yet"
            )
            return [*rows, [], [(f"  {told}", "dim")]]
        grid = draw(self._points, width - _MARGIN, height - 2, self._view, self.quantity)
        rows += [
            [(f"{label:>8}", "dim"), ("┤", "track"), *row] for label, row in zip(grid.labels, grid.cells, strict=True)
        ]
        return [*rows, [(" " * 8, ""), ("└", "track"), *rail(self._points, width - _MARGIN, self._live, self._view)]]

    def _modes(self) -> list[Piece]:
        named = [self._view.scale] * (self._view.scale != "clip") + ["by time"] * (self._view.axis == "time")
        return [(f"  {', '.join(named)}", "dim")] if named else []


def title(state: State, quantity: Quantity, points: list[Point]) -> list[Piece]:
    """The quantity, its way, where it came from and where it is."""
    if quantity != "metric":
        known = [p.best for p in points if p.best is not None]
        now = f"  {written(known[-1], quantity, 0)} (the best)" if known else ""
        return [(f" {_NAMES[quantity]}", "strong"), (now, "dim")]
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
