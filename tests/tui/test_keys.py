"""Every key of the table, and what it does: on the screen, or in what the engine heard."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from listening import Listener, listener
from recorded_run import SOURCE, write_run
from textual.pilot import Pilot

from core import events as ev
from tui import keys, programs
from tui.app import Cockpit, Left
from tui.screens.help import HelpScreen
from tui.screens.leave import LeaveScreen
from tui.screens.prompt import Prompt
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


def test_terminals_send_every_key_as_itself() -> None:
    """Ctrl with m, i, h, j is Enter, Tab, Backspace, a new line to a terminal without the kitty protocol."""
    pressed = {single.strip() for key in keys.KEYS for single in key.keys.split(",")}
    assert not pressed & {"ctrl+m", "ctrl+i", "ctrl+h", "ctrl+j", "ctrl+s", "ctrl+q", "ctrl+z"}
    assert not [name for name in pressed if name.startswith("shift+") or "alt+" in name]


def test_no_two_keys_are_one_but_those_of_the_users_word() -> None:
    first = [name for key in keys.KEYS if key.id not in ("yes", "no") for name in key.keys.split(",")]
    assert len(first) == len(set(first))


# --- the run ---------------------------------------------------------------------------------------------------------


@proves("pause")
async def _(at: At) -> None:
    at.engine.answers["pause"] = "holds at the next step"
    await at.press("p")
    await at.sees("pause: holds at the next step")
    await at.press("space")
    await at.sent("pause", "resume")


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


@proves("yes", "no")
async def _(at: At) -> None:
    """What they do while a proposal waits: test_keys_approval.py."""
    await at.press("y", "n")
    assert at.engine.heard == []
    assert at.app.screen is at.app.research


@proves("edit")
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


# --- experiments -----------------------------------------------------------------------------------------------------


@proves("select", "up")
async def _(at: At) -> None:
    await at.press("j", "down", "j", "k")
    assert at.selected == 16
    await at.press("up")
    assert at.selected == 17


@proves("live", "oldest")
async def _(at: At) -> None:
    for pressed, number in (("G", 0), ("g", 18), ("end", 0), (".", 18), ("G", 0), ("home", 18)):
        await at.press(pressed)
        assert at.selected == number


@proves("kept", "kept-next")
async def _(at: At) -> None:
    await at.press("[", "[")
    assert at.selected == 11
    await at.press("]")
    assert at.selected == 13


@proves("best")
async def _(at: At) -> None:
    await at.press("b")
    assert at.selected == 13


@proves("search")
async def _(at: At) -> None:
    await at.press("slash", *"GELU", "enter")
    await at.sees("“GELU”")
    assert at.selected == 8


@proves("filter")
async def _(at: At) -> None:
    await at.press("f")
    await until(at.pilot, lambda: len(experiments(at.app).listing.finished) == 8)


# --- plot ------------------------------------------------------------------------------------------------------------


@proves("quantity", "scale", "axis")
async def _(at: At) -> None:
    await at.press("m", "y", "x")
    await at.sees("peak memory")
    await at.sees("log, by time")


# --- panes -----------------------------------------------------------------------------------------------------------


@proves("scroll", "scroll-up", "page", "page-up")
async def _(at: At) -> None:
    await at.long_diff()
    half = at.diff.size.height // 2
    for pressed, row in (("J", 1), ("J", 2), ("K", 1), ("ctrl+d", 1 + half), ("ctrl+u", 1), ("pagedown", 1 + half)):
        await at.press(pressed)
        assert at.diff.scroll_offset.y == row
    assert at.selected == 18


@proves("shift", "shift-left")
async def _(at: At) -> None:
    at.engine.write(ev.Committed(18, "c" * 40, "r", "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n+" + "wide " * 90 + "\n", 1))
    await until(at.pilot, lambda: at.diff.virtual_size.width > 300)
    await at.press("right")
    assert at.diff.scroll_offset.x == 8
    await at.press("left")
    assert at.diff.scroll_offset.x == 0


@proves("hunk", "hunk-up")
async def _(at: At) -> None:
    await at.long_diff()
    rows = []
    for pressed in ("n", "n", "ctrl+n", "N"):
        await at.press(pressed)
        rows.append(at.diff.scroll_offset.y)
    assert rows[0] < rows[1] < rows[2]
    assert rows[3] == rows[1]


@proves("split")
async def _(at: At) -> None:
    assert not at.diff.splits
    await at.press("d")
    assert at.diff.splits
    await at.sees("side by side")


@proves("wrap")
async def _(at: At) -> None:
    at.engine.write(ev.Committed(18, "c" * 40, "r", "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n+" + "wide " * 90 + "\n", 1))
    await until(at.pilot, lambda: at.diff.virtual_size.width > 300)
    rows = at.diff.virtual_size.height
    await at.press("w")
    await until(at.pilot, lambda: at.diff.virtual_size.height > rows + 3)


@proves("more", "less")
async def _(at: At) -> None:
    await at.press("b")
    await at.sees('+ WINDOW_PATTERN = "L"')
    await at.press("}", "}", "}")
    await at.sees("a small GPT and how it is trained")
    await at.press(*"{{{{{")
    await until(at.pilot, lambda: "a small GPT and how it is trained" not in screen(at.app))


@proves("against")
async def _(at: At) -> None:
    await at.press("b", "v")
    await at.sees("against the baseline")


@proves("whole")
async def _(at: At) -> None:
    await at.press("D")
    await at.sees("whole run, 18 experiments")


@proves("zoom", "back")
async def _(at: At) -> None:
    await at.press("enter")
    await until(at.pilot, lambda: "val_bpb ↓" not in screen(at.app))
    await at.sees("EMBEDDING_LR = 0.75")
    await at.press("escape")
    await at.sees("val_bpb ↓")


@proves("list-alone", "plot-alone")
async def _(at: At) -> None:
    await at.press("4")
    await until(at.pilot, lambda: "val_bpb ↓" not in screen(at.app))
    await at.sees("unembedding LR 0.004 to 0.006")
    await at.press("escape", "5")
    await until(at.pilot, lambda: "baseline" not in screen(at.app))
    await at.sees("val_bpb ↓")


@proves("follow")
async def _(at: At) -> None:
    await at.press("j", "j")
    assert at.selected == 16
    await at.press("l")
    assert at.selected == 18
    assert experiments(at.app).following


@proves("border-left", "border-right")
async def _(at: At) -> None:
    width = at.diff.size.width
    await at.press("<")
    await until(at.pilot, lambda: at.diff.size.width > width)
    await at.press(">")
    await until(at.pilot, lambda: at.diff.size.width == width)


@proves("taller", "lower")
async def _(at: At) -> None:
    height = at.diff.size.height
    await at.press("+", "=")
    await until(at.pilot, lambda: at.diff.size.height == height + 2)
    await at.press("-", "-")
    await until(at.pilot, lambda: at.diff.size.height == height)


@proves("plot-lower", "plot-taller")
async def _(at: At) -> None:
    height = at.app.research.plot.size.height
    await at.press("(")
    await until(at.pilot, lambda: at.app.research.plot.size.height == height - 1)
    await at.press(")", ")")
    await until(at.pilot, lambda: at.app.research.plot.size.height == height + 1)


@proves("put-back")
async def _(at: At) -> None:
    size = at.diff.size
    await at.press("<", "+", "0")
    await until(at.pilot, lambda: at.diff.size == size)


@proves("copy")
async def _(at: At) -> None:
    await at.press("b", "c")
    assert '+WINDOW_PATTERN = "L"' in at.app.clipboard


@proves("open")
async def _(at: At) -> None:
    said: list[bytes] = []
    at.monkeypatch.setattr(programs, "run", lambda app, argv, words, folder: said.append(words) or "")
    await at.press("b", "o")
    assert b'+WINDOW_PATTERN = "L"' in said[0]


@proves("pane", "diff", "log", "notes")
async def _(at: At) -> None:
    for pressed, pane in (("2", "log"), ("1", "diff"), ("3", "notes"), ("tab", "diff"), ("tab", "log")):
        await at.press(pressed)
        assert at.app.research.pane == pane


# --- leaving ---------------------------------------------------------------------------------------------------------


@proves("screenshot")
async def _(at: At) -> None:
    at.monkeypatch.chdir(at.engine.folder)
    await at.press("S")
    await at.sees("saved ")
    assert "best" in next(at.engine.folder.glob("*.svg")).read_text()


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


# --- all of them ------------------------------------------------------------------------------------------------------


def test_no_key_lacks_a_proof() -> None:
    assert {key.id for key in keys.KEYS} == set(PROOFS)


@pytest.mark.parametrize("id", sorted(PROOFS))
async def test_a_key_does_what_it_says(id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "training #18" in screen(app))
            await PROOFS[id](At(app, pilot, engine, monkeypatch))


# --- keys of the user's own ------------------------------------------------------------------------------------------


async def test_remapped_keys_act_and_are_shown_everywhere(tmp_path: Path) -> None:
    from tui import config

    config.path().parent.mkdir(parents=True)
    config.path().write_text('[keys]\npause = "f5"\nno = "x"\ninterrupt = "ctrl+x"\npalette = "f2"\nlog = "f6"\n')
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "f5 pause" in screen(app))
            await pilot.press("p", "ctrl+c", "ctrl+p", "2")
            assert app.screen is app.research
            assert app.research.pane == "diff"
            await pilot.press("f5", "f6")
            await until(pilot, lambda: engine.commands == ["pause"])
            assert app.research.pane == "log"
            await pilot.press("ctrl+x")
            await until(pilot, lambda: "again within 3 s" in screen(app))
            await pilot.press("?")
            await until(pilot, lambda: "f5 " in screen(app))
            await pilot.press("escape", "f2")
            await until(pilot, lambda: "pause the run now" in screen(app))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('best = "p"', "keys.best = 'p': p is the key of pause"),
        ('best = "?"', "keys.best = '?': ? is the key of help"),
        ('best = "z"\nhelp = "z"', "z is the key of"),
        ('best = "z"', ""),
        ('best = "y"\nscale = "b"', ""),
    ],
)
async def test_a_key_that_is_given_away_twice_is_said(tmp_path: Path, words: str, told: str) -> None:
    from tui import config

    config.path().parent.mkdir(parents=True)
    config.path().write_text(f"[keys]\n{words}\n")
    async with cockpit(write_run(tmp_path / "nov20", 5)) as (app, pilot):
        await until(pilot, lambda: "RUN" in screen(app))
        assert ("the key of" in screen(app)) == bool(told)
        assert told in screen(app)


async def test_typing_is_never_taken_for_a_key(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await pilot.press("slash", *"pqsyn1?")
            assert app.research.search_bar.value == "pqsyn1?"
            await pilot.press("escape", "t", *"pqsyn1?/")
            assert isinstance(app.screen, Prompt)
            await pilot.press("enter")
            await until(pilot, lambda: engine.heard == [{"command": "steer", "text": "pqsyn1?/"}])
