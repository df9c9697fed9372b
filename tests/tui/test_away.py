"""Leaving and coming back: what the cockpit says of the time between."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, screen, until
from recorded_run import STARTED_AT, write_run

from core import events as ev
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
