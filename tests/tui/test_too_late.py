"""Keys that control, pressed when the run is over: each says why nothing comes of it, and what can be done."""

from __future__ import annotations

from pathlib import Path

from driving import cockpit, screen, until
from recorded_run import write_run


async def test_every_one_of_them_says_so_and_names_the_way_on(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 6, live=False)
    async with cockpit(folder, live=False) as (app, pilot):
        assert "`autoresearch best nov20` shows the best" in screen(app)
        for key, what in zip("PsptaA", ["pause-after", "skip", "pause", "steer", "approval-on", "answer"], strict=True):
            before = screen(app)
            await pilot.press(key)
            await until(pilot, lambda what=what: f"{what}: the run is over" in screen(app))
            assert screen(app) != before
            said = " ".join(screen(app).split())
            assert "`autoresearch resume nov20 --experiments 20`" in said
            assert "`autoresearch best nov20 --patch` prints its best change" in said
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "select the baseline" in screen(app))
        assert "steer" not in screen(app), "nothing is offered that cannot be done"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.research)
        await pilot.press("q")
    assert "`autoresearch best nov20` shows the best" in app.return_value.message
