"""What a yes would approve is what the diff pane shows: of a version of the user's own, that one's diff."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from listening import OVER, listener, waiting
from recorded_run import write_run

from core import events as ev
from core.errors import UsageError
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


async def test_with_the_log_open_the_question_brings_the_change_to_the_front(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        async with cockpit(folder, (80, 24), live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await pilot.press("2")
            await until(pilot, lambda: "SOFTCAP = 29.0" not in screen(app))
            await pilot.press("A")
            await until(pilot, lambda: "+ SOFTCAP = 29.0" in screen(app))


def _write(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    def edit(app: object, argv: list[str], said: bytes | None, folder: Path) -> str:
        (folder / argv[-1]).write_text(version)
        return ""

    monkeypatch.setattr(programs, "run", edit)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_asked_is_called_after_the_edit_and_every_answer_is_there(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(monkeypatch, "SOFTCAP = 30.0\n")
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        async with cockpit(folder, size, live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await pilot.press("A", "e")
            await until(pilot, lambda: "SOFTCAP 29.0 → 30.0 (edited by hand)" in screen(app))
            answers = "y yes, as edited   n no, and why   e edit   u undo the edit   esc later"
            await until(pilot, lambda: answers in screen(app))
            assert "softcap 29   +1" not in screen(app)
            await pilot.press("u")
            await until(pilot, lambda: "softcap 29   +1 −1" in screen(app))


@pytest.mark.parametrize("asking", [True, False])
async def test_a_version_that_an_answer_from_elsewhere_passed_over_is_said_and_kept(
    asking: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(monkeypatch, "SOFTCAP = 30.0\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        async with cockpit(folder, (200, 40), live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await pilot.press("A", "e")
            await until(pilot, lambda: "edited: +1 −1" in screen(app))
            await pilot.press(*([] if asking else ["escape"]))
            engine.write(ev.Approved(19))
            await until(pilot, lambda: "#19 was answered elsewhere: your version was not used" in screen(app))
            (kept,) = (tmp_path / "t").glob("autoresearch-19-*")
            assert f"its text is kept in {kept}" in screen(app)
    assert (kept / "train.py").read_text() == "SOFTCAP = 30.0\n"


async def test_a_version_that_the_engine_takes_is_not_said_to_be_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(monkeypatch, "SOFTCAP = 30.0\n")
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        async with cockpit(folder, (200, 40), live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await pilot.press("A", "e")
            await until(pilot, lambda: "edited: +1 −1" in screen(app))
            engine.may_answer.clear()
            await pilot.press("y")
            await until(pilot, lambda: bool(engine.heard))
            engine.write(ev.Approved(19, {"train.py": "SOFTCAP = 30.0\n"}))  # read before its answer comes
            await until(pilot, lambda: "WAITS" not in screen(app))
            await pilot.pause()
            assert "not used" not in screen(app)
            engine.may_answer.set()
            await until(pilot, lambda: "approve: as you wish" in screen(app))
            assert "not used" not in screen(app)


async def test_a_version_that_came_too_late_is_said_to_be_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(monkeypatch, "SOFTCAP = 30.0\n")
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        engine.answers["approve"] = UsageError("no proposal waits")
        async with cockpit(folder, (200, 40), live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            await pilot.press("A", "e")
            await until(pilot, lambda: "edited: +1 −1" in screen(app))
            await pilot.press("y")
            await until(pilot, lambda: "no proposal waits" in screen(app))
            engine.write(ev.Approved(19))
            await until(pilot, lambda: "#19 was answered elsewhere: your version was not used" in screen(app))
