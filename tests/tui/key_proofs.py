"""What proves a key: a cockpit to press it in, and what it then shows or sends. Here those that control the run."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from driving import experiments, said, screen, until
from listening import OVER, Listener, waiting
from recorded_run import SOURCE
from textual.pilot import Pilot

from core import events as ev
from tui import programs
from tui.app import Cockpit, Left
from tui.replay import Replay
from tui.screens.help import HelpScreen
from tui.screens.leave import LeaveScreen
from tui.widgets.diff import DiffView


@dataclass
class At:
    """A cockpit at 120x40 over a recorded run, experiment 18 in mid-training."""

    app: Cockpit
    pilot: Pilot[Left]
    engine: Listener
    monkeypatch: pytest.MonkeyPatch

    async def press(self, *pressed: str) -> None:
        await self.pilot.press(*pressed)

    async def sees(self, words: str) -> None:
        await until(self.pilot, lambda: words in screen(self.app))

    async def sent(self, *commands: str) -> None:
        await until(self.pilot, lambda: self.engine.commands == list(commands))

    @property
    def selected(self) -> int | None:
        return experiments(self.app).selected

    @property
    def diff(self) -> DiffView:
        return self.app.screen_stack[0].query_one(DiffView)

    async def long_diff(self) -> None:
        """Give what is selected a diff to move about in, of five hunks."""
        hunks = (
            f"@@ -{n},90 +{n},90 @@\n" + "".join(f"+line {i} {SOURCE.splitlines()[i % 20]}\n" for i in range(90))
            for n in range(1, 500, 100)
        )
        self.engine.write(ev.Committed(18, "c" * 40, "r", "--- a/train.py\n+++ b/train.py\n" + "".join(hunks), 500))
        await until(self.pilot, lambda: self.diff.virtual_size.height > 400)


Proof = Callable[[At], Awaitable[None]]
PROOFS: dict[str, Proof] = {}


def proves(*ids: str) -> Callable[[Proof], Proof]:
    def keep(proof: Proof) -> Proof:
        PROOFS.update(dict.fromkeys(ids, proof))
        return proof

    return keep


# --- the run ---------------------------------------------------------------------------------------------------------


@proves("pause")
async def _(at: At) -> None:
    at.engine.answers["pause"] = "holds at the next step"
    await at.press("p")
    await at.sees("pause: holds at the next step")
    await at.press("space")
    await at.sent("pause", "resume")


@proves("slower", "faster")
async def _(at: At) -> None:
    """What they do to a replay's clock: test_replay_keys.py."""
    await at.press("L")
    await at.sees("only a replay has a speed")
    at.app.feed = Replay(at.engine.folder, 10.0)
    at.app.look_now()
    for pressed, speed in (("L", 20), ("L", 40), ("H", 20)):
        await at.sees("REPLAY")
        await at.press(pressed)
        await at.sees(f"REPLAY {speed}x")


@proves("pause-after")
async def _(at: At) -> None:
    at.engine.answers["pause-after"] = "pauses after this trial"
    await at.press("P")
    await at.sees("pause-after: pauses after this trial")
    at.engine.write(ev.Acknowledged("pause-after", "pauses after this trial"))
    await until(at.pilot, lambda: bool(at.app.state.asked))
    await at.press("P")
    await at.sent("pause-after", "resume")


@proves("skip")
async def _(at: At) -> None:
    await at.press("s")
    await at.sees("skip: as you wish")
    await at.sent("skip")


@proves("again")
async def _(at: At) -> None:
    await at.press("r")
    await at.sees("select a finished experiment first")
    await at.press("j", "r")
    await at.sees("again: as you wish")
    assert at.engine.heard == [{"command": "again", "number": 17}]


@proves("steer")
async def _(at: At) -> None:
    await at.press("t", *"try", "space", *"GELU", "enter")
    await at.sees("steer: as you wish")
    assert at.engine.heard == [{"command": "steer", "text": "try GELU"}]


