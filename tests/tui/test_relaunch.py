"""`r` in the cockpit of a run that is over: an engine for that trial alone, after a question."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ended, history, kill_engine, rates_agent
from driving import cockpit, screen, until
from recorded_run import append, write_run

from core import events as ev
from core.errors import RunFailed
from core.launch import Options
from tui import relaunch
from tui.screens.ask import AskScreen


async def test_it_asks_and_the_trial_is_run(toy: Path, engines) -> None:
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", experiments=1))
    ended(folder)
    try:
        async with cockpit(folder, live=False) as (app, pilot):
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, AskScreen))
            words = " ".join(screen(app).replace("│", " ").split())
            assert "Another trial of #1?" in words
            assert "an engine starts for this trial alone" in words
            await pilot.press("n")
            await until(pilot, lambda: app.screen is app.research)
            await pilot.press("r", "y")
            await until(pilot, lambda: len(app.state.history.experiments[1].repeats) == 1)
            await until(pilot, lambda: app.over and "DONE" in screen(app))
        h = ended(folder)
        assert [len(e.repeats) for e in h.experiments] == [0, 1]
    finally:
        kill_engine(folder)


async def test_what_stands_against_it_is_said(toy: Path, engines) -> None:
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", experiments=0))
    ended(folder)
    shutil.rmtree(toy / ".git")
    async with cockpit(folder, live=False) as (app, pilot):
        await pilot.press("r", "y")
        await until(pilot, lambda: "again: " in screen(app) and "starts …" not in screen(app))
        assert "not" in screen(app)
        assert "engine is at work" not in screen(app)
    assert not history(folder).asked_again


async def test_only_looked_at_nothing_is_started(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 6, live=False)
    async with cockpit(folder, live=False) as (app, pilot):
        app.read_only = True
        await pilot.press("r")
        await until(pilot, lambda: "opened to look at" in screen(app))
        assert not isinstance(app.screen, AskScreen)


async def test_leaving_calls_off_an_engine_that_is_still_making_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[subprocess.Popen[bytes]] = []

    def launch(options, progress, tell):
        born.append(subprocess.Popen(["sleep", "600"]))
        tell(born[0])
        born[0].wait()
        raise RunFailed("it ended")

    monkeypatch.setattr(relaunch, "launch", launch)
    async with cockpit(write_run(tmp_path / "nov20", 3, live=False), live=False) as (app, pilot):
        await pilot.press("r", "y")
        await until(pilot, lambda: bool(born))
        await pilot.press("q")
    assert app.return_value is not None
    assert "is called off" in app.return_value.message
    assert born[0].wait(10) == -15


async def test_the_question_counts_what_was_asked_for_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 3, live=False)
    append(folder, ev.AgainAsked(0), ev.AgainAsked(1), at=history(folder).last_time)
    async with cockpit(folder, live=False) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert "for this trial and the 2 asked for before (a budget of 15.0 s each" in app.screen._question
