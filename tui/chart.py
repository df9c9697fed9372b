"""The chart of a run: points, limits, the line of the incumbents, the glyphs of the verdicts. Pure: no widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.experiment import Experiment
from core.history import History
from tui import text

Quantity = Literal["metric", "memory", "speed"]
Scale = Literal["clip", "log"]
Axis = Literal["number", "time"]
QUANTITIES: tuple[Quantity, ...] = ("metric", "memory", "speed")
Piece = tuple[str, str]  # a text and the name of its style

# Bits of the eight dots of a braille cell, U+2800 + bits: [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LEAST_SLOTS = 12  # so that the first experiments do not lie a screen apart
_RANKS = {"keep": 3, "discard": 2}
_OUTCOMES = {"keep": "kept", "discard": "discarded", "crash": "crashed"}


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment; `value` None: a crash. `best`: the incumbent's value after it. `at`: hours of work before its end
    (trials and evaluations; what crashed took no time here)."""

    number: int
    outcome: str
    value: float | None
    best: float | None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """A drawn chart: `cells[row][column]` are glyph and style; `labels[row]` is what stands left of it."""

    cells: list[list[Piece]]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class View:
    """How the points are laid out. `better`: "min" or "max"; "" where neither is."""

    better: str
    scale: Scale = "clip"
    axis: Axis = "number"
    selected: int | None = None


def points(history: History, quantity: Quantity = "metric") -> list[Point]:
    """One point for every finished experiment."""
    found: list[Point] = []
    best: float | None = None
    hours = 0.0
    for e in history.experiments:
        value = None if e.verdict.outcome == "crash" else _value(e, quantity)
        hours += e.measurement.total_seconds / 3600 if e.measurement else 0.0
        if e.verdict.outcome == "keep" and value is not None:
            best = value
        found.append(Point(e.number, e.verdict.outcome, value, best, hours))
    return found


def _value(e: Experiment, quantity: Quantity) -> float | None:
    m = e.measurement
    if m is None:
        return None
    value: object = {"metric": m.value, "memory": m.peak_memory_mb}.get(quantity)
    if quantity == "speed":
        tokens = m.findings.get("total_tokens_M")
        value = 1e6 * tokens / m.train_seconds if isinstance(tokens, int | float) and m.train_seconds > 0 else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def written(value: float, quantity: Quantity, decimals: int) -> str:
    """A value as it stands beside the chart."""
    if quantity == "metric":
        return text.score(value, decimals)
    return text.memory(value) if quantity == "memory" else text.quantity(value)


def limits(points: Sequence[Point], view: View) -> tuple[float, float]:
    """The lowest and the highest value drawn. Clipped: all that was kept, and of the worse ones those inside Tukey's
    fence (a quartile and a half of the middle half beyond it); the rest is drawn at the edge."""
    kept = [p.best for p in points if p.best is not None]
    values = sorted(p.value for p in points if p.value is not None)
    if not values:
        return 0.0, 1.0
    if len(values) >= 4 and view.scale == "clip" and view.better:
        low, high = values[len(values) // 4], values[-1 - len(values) // 4]
        reach = 1.5 * (high - low)
        values = [v for v in values if (v <= high + reach if view.better == "min" else v >= low - reach)]
    low, high = min(values + kept), max(values + kept)
    if view.scale == "log" and low > 0:
        factor = (high / low) ** 0.02 if high > low else 1.01
        return low / factor, high * factor
    margin = 0.02 * (high - low) or 0.01 * abs(high) or 1.0
    return low - margin, high + margin


def columns(points: Sequence[Point], width: int, axis: Axis = "number") -> list[int]:
    """The column of every point, and as the last that of the experiment that runs now."""
    if axis == "time" and points and points[-1].at > 0:
        end = points[-1].at * (len(points) + 1) / len(points)
        return [round(p.at / end * (width - 1)) for p in points] + [width - 1]
    slots = max(len(points) + 1, _LEAST_SLOTS)
    return [index * (width - 1) // (slots - 1) for index in range(len(points) + 1)]


def draw(points: Sequence[Point], width: int, height: int, view: View, quantity: Quantity = "metric") -> Grid:
    """The chart without its rail, `height` rows of `width` cells."""
    low, high = limits(points, view)
    log = view.scale == "log" and low > 0
    at = columns(points, width, view.axis)
    bits = [[0] * width for _ in range(height)]
    _step_line(bits, points, at, low, high, log)
    cells: list[list[Piece]] = [[(chr(0x2800 + b), "accent") if b else (" ", "") for b in row] for row in bits]
    ranks: dict[tuple[int, int], int] = {}
    for x, p in zip(at, points, strict=False):
        if p.value is None:
            continue
        y = _row(p.value, low, high, height, log)
        chosen = p.number == view.selected
        rank = 4 if chosen else _RANKS.get(p.outcome, 1)
        if ranks.get((x, y), 0) > rank:
            continue
        ranks[x, y] = rank
        beyond = not low <= p.value <= high
        glyph = ("↑" if p.value > high else "↓") if beyond else text.GLYPHS.get(p.outcome, "?")
        cells[y][x] = (glyph, "cursor" if chosen else _OUTCOMES.get(p.outcome, ""))
    return Grid(cells, _labels(low, high, height, log, quantity))


def _step_line(
    bits: list[list[int]], points: Sequence[Point], at: Sequence[int], low: float, high: float, log: bool
) -> None:
    """Draw the incumbent's value, dot by dot, up to the experiment that runs now."""
    height, width = len(bits), len(bits[0])
    previous: int | None = None
    for index, p in enumerate(points):
        if p.best is None:
            continue
        y = _row(p.best, low, high, height * 4, log)
        x = 2 * at[index]
        for row in range(min(y, previous), max(y, previous) + 1) if previous is not None else ():
            bits[row // 4][x // 2] |= _DOTS[row % 4][x % 2]
        for dot in range(x, min(2 * at[index + 1], 2 * width - 1) + 1):
            bits[y // 4][dot // 2] |= _DOTS[y % 4][dot % 2]
        previous = y


def _row(value: float, low: float, high: float, height: int, log: bool) -> int:
    """The row of a value, 0 at the top; values beyond the limits lie on the edge."""
    if log:
        value, low, high = (math.log(max(v, low)) for v in (value, low, high))
    return min(height - 1, max(0, int((high - value) / (high - low) * height)))


def _labels(low: float, high: float, height: int, log: bool, quantity: Quantity) -> list[str]:
    """Values for every second or third row, at the middle of the row they stand beside."""
    every = 2 if height < 8 else 3
    decimals = min(6, max(0, 1 - math.floor(math.log10((high - low) / height)))) if high > low else 4
    found = []
    for row in range(height):
        share = (row + 0.5) / height
        value = high * (low / high) ** share if log else high - share * (high - low)
        found.append(f"{written(value, quantity, decimals):>7}" if row % every == 0 else "")
    return found


def rail(points: Sequence[Point], width: int, live: int | None, view: View) -> list[Piece]:
    """The row under the chart: what has no value (crashes, skipped trials), and the experiment that runs."""
    cells: list[Piece] = [("─", "track")] * width
    at = columns(points, width, view.axis)
    for x, p in zip(at, points, strict=False):
        if p.value is None:
            style = "cursor" if p.number == view.selected else _OUTCOMES.get(p.outcome, "")
            cells[x] = (text.GLYPHS.get(p.outcome, "?"), style)
    if live is not None:
        cells[at[-1]] = (text.RUNNING, "cursor" if live == view.selected else "live")
    return cells
