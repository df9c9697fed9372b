"""What a yes would approve is what the diff pane shows: of a version of the user's own, that one's diff."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from listening import OVER, listener
from recorded_run import write_run

from core import events as ev
from tui import programs
from tui.diffs import compare
from tui.sources import Sources


async def test_its_diff_against_the_parent_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(app: object, argv: list[str], said: bytes | None, folder: Path) -> str:
        file = folder / argv[-1]
        file.write_text(re.sub("SOFTCAP = .*", "SOFTCAP = 30.0", file.read_text()) + "# by hand\n")
        return ""

    monkeypatch.setattr(programs, "run", edit)
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER)
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: app.state.history.pending is None)
            h = app.state.history
            old = Sources(folder).of(h, h.incumbent or 0)
            new = {"train.py": re.sub("SOFTCAP = .*", "SOFTCAP = 29.0", old["train.py"])}
            engine.write(
                ev.Proposing(19, h.incumbent or 0),
                ev.Proposed(19, h.tip or "", h.incumbent or 0, new, "softcap 29", "why not", {}),
                ev.ApprovalAwaited(19, compare({"cuda/train.py": old["train.py"]}, {"cuda/train.py": new["train.py"]})),
            )
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await until(pilot, lambda: "+ SOFTCAP = 29.0" in screen(app))
            await pilot.press("2", "A", "e")
            await until(pilot, lambda: "+ SOFTCAP = 30.0" in screen(app))
            shown = screen(app)
            assert "29.0" not in shown
            assert "- SOFTCAP = 15.0" in shown or "- SOFTCAP = 20.0" in shown
            assert "+ # by hand" in app.research.diffs.plain().replace("+#", "+ #")
            assert "+2 −1 · your version" in shown
            await pilot.press("u")
            await until(pilot, lambda: "+ SOFTCAP = 29.0" in screen(app) and "your version" not in screen(app))
