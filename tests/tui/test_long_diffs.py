"""Diffs and logs that are long, wide, or not text at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import Engine, cockpit, engine_of, screen, until
from recorded_run import write_run

from core import events as ev
from tui.diffs import CONTEXT, DiffLine, Pair, diff_lines
from tui.sheet import AT_ONCE, Packed, Way, all_of, beginning, lay_out
from tui.widgets.diff import DiffView
from tui.widgets.log import LogView

LINES = 50_000
HEAD = "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n"
LONG = f"{HEAD}@@ -1,{LINES // 2} +1,{LINES // 2} @@\n" + "".join(
    f"-old {i} = {i * 7}\n+new {i} = {i * 7}\n" for i in range(LINES // 2)
)
NASTY = f"{HEAD}@@ -1,9 +1,9 @@\n" + "\n".join((
    "-a\tb\tc\r", "+a\tb\tc", "-漢字 = '漢字'  # 漢字", "+漢字 = '漢字漢字'  # 漢字",
    "+s = '😀👨\u200d👩\u200d👧❤\ufe0f🇩🇪e\u0301'",
    "+bell\x07 \x1b[31mred\x1b[0m \x9b2J \x1b]0;title\x07 \u202eover", "+" + "x" * 100_000, "+\ufffd\x00\x01\x02", " ",
    "\\ No newline at end of file",
)) + "\nBinary files a/x.png and b/x.png differ\n"  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def add(engine: Engine, number: int, diff: str) -> None:
    engine.write(
        ev.Proposed(number, "p", 13, {}, f"number {number}", "", {}), ev.Committed(number, "c" * 40, "r", diff, 9),
        ev.Judged(number, "discard", "worse", 13, 0.1), ev.ExperimentDone(number),
    )  # fmt: skip


@pytest.mark.parametrize("way", [Way(), Way(paired=True), Way(wrap=12), Way(True, 9, False)])
def test_what_is_packed_is_what_was_laid_out(way: Way) -> None:
    lines = [
        DiffLine("@", 7, "experiment 7"),
        *diff_lines(LONG[:60_000]),
        DiffLine("@", 6, "experiment 6"),
        *diff_lines(NASTY),
    ]
    packed, plain = all_of(lambda: iter(lines), lambda digits: way, lambda: False), lay_out(lines, way)
    assert packed is not None
    assert len(lines) > AT_ONCE
    assert isinstance(packed.rows, Packed)
    assert len(packed.rows) == len(plain.rows)
    assert list(packed.rows) == list(plain.rows)
    assert packed.rows[-3:] == list(plain.rows)[-3:]
    assert packed.rows[len(plain.rows) // 2] == plain.rows[len(plain.rows) // 2]
    with pytest.raises(IndexError):
        packed.rows[len(plain.rows)]
    for what in ("whole", "way", "longest", "gutter", "hunks", "summary", "places"):
        assert getattr(packed, what) == getattr(plain, what)
    assert packed.places[6] > packed.places[7] == 0
    assert all_of(lambda: iter(lines * 9), lambda digits: way, lambda: True) is None


async def test_of_a_long_diff_the_beginning_is_there_at_once(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        with engine_of(recorded) as engine:
            for number in range(18, 22):
                add(engine, number, LONG.replace("new", f"new{number}"))
            view = app.screen.query_one(DiffView)
            await until(pilot, lambda: "number 21" in screen(app))
            await until(pilot, lambda: view.summary == f"train.py  +{LINES // 2} −{LINES // 2}")
            assert len(view.content) > LINES
            await until(pilot, lambda: "a long one" not in screen(app))
            for key, number in (("j", 20), ("j", 19), ("k", 20)):
                await pilot.press(key)
                await pilot.pause()
                assert f"new{number} 3 = 21" in screen(app)
            await until(pilot, lambda: view.summary.startswith("train.py"))
            await pilot.press("d")  # side by side: a row for every pair
            await until(pilot, lambda: LINES / 2 < len(view.content) < LINES / 2 + 20)
            view.scroll_to(y=LINES // 2, animate=False)
            await pilot.pause()
            assert f"new20 {LINES // 2 - 1}" in screen(app)
            await pilot.press("d", "w")
            await until(pilot, lambda: len(view.content) > LINES)
            await pilot.press("D")
            await until(pilot, lambda: "whole run" in screen(app) and len(view.content) > 4 * LINES)
            await pilot.press("D")
            await until(pilot, lambda: view.summary.startswith("train.py") and len(view.content) < 2 * LINES)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_nasty_text_is_drawn_in_its_columns(recorded: Path, size: tuple[int, int]) -> None:
    with (recorded / "trials" / "18-1" / "log").open("ab") as log:
        log.write(NASTY.encode() + b"\xff\xfe\x00" * 50 + "進捗\t漢字 😀\r50 %\r100 %\n".encode())
    async with cockpit(recorded, size) as (app, pilot):
        with engine_of(recorded) as engine:
            engine.write(ev.Committed(18, "c" * 40, "r", NASTY, 9))
            await until(pilot, lambda: "漢字" in screen(app))
            for keys in ("", "w", "d", "2w", "1d", "3", "1w"):
                await pilot.press(*keys)
                for x in (0, 3, 90):
                    app.screen.query_one(DiffView).scroll_to(x=x, y=5, animate=False)
                    app.screen.query_one(LogView).scroll_to(x=x, animate=False)
                    await pilot.pause()
                    strips = app.screen._compositor.render_strips()
                    assert {strip.cell_length for strip in strips} == {size[0]}
                    assert all(c.isprintable() for c in screen(app) if c != "\n")
                    assert "title" not in screen(app)


def test_lines_without_end_are_cut_and_say_so() -> None:
    long = next(line for line in diff_lines(NASTY) if line.text.startswith("xxx"))
    assert long.text.endswith("x… 98,000 characters more")


def test_a_change_too_long_to_compare_is_shown_as_it_is() -> None:
    block = HEAD + "@@ -1,3000 +1,3000 @@\n" + "-a\n" * 3000 + "+b\n" * 3000 + " end\n-c\n+d\n"
    lines = diff_lines(block)
    assert [line.kind for line in lines].count("+") == 3001
    assert [line.mate for line in lines[-2:]] == ["d", "c"], "the next change is compared again"


def test_the_beginning_is_the_beginning_of_the_whole() -> None:
    lines = diff_lines(LONG)
    first = beginning(lambda: iter(lines), lambda digits: Way())
    whole = all_of(lambda: iter(lines), lambda digits: Way(), lambda: False)
    assert whole is not None
    assert not first.whole
    assert (len(first.rows), first.rows) == (AT_ONCE, whole.rows[:AT_ONCE])
    assert all_of(lambda: iter(lines), lambda digits: Way(), lambda: True) is None
    assert lay_out(lines[:3], Way(named=False)).hunks == [0]


@pytest.mark.parametrize("paired", [False, True])
def test_n_goes_to_every_change_also_within_one_hunk(paired: bool) -> None:
    far = "".join(f" {i}\n" for i in range(30))
    diff = HEAD + f"@@ -1,90 +1,90 @@\n a\n-b\n+c\n d\n+e\n{far}-f\n-g\n{far}+h\n"
    sheet = lay_out(diff_lines(diff), Way(paired))
    changed = [i for i, row in enumerate(sheet.rows) if any(s and s.kind in ("+", "-") for s in sides(row))]
    near, second, third, fourth = changed[0], changed[-4], changed[-3], changed[-1]
    assert sheet.hunks[:2] == [0, 1], "the file and the hunk, which has its first change at once"
    assert near == 3
    assert sheet.hunks[2:] == [second - 1, third - CONTEXT, fourth - CONTEXT], "with what stands just above"


def sides(row: DiffLine | Pair) -> tuple[DiffLine | None, ...]:
    return (row,) if isinstance(row, DiffLine) else (row.left, row.right)


def test_the_beginning_costs_no_more_than_a_beginning() -> None:
    taken = 0

    def counted():
        nonlocal taken
        for line in diff_lines(LONG[:100_000]):
            taken += 1
            yield line

    beginning(counted, lambda digits: Way(True, 30))
    assert taken == AT_ONCE + 1
