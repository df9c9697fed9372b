"""What the plot and the diff draw, without a screen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_run import write_run
from rich.cells import cell_len

from tui import text
from tui.chart import LABEL_CELLS, Point, Scale, View, columns, draw, index_of, limits, pointed, points, rail
from tui.diffs import diff_lines
from tui.feed import Feed
from tui.sheet import Way, lay_out
from tui.ticks import ticks
from tui.widgets.diff import coloured
from tui.widgets.paint import cell, fit, part, shorten


def columns_of(rows: list[list[tuple[str, str]]], glyph: str) -> list[int]:
    return sorted(x for row in rows for x, (drawn, _) in enumerate(row) if drawn == glyph)


def test_verdicts_are_told_apart_by_glyph_and_crashes_lie_on_the_rail(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "run", 18))
    feed.read()
    found = points(feed.state.history)
    grid = draw(found, 72, 10, View("min"))
    where = {p.number: x for p, x in zip(found, columns(found, 72), strict=False)}
    assert columns_of(grid.cells, "●") == [where[n] for n in (0, 1, 2, 5, 9, 10, 11, 13)]
    discarded = [n for n in (3, 4, 6, 8, 12, 14, 16, 17) if grid.cells[grid.spots[n][0] or 0][where[n]][1] != "accent"]
    assert discarded[0] == 4
    assert columns_of(grid.cells, "·") == [where[n] for n in discarded], "all that the line does not pass through"
    drawn = rail(found, grid.at, 72, 18)
    assert [x for x, (glyph, _) in enumerate(drawn) if glyph == "×"] == [where[7], where[15]]
    assert drawn[-1][0] == "▶"


def test_the_best_line_steps_down_and_reaches_the_present() -> None:
    found = [Point(0, "keep", 1.0, 1.0), Point(1, "discard", 1.1, 1.0), Point(2, "keep", 0.5, 0.5)]
    cells = draw(found, 23, 4, View("min")).cells
    braille = {(y, x) for y, row in enumerate(cells) for x, (glyph, _) in enumerate(row) if "⠀" < glyph <= "⣿"}
    assert (3, 5) in braille, "level at the best after the last keep"
    assert max(x for _, x in braille) == columns(found, 23)[3], "up to the experiment that runs"
    assert min(y for y, x in braille if x < 4) == 0


def test_a_diverged_experiment_does_not_flatten_the_rest() -> None:
    found = [Point(i, "keep", 2.4 - i / 100, 2.4 - i / 100) for i in range(8)] + [Point(8, "discard", 9.0, 2.33)]
    low, high = limits(found, View("min"))
    assert high < 2.5
    assert low > 2.3
    assert columns_of(draw(found, 60, 6, View("min")).cells, "↑") == [columns(found, 60)[8]]


def test_of_a_metric_that_grows_the_worse_outliers_lie_below() -> None:
    found = [Point(i, "keep", 90.0 + i, 90.0 + i) for i in range(8)] + [Point(8, "discard", 1.0, 97.0)]
    assert limits(found, View("max"))[0] > 80
    assert columns_of(draw(found, 60, 6, View("max")).cells, "↓") == [columns(found, 60)[8]]


def test_a_log_scale_is_not_flattened_by_one_that_diverged_either() -> None:
    found = [Point(i, "keep", 2.4 - i / 100, 2.4 - i / 100) for i in range(8)] + [Point(8, "discard", 90.0, 2.33)]
    view = View("min", scale="log")
    assert limits(found, view)[1] < 2.5
    assert columns_of(draw(found, 60, 6, view).cells, "↑") == [columns(found, 60)[8]]
    grown = [replace(p, value=1 / p.value, best=1 / 2.33) for p in found if p.value]
    assert limits(grown, View("max", scale="log"))[0] > 0.4
    spread = [Point(i, "keep", 2.0**-i, 2.0**-i) for i in range(12)]
    assert limits(spread, view)[1] > 1.0, "what lies even on the scale is all drawn"


def test_kept_lies_over_the_line_and_the_line_over_all_else() -> None:
    found = [Point(0, "keep", 1.0, 1.0, again=(0.9,)), Point(1, "discard", 1.0, 1.0), Point(2, "discard", 1.0, 1.0)]
    found += [Point(3, "keep", 0.9, 0.9, again=(1.0,)), Point(4, "discard", 1.0, 0.9), Point(5, "discard", 0.9, 0.9)]
    cells = draw(found, 80, 6, View("min")).cells
    assert columns_of(cells, "●") == [columns(found, 80)[i] for i in (0, 3)]
    told = [(columns(found, 80)[0], "track"), (columns(found, 80)[4], "discarded")]
    dots = {(x, style) for row in cells for x, (glyph, style) in enumerate(row) if glyph == "·"}
    assert sorted(dots) == told, "none where the line is level"
    assert all("⠀" < glyph <= "⣿" for y in (0,) for glyph, _ in cells[y][1 : columns(found, 80)[3]])


@pytest.mark.parametrize("better", ["min", "max"])
@pytest.mark.parametrize("height", [4, 6, 18])
def test_the_label_beside_the_best_is_its_own_value(better: str, height: int) -> None:
    sign = 1 if better == "min" else -1
    values = [2.0 + sign * v for v in (1.0, 0.7, 0.33217, 0.9)]
    outcomes = ("keep", "keep", "keep", "discard")
    found = [
        Point(i, o, v, min(v, values[2], key=lambda w: w * sign))
        for i, (o, v) in enumerate(zip(outcomes, values, strict=True))
    ]
    grid = draw(found, 60, height, View(better))
    labelled = [row for row, label in enumerate(grid.labels) if label]
    assert labelled[-1 if better == "min" else 0] == grid.best
    assert grid.labels[grid.best or 0].strip() == text.score(values[2])
    assert (grid.cells[grid.best or 0][grid.at[2]]) == ("●", "kept strong")
    assert len(labelled) > 1


def test_under_the_chart_stand_a_few_numbers() -> None:
    found = [Point(i, "keep", 1.0, 1.0, at=i / 20) for i in range(151)]
    for axis, words in (("number", ["#0", "#20", "#40"]), ("time", ["0", "h", "1", "h", "2", "h"])):
        at = columns(found, 90, axis)  # type: ignore[arg-type]
        row = ticks(found, at, 90, axis)  # type: ignore[arg-type]
        assert row.split()[: len(words)] == words
        assert len(row) <= 90
    assert abs(row.index("6 h") - at[120]) <= 2
    at = columns(found, 90)
    assert abs(ticks(found, at, 90, "number").index("#100") - at[100]) <= 2
    assert ticks([], [0], 90, "number").strip() == ""
    for n in (1, 2, 5, 5000):
        few = found[:n] if n < 151 else [Point(i, "keep", 1.0, 1.0, at=i * 3.0) for i in range(n)]
        for axis in ("number", "time"):
            row = ticks(few, columns(few, 31, axis), 31, axis)  # type: ignore[arg-type]
            assert 0 < len(row) <= 31
            assert len(row.split()) <= 8


def test_by_time_a_long_experiment_takes_more_room(tmp_path: Path) -> None:
    found = [Point(0, "keep", 1.0, 1.0, 1.0), Point(1, "keep", 0.9, 0.9, 1.5), Point(2, "keep", 0.8, 0.8, 5.5)]
    at = columns(found, 80, "time")
    assert at == sorted(at)
    assert at[2] - at[1] > 3 * (at[1] - at[0])
    assert at[3] == 79


def test_other_quantities_come_from_the_measurements(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "run", 18))
    feed.read()
    memory = points(feed.state.history, "memory")
    assert [p.value for p in memory[:3]] == [512.0, 513.0, 514.0]
    assert [p.value for p in points(feed.state.history, "speed")] == [None] * 18


def test_the_worst_twentieth_is_clipped_where_it_would_press_the_rest_together() -> None:
    values = [1.0 + i / 1000 for i in range(96)] + [1.2, 1.3, 1.4, 1.5]
    found = [Point(i, "keep" if i == 0 else "discard", v, 1.0) for i, v in enumerate(values)]
    assert 1.09 < limits(found, View("min"))[1] < 1.11
    assert len(columns_of(draw(found, 120, 8, View("min")).cells, "↑")) == 4
    even = [Point(i, "keep" if i == 0 else "discard", 1.0 + i / 1000, 1.0) for i in range(100)]
    assert columns_of(draw(even, 120, 8, View("min")).cells, "↑") == [], "nothing lies apart: nothing is clipped"
    assert limits([replace(p, value=-p.value, best=-1.0) for p in found if p.value], View("max"))[0] > -1.11


@pytest.mark.parametrize(
    "values",
    [
        [2.5],
        [None],
        [None, None, None],
        [1.0] * 30,
        [0.0] * 5,
        [1e300, -1e300, 3.0],
        [5e-324, 1e-320, 0.0],
        [1e12 + i for i in range(9)],
        [-3.5e-9, -3.4e-9, -3.3e-9],
        [123456.789, 123456.788],
    ],
)
@pytest.mark.parametrize("scale", ["clip", "log"])
@pytest.mark.parametrize("better", ["min", "max"])
def test_whatever_the_values_the_chart_has_its_shape(values: list[float | None], scale: Scale, better: str) -> None:
    found = [Point(i, "crash" if v is None else "keep", v, v) for i, v in enumerate(values)]
    grid = draw(found, 71, 4, View(better, scale))
    assert [len(row) for row in grid.cells] == [71] * 4
    assert all(len(label) <= LABEL_CELLS for label in grid.labels)
    shown = sum(v is not None for v in values)
    glyphs = [glyph for row in grid.cells for glyph, _ in row if glyph in "●↑↓"]
    assert bool(glyphs) == bool(shown)
    assert all(grid.marked(i) for i in range(len(found)))


def test_infinite_and_missing_measurements_are_no_points(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "run", 3))
    feed.read()
    h = feed.state.history
    measured = h.experiments[0].measurement
    assert measured is not None
    odd = [replace(h.experiments[0], measurement=replace(measured, value=v)) for v in (math.nan, math.inf, -math.inf)]
    assert [p.value for p in points(replace(h, experiments=tuple(odd)))] == [None] * 3


def test_the_cursor_is_seen_without_colours() -> None:
    found = [Point(0, "keep", 1.0, 1.0), Point(1, "crash", None, 1.0), Point(2, "discard", 1.1, 1.0)]
    grid = draw(found, 40, 4, View("min"))
    below = rail(found, grid.at, 40, 3)
    assert [glyph for glyph, style in pointed(below, grid.at[2]) if style == "cursor"] == ["▲"]
    assert [glyph for glyph, style in pointed(below, grid.at[1]) if style == "cursor"] == ["×"]
    assert [glyph for glyph, style in pointed(below, grid.at[3]) if style == "cursor"] == ["▶"]
    marked = [(glyph, style) for row in grid.marked(2) for glyph, style in row if style == "cursor"]
    assert marked == [("·", "cursor")]
    assert index_of(found, 7) is None


def test_further_trials_are_faint_points_and_the_one_that_runs_is_marked_where_it_belongs() -> None:
    found = [Point(0, "keep", 1.0, 1.0), Point(1, "keep", 0.9, 0.9, again=(0.95,)), Point(2, "discard", 1.1, 0.9)]
    grid = draw(found, 40, 12, View("min"))
    faint = [(x, y) for y, row in enumerate(grid.cells) for x, piece in enumerate(row) if piece == ("·", "track")]
    assert [x for x, _ in faint] == [grid.at[1]]
    assert rail(found, grid.at, 40, 1)[grid.at[1]][0] == "▶"


def test_a_crowd_does_not_hide_the_line() -> None:
    found = [Point(i, "keep" if i == 0 else "discard", 1.0 + (i % 7) / 1e6, 1.0) for i in range(500)]
    found.append(Point(500, "keep", 0.5, 0.5))
    cells = draw(found, 60, 4, View("min")).cells
    line = [x for x, (glyph, _) in enumerate(cells[0]) if "⠀" < glyph <= "⣿"]
    assert len(line) > 50


def test_a_thousand_experiments_fit() -> None:
    found = [Point(i, "keep" if i % 50 == 0 else "discard", 1.0 - i / 5000, 1.0 - i / 5000) for i in range(1000)]
    grid = draw(found, 70, 5, View("min"))
    assert all(len(row) == 70 for row in grid.cells)
    assert columns_of(grid.cells, "●"), "keeps are not buried under discards"
    assert len(rail(found, grid.at, 70, None)) == 70


DIFF = """\
diff --git a/train.py b/train.py
index 1..2 100644
--- a/train.py
+++ b/train.py
@@ -10,3 +10,4 @@ def main():
 DEPTH = 2
