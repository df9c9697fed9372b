"""The user's word on proposals: yes, no with a reason, an own version; and that no key means it by accident."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from driving import cockpit, experiments, said, screen, until
from listening import DIFF, OVER, Listener, listener, waiting
from recorded_run import write_run
from textual.pilot import Pilot

from core import events as ev
from core.commands import digest
from core.errors import UsageError
from tui import programs
from tui.app import Cockpit, Left
from tui.editing import first_change
from tui.screens.answer import AnswerScreen
from tui.screens.ask import AskScreen
from tui.screens.prompt import Prompt

Waits = tuple[Cockpit, Pilot[Left], Listener]


@asynccontextmanager
async def a_proposal_waits(tmp_path: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Waits]:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        async with cockpit(folder, size, live=False) as (app, pilot):
            await until(pilot, lambda: "WAITS" in screen(app) and experiments(app).selected == 19)
            yield app, pilot, engine


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_it_is_shown_what_waits_and_which_keys_answer(tmp_path: Path, size: tuple[int, int]) -> None:
    async with a_proposal_waits(tmp_path, size) as (app, pilot, _):
        await until(pilot, lambda: "+ SOFTCAP = 29.0" in screen(app))
        last = screen(app).splitlines()[-1]
        assert "A answer" in last
        assert "#19 waits for your yes: A answers" in screen(app)
        await pilot.press("A")
        await until(pilot, lambda: "softcap 29   +1 −1" in screen(app) and "y yes   n no, and why" in screen(app))
        assert "+ SOFTCAP = 29.0" in screen(app), "what is asked about stays in view"


async def test_y_approves_what_waits(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        engine.answers["approve"] = "#19 begins now"
        await pilot.press("A", "y")
        await until(pilot, lambda: "approve: #19 begins now" in screen(app))
        assert engine.heard == [{"command": "approve", "number": 19}]
        assert engine.seen == [digest(DIFF)]
        engine.write(ev.Approved(19))
        await until(pilot, lambda: "WAITS" not in screen(app) and "A answer" not in screen(app))
        await until(pilot, lambda: "approve:" not in screen(app))


async def test_n_asks_why_and_rejects(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "n")
        await until(pilot, lambda: "no to #19: why?" in screen(app))
        await pilot.press(*"tried", "ctrl+j", *"twice", "enter")
        await until(
            pilot, lambda: engine.heard == [{"command": "reject", "number": 19, "reason": "tried\ntwice"}]
        )  # fmt: skip
        engine.write(ev.Rejected(19, "tried\ntwice"))
        await until(pilot, lambda: "WAITS" not in screen(app))
        await until(pilot, lambda: "rejected" in screen(app))
        assert experiments(app).following, "an answer is no look at another experiment"
        engine.write(*waiting(19)[1:])
        await until(pilot, lambda: "WAITS" in screen(app) and "a new one waits" in screen(app))
        await until(pilot, lambda: "another #19 waits for your yes: softcap 29" in screen(app))
        await pilot.press("i")
        assert any(line.endswith("  #19 rejected; the agent proposes another") for line in said(app).splitlines())


async def test_another_proposal_that_comes_at_once_is_told_as_another(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        engine.write(
            ev.Rejected(19, "no"), ev.Proposed(19, "p", 13, {"train.py": "WIDTH = 8\n"}, "wider", "", {}),
            ev.ApprovalAwaited(19, "another diff"),
        )  # fmt: skip
        await until(pilot, lambda: "another #19 waits for your yes: wider" in screen(app))
        await pilot.press("i")
        assert "#19 rejected; the agent proposes another" in said(app)


async def test_a_no_given_elsewhere_is_told(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        engine.write(ev.Rejected(19, "no"))
        await until(pilot, lambda: "#19 rejected; the agent proposes another" in screen(app))


async def test_a_no_needs_no_reason_and_can_be_thought_better_of(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "n", *"bad", "escape")
        assert app.screen is app.research
        assert engine.heard == []
        await pilot.press("A", "n")
        await until(pilot, lambda: "bad" in screen(app))
        await pilot.press("backspace", "backspace", "backspace", "enter")
        await until(pilot, lambda: engine.heard == [{"command": "reject", "number": 19, "reason": ""}])


async def test_the_keys_of_the_answers_mean_nothing_but_themselves_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = edits_with(monkeypatch, "SOFTCAP = 30.0\n")
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("y", "n", "e", "u")
        await until(pilot, lambda: "  log " in screen(app) and bool(opened))
        assert app.screen is app.research
        await pilot.press("A", "q", "A", "escape")
        assert app.screen is app.research
        assert "WAITS" in screen(app)
        assert engine.heard == [], "later is no answer"


async def test_it_is_answered_while_another_experiment_is_read(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("b")
        assert "A answer" in screen(app).splitlines()[-1]
        await pilot.press("A")
        await until(pilot, lambda: "+ SOFTCAP = 29.0" in screen(app))
        assert experiments(app).selected == 19
        await pilot.press("y")
        await until(pilot, lambda: engine.commands == ["approve"])


async def test_a_question_that_was_answered_elsewhere_goes(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A")
        assert isinstance(app.screen, AnswerScreen)
        engine.write(ev.Rejected(19, "no"))
        await until(pilot, lambda: "#19 waits no more: it was answered elsewhere" in screen(app))
        assert app.screen is app.research
        assert engine.heard == []


async def test_it_rings_when_one_comes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            rung: list[int] = []
            app.bell = lambda: rung.append(1)  # type: ignore[method-assign]
            engine.write(*OVER, *waiting(19))
            await until(pilot, lambda: "WAITS" in screen(app))
            assert rung == [1]


async def test_a_person_who_types_or_reads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await pilot.press("j", "j", "slash", *"ga")
            engine.write(*OVER, *waiting(19))
            await until(pilot, lambda: "#19 waits for your yes: . shows it" in screen(app))
            await pilot.press(*"yn")
            assert app.research.search_bar.value == "gayn"
            assert engine.heard == []


async def test_a_turns_it_off_for_what_waits_only_when_that_is_meant(tmp_path: Path) -> None:
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("a")
        assert isinstance(app.screen, AskScreen)
        await until(pilot, lambda: "#19 then begins" in screen(app))
        await pilot.press("n")
        assert engine.heard == []
        await pilot.press("a", "y")
        await until(pilot, lambda: engine.heard == [{"command": "approval-off"}])


# --- an own version --------------------------------------------------------------------------------------------------


def edits_with(monkeypatch: pytest.MonkeyPatch, *versions: str) -> list[str]:
    """An editor that writes these, one each time; returns what it found."""
    found: list[str] = []
    left = iter(versions)

    def run(app: object, argv: list[str], said: bytes | None, folder: Path) -> str:
        found.append((folder / argv[-1]).read_text())
        (folder / argv[-1]).write_text(next(left))
        return ""

    monkeypatch.setattr(programs, "run", run)
    return found


async def test_an_own_version_is_shown_before_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = edits_with(monkeypatch, "SOFTCAP = 30.0\n")
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "e")
        await until(pilot, lambda: "edited: +1 −1 (train.py)" in screen(app))
        await until(pilot, lambda: "+ SOFTCAP = 30.0" in screen(app))
        assert "your version" in screen(app)
        assert found == ["SOFTCAP = 29.0\n"]
        assert engine.heard == []
        await pilot.press("escape", "A")
        await until(pilot, lambda: "edited: +1 −1 (train.py)" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: bool(engine.heard))
        assert engine.heard == [{"command": "approve", "number": 19, "edits": {"train.py": "SOFTCAP = 30.0\n"}}]


async def test_an_own_version_can_be_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits_with(monkeypatch, "SOFTCAP = 30.0\n")
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "u")
        assert isinstance(app.screen, AnswerScreen), "there is nothing to undo"
        await pilot.press("e")
        await until(pilot, lambda: "u undo the edit" in screen(app))
        await pilot.press("u")
        await until(pilot, lambda: "y yes   n no" in screen(app) and "edited:" not in screen(app))
        assert "your version" not in screen(app)
        assert "SOFTCAP = 30.0" not in screen(app)
        await pilot.press("y")
        await until(pilot, lambda: engine.heard == [{"command": "approve", "number": 19}])


async def test_a_version_that_is_refused_can_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = edits_with(monkeypatch, "SOFTCAP = (\n", "SOFTCAP = 30.0\n")
    async with a_proposal_waits(tmp_path, (200, 40)) as (app, pilot, engine):
        engine.answers["approve"] = UsageError("#19 still waits; your version cannot be used: it does not parse")
        await pilot.press("A", "e")
        await until(pilot, lambda: "edited:" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: "it does not parse; A has your version still" in screen(app))
        engine.answers["approve"] = "#19 begins now, as you edited it"
        await pilot.press("A", "e")
        await until(pilot, lambda: len(found) == 2 and "edited:" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: "approve: #19 begins now, as you edited it" in screen(app))
        assert found == ["SOFTCAP = 29.0\n", "SOFTCAP = (\n"]


async def test_a_version_of_one_proposal_is_not_taken_for_the_next_of_that_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = edits_with(monkeypatch, "SOFTCAP = 30.0\n", "WIDTH = 9\n")
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "e")
        await until(pilot, lambda: "edited:" in screen(app))
        engine.write(
            ev.Rejected(19, "no"), ev.Proposed(19, "p", 13, {"train.py": "WIDTH = 8\n"}, "wider", "", {}),
            ev.ApprovalAwaited(19, "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-WIDTH = 4\n+WIDTH = 8\n"),
        )  # fmt: skip
        await until(pilot, lambda: "+ WIDTH = 8" in screen(app) and app.screen is app.research)
        await pilot.press("A")
        await until(pilot, lambda: "wider   +1 −1" in screen(app) and "edited:" not in screen(app))
        await pilot.press("e")
        await until(pilot, lambda: found == ["SOFTCAP = 29.0\n", "WIDTH = 8\n"])


async def test_an_editor_left_without_a_change_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits_with(monkeypatch, "SOFTCAP = 29.0\n")
    async with a_proposal_waits(tmp_path) as (app, pilot, engine):
        await pilot.press("A", "e")
        await until(pilot, lambda: "nothing was changed; y approves it as it is" in screen(app))
        assert engine.heard == []


async def test_an_editor_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", lambda *_: "nano: cannot be opened (No such file or directory)")
    async with a_proposal_waits(tmp_path) as (app, pilot, _):
        await pilot.press("A", "e")
        await until(pilot, lambda: "nano: cannot be opened (No such file or directory); set EDITOR" in screen(app))


@pytest.mark.parametrize(
    ("editor", "argv"),
    [
        ("/usr/bin/nvim -R", ["/usr/bin/nvim", "-R", "+2", "cuda/train.py", "a.py"]),
        ("hx", ["hx", "cuda/train.py:2", "a.py"]),
        ("code --wait", ["code", "--wait", "a.py", "cuda/train.py"]),
    ],
)
def test_an_editor_opens_at_the_first_change_if_it_can(
    monkeypatch: pytest.MonkeyPatch, editor: str, argv: list[str]
) -> None:
    monkeypatch.setenv("VISUAL", editor)
    diff = "--- a/task/cuda/train.py\n+++ b/task/cuda/train.py\n@@ -1,3 +1,2 @@\n import torch\n-SOFTCAP = 15.0\n\n"
    paths = ["a.py", "cuda/train.py"]
    assert programs.editor_at(paths, first_change(diff, paths)) == argv


async def test_only_versions_that_no_engine_took_outlive_the_cockpit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    edits_with(monkeypatch, "SOFTCAP = (\n", "# looked at\n")
    async with a_proposal_waits(tmp_path, (200, 40)) as (app, pilot, engine):
        engine.answers["approve"] = UsageError("it does not parse")
        await pilot.press("A", "e")
        await until(pilot, lambda: "edited:" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: "does not parse" in screen(app))
        monkeypatch.setattr(programs, "run", lambda *_: "")
        await pilot.press("b", "e")
        await until(pilot, lambda: len(os.listdir(tmp_path / "tmp")) == 2)
    left = list((tmp_path / "tmp").iterdir())
    assert [(folder / "train.py").read_text() for folder in left] == ["SOFTCAP = (\n"]
    assert oct(left[0].stat().st_mode)[-3:] == "700"


async def test_a_waiting_proposal_of_a_run_to_look_at_cannot_be_answered(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        engine.write(*OVER, *waiting(19))
        app = Cockpit(folder, read_only=True)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "WAITS" in screen(app))
            for pressed in ("A", "a", "t", "p"):
                await pilot.press(pressed)
                await until(pilot, lambda: "opened to look at" in screen(app))
                assert not isinstance(app.screen, Prompt)
            assert engine.heard == []
