"""What only a real terminal shows: its title, notifications, the pager and the editor."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from emulator import Terminal, terminal
from listening import OVER, listener, waiting
from recorded_run import write_run

from core import events as ev
from tui import config
from tui.terminal import Terminal as Around

PROGRAM = "import sys; from pathlib import Path; from tui.app import run_cockpit; print(run_cockpit(Path(sys.argv[1])))"


def cockpit(run_folder: Path, **environment: str) -> AbstractContextManager[Terminal]:
    return terminal(sys.executable, "-c", PROGRAM, str(run_folder), **environment)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


# --- the title -------------------------------------------------------------------------------------------------------


def test_the_title_says_how_it_stands_and_is_given_back(recorded: Path) -> None:
    with listener(recorded) as engine, cockpit(recorded) as t:
        t.until(lambda: t.screen.title == "● 2.2993 #18 autoresearch")
        assert t.written.index(b"\x1b[22;0t") < t.written.index(b"\x1b]2;")
        engine.write(ev.RunPaused("paused by the user", ""))
        t.until(lambda: t.screen.title == "‖ 2.2993 #18 autoresearch")
        count = t.written.count(b"\x1b]2;")
        t.press("jkjkb")
        t.until(lambda: "all layers see everyt" in t.shown)
        assert t.written.count(b"\x1b]2;") == count, "the same words are not written again"
        t.press("qd")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.written.endswith(b"\n")
        assert b"\x1b]2;\x07\x1b[23;0t" in t.written
        assert t.left_clean


def test_a_killed_cockpit_gives_the_title_back(recorded: Path) -> None:
    with listener(recorded), cockpit(recorded) as t:
        t.until(lambda: t.screen.title == "● 2.2993 #18 autoresearch")
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert b"\x1b[23;0t" in t.written


def test_a_crash_gives_the_title_back(recorded: Path) -> None:
    crash = PROGRAM.replace(
        "print(", "from tui.output import OutputWindow; OutputWindow.action_copy = lambda self: 1 / 0; print("
    )
    with listener(recorded), terminal(sys.executable, "-c", crash, str(recorded)) as t:
        t.until(lambda: t.screen.title == "● 2.2993 #18 autoresearch")
        t.press("c")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert b"\x1b[23;0t" in t.written
        assert "ZeroDivisionError" in t.written.decode(errors="replace")
        assert t.left_clean


def test_the_linux_console_has_no_title(recorded: Path) -> None:
    with listener(recorded), cockpit(recorded, TERM="linux") as t:
        t.until(lambda: "2.2993" in t.shown)
        t.press("qd")
        t.until(lambda: t.process.poll() is not None)
        assert b"\x1b]2;" not in t.written
        assert b"\x1b[22;0t" not in t.written


def test_hostile_words_do_not_get_out_of_a_title_or_a_notification() -> None:
    written: list[str] = []
    around = Around(written.append, {"TERM": "xterm"})
    around.begin()
    around.title("a\x07\x1b]52;c;eA==\x07b")
    around.notify("who\x07", "wh\x07at\n\x9c;x")
    assert written == ["\x1b[22;0t", "\x1b]2;ab\x07", "\x1b]9;who: what ;x\x07"]
    foot = Around(written.append, {"TERM": "foot"})
    foot.notify("a;b", "c;d")
    assert written[-1] == "\x1b]777;notify;a,b;c,d\x07"


# --- notifications ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [True, False])
def test_the_desktop_is_told_only_where_the_user_wants_it(recorded: Path, on: bool) -> None:
    config.path().parent.mkdir(parents=True)
    config.path().write_text(f"[cockpit]\nnotify = {json.dumps(on)}\nbell = false\n")
    with listener(recorded) as engine, cockpit(recorded) as t:
        t.until(lambda: "training #18" in t.shown)
        engine.write(*OVER, *waiting(19))
        t.until(lambda: "WAITS" in t.shown)
        t.until(lambda: t.screen.title.endswith("#19 autoresearch"))
        assert (b"\x1b]9;autoresearch nov20: #19 waits for your yes\x07" in t.written) == on


# --- other programs --------------------------------------------------------------------------------------------------


def test_the_pager_gets_the_terminal_and_gives_it_back(recorded: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho; echo what I page: $(grep -c . -) lines\nread key < /dev/tty\n")
    pager.chmod(0o755)
    with listener(recorded), cockpit(recorded, PAGER=str(pager)) as t:
        t.until(lambda: "training #18" in t.shown and "+ EMBEDDING_LR" in t.shown and "q leave" in t.shown)
        t.press("o")
        t.until(lambda: "what I page: " in t.shown and "training #18" not in t.shown)
        t.press("\n")
        t.until(lambda: "training #18" in t.shown and "what I page" not in t.shown)
        t.until(lambda: t.screen.title == "● 2.2993 #18 autoresearch")


def test_ctrl_c_in_a_pager_ends_the_pager_alone(recorded: Path, tmp_path: Path) -> None:
    with listener(recorded) as engine, cockpit(recorded, PAGER="sh -c 'echo paging; exec sleep 600'") as t:
        t.until(lambda: "training #18" in t.shown and "+ EMBEDDING_LR" in t.shown and "q leave" in t.shown)
        t.press("o")
        t.until(lambda: "paging" in t.shown)
        t.press("\x03")
        t.until(lambda: "training #18" in t.shown)
        assert t.process.poll() is None
        assert engine.heard == []


def test_a_program_that_is_not_there_leaves_the_cockpit_as_it_was(recorded: Path) -> None:
    with listener(recorded), cockpit(recorded, PAGER="no-such-pager", VISUAL="", EDITOR="no-such-editor") as t:
        t.until(lambda: "training #18" in t.shown and "+ EMBEDDING_LR" in t.shown and "q leave" in t.shown)
        t.press("o")
        t.until(lambda: "no-such-pager: cannot be opened (No such file or directory); set PAGER" in t.shown)
        t.press("e")
        t.until(lambda: "no-such-editor: cannot be opened (No such file or directory); set EDITOR" in t.shown)
        t.press("b")
        t.until(lambda: 'WINDOW_PATTERN = "L"' in t.shown)


def test_a_waiting_proposal_is_changed_in_the_editor(recorded: Path, tmp_path: Path) -> None:
    with listener(recorded) as engine:
        engine.write(*OVER, *waiting(19))
        with cockpit(recorded, VISUAL="", EDITOR="sed -i s/29/31/") as t:
            t.until(lambda: "WAITS" in t.shown)
            t.press("Ae")
            t.until(lambda: "edited: +1 −1 (train.py)" in t.shown)
            assert engine.heard == []
            t.press("y")
            t.until(lambda: bool(engine.heard))
            assert engine.heard == [{"command": "approve", "number": 19, "edits": {"train.py": "SOFTCAP = 31.0\n"}}]
            t.until(lambda: "approve: as you wish" in t.shown)


def test_letters_that_come_in_one_burst_with_the_key_are_typed(recorded: Path) -> None:
    with listener(recorded) as engine, cockpit(recorded) as t:
        t.until(lambda: "training #18" in t.shown)
        t.press("tquick note\r")
        t.until(lambda: engine.heard == [{"command": "steer", "text": "quick note"}])
        t.press("pp")
        t.until(lambda: engine.commands == ["steer", "pause", "resume"])