--- old
+++ new\t# tab
+BELL = "\x1b[31m\x07"
 END = 1
\\ No newline at end of file
"""


def test_a_diff_is_numbered_and_lines_that_look_like_headers_are_not_taken_for_them() -> None:
    lines = list(diff_lines(DIFF))
    assert [(line.kind, line.number, line.text) for line in lines if line.kind in ("+", "-", " ")] == [
        (" ", 10, "DEPTH = 2"),
        ("-", 11, "-- old"),
        ("+", 11, "++ new  # tab"),
        ("+", 12, 'BELL = ""'),
        (" ", 13, "END = 1"),
    ]
    assert lay_out(lines, Way()).summary == "train.py  +2 −1"


def test_colours_leave_the_text_as_it_is() -> None:
    line = "    return f'{x}' + \"y # no comment\" if DEPTH == 2.5e-3 else None  # yes"
    pieces = coloured(line)
    assert "".join(words for words, _ in pieces) == line
    styles = {words: style for words, style in pieces if style}
    assert styles["return"] == styles["if"] == styles["None"] == "keyword"
    assert styles['"y # no comment"'] == "string"
    assert styles["2.5e-3"] == "number"
    assert styles["# yes"] == "comment"


def test_narrow_rows_keep_what_matters_most() -> None:
    left = [part(9, ("● RUN", "")), part(3, ("cuda · cpu", ""))]
    right = [part(8, ("best 0.97", ""))]
    assert "".join(t for t, _ in fit(left, right, 40)) == "● RUN  cuda · cpu              best 0.97"
    assert "".join(t for t, _ in fit(left, right, 20)) == "● RUN      best 0.97"
    assert "".join(t for t, _ in fit(left, right, 6)) == "● RUN "


def test_a_row_that_is_too_long_is_marked_where_it_is_cut() -> None:
    row = [(" 12  ", "dim"), ("killed by SIGKILL: ", "crashed"), ("described", "")]
    assert shorten(row, 40) == row
    assert "".join(t for t, _ in shorten(row, 28)) == " 12  killed by SIGKILL: des…"
    assert "".join(t for t, _ in shorten(row, 12)) == " 12  killed…"
    assert sum(cell_len(t) for t, _ in shorten([("#1 ", ""), ("漢字漢字", "")], 8)) <= 8


def test_wide_characters_are_cut_by_the_cell() -> None:
    assert cell("漢字漢字", 5) == "漢字…"
    assert cell("漢字", 6) == "漢字  "
    assert cell("ab", 5, "right") == "   ab"
