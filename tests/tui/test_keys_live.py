"""The keys before a living engine: a note, a no, an own version, a yes, another trial, and the end."""

from __future__ import annotations

import sys
from pathlib import Path

from conftest import ended, history, rates_agent
from emulator import terminal

from core.launch import Options
from tui import asked

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")


def test_the_users_word_and_another_trial_from_the_keyboard(toy: Path, engines) -> None:
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True))
    # The agent of this run reads no notes, and the cockpit passes on that the engine says so.
    with terminal(
        "sh", "-c", f"cd {toy} && exec {AUTORESEARCH}", VISUAL="", EDITOR="sed -i s/RATE.=.*/RATE=0.37/"
    ) as t:
        t.until(lambda: "#1 waits for your yes" in t.shown and "+ RATE = " in t.shown, 60)
        t.press("tbe bold\r")
        t.until(lambda: "steer: recorded" in t.shown)
        t.press("An")
        t.until(lambda: "no to #1: why?" in t.shown)
        t.press("too tame\r")
        t.until(lambda: len(history(folder).notes) == 2 and asked.waiting(history(folder)) == 1)
        assert [(n.text, bool(n.rejected)) for n in history(folder).notes] == [("be bold", False), ("too tame", True)]
        t.until(lambda: "A answer" in t.shown and "reject: " not in t.shown)
        t.press("Ae")
        t.until(lambda: "edited: +1 −1" in t.shown)
        t.press("y")
        t.until(lambda: len(history(folder).experiments) == 2, 60)
        assert history(folder).experiments[1].edited
        assert "+RATE=0.37" in history(folder).experiments[1].diff
        t.until(lambda: "#2 waits for your yes" in t.shown)
        t.press("Gr")
        t.until(lambda: "again: another trial of #0 follows" in t.shown)
        t.press(".")
        t.until(lambda: "#2 waits for your yes" in t.shown)
        t.press("Ay")
        t.until(lambda: len(history(folder).experiments[0].repeats) == 1, 60)
        t.until(lambda: "#3 waits for your yes" in t.shown, 60)
        t.press("\x03\x03")
        t.until(lambda: t.process.poll() is not None, 60)
        t.draw(0.1)
        assert t.left_clean
    assert ended(folder).ended.reason == "stopped"
    assert [e.number for e in history(folder).experiments] == [0, 1, 2]
