"""The row under the chart: which experiment, or how many hours of work, a column stands for. Pure: no widget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui.chart import Axis, Point, index_of

_APART = 10  # columns from one tick to the next at least
_BETWEEN = 2  # blank columns between two of them
_MINUTES = (1, 2, 5, 10, 15, 30)
_HOURS = (1, 2, 3, 6, 12, 24)


def ticks(points: Sequence[Point], at: Sequence[int], width: int, axis: Axis) -> str:
    """A few numbers under their columns; `at`: the column of every point, and one more."""
    by_time = axis == "time" and points and points[-1].at > 0
    found = _times(points, at[-1], width) if by_time else _numbers(points, at, width)
    row = ""
    for column, words in found:
        start = min(max(0, column - len(words) // 2), width - len(words))
        if not row or start >= len(row) + _BETWEEN:
            row += " " * (start - len(row)) + words
    return row


def _numbers(points: Sequence[Point], at: Sequence[int], width: int) -> Iterator[tuple[int, str]]:
    last = points[-1].number if points else 0
    step = next(s for s in _round() if last * _APART <= s * max(_APART, at[-1]))
    for number in range(0, last + 1, step):
        if (index := index_of(points, number)) is not None and index < len(points):
            yield at[index], f"#{number}"


def _round() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, …"""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _times(points: Sequence[Point], last: int, width: int) -> Iterator[tuple[int, str]]:
    end = points[-1].at * (len(points) + 1) / len(points)  # as in chart.columns
    most = max(1, width // _APART)
    minutes = next((m for m in _MINUTES if 60 * end <= m * most), None)
    if minutes is not None:
        yield from ((round(m / 60 / end * last), f"{m} min") for m in range(0, int(60 * end) + 1, minutes))
        return
    hours = next((h for h in _HOURS if end <= h * most), 24 * (1 + int(end / 24 / most)))
    yield from ((round(h / end * last), f"{h} h") for h in range(0, int(end) + 1, hours))
