"""What the plot and the diff draw, without a screen."""

from __future__ import annotations

from pathlib import Path

from recorded_run import write_run

from tui.chart import Point, View, columns, draw, limits, points, rail
from tui.diffs import diff_lines, summarise
from tui.feed import Feed
from tui.widgets.diff import coloured
from tui.widgets.paint import cell, fit, part


def columns_of(rows: list[list[tuple[str, str]]], glyph: str) -> list[int]:
    return sorted(x for row in rows for x, (drawn, _) in enumerate(row) if drawn == glyph)


def test_verdicts_are_told_apart_by_glyph_and_crashes_lie_on_the_rail(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "run", 18))
    feed.read()
    found = points(feed.state.history)
    grid = draw(found, 72, 10, View("min"))
    where = {p.number: x for p, x in zip(found, columns(found, 72), strict=False)}
    assert columns_of(grid.cells, "●") == [where[n] for n in (0, 1, 2, 5, 9, 10, 11, 13)]
    assert columns_of(grid.cells, "·") == [where[n] for n in (3, 4, 6, 8, 12, 14, 16, 17)]
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


def test_a_log_scale_shows_the_diverged_one_too() -> None:
    found = [Point(i, "keep", 2.4 - i / 100, 2.4 - i / 100) for i in range(8)] + [Point(8, "discard", 90.0, 2.33)]
    drawn = draw(found, 60, 6, View("min", scale="log"))
    assert columns_of(drawn.cells, "↑") == []
    assert drawn.cells[0][columns(found, 60)[8]][0] == "·"
    assert float(drawn.labels[0]) > 30


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
    assert summarise(lines) == "train.py  +2 −1"


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


def test_wide_characters_are_cut_by_the_cell() -> None:
    assert cell("漢字漢字", 5) == "漢字…"
    assert cell("漢字", 6) == "漢字  "
    assert cell("ab", 5, "right") == "   ab"
