"""What stands in the strip at the top where there is little room: it keeps its rows, and says the rest on a key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from driving import cockpit, engine_of, said, screen, until
from recorded_run import TRACEBACK, commit_of, write_run
from textual.widgets import Static

from core import events as ev
from tui.keys import KEYS, means
from tui.screens.help import HelpScreen

ELSEWHERE = "/home/ada/a-workspace-with-a-name-that-is-as-long-as-they-come"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def rows(app) -> list[str]:
    return [line.rstrip() for line in screen(app).splitlines()]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (70, 50), (60, 15)])
async def test_whatever_happens_the_parts_below_stay_where_they_are(folder: Path, size: tuple[int, int]) -> None:
    async with cockpit(folder, size) as (app, pilot):
        with engine_of(folder) as engine:
            places = {part: widget.region for part, widget in app.research.body.parts.items()}
            happens: tuple[tuple[ev.Event, str], ...] = (
                (ev.TrialHeld(18, 1, 68), "PAUSED"), (ev.TrialContinued(18, 1, 5.0), "training"),
                (ev.Crashed(18, 1, "oom", TRACEBACK, 4.1), ""), (ev.Judged(18, "crash", "oom", 13, None), ""),
                (ev.ExperimentDone(18), ""), (ev.RunPaused("401 invalid x-api-key " * 9, "set another " * 9), "PAUSED"),
                (ev.RunContinued(), ""), (ev.RunEnded("failed", "the disk is full; make room " * 9), "FAILED"),
            )  # fmt: skip
            for event, word in happens:
                engine.write(event)
                app.say("failed", f"{type(event).__name__}: no engine answers; " * 6)
                await until(pilot, lambda word=word: word in screen(app))
                await pilot.pause()
                assert {part: widget.region for part, widget in app.research.body.parts.items()} == places


async def test_a_pause_says_the_key_in_a_row_and_the_command_on_a_key(folder: Path) -> None:
    async with cockpit(folder, (80, 24)) as (app, pilot):
        with engine_of(folder) as engine:
            app.feed.state = replace(app.feed.state, resume=f"autoresearch resume nov20 --workspace {ELSEWHERE}")
            engine.write(ev.TrialHeld(18, 1, 68))
            await until(pilot, lambda: "held at step 67; p goes on" in rows(app)[2])
            assert rows(app)[2].endswith("i all")
            assert "step 67" in rows(app)[1], "the trial is still told of"
            await pilot.press("i")
            assert f"or: autoresearch resume nov20 --workspace {ELSEWHERE}" in said(app)


async def test_at_the_end_the_whole_command_stands_there(folder: Path) -> None:
    async with cockpit(folder, (80, 24)) as (app, pilot):
        with engine_of(folder) as engine:
            engine.write(ev.RunEnded("stopped", "stopped by the user"))
            await until(pilot, lambda: "STOPPED" in rows(app)[0])
            assert rows(app)[2] == "stopped by the user; `autoresearch resume nov20` goes on from here"
            assert rows(app)[1].startswith("17 experiments after the baseline")


async def test_what_was_said_is_kept_and_an_answer_takes_the_place_of_its_question(folder: Path) -> None:
    async with cockpit(folder, (80, 24)) as (app, pilot):
        app.say("pending", "pause: pending …", about="pause")
        app.say("done", "pause: holds at the next step", about="pause")
        for i in range(200):
            app.say("done", f"said {i}")
        assert len(app.said) == 100
        await pilot.press("i")
        lines = said(app).splitlines()
        assert lines[0] == "said 199"
        assert lines[-1].endswith("  said 100")
        assert not any("pending" in words for _, words in app.said)


# --- the help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 60)])
async def test_no_name_of_a_key_is_cut_off_in_the_help(folder: Path, size: tuple[int, int]) -> None:
    async with cockpit(folder, size) as (app, pilot):
        app.push_screen(page := HelpScreen({}))
        await until(pilot, lambda: app.screen is page and bool(page.query(Static)))
        await pilot.pause()
        shown = "\n".join(
            line.text
            for static in page.query(Static)
            for line in (static.render_line(y) for y in range(static.size.height))
        )
        missing = [key.id for key in KEYS if means(key, "run") and key.id not in shown.split()]
        assert missing == []
        assert "! stalled" in shown
        assert "…" not in shown.replace("… ", "")


# --- small things ----------------------------------------------------------------------------------------------------


async def test_to_compare_leaves_the_whole_run(folder: Path) -> None:
    async with cockpit(folder) as (app, pilot):
        await pilot.press("b", "D")
        await until(pilot, lambda: "whole run" in screen(app))
        await pilot.press("v")
        await until(pilot, lambda: "against the baseline" in screen(app))
        assert "whole run" not in screen(app)


async def test_a_plot_of_crashes_alone_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 0)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:2]))
    async with cockpit(folder) as (app, pilot):
        with engine_of(folder) as engine:
            for number in (0, 1):
                engine.write(
                    ev.Proposing(number, 0 if number else None),
                    ev.Proposed(number, commit_of(0), 0 if number else None, {}, "idea", "why", {}),
                    ev.Committed(number, commit_of(number), "r", "", 1), ev.TrialStarted(number, 1, 42, 5),
                    ev.Crashed(number, 1, "oom", TRACEBACK, 4.1), ev.Judged(number, "crash", "oom", None, None),
                    ev.ExperimentDone(number),
                )  # fmt: skip
            await until(pilot, lambda: "no score yet: 2 of 2 crashed" in screen(app))
