"""The cockpit in a real terminal: a pty with an emulator behind it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from emulator import Terminal, terminal
from recorded_run import write_run

PROGRAM = "import sys; from pathlib import Path; from tui.app import run_cockpit; print(run_cockpit(Path(sys.argv[1])))"


def cockpit(run_folder: Path, **environment: str) -> AbstractContextManager[Terminal]:
    """The cockpit of a recorded run in a terminal."""
    return terminal(sys.executable, "-c", PROGRAM, str(run_folder), **environment)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def test_it_paints_obeys_and_leaves_the_terminal_clean(recorded: Path) -> None:
    with cockpit(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown and "q leave" in t.shown)
        assert "× ENGINE GONE" in t.screen.display[0]
        t.press("b")
        t.until(lambda: 'WINDOW_PATTERN = "L"' in t.shown)
        t.press("\t")
        t.until(lambda: "step  100  loss" in t.shown)
        t.press("?")
        t.until(lambda: "pause the run now" in t.shown)
        t.press("\x1b")
        t.until(lambda: "pause the run now" not in t.shown)
        t.press("q")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert "choice='over'" in t.written.decode(errors="replace")
        assert t.left_clean


def test_the_plot_is_drawn_for_its_place_at_once(recorded: Path) -> None:
    with cockpit(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown and "q leave" in t.shown)
        for pressed, rows in (("5", 17), ("\x1b", 4), ("5", 17), ("0", 4)):
            t.press(pressed)
            t.until(lambda rows=rows: t.shown.count("┤") == rows)


def test_a_terminated_cockpit_leaves_the_terminal_clean(recorded: Path) -> None:
    with cockpit(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.left_clean


def test_a_terminal_that_hangs_up_takes_the_cockpit_with_it(recorded: Path) -> None:
    with cockpit(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        t.process.send_signal(signal.SIGHUP)  # nobody reads what it writes from here on
        assert t.process.wait(10) == -signal.SIGHUP


@pytest.mark.parametrize("hangup", [signal.SIG_DFL, signal.SIG_IGN], ids=["", "below nohup"])
def test_a_terminal_that_goes_without_a_word_takes_the_cockpit_with_it(recorded: Path, hangup: signal.Handlers) -> None:
    before = signal.signal(signal.SIGHUP, hangup)  # what is ignored here is so in a child
    with cockpit(recorded) as t:  # not its controlling terminal, so no SIGHUP comes when it hangs up
        signal.signal(signal.SIGHUP, before)
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        os.close(t.master)
        t.master = os.open(os.devnull, os.O_RDWR)
        assert t.process.wait(10) == -signal.SIGHUP


def test_without_colour_signs_and_glyphs_say_it_all(recorded: Path) -> None:
    with cockpit(recorded, NO_COLOR="1") as t:
        t.until(lambda: "11 + EMBEDDING_LR = 0.75" in t.shown and "q leave" in t.shown)
        assert "11 - EMBEDDING_LR = 0.6 " in t.shown
        assert [glyph for glyph in "●·×›" if glyph not in t.shown] == []


def test_hostile_text_does_not_reach_the_terminal(recorded: Path) -> None:
    journal = recorded / "journal.jsonl"
    journal.write_text(journal.read_text().replace("embedding LR 0.6 to 0.75", "\\u001b]0;owned\\u0007\\u001b[2Jquiet"))
    log = recorded / "trials" / "18-1" / "log"
    log.write_bytes(b"\x1b[2J\x1b[31mloud\x1b[0m\x07\x9b5n\xff\n" * 30)
    with cockpit(recorded) as t:
        t.until(lambda: "quiet" in t.shown)
        t.press("2")
        t.until(lambda: "loud" in t.shown)
        assert b"owned" not in t.written
        assert b"\x1b[31mloud" not in t.written
        assert "val_bpb" in t.shown
