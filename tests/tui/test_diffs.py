"""Diffs: what is parsed, paired, set side by side, wrapped, taken back and compared; and the keys for it."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from driving import cockpit, screen, until
from hypothesis import given
from hypothesis import strategies as st
from recorded_run import SOURCE, write_run

from tui.diffs import DiffLine, Pair, changed, compare, diff_lines, side_by_side, undone, wrapped
from tui.feed import Feed
from tui.sources import Sources
from tui.widgets.paint import crop

ONE = """\
--- a/train.py
+++ b/train.py
@@ -1,4 +1,4 @@
 import torch
-RATE = 0.04
-DEPTH = 2
+RATE = 0.05
 END = 1
"""


def test_lines_that_stand_for_each_other_are_paired_and_their_difference_is_found() -> None:
    lines = [line for line in diff_lines(ONE) if line.kind in "+-" and line.kind]
    assert [(line.text, line.mate) for line in lines] == [
        ("RATE = 0.04", "RATE = 0.05"), ("DEPTH = 2", None), ("RATE = 0.05", "RATE = 0.04")
    ]  # fmt: skip
    assert changed("RATE = 0.04", "RATE = 0.05") == (9, 11)
    assert changed("nothing alike", "x = {}") == (0, 0)


def test_side_by_side_keeps_both_numberings() -> None:
    rows = [row for row in side_by_side(diff_lines(ONE)) if isinstance(row, Pair)]
    shown = [tuple((line.number, line.text) if line else None for line in (row.left, row.right)) for row in rows]
    assert shown == [
        ((1, "import torch"), (1, "import torch")),
        ((2, "RATE = 0.04"), (2, "RATE = 0.05")),
        ((3, "DEPTH = 2"), None),
        ((4, "END = 1"), (3, "END = 1")),
    ]


def test_long_lines_wrap_by_the_cell() -> None:
    rows = list(wrapped([DiffLine("+", 7, "漢字" * 6)], 10))
    assert [(row.number, row.text) for row in rows] == [(7, "漢字漢字漢"), (None, "字漢字漢字"), (None, "漢字")]


def test_words_are_broken_between_two_of_them() -> None:
    rows = list(wrapped([DiffLine("", None, "a longer decay averages more", "dim")], 12))
    assert [row.text for row in rows] == ["a longer", "decay", "averages", "more"]


def test_pieces_are_cropped_to_a_width_and_marked() -> None:
    pieces = [("abc", "x"), ("漢字", "y"), ("def", "")]
    assert "".join(words for words, _ in crop(pieces, 2, 5)) in ("c漢…", "c漢 …")
    assert "".join(words for words, _ in crop(pieces, 0, 12)) == "abc漢字def  "


LINES = st.lists(st.text("ab\t é", max_size=4), max_size=12)


@given(LINES, LINES)
def test_a_change_taken_back_gives_the_text_before(old: list[str], new: list[str]) -> None:
    before, after = ("".join(line + "\n" for line in lines) for lines in (old, new))
    diff = "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/x", "b/x"))
    assert undone(after, diff) == before


def test_a_diff_that_does_not_fit_is_not_taken_back() -> None:
    with pytest.raises(ValueError, match="line 2 is not what the diff says"):
        undone("import torch\nRATE = 0.9\nEND = 1\n", ONE)


def test_the_journal_alone_tells_every_version(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    feed = Feed(folder, alive=lambda _: False)
    feed.read()
    sources, history = Sources(folder), feed.state.history
    assert sources.of(history, 0) == {"train.py": SOURCE}
    for experiment in history.experiments[1:]:
        own, parent = (sources.of(history, n) for n in (experiment.number, experiment.incumbent or 0))
        shown, recorded = (
            [(line.kind, line.text) for line in diff_lines(diff) if line.kind in "+-" and line.kind]
            for diff in (compare(parent, own), experiment.diff)
        )
        assert shown == recorded
    against_baseline = compare(sources.of(history, 0), sources.of(history, 13))
    assert "+MATRIX_LR = 0.05" in against_baseline
    assert '+WINDOW_PATTERN = "L"' in against_baseline


async def test_v_compares_with_the_baseline_and_the_best(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder, (120, 60)) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: '"L"' in screen(app))
        assert "MATRIX_LR = 0.05" not in screen(app)
        await pilot.press("v")
        await until(pilot, lambda: "against the baseline" in screen(app) and "MATRIX_LR = 0.05" in screen(app))
        await pilot.press("v")
        await until(pilot, lambda: "no difference" in screen(app))
        await pilot.press("v")
        await until(pilot, lambda: "against" not in screen(app) and '"L"' in screen(app))


async def test_braces_show_more_of_the_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder, (120, 60)) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: '"L"' in screen(app))
        assert "WEIGHT_DECAY" not in screen(app)
        for _ in range(3):
            await pilot.press("right_curly_bracket")
        await until(pilot, lambda: "WEIGHT_DECAY" in screen(app))
        for _ in range(5):
            await pilot.press("left_curly_bracket")
        await until(pilot, lambda: "ASPECT_RATIO = 64" not in screen(app))


async def test_d_sets_the_diff_side_by_side_and_w_wraps(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder, (120, 40)) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: '"L"' in screen(app))
        row = next(line for line in screen(app).splitlines() if '"L"' in line)
        assert '"SSSL"' not in row
        await pilot.press("d")
        await until(pilot, lambda: "side by side" in screen(app))
        row = next(line for line in screen(app).splitlines() if '"L"' in line)
        assert "│" in row
        assert '"SSSL"' in row
        await pilot.press("w", "d")
        await until(pilot, lambda: "side by side" not in screen(app))


async def test_D_is_the_whole_run_in_one_scroll_and_n_goes_from_hunk_to_hunk(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18, live=False)
    async with cockpit(folder, (120, 40)) as (app, pilot):
        await pilot.press("D")
        await until(pilot, lambda: "whole run, #18 to #0" in screen(app))
        assert "experiment 18" in screen(app)
        seen = set()
        for _ in range(60):
            await pilot.press("n")
            await pilot.pause()
            seen |= {
                line.split("experiment ")[-1].split()[0] for line in screen(app).splitlines() if " experiment " in line
            }
        assert {"17", "9", "1"} <= seen
        await pilot.press("N", "D")
        await until(pilot, lambda: "whole run" not in screen(app))
