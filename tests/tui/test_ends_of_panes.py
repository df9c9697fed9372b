"""`home` and `end`, in whatever has an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from driving import cockpit, engine_of, experiments, said, screen, until
from recorded_run import STARTED_AT, write_run
from test_long_diffs import LINES, LONG, add
from textual.containers import VerticalScroll

from core import events as ev
from core import records
from tui.widgets.diff import DiffView
from tui.widgets.lines import LineView

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "nov20", 60)
    notes = [ev.Steered(f"note {i}: " + "try something else " * 20) for i in range(20)]
    first, *rest = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    said = (json.dumps(records.to_record(note, STARTED_AT)) + "\n" for note in notes)
    (folder / "journal.jsonl").write_text("".join((first, *said, *rest)))
    log = folder / "trials" / "60-1" / "log"
    log.write_text("".join(f"line {i}\n" for i in range(400)))
    return folder


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", ["D", "2", "3"])
async def test_a_pane_scrolls_to_its_ends(folder: Path, keys: str, size: tuple[int, int]) -> None:
    async with cockpit(folder, size) as (app, pilot):
        await pilot.press(*keys)
        pane = app.research.pane
        view: LineView[object] = app.research._views[pane].view if pane == "diff" else app.research._views[pane]
        await until(pilot, lambda: view.max_scroll_y > 0 and (keys != "D" or len(view.content) > 700))
        await pilot.press("end")
        await until(pilot, lambda: view.scroll_offset.y == view.max_scroll_y)
        await pilot.press("home")
        assert view.scroll_offset.y == 0
        assert experiments(app).selected == 60, "the list stays where it is"


async def test_alone_the_list_goes_to_its_ends(folder: Path) -> None:
    async with cockpit(folder, (80, 24)) as (app, pilot):
        await pilot.press("4", "end")
        assert experiments(app).selected == 0
        await pilot.press("home")
        assert experiments(app).selected == 60


async def test_at_the_end_of_a_diff_that_is_still_laid_out_its_real_end_comes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder) as (app, pilot):
        with engine_of(folder) as engine:
            add(engine, 18, LONG)
            add(engine, 19, LONG)
            view = app.screen.query_one(DiffView)
            await until(pilot, lambda: "number 19" in screen(app))
            await pilot.press("j", "end")
            await until(pilot, lambda: len(view.content) > LINES and view.scroll_offset.y == view.max_scroll_y)
            await pilot.press("k")
            await until(pilot, lambda: "#19 train.py" in screen(app))
            assert view.scroll_offset.y == 0, "another one begins at its top"


async def test_the_help_and_what_was_said_scroll_to_their_ends(folder: Path) -> None:
    async with cockpit(folder, (80, 24)) as (app, pilot):
        for i in range(60):
            app.say("done", f"said {i}")
        for key in ("?", "i"):
            await pilot.press(key)
            await pilot.pause()
            box = app.screen.query_one(VerticalScroll)
            await until(pilot, lambda box=box: box.max_scroll_y > 0)
            await pilot.press("end")
            await until(pilot, lambda box=box: round(box.scroll_offset.y) == box.max_scroll_y)
            await pilot.press("home")
            await until(pilot, lambda box=box: round(box.scroll_offset.y) == 0)
            if key == "i":
                assert "said 59" in said(app).splitlines()[0]
            await pilot.press("escape")


async def test_they_are_in_the_help(folder: Path) -> None:
    async with cockpit(folder, (200, 60)) as (app, pilot):
        await pilot.press("?")
        await until(pilot, lambda: "its top" in screen(app) and "its end" in screen(app))
