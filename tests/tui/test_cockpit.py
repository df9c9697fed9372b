"""The cockpit's keys and words, driven as a user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from recorded_run import SOURCE, STARTED_AT, write_run
from textual.pilot import Pilot

from core import control
from core import events as ev
from tui import keys
from tui.app import Cockpit, Left
from tui.feed import Feed
from tui.screens.help import HelpScreen
from tui.screens.leave import LeaveScreen
from tui.screens.start import StartPage
from tui.widgets.diff import DiffView
from tui.widgets.experiments import ExperimentList
from tui.widgets.log import LogView


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


class Engine:
    """The engine's end of a run folder: its lock, its socket, and a journal that can be written on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[str] = []
        self.control = control.Control(folder, lambda event: self.heard.append(event.command), lambda: "training")
        self.now = STARTED_AT + 10_000

    def write(self, *events: ev.Event) -> None:
        import json

        with (self.folder / "journal.jsonl").open("a") as journal:
            for event in events:
                self.now += 1
                journal.write(json.dumps(ev.to_record(event, self.now)) + "\n")


@contextmanager
def engine_of(folder: Path) -> Iterator[Engine]:
    with control.lock(folder / "engine.lock", "busy"):
        engine = Engine(folder)
        try:
            yield engine
        finally:
            engine.control.close()
            engine.control.wake.close()
            engine.control._waker.close()


@asynccontextmanager
async def cockpit(folder: Path, size: tuple[int, int] = (120, 40), live: bool = True):
    feed = Feed(folder, alive=lambda _: True) if live else Feed(folder)
    app = Cockpit(folder, feed=feed)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.history.run is not None or not (folder / "journal.jsonl").exists())
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[Left], what: Callable[[], bool]) -> None:
    """Wait until something is so, ten seconds at most."""
    for _ in range(500):
        if what():
            return
        await pilot.pause(0.02)
    raise AssertionError("it did not happen in time:\n" + screen(pilot.app))


def screen(app: Cockpit) -> str:
    """What the terminal shows."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def experiments(app: Cockpit) -> ExperimentList:
    return app.screen_stack[0].query_one(ExperimentList)


# --- what is visible without a key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_everything_that_matters_is_visible_without_a_key(recorded: Path, size: tuple[int, int]) -> None:
    async with cockpit(recorded, size) as (app, _):
        shown = screen(app)
        for words in ("● RUN", "nov20", "exp 18/50", "cuda · cpu · search", "best 2.2993 (#13)", "8● 8· 2×"):
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


# --- control ---------------------------------------------------------------------------------------------------------


async def test_p_pauses_says_when_and_goes_on(recorded: Path) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("p")
            await until(pilot, lambda: "pause: holds at the next step" in screen(app))
            engine.write(ev.RunPaused("paused by the user", "go on with p"), ev.TrialHeld(18, 1, 68))
            await until(pilot, lambda: "‖ PAUSED" in screen(app) and "p resume" in screen(app))
            assert "held #18" in screen(app)
            await until(pilot, lambda: "paused by the user; go on with p" in screen(app))
            assert "since " in screen(app)
            await pilot.press("space")
            await until(pilot, lambda: "resume: goes on" in screen(app))
            engine.write(ev.RunContinued(), ev.TrialContinued(18, 1, 2.0))
            await until(pilot, lambda: "● RUN" in screen(app))
            assert engine.heard == ["pause", "resume"]


async def test_s_skips(recorded: Path) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("s")
            await until(pilot, lambda: "skip: ends this trial and discards its experiment" in screen(app))
            assert engine.control.take_skip()


async def test_a_command_without_an_answer_says_what_to_do(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: "no engine answers" in screen(app))
        assert "autoresearch resume nov20" in screen(app)


async def test_a_dead_engine_is_said_and_what_brings_it_back(recorded: Path) -> None:
    async with cockpit(recorded, live=False) as (app, pilot):
        assert "× ENGINE GONE" in screen(app)
        assert "`autoresearch resume nov20` goes on from here" in screen(app)
        await pilot.press("q")
    assert app.return_value is not None
    assert app.return_value.choice == "over"


@pytest.mark.parametrize(
    ("pressed", "choice", "heard"),
    [(["q", "d"], "detach", []), (["q", "j", "enter"], "stop", ["stop"]), (["ctrl+c", "n"], "stop-now", ["stop-now"])],
)
async def test_leaving_does_what_was_chosen(recorded: Path, pressed: list[str], choice: str, heard: list[str]) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press(*pressed)
            await until(pilot, lambda: app.return_value is not None)
        assert app.return_value is not None
        assert app.return_value.choice == choice
        assert engine.heard == heard
        assert "autoresearch" in app.return_value.message


async def test_leaving_says_what_stays_and_can_be_thought_better_of(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("q")
        assert isinstance(app.screen, LeaveScreen)
        assert "the engine goes on" in screen(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, LeaveScreen)
        await pilot.press("q", "c")
        assert app.return_value is None
        assert "● RUN" in screen(app)


async def test_help_names_every_key(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.press("?")
        assert isinstance(app.screen, HelpScreen)
        shown = screen(app)
        for key in keys.KEYS:
            assert all(name in shown for name in key.shown.split())
        await pilot.press("?")
        assert not isinstance(app.screen, HelpScreen)


async def test_a_finished_run_opens_and_leaves_without_a_question(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18, live=False), live=False) as (app, pilot):
        shown = screen(app)
        assert "· DONE" in shown
        assert "18 experiments done" in shown
        assert "p pause" not in shown
        await pilot.press("q")
    assert app.return_value is not None
    assert app.return_value.choice == "over"


async def test_a_failed_run_says_the_whole_reason(recorded: Path) -> None:
    why = (
        "the baseline is no good (timeout: not done after 8.1 s, of 5 s of training); " * 2 + "start a new run at last"
    )
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        with engine_of(recorded) as engine:
            engine.write(ev.RunEnded("failed", why))
            await until(pilot, lambda: "× FAILED" in screen(app))
            await until(pilot, lambda: why.split() == " ".join(screen(app).splitlines()[2:5]).split())
            await pilot.resize_terminal(50, 10)
            await until(pilot, lambda: len(screen(app).split("best 2.2993")) == 2 and "baseline" not in screen(app))


async def test_the_start_page_says_what_to_type() -> None:
    page = StartPage()
    async with page.run_test(size=(80, 24)) as pilot:
        shown = screen(page)
        for words in ("autoresearch demo", "autoresearch init", "autoresearch run", "q leave"):
            assert words in shown
        await pilot.press("q")