@proves("approval")
async def _(at: At) -> None:
    await at.press("a")
    await at.sent("approval-on")
    at.engine.write(ev.ApprovalTurned(True))
    await until(at.pilot, lambda: at.app.state.history.approval)
    await at.press("a")
    await at.sent("approval-on", "approval-off")


@proves("answer")
async def _(at: At) -> None:
    """The answers themselves: test_keys_approval.py."""
    await at.press("A")
    await at.sees("no proposal waits; a lets every one of them wait")
    at.engine.write(*OVER, *waiting(19))
    await at.sees("A answer")
    await at.press("A", "y")
    await at.sees("approve: as you wish")
    assert at.engine.heard == [{"command": "approve", "number": 19}]


@proves("said")
async def _(at: At) -> None:
    await at.press("s")
    await at.sees("skip: as you wish")
    await at.press("i")
    assert said(at.app).splitlines()[0] == "skip: as you wish"
    await at.press("c")
    assert "skip: as you wish" in at.app.clipboard
    await at.press("j", "r")
    await at.sees("again: as you wish")
    await at.press("i")
    now, *_, before = said(at.app).splitlines()
    assert now == "again: as you wish"
    assert before.endswith("  skip: as you wish"), "what was said before stays there to be read"
    await at.press("i")
    assert at.app.screen is at.app.research


@proves("source")
async def _(at: At) -> None:
    seen: list[str] = []

    def run(app: object, argv: list[str], said: bytes | None, folder: Path) -> str:
        seen.append((folder / argv[-1]).read_text())
        assert not os.stat(folder / argv[-1]).st_mode & 0o222
        return ""

    at.monkeypatch.setattr(programs, "run", run)
    await at.press("b", "e")
    await until(at.pilot, lambda: bool(seen))
    assert 'WINDOW_PATTERN = "L"' in seen[0]
    assert seen[0].count("\n") == SOURCE.count("\n")


# --- leaving ---------------------------------------------------------------------------------------------------------


@proves("screenshot")
async def _(at: At) -> None:
    at.monkeypatch.chdir(at.engine.folder)
    pictures = at.engine.folder.parent / "Pictures"
    at.monkeypatch.setenv("XDG_PICTURES_DIR", str(pictures))
    await at.press("S")
    await until(
        at.pilot, lambda: [words.split("/")[-3:-1] for _, words in at.app.said] == [["autoresearch", "pictures"]]
    )
    pictures.mkdir()
    await at.press("S")
    await until(at.pilot, lambda: at.app.said[-1][1].startswith(f"saved {pictures}/autoresearch_"))
    assert not list(at.engine.folder.glob("*.svg")), "nor is it left in the repository that one stands in"
    picture = next(pictures.glob("*.svg")).read_text()
    assert "best" in picture
    assert "url(http" not in picture  # a picture asks nothing of other servers


@proves("help")
async def _(at: At) -> None:
    await at.press("?")
    assert isinstance(at.app.screen, HelpScreen)
    await at.press("escape", "f1")
    assert isinstance(at.app.screen, HelpScreen)


@proves("palette")
async def _(at: At) -> None:
    await at.press("ctrl+p", *"end", "space", *"this", "space", *"trial")
    await at.sees("end this trial and discard its experiment")
    await at.press("enter")
    await at.sent("skip")


@proves("leave")
async def _(at: At) -> None:
    await at.press("q")
    assert isinstance(at.app.screen, LeaveScreen)
    await at.press("d")
    await until(at.pilot, lambda: at.app.return_value is not None)
    assert at.engine.heard == []


@proves("interrupt")
async def _(at: At) -> None:
    await at.press("ctrl+c")
    await at.sees("ctrl+c again within 3 s stops the run now (its trial is void); q leaves")
    assert at.engine.heard == []
    await at.press("ctrl+c")
    await at.sent("stop-now")
    at.engine.write(ev.RunEnded("stopped", "stopped by the user"))
    await until(at.pilot, lambda: at.app.return_value is not None)
    assert at.app.return_value is not None
    assert at.app.return_value.choice == "stop-now"
    assert "autoresearch resume nov20" in at.app.return_value.message
