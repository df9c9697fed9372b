"""What the cockpit must not keep, for it is open for days."""

from __future__ import annotations

import gc
from pathlib import Path

from driving import cockpit, screen, until
from recorded_run import write_run
from textual.geometry import Region
from textual.strip import Strip

from tui.memory import tidy
from tui.screens.help import HelpScreen
from tui.widgets.lines import LineView


async def test_a_closed_screen_is_gone(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "run", 6)) as (app, pilot):
        for _ in range(3):
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.research)
        await pilot.press("j")
        await pilot.pause()
        tidy()
        held = [o for o in gc.get_objects() if type(o) is HelpScreen]  # isinstance would wake torch's lazy modules
        assert len(held) <= 1, "the last one may still be in somebody's hands"


async def test_painted_lines_carry_no_offset_of_their_own(tmp_path: Path) -> None:
    """Each would be one more style that Textual remembers; whoever asks where the mouse is, is told."""

    def placed(line: Strip) -> bool:
        return any("offset" in s.style.meta for s in line if s.style and s.style._meta)

    async with cockpit(write_run(tmp_path / "run", 18)) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: '+ WINDOW_PATTERN = "L"' in screen(app))
        views = [view for view in app.research.query(LineView) if view.region and view.content]
        assert views
        for view in views:
            assert placed(view.render_line(0))
            assert not any(map(placed, view.render_lines(Region(0, 0, *view.size))))
