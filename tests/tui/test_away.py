"""Leaving and coming back: what the cockpit says of the time between."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, said, screen, until
from recorded_run import STARTED_AT, write_run

from core import events as ev
from core.awake import NOT_PREVENTED
from core.history import fold
from tui import config
from tui.away import Look, last_look, remember, while_away
from tui.feed import Feed

MORE = (
    ev.TrialDone(18, 1, 15.0, 110), ev.Measured(18, 1, 2.2001, 15.0, 20.0, 512.0, {}),
    ev.Judged(18, "keep", "better", 13, -0.0992), ev.ExperimentDone(18),
    ev.Proposing(19, 18), ev.Proposed(19, "p", 18, {"train.py": "x"}, "nineteen", "", {}),
    ev.Committed(19, "c" * 40, "r", "", 3), ev.Crashed(19, 1, "oom", "boom", 1.0),
    ev.Judged(19, "crash", "oom", 18, None), ev.ExperimentDone(19), ev.Proposing(20, 18),
)  # fmt: skip


async def test_the_next_look_opens_with_what_happened_since(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder) as (app, pilot):
        assert "away" not in screen(app)
    assert last_look(folder).experiments == 18
    with engine_of(folder) as engine:
        engine.write(*MORE)
    async with cockpit(folder) as (app, pilot):
        await until(pilot, lambda: "while you were away" in screen(app))
        assert "2 experiments, 1 kept, 1 crashed; best 2.2993 → 2.2001 (#18)" in screen(app)
        await pilot.press("j")
        await until(pilot, lambda: "while you were away" not in screen(app))
    async with cockpit(folder) as (app, pilot):
        await pilot.pause(0.3)
        assert "while you were away" not in screen(app)


@pytest.mark.parametrize("kept", ["", "{", '{"a": 3}', "[]"])
def test_what_cannot_be_read_is_no_look(tmp_path: Path, kept: str) -> None:
    feed = Feed(write_run(tmp_path / "nov20", 5), alive=lambda _: False)
    feed.read()
    remember(tmp_path / "nov20", feed.state.history, STARTED_AT)
    (tmp_path / "state" / "autoresearch" / "looks.json").write_text(kept)
    assert last_look(tmp_path / "nov20") is None
    remember(tmp_path / "nov20", feed.state.history, STARTED_AT)
    assert last_look(tmp_path / "nov20") == Look(STARTED_AT, 5, 2)
    assert while_away(feed.state.history, Look(STARTED_AT, 9, 1), STARTED_AT) == ""


async def test_it_counts_on_until_a_key_comes_and_names_what_waits(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder, (200, 40)):
        pass
    with engine_of(folder) as engine:
        engine.write(*MORE[:4])
        async with cockpit(folder, (200, 40), live=False) as (app, pilot):
            await until(pilot, lambda: "): 1 experiment, 1 kept, 0 crashed" in screen(app))
            engine.write(*MORE[4:], ev.Proposed(20, "p", 18, {}, "twenty", "", {}), ev.ApprovalAwaited(20, "x"))
            await until(pilot, lambda: "): 2 experiments, 1 kept, 1 crashed" in screen(app))
            assert "; #20 waits for your yes: A answers" in " ".join(screen(app).split())
            engine.write(ev.RunEnded("stopped", "stopped by the user"))
            await until(pilot, lambda: "; #20 waits for your yes once the run goes on" in screen(app))
            assert "A answers" not in screen(app), "nobody hears it"
            await pilot.press("i")
            (told,) = (line for line in said(app).splitlines() if "while you were away" in line)
            assert "): 2 experiments, 1 kept, 1 crashed" in told, "as it was said last"


async def test_news_for_which_there_was_no_room_is_found_later(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with engine_of(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            app.say("pending", "pause: pending …", about="pause")
            engine.write(*MORE[:4])
            await until(pilot, lambda: app.state.history.incumbent == 18)
            assert "pause: pending" in screen(app), "what stands there is not talked over"
            app.say("done", "pause: holds before the next trial", about="pause")
            await pilot.press("i")
            told = [line.split("  ", 1)[-1] for line in said(app).splitlines()]
            assert told[0] == "pause: holds before the next trial"
            assert told[-1] == "new best 2.2001 (#18)"
            assert not any("pending" in line for line in told)


async def test_news_beside_a_config_file_that_is_wrong_is_found_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    async with cockpit(folder):
        pass
    config.path().parent.mkdir(parents=True)
    config.path().write_text('[keys]\nskip = "p"\n')
    with engine_of(folder) as engine:
        engine.write(*MORE[:4])
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "passed over keys.skip" in screen(app))
            await pilot.press("i")
            assert "while you were away" in said(app)


def test_further_trials_of_finished_experiments_are_told(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "nov20", 18), alive=lambda _: False)
    feed.read()
    look = Look(STARTED_AT, 18, 13)
    again = (
        ev.TrialVoid(18, 1, "x"), ev.AgainAsked(3), ev.AgainStarted(3), ev.TrialStarted(3, 2, 1, 1),
        ev.Measured(3, 2, 2.4, 15.0, 20.0, 512.0), ev.AgainDone(3),
    )  # fmt: skip
    history = fold(((event, STARTED_AT) for event in again), feed.state.history)
    assert while_away(history, look, STARTED_AT + 60) == (
        "while you were away (1 min): 0 experiments, 1 further trial; the best is as it was"
    )
    assert while_away(feed.state.history, look, STARTED_AT + 60) == ""


async def test_that_the_machine_may_sleep_is_said_once_an_engine_and_found_later(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    trouble = f"{NOT_PREVENTED}: no bus"
    (folder / "engine.log").write_text(f"engine 1: {NOT_PREVENTED}: an earlier one's\nengine 4242: {trouble}\n")
    with engine_of(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: trouble in screen(app))
            app.say("done", "copied 3 lines")
            await pilot.press("i")
            assert trouble in said(app).splitlines(), "as what is so, and not among what was said before"
            assert said(app).count(trouble) == 1
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: app.state.sleep_trouble == trouble and app._warned_of > 0)
            assert trouble not in screen(app), "who has looked since that engine began has read it"
            await pilot.press("i")
            assert trouble in said(app)
            await pilot.press("i")
            with (folder / "engine.log").open("a") as log:
                log.write("standby: replaced\n")
            engine.now += 3600
            engine.write(ev.EngineStarted(2, True, "cpu", 50))
            await until(pilot, lambda: app.state.pace.engine_since > engine.now - 60)
            await until(pilot, lambda: app.state.sleep_trouble == "")
