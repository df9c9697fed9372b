"""What is selected is what is seen: in the list, in every title, in the whole run; the plot fills its part."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, experiments, screen, until
from recorded_run import write_run
from textual.pilot import Pilot

from core import events as ev
from tui.app import Cockpit, Left
from tui.widgets.diff import DiffView
from tui.widgets.experiments import ExperimentList


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("long") / "nov20", 150)


def row_of(app: Cockpit) -> int:
    """Where in the list the selected row is drawn, 0 where it is not."""
    drawn = [experiments(app).render_line(y).text for y in range(experiments(app).size.height)]
    return next((y for y, row in enumerate(drawn) if row.startswith("›")), 0)


# --- the selected row ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pressed",
    ["b f f f f", "slash 3 6 enter b j j escape", "4 G escape", "G enter k k k k escape", "4 b j j j j j escape ("],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_selected_row_is_always_in_view(recorded: Path, pressed: str, size: tuple[int, int]) -> None:
    async with cockpit(recorded, size) as (app, pilot):
        for key in pressed.split():
            await pilot.press(key)
            await pilot.pause()
            await until(pilot, lambda: row_of(app) > 0 or not experiments(app).region.height)


async def test_a_lower_list_shows_the_selected_row_too(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        for key in ("G", "+", "+", "+", "0", "k", "k", "+", "("):
            await pilot.press(key)
            await pilot.pause()
            assert row_of(app) > 0
        await pilot.resize_terminal(80, 16)
        await pilot.pause()
        assert row_of(app) > 0


async def test_a_row_from_far_away_comes_to_the_middle(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        rows = experiments(app).size.height - 1
        experiments(app).select(70)
        await pilot.pause()
        assert abs(row_of(app) - rows // 2) <= 1
        for _ in range(rows):
            await pilot.press("j")
        assert row_of(app) == rows, "step by step it is only just brought in"


# --- titles and logs -------------------------------------------------------------------------------------------------


async def test_titles_name_what_is_selected_after_a_zoom(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("2", "b", "4", "[", "[", "escape")
        number = experiments(app).selected
        assert number not in (None, 143)
        await until(pilot, lambda: "▸Log" in screen(app))
        await pilot.pause()
        titles = [line for line in screen(app).splitlines() if "▸Log" in line or " Diff ─" in line]
        assert len(titles) == 2
        assert all(f"#{number}" in title for title in titles)


SELECTING = {
    "search": "slash G E L U enter",
    "filter": "f f f",
    "keys": "G j k",
    "best": "b",
    "unsearched": "slash x x x escape j",
}


@pytest.mark.parametrize("way", SELECTING)
async def test_the_log_of_the_selected_one_comes_however_it_was_selected(recorded: Path, way: str) -> None:
    async with cockpit(recorded, live=False) as (app, pilot):
        await until(pilot, lambda: app.state.log is not None and app.state.log.number == 150)
        await pilot.press(*SELECTING[way].split())
        number = experiments(app).selected
        assert number not in (None, 150)
        await until(pilot, lambda: app.state.log is not None and app.state.log.number == number)
        await until(pilot, lambda: "no log yet" not in screen(app))


async def test_a_click_and_the_wheel_do_what_they_did(recorded: Path) -> None:
    async with cockpit(recorded, live=False) as (app, pilot):
        await pilot.click(ExperimentList, offset=(5, 4))
        assert experiments(app).selected == 147
        await until(pilot, lambda: app.state.log is not None and app.state.log.number == 147)
        experiments(app).scroll_relative(y=40, animate=False)
        await pilot.pause()
        assert row_of(app) == 0, "who looks further down is left alone"
        assert experiments(app).selected == 147


# --- the whole run ---------------------------------------------------------------------------------------------------


def top(app: Cockpit) -> str:
    return app.screen_stack[0].query_one(DiffView).render_line(0).text.strip()


async def seen_first(pilot: Pilot[Left], app: Cockpit, words: str) -> None:
    await until(pilot, lambda: top(app) == words)


async def test_D_opens_the_whole_run_at_the_selected_one_and_follows_it(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        experiments(app).select(40)  # beyond what is laid out at once
        await pilot.press("D")
        await seen_first(pilot, app, "experiment 40")
        await pilot.press("j")
        await seen_first(pilot, app, "experiment 39")
        await pilot.press("J", "J", "k", "k")
        await seen_first(pilot, app, "experiment 41")
        assert "whole run, #149 to #0 · D: one alone" in screen(app)
        await pilot.press("D")
        await until(pilot, lambda: top(app).startswith("#41 "))


async def test_a_new_experiment_does_not_move_what_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 150)
    async with cockpit(folder) as (app, pilot):
        view = app.screen.query_one(DiffView)
        experiments(app).select(40)
        await pilot.press("D")
        await seen_first(pilot, app, "experiment 40")
        await pilot.press("J", "J", "J")
        await pilot.pause()
        reading, before = top(app), len(view.content)
        with engine_of(folder) as engine:
            engine.write(
                ev.Measured(150, 1, 2.3, 15.0, 20.0, 512.0), ev.Judged(150, "discard", "worse", 13, 0.001),
                ev.ExperimentDone(150), ev.Proposing(151, 13),
            )  # fmt: skip
            await until(pilot, lambda: "whole run, #150 to #0" in screen(app) and len(view.content) > before)
        assert top(app) == reading
        await pilot.press("w")
        await pilot.pause()
        assert top(app) == reading


# --- the plot --------------------------------------------------------------------------------------------------------


def plot_rows(app: Cockpit) -> list[str]:
    plot = app.screen_stack[0].query_one("#plot")
    rows = screen(app).splitlines()[plot.region.y : plot.region.bottom]
    return [row[plot.region.x : plot.region.right] for row in rows]


async def test_the_plot_fills_its_part_as_soon_as_it_has_it(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        for key in ("5", "escape", ")", "0"):
            await pilot.press(key)
            await pilot.pause()
            chart = [row for row in plot_rows(app) if "┤" in row]
            assert len(chart) >= len(plot_rows(app)) - 3
            assert chart[-1].rstrip()[-1] not in "┤ ", "up to the right edge"
        for size in ((120, 40), (80, 24), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            rows = plot_rows(app)
            assert sum("┤" in row for row in rows) >= len(rows) - 3
            rail = next(row for row in rows if "└" in row)
            assert len(rail.rstrip(" │")) == len(rail.rstrip("│")), "the rail goes over the whole width"


async def test_the_plot_says_which_experiments_and_what_the_best_is(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        rows = plot_rows(app)
        assert "#100" in rows[-1]
        labels = [row[:8].strip() for row in rows if "┤" in row and row[:8].strip()]
        assert labels[-1] == "2.278"
        await pilot.press("x")
        await pilot.pause()
        assert "min" in plot_rows(app)[-1]


# --- room ------------------------------------------------------------------------------------------------------------


async def test_a_wide_window_has_room_for_descriptions(recorded: Path) -> None:
    async with cockpit(recorded, (200, 60)) as (app, pilot):
        await pilot.press("G")
        await pilot.pause()
        assert "unembedding LR 0.004 to 0.006" in screen(app)
    for size in ((80, 24), (120, 40), (200, 60)):
        async with cockpit(recorded, size) as (app, pilot):
            await pilot.press("slash", *"softcap", "enter", "j")
            await pilot.pause()
            heading = experiments(app).render_line(0).text
            assert "“softcap”" in heading
            assert "…" not in heading
            assert "description " in heading or "descr" not in heading


async def test_what_a_run_that_is_over_says_stands_together(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18), (200, 60), live=False) as (app, _):
        rows = screen(app).splitlines()
        assert "experiments" in rows[1]
        assert rows[2].strip()


async def test_what_moves_nothing_says_so(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.press("<")
        await until(pilot, lambda: "nothing to move in this layout" in screen(app))
        await pilot.press("5", ">")
        await until(pilot, lambda: "one part has the whole window; esc goes back" in screen(app))


@pytest.mark.parametrize("key", ["4", "5", "enter"])
async def test_a_part_alone_says_how_to_get_back(recorded: Path, key: str) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        assert "esc back" not in screen(app)
        await pilot.press(key)
        await until(pilot, lambda: "esc back" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: "esc back" not in screen(app))
