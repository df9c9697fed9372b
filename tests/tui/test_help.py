"""The help: moved about in as less and vim are, searched, and about what the keys do here."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, screen, until
from recorded_run import write_run
from textual.containers import VerticalScroll

from tui import config
from tui.app import Cockpit
from tui.replay import Replay
from tui.screens.help import HelpScreen


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


async def test_it_is_scrolled_as_less_and_vim_are(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.press("?")
        box = app.screen.query_one(VerticalScroll)
        await until(pilot, lambda: box.max_scroll_y > 40)
        page = box.scrollable_content_region.height
        half = page // 2
        for pressed, row in (
            ("j", 1), ("down", 2), ("k", 1), ("up", 0), ("space", page), ("ctrl+d", page + half), ("ctrl+u", page),
            ("b", 0), ("f", page), ("d", page + half), ("u", page), ("g", 0), ("pagedown", page), ("pageup", 0),
            ("G", box.max_scroll_y), ("home", 0), ("end", box.max_scroll_y),
        ):  # fmt: skip
            await pilot.press(pressed)
            await until(pilot, lambda row=row: box.scroll_offset.y == row)
        await pilot.press("q")
        assert app.screen is app.research


async def test_it_is_searched(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.press("?", "slash", *"wrap")
        await until(pilot, lambda: "wrap long lines" in screen(app) and "Experiments" not in screen(app))
        await pilot.press("slash")
        await until(pilot, lambda: "no key is about that" in screen(app))
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: "wrap long lines" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Experiments" in screen(app))
        await pilot.press("escape")
        assert app.screen is app.research


async def test_the_key_that_opened_it_closes_it(recorded: Path) -> None:
    config.path().parent.mkdir(parents=True)
    config.path().write_text('[keys]\nhelp = "f9"\n')
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("f9")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("?", "f9")
        assert app.screen is app.research


async def test_a_replay_has_its_own_keys_first_and_no_others_of_a_run(recorded: Path) -> None:
    for app, first in (
        (Cockpit(recorded, read_only=True, feed=Replay(recorded, 0.1)), "Replay"),
        (Cockpit(recorded, read_only=True), "Experiments"),
    ):
        async with app.run_test(size=(120, 60)) as pilot:
            await until(pilot, lambda app=app: app.state.history.run is not None)
            await pilot.press("?")
            await until(pilot, lambda app=app: "Layout" in screen(app))
            shown = [line.partition("│")[2] for line in screen(app).splitlines()]
            assert next(row for row in shown if row.strip(" │")).split()[0] == first
            assert ("hold the replay" in screen(app)) == ("twice the speed" in screen(app)) == (first == "Replay")
            for words in ("steer", "end this trial", "approval on", "pause the run", "stop now"):
                assert words not in screen(app)
