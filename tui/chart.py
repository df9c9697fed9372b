"""The chart of a run: points, limits, the line of the incumbents, the glyphs of the verdicts. Pure: no widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from core.experiment import Experiment
from core.facts import fact
from core.history import History
from tui import text

Quantity = Literal["metric", "memory", "speed"]
Scale = Literal["clip", "log"]
Axis = Literal["number", "time"]
QUANTITIES: tuple[Quantity, ...] = ("metric", "memory", "speed")
LABEL_CELLS = 8
Piece = tuple[str, str]  # a text and the name of its style

# Bits of the eight dots of a braille cell, U+2800 + bits: [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_LARGEST = 1e300  # values beyond it are drawn as if they were this
_LEAST_SLOTS = 12  # so that the first experiments do not lie a screen apart
_RANKS = {"keep": 3, "discard": 1}  # what hides what; the line is 2
_LINE = 2
_OUTCOMES = {"keep": "kept", "discard": "discarded", "crash": "crashed"}


@fact
class Point:
    """One experiment; `value` None: a crash. `best`: the incumbent's value after it. `at`: hours of work before its end
    (trials and evaluations; what crashed took no time here). `again`: what further trials of it measured."""

    number: int
    outcome: str
    value: float | None
    best: float | None
    at: float = 0.0
    again: tuple[float, ...] = ()


@fact
class Grid:
    """A drawn chart: `cells[row][column]` are glyph and style, `labels[row]` what stands left of them, `log` the scale.
    `at`: the column of every point, and as the last that of the experiment that runs now; `spots`: row and glyph of
    every point, the row None where it has no value; `best`: the row of the incumbent, whose label is its own value."""

    cells: list[list[Piece]]
    labels: list[str]
    at: list[int]
    spots: list[tuple[int | None, str]]
    log: bool = False
    best: int | None = None

    def marked(self, index: int | None) -> list[list[Piece]]:
        """The cells with one point under the cursor."""
        y, glyph = self.spots[index] if index is not None else (None, "")
        if y is None or index is None:
            return self.cells
        row, x = list(self.cells[y]), self.at[index]
        row[x] = (glyph, "cursor")
        return [*self.cells[:y], row, *self.cells[y + 1 :]]


@fact
class View:
    """How the points are laid out. `better`: "min" or "max"; "" where neither is."""

    better: str
    scale: Scale = "clip"
    axis: Axis = "number"


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
        again = [r.measurement.value for r in e.repeats if r.measurement] if quantity == "metric" else []
        found.append(Point(e.number, e.verdict.outcome, value, best, hours, tuple(filter(math.isfinite, again))))
    return found


def index_of(points: Sequence[Point], number: int | None) -> int | None:
    """Where an experiment is among the points."""
    if number is None or (0 <= number < len(points) and points[number].number == number):
        return number
    return next((i for i, p in enumerate(points) if p.number == number), None)


def _value(e: Experiment, quantity: Quantity) -> float | None:
    m = e.measurement
    if m is None:
        return None
    value: object = {"metric": m.value, "memory": m.peak_memory_mb}.get(quantity)
    if quantity == "speed":
        tokens = m.findings.get("total_tokens_M")
        value = 1e6 * tokens / m.train_seconds if isinstance(tokens, int | float) and m.train_seconds > 0 else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(_LARGEST, max(-_LARGEST, float(value)))


def written(value: float, quantity: Quantity, decimals: int | None = None) -> str:
    """A value as it stands beside the chart."""
    if quantity == "metric":
        return text.score(value) if decimals is None else f"{value:.{decimals}f}".replace("-", "−")
    return text.memory(value) if quantity == "memory" else text.quantity(value)


def limits(points: Sequence[Point], view: View) -> tuple[float, float]:
    """The lowest and the highest value drawn: all that was kept, and of the worse ones those that do not press the rest
    together on this scale; what lies beyond is drawn at the edge."""
    kept = [p.best for p in points if p.best is not None]
    values = sorted(p.value for p in points if p.value is not None)
    if not values:
        return 0.0, 1.0
    if len(values) >= 4 and view.better:
        log = view.scale == "log" and values[0] > 0
        scaled = [math.log(v) for v in values] if log else values
        worst = _worst([-s for s in reversed(scaled)] if view.better == "max" else scaled)
        pairs = zip(values, scaled, strict=True)
        values = [v for v, s in pairs if (s <= worst if view.better == "min" else s >= -worst)]
    low, high = min(values + kept), max(values + kept)
    if view.scale == "log" and low > 0:
        factor = math.exp(0.02 * (math.log(high) - math.log(low))) if high > low else 1.01
        return low / factor, min(high * factor, _LARGEST)
    margin = 0.02 * (high - low) or 0.01 * abs(high) or 1.0
    return low - margin, high + margin


def _worst(values: Sequence[float]) -> float:
    """The greatest of these sorted values that still has a place in the chart: the 95th percentile, where the others
    would take more than a fifth of it; less where more than a twentieth lie outside Tukey's fence (a quartile and a
    half of the middle half beyond it)."""
    least, greatest = values[0], values[-1]
    most = values[math.ceil(0.95 * len(values)) - 1]
    low, high = values[len(values) // 4], values[-1 - len(values) // 4]
    bound = most if most - least < 0.8 * (greatest - least) else greatest
    return min(bound, high + 1.5 * (high - low))


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
    for i, (x, p) in enumerate(zip(at, points, strict=False)):
        if not p.again:
            continue
        levels = [_row(q.best, low, high, height, log) for q in points[max(0, i - 1) : i + 1] if q.best is not None]
        for value in p.again:
            y = _row(value, low, high, height, log)
            if low <= value <= high and y not in levels:  # it may break the line where that goes from level to level
                cells[y][x] = (text.GLYPHS["discard"], "track")
    ranks = {(x, y): _LINE for y, row in enumerate(bits) for x, dots in enumerate(row) if dots}
    best = next((i for i in reversed(range(len(points))) if _kept(points[i])), None)
    spots: list[tuple[int | None, str]] = []
    for x, p in zip(at, points, strict=False):
        if p.value is None:
            spots.append((None, ""))
            continue
        y = _row(p.value, low, high, height, log)
        glyph = text.GLYPHS.get(p.outcome, "?") if low <= p.value <= high else "↑" if p.value > high else "↓"
        spots.append((y, glyph))
        rank = _RANKS.get(p.outcome, 0)
        if ranks.get((x, y), 0) <= rank:
            ranks[x, y] = rank
            cells[y][x] = (glyph, _OUTCOMES.get(p.outcome, ""))
    labels = _labels(low, high, height, log, quantity)
    if best is None or (at_row := spots[best][0]) is None:
        return Grid(cells, labels, at, spots, log)
    cells[at_row][at[best]] = (spots[best][1], "kept strong")
    _label_best(labels, at_row, points[best].value or 0.0, view.better, quantity)
    return Grid(cells, labels, at, spots, log, at_row)


def _kept(point: Point) -> bool:
    return point.outcome == "keep" and point.value is not None


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
    step = max((high - low) / height, 1e-300)
    decimals = min(12, max(0, 1 - math.floor(math.log10(step))))
    found = []
    for row in range(height):
        share = (row + 0.5) / height
        value = high * (low / high) ** share if log else high - share * (high - low)
        if not log and abs(value) <= step / 2:
            value = 0.0  # where it lies in the row: beside a billion that is what a score of 6 comes to
        found.append(f"{_label(value, quantity, decimals):>7}" if row % every == 0 else "")
    return found


def _label_best(labels: list[str], best: int, value: float, better: str, quantity: Quantity) -> None:
    """The best one's own value beside its row; none stands so close that it could be taken for it, none beyond it."""
    for row in range(len(labels)):
        beyond = row > best if better == "min" else row < best if better == "max" else False
        if beyond or abs(row - best) == 1:
            labels[row] = ""
    labels[best] = f"{_label(value, quantity):>7}"


def _label(value: float, quantity: Quantity, decimals: int | None = None) -> str:
    """A value in at most eight cells."""
    forms = (written(value, quantity, decimals), *(f"{value:.{digits}e}" for digits in (3, 2, 1, 0)))
    signed = [form.replace("-", "−") for form in forms]
    return next((form for form in signed if len(form) <= LABEL_CELLS), signed[-1])


def rail(points: Sequence[Point], at: Sequence[int], width: int, live: int | None) -> list[Piece]:
    """The row under the chart: what has no value (crashes, skipped trials), and the experiment that runs."""
    cells: list[Piece] = [("─", "track")] * width
    for x, p in zip(at, points, strict=False):
        if p.value is None:
            cells[x] = (text.GLYPHS.get(p.outcome, "?"), _OUTCOMES.get(p.outcome, ""))
    if live is not None:
        index = index_of(points, live)
        cells[at[-1] if index is None else at[index]] = (text.RUNNING, "live")
    return cells


def pointed(cells: Sequence[Piece], x: int) -> list[Piece]:
    """The rail with the cursor in a column: it shows which one is meant without colours too."""
    glyph, style = cells[x]
    return [*cells[:x], ("▲" if style == "track" else glyph, "cursor"), *cells[x + 1 :]]
