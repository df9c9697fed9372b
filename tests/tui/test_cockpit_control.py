"""Controlling a run from the cockpit, leaving it, and what it says when there is nobody to control."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, said, screen, until
from recorded_run import write_run

from core import events as ev
from tui import keys
from tui.screens.help import HelpScreen
from tui.screens.leave import LeaveScreen


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


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
            await pilot.press("P")
            await until(pilot, lambda: "pause-after: it is paused already; p goes on" in screen(app))
            assert engine.heard == ["pause"], "nothing new is asked for"
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
    [(["q", "d"], "detach", []), (["q", "j", "enter"], "stop", ["stop"])],
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


PAUSED = ev.RunPaused("paused by the user", "go on with p")
BETWEEN = (ev.TrialDone(18, 1, 15.0, 110), ev.Measured(18, 1, 2.4, 15.0, 20.0, 512.0, {}),
           ev.Judged(18, "discard", "worse", 13, 0.1), ev.ExperimentDone(18), PAUSED)  # fmt: skip
AWAITED = (*BETWEEN[:-1], ev.Proposing(19, 13), ev.Proposed(19, "p", 13, {}, "x", "", {}), ev.ApprovalAwaited(19, "d"))


@pytest.mark.parametrize(
    ("happened", "promised", "warned", "left"),
    [
        ((ev.TrialHeld(18, 1, 68),), ("it stays paused; ", "this experiment is finished", "this trial is cut"),
         "it is paused: nothing happens until p", "the run stays paused: nothing happens until `autoresearch resume"),
        (BETWEEN, ("it stays paused; ", "the run ends; resume", "the run ends; resume"),
         "it is paused: nothing happens until p", "the run stays paused: nothing happens until `autoresearch resume"),
        (AWAITED, ("#19 waits for your yes; ", "the run ends; #19 waits again", "the run ends; #19 waits again"),
         "nothing happens until A answers", "#19 waits for your yes; `"),
        ((ev.Acknowledged("pause-after", "after"),), ("the engine goes on; ", "is finished", "is cut"),
         "a pause is coming: then nothing happens until p", "the run is about to pause: nothing happens until `"),
        ((ev.ApprovalTurned(True),), ("the engine goes on; ", "is finished", "is cut"),
         "approval is on: the engine goes on to its next proposal", "the engine goes on; `"),
        ((), ("the engine goes on; ", "is finished", "is cut"), "", "the engine goes on; `"),
    ],
)  # fmt: skip
async def test_leaving_promises_no_work_where_none_is_done(
    recorded: Path, happened: tuple[ev.Event, ...], promised: tuple[str, ...], warned: str, left: str
) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            engine.write(*happened)
            await until(pilot, lambda: app.state.history.last_time == engine.now or not happened)
            await pilot.press("q")
            await until(pilot, lambda: "leave the cockpit" in screen(app))
            offered = [row for row in screen(app).splitlines() if "  stop " in row or " d  detach" in row]
            assert all(words in row for words, row in zip(promised, offered, strict=True)), offered
            assert warned in screen(app)
            assert warned or not any(words in screen(app) for words in ("nothing happens", "approval is on"))
            await pilot.press("d")
            await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert app.return_value.message.startswith(left)


async def test_help_names_every_key(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.press("?")
        assert isinstance(app.screen, HelpScreen)
        shown = screen(app)
        while "best so far" not in shown:
            before = screen(app)
            await pilot.press("pagedown")
            await until(pilot, lambda before=before: screen(app) != before)
            shown += screen(app)
        lines = shown.splitlines()
        for key in filter(lambda key: keys.means(key, "run"), keys.KEYS):
            row = next((line for line in lines if key.help in line), "")
            assert f"  {keys.every(key, {})} " in row, "nothing is cut at 80 columns"
            assert f" {key.id} " in row, "and each has its name, to be changed by"
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
            await until(pilot, lambda: "(timeout" in screen(app) and "… i all" in screen(app).splitlines()[2])
            assert app.research.status.size.height == 3, "nothing below has moved"
            await pilot.press("i")
            assert said(app).splitlines()[0] == why
            assert " ".join(why.split()[-5:]) in " ".join(screen(app).split())
            await pilot.press("escape")
            await pilot.resize_terminal(50, 10)
            await until(pilot, lambda: len(screen(app).split("best 2.2993")) == 2 and "baseline" not in screen(app))


async def test_a_skip_is_offered_only_while_there_is_a_trial(recorded: Path) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            assert "s skip" in screen(app).splitlines()[-1]
            engine.write(ev.TrialDone(18, 1, 15.0, 110))
            await until(pilot, lambda: "s skip" not in screen(app).splitlines()[-1])
            assert "p pause" in screen(app).splitlines()[-1]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_approval_is_seen_while_it_is_on_and_told_to_who_leaves(recorded: Path, size: tuple[int, int]) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded, size, live=False) as (app, pilot):
            assert "approval" not in screen(app).splitlines()[0]
            engine.write(ev.ApprovalTurned(True))
            await until(pilot, lambda: "approval" in screen(app).splitlines()[0])
            await pilot.press("q")
            await until(pilot, lambda: "approval is on: the engine goes on to its next proposal" in screen(app))
            await pilot.press("escape")
            engine.write(ev.ApprovalTurned(False))
            await until(pilot, lambda: "approval" not in screen(app))
            await pilot.press("q")
            await until(pilot, lambda: "leave the cockpit" in screen(app))
            assert "approval" not in screen(app)
