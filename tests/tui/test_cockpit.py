"""What the cockpit shows, and moving about in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, experiments, screen, until
from recorded_run import SOURCE, write_run

from core import events as ev
from tui.widgets.diff import DiffView
from tui.widgets.experiments import ExperimentList
from tui.widgets.log import LogView


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


# --- what is visible without a key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_everything_that_matters_is_visible_without_a_key(recorded: Path, size: tuple[int, int]) -> None:
    async with cockpit(recorded, size) as (app, _):
        shown = screen(app)
        for words in ("● RUN", "nov20", "17 of 50", "PyTorch · cpu · search", "best 2.2993 (#13)", "7● 8· 2×"):
            assert words in shown
        for words in ("training #18", "step 67", "loss 3.811", "tok/s", "5.9 s left", "val_bpb ↓", "2.4413 → 2.2993"):
            assert words in shown
        for words in ("×", "▶ 18", "embedding LR 0.6 to 0.75", "EMBEDDING_LR = 0.75"):
            assert words in shown
        assert "? help" in shown
        assert all(len(line) <= size[0] for line in shown.splitlines())


async def test_a_window_too_small_for_more_shows_the_best(recorded: Path) -> None:
    async with cockpit(recorded, (20, 5)) as (app, _):
        assert screen(app).splitlines()[0] == "●  best 2.2993 (#13)"


async def test_resizing_changes_the_layout_and_loses_nothing(recorded: Path) -> None:
    async with cockpit(recorded, (200, 60)) as (app, pilot):
        await pilot.press("j", "j", "j")
        for size in ((80, 24), (30, 8), (1, 1), (100, 16), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert experiments(app).selected == 15
        assert "how far does it go" in screen(app)


async def test_before_the_first_event_it_says_what_the_engine_does(tmp_path: Path) -> None:
    (tmp_path / "engine.log").write_text("packing rows 40 %\n")
    async with cockpit(tmp_path) as (app, pilot):
        await until(pilot, lambda: "packing rows 40 %" in screen(app))
        assert "STARTING" in screen(app)


async def test_a_baseline_has_no_diff_and_says_so(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 1)) as (app, pilot):
        await pilot.press("G")
        await until(pilot, lambda: "nothing was edited" in screen(app))


# --- moving ----------------------------------------------------------------------------------------------------------


async def test_j_k_g_G_b_select_and_the_diff_follows(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        assert experiments(app).selected == 18
        await pilot.press("j", "j", "down", "k")
        assert experiments(app).selected == 16
        await until(pilot, lambda: "SCALAR_LR = 0.3" in screen(app))
        await pilot.press("b")
        assert experiments(app).selected == 13
        assert 'WINDOW_PATTERN = "L"' in screen(app)
        await pilot.press("G")
        assert experiments(app).selected == 0
        await pilot.press("up")
        assert experiments(app).selected == 1
        await pilot.press("g")
        assert experiments(app).selected == 18


async def test_the_list_follows_the_live_experiment_until_the_user_moves(recorded: Path) -> None:
    more = (
        ev.Crashed(18, 1, "oom", "boom", 1.0), ev.Judged(18, "crash", "oom", 13, None), ev.ExperimentDone(18),
        ev.Proposing(19, 13), ev.Proposed(19, "p", 13, {}, "nineteen", "why not", {}),
    )  # fmt: skip
    async with cockpit(recorded) as (app, pilot):
        with engine_of(recorded) as engine:
            await pilot.press("j", "j")
            engine.write(*more)
            await until(pilot, lambda: "nineteen" in screen(app))
            assert experiments(app).selected == 16, "what the user reads stays"
            assert ". live" in screen(app)
            await pilot.press(".")
            assert experiments(app).selected == 19
            engine.write(ev.Committed(19, "c" * 40, "r", "", 3), ev.Judged(19, "discard", "worse", 13, 0.1))
            engine.write(ev.ExperimentDone(19), ev.Proposing(20, 13))
            await until(pilot, lambda: experiments(app).selected == 20)


async def test_J_K_and_pages_scroll_the_diff_from_the_list(recorded: Path) -> None:
    old = SOURCE.splitlines()
    diff = "--- a/train.py\n+++ b/train.py\n@@ -1,500 +1,500 @@\n" + "".join(
        f"+line {i} {old[i % 20]}\n" for i in range(500)
    )
    async with cockpit(recorded) as (app, pilot):
        with engine_of(recorded) as engine:
            engine.write(ev.Committed(18, "c" * 40, "r", diff, 500))
            view = app.screen.query_one(DiffView)
            await until(pilot, lambda: view.virtual_size.height > 500)
            await pilot.press("J", "J", "J", "K")
            assert view.scroll_offset.y == 2
            await pilot.press("ctrl+d")
            assert view.scroll_offset.y == 2 + view.size.height // 2
            await pilot.press("ctrl+u")
            assert view.scroll_offset.y == 2
            assert experiments(app).selected == 18


async def test_tab_and_numbers_change_the_pane(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        diff, log = app.screen.query_one(DiffView), app.screen.query_one(LogView)
        assert (diff.region.height > 0, log.region.height > 0) == (True, False)
        await pilot.press("tab")
        await until(pilot, lambda: "step   60  loss" in screen(app))
        assert (diff.region.height > 0, log.region.height > 0) == (False, True)
        await pilot.press("1")
        await until(pilot, lambda: "EMBEDDING_LR = 0.75" in screen(app))
        await pilot.press("2", "j", "j", "j")
        await until(pilot, lambda: "RuntimeError: [enforce fail]" in screen(app))


async def test_a_click_selects(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.click(ExperimentList, offset=(5, 4))
        assert experiments(app).selected == 15


# --- the list narrowed, zoom, and what leaves the screen -------------------------------------------------------------


async def test_brackets_go_from_kept_to_kept(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        found = []
        for _ in range(3):
            await pilot.press("[")
            found.append(experiments(app).selected)
        await pilot.press("]")
        assert found == [13, 11, 10]
        assert experiments(app).selected == 11


async def test_f_lists_one_outcome_and_esc_all_again(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        listing = experiments(app).listing
        await pilot.press("f", "f", "f")
        assert [e.number for e in experiments(app).listing.finished] == [7, 15]
        assert "2 crashed" in screen(app)
        assert experiments(app).selected in (7, 15)
        await pilot.press("escape")
        assert len(experiments(app).listing) == len(listing)


async def test_search_narrows_while_it_is_typed(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("slash", *"warmdown")
        await until(pilot, lambda: len(experiments(app).listing.finished) < 18)
        assert 2 in [e.number for e in experiments(app).listing.finished]
        assert 4 not in [e.number for e in experiments(app).listing.finished]
        await pilot.press("enter", "p")
        assert "“warmdown”" in screen(app)
        assert "warmdownp" not in screen(app), "after enter the keys are commands again"
        await pilot.press("escape")
        assert len(experiments(app).listing.finished) == 18


async def test_enter_gives_a_pane_the_whole_window_and_esc_takes_it_back(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.query_one(DiffView).size.width == 120
        assert not app.screen.query_one(ExperimentList).region.width
        await pilot.press("2")
        await pilot.pause()
        assert app.screen.query_one(LogView).size.width == 120
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.query_one(ExperimentList).region.width > 40


async def test_c_copies_what_the_pane_shows(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("b", "c")
        assert '+WINDOW_PATTERN = "L"' in app.clipboard
        await until(pilot, lambda: "copied 1" in screen(app) and "lines" in screen(app))


async def test_m_y_and_x_change_the_plot(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("m")
        await pilot.pause()
        assert "525 MB at the best" in screen(app)
        await pilot.press("y", "x")
        await pilot.pause()
        assert "peak memory" in screen(app)
        assert "log scale, by time" in screen(app)
        await pilot.press("m")
        await pilot.pause()
        assert "tokens/s" in screen(app)


async def test_the_share_of_the_peak_is_shown_in_per_cent(recorded: Path) -> None:
    with (recorded / "trials" / "18-1" / "telemetry.jsonl").open("a") as reports:
        reports.write('{"step": 70, "loss": 3.0, "mfu": 0.398, "seconds": 9.5, "progress": 0.6}\n')
    async with cockpit(recorded, (160, 50)) as (app, pilot):
        await until(pilot, lambda: "39.8 % MFU" in screen(app))
