"""The mouse: keys at the bottom that can be clicked, text that is marked and copied."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from listening import listener
from recorded_run import write_run

from core import events as ev
from tui import config
from tui.screens.help import HelpScreen
from tui.widgets.diff import DiffView
from tui.widgets.keybar import KeyBar
from tui.widgets.marking import characters, copied, marked


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


async def test_a_click_on_a_key_does_what_the_key_does(recorded: Path) -> None:
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            row = screen(app).splitlines()[-1]
            await pilot.click(KeyBar, offset=(row.index("skip"), 0))
            await until(pilot, lambda: engine.commands == ["skip"])
            await pilot.click(KeyBar, offset=(row.index("b best"), 0))
            assert experiments(app).selected == 13
            await pilot.click(KeyBar, offset=(len(row) - 1, 0))
            assert app.screen is app.research, "beside the keys nothing happens"
            await pilot.click(KeyBar, offset=(row.index("help"), 0))
            assert isinstance(app.screen, HelpScreen)


async def test_the_bar_shows_and_obeys_the_users_keys(recorded: Path) -> None:
    config.path().parent.mkdir(parents=True)
    config.path().write_text('[keys]\nskip = "f9"\n')
    with listener(recorded) as engine:
        async with cockpit(recorded, (80, 24), live=False) as (app, pilot):
            await until(pilot, lambda: "f9 skip" in screen(app))
            await pilot.click(KeyBar, offset=(screen(app).splitlines()[-1].index("f9"), 0))
            await until(pilot, lambda: engine.commands == ["skip"])


async def test_what_is_marked_is_copied_without_line_numbers(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: '+ WINDOW_PATTERN = "L"' in screen(app))
        lines = screen(app).splitlines()
        first = next(y for y, line in enumerate(lines) if '- WINDOW_PATTERN = "SSSL"' in line)
        left = lines[first].index("- WINDOW")
        await pilot.mouse_down(offset=(left, first))
        await pilot.hover(offset=(left + 40, first + 1))
        await pilot.mouse_up(offset=(left + 40, first + 1))
        await pilot.press("c")
        assert app.clipboard == '- WINDOW_PATTERN = "SSSL"\n+ WINDOW_PATTERN = "L"'
        await until(pilot, lambda: "copied 2 lines" in screen(app))


async def test_ctrl_c_copies_what_is_marked_and_only_then_means_stop(recorded: Path) -> None:
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            view = app.screen.query_one(DiffView)
            await pilot.mouse_down(view, offset=(2, 1))
            await pilot.hover(view, offset=(9, 1))
            await pilot.mouse_up(view, offset=(9, 1))
            await pilot.press("ctrl+c")
            await until(pilot, lambda: "copied 1 line" in screen(app))
            assert app.clipboard
            assert app.clipboard in "embedding LR 0.6 to 0.75"
            await pilot.press("ctrl+c")
            await until(pilot, lambda: "again within 3 s" in screen(app))
            assert engine.heard == []


async def test_a_mark_does_not_stay_on_another_experiment(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        view = app.screen.query_one(DiffView)
        await pilot.mouse_down(view, offset=(2, 1))
        await pilot.hover(view, offset=(9, 3))
        await pilot.mouse_up(view, offset=(9, 3))
        assert app.screen.get_selected_text()
        await pilot.press("j")
        await until(pilot, lambda: not app.screen.get_selected_text())


async def test_marking_wide_letters_and_a_shifted_pane(recorded: Path) -> None:
    wide = "+" + "漢字仮名交じり文" * 20
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            engine.write(ev.Committed(18, "c" * 40, "r", f"--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n{wide}\n", 1))
            view = app.screen.query_one(DiffView)
            await until(pilot, lambda: "漢" in screen(app))
            y = next(i for i in range(20) if "漢" in view.render_line(i).text)
            await pilot.press("right")
            text = view.render_line(y).text
            await pilot.mouse_down(view, offset=(0, y))
            await pilot.hover(view, offset=(20, y))
            await pilot.mouse_up(view, offset=(20, y))
            found = app.screen.get_selected_text() or ""
            assert found
            assert found in text


def test_the_mark_splits_pieces_and_leaves_the_text_whole() -> None:
    pieces = [("  11 ", "gutter"), ("+ ", "plus"), ("A = 1", "")]
    assert list(marked(pieces, 3, 8)) == [
        ("  1", "gutter"), ("1 ", "gutter cursor"), ("+ ", "plus cursor"), ("A", " cursor"), (" = 1", ""),
    ]  # fmt: skip
    assert "".join(words for words, _ in marked(pieces, 0, -1)) == "  11 + A = 1"
    assert copied(pieces, 0, -1) == "+ A = 1"
    assert copied(pieces, 6, 8) == " A"
    assert characters([("漢字a", "")], 4) == 2
