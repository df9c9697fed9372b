"""A replay: how long it is, and its speed, which keys turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import history
from driving import screen, until
from recorded_run import write_run

from core.awake import NOT_PREVENTED
from tui import text
from tui.app import Cockpit
from tui.replay import Replay


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 5, live=False)


def test_that_a_machine_could_fall_asleep_then_is_no_news(recorded: Path) -> None:
    (recorded / "engine.log").write_text(f"engine 4242: {NOT_PREVENTED}: no bus\n")
    now = [0.0]
    replay = Replay(recorded, 1.0, lambda: now[0])
    for now[0] in (0.0, 1.0, 30.0):
        replay.read()
        assert replay.state.sleep_trouble == ""
    assert replay.state.history.run


def test_another_speed_goes_on_from_where_it_is(recorded: Path) -> None:
    now = [0.0]
    replay = Replay(recorded, 10.0, lambda: now[0])
    began = replay.clock()
    now[0] = 1.0
    replay.read()
    assert replay.quicken(2.0) == "20x"
    assert replay._shown_seconds() == 10.0
    now[0] = 2.0
    assert replay._shown_seconds() == 30.0
    replay.hold()
    assert replay.quicken(0.5) == "10x, when it goes on"
    now[0] = 50.0
    assert replay._shown_seconds() == 30.0
    replay.hold()
    now[0] = 51.0
    assert replay._shown_seconds() == 40.0
    replay.read()
    assert began < replay.clock()
    assert replay.state.replay == "10x"


def test_it_neither_stands_still_nor_runs_away(recorded: Path) -> None:
    replay = Replay(recorded, 0.15)
    assert replay.quicken(0.5) == "0.15x, and no slower"
    assert Replay(recorded, 1e6).quicken(2.0) == "1e+06x, and no faster"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_says_how_long_it_is_and_reaches_that(recorded: Path, size: tuple[int, int]) -> None:
    length = text.clock(history(recorded).active_seconds)
    replay = Replay(recorded, 0.1)
    app = Cockpit(recorded, feed=replay, clock=replay.clock, read_only=True)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: f"0:00 of {length}" in screen(app))
        assert "H L speed" in screen(app).splitlines()[-1]
        for _ in range(20):
            replay.quicken(2.0)
        await until(pilot, lambda: f"{length} of {length}" in screen(app) and "REPLAY over" in screen(app))
        assert "H L speed" not in screen(app).splitlines()[-1]
