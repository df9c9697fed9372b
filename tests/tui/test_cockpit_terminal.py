"""The cockpit in a real terminal: a pty with an emulator behind it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest
from recorded_run import write_run

PROGRAM = "import sys; from pathlib import Path; from tui.app import run_cockpit; print(run_cockpit(Path(sys.argv[1])))"
COLUMNS, ROWS = 80, 24


class Terminal:
    """A cockpit in a pty, and what an emulator makes of its output."""

    def __init__(self, run_folder: Path, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(run_folder)],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        )  # fmt: skip

    @property
    def shown(self) -> str:
        return "\n".join(self.screen.display)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def until(self, what: Callable[[], bool], limit: float = 20.0) -> None:
        """Let the emulator draw until something is so."""
        deadline = time.monotonic() + limit
        while not what():
            assert time.monotonic() < deadline, f"it did not happen in time:\n{self.shown}"
            self.draw(0.1)

    def draw(self, limit: float = 0.0) -> None:
        """Take what was written, waiting `limit` seconds for it at most."""
        while select.select([self.master], [], [], limit)[0]:
            data = os.read(self.master, 65536)
            self.written += data
            self.stream.feed(data)
            limit = 0.0

    @property
    def left_clean(self) -> bool:
        """Whether the main screen, the cursor, the mouse and the line discipline are as they were."""
        off = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l")
        return all(sequence in self.written for sequence in off) and termios.tcgetattr(self.slave) == self.before


@contextmanager
def terminal(run_folder: Path, **environment: str) -> Iterator[Terminal]:
    t = Terminal(run_folder, **environment)
    try:
        yield t
    finally:
        t.process.kill()
        t.process.wait()
        os.close(t.master)
        os.close(t.slave)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def test_it_paints_obeys_and_leaves_the_terminal_clean(recorded: Path) -> None:
    with terminal(recorded) as t:
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


def test_a_terminated_cockpit_leaves_the_terminal_clean(recorded: Path) -> None:
    with terminal(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.left_clean


def test_a_terminal_that_hangs_up_takes_the_cockpit_with_it(recorded: Path) -> None:
    with terminal(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        t.process.send_signal(signal.SIGHUP)  # nobody reads what it writes from here on
        assert t.process.wait(10) == -signal.SIGHUP


def test_without_colour_signs_and_glyphs_say_it_all(recorded: Path) -> None:
    with terminal(recorded, NO_COLOR="1") as t:
        t.until(lambda: "11 + EMBEDDING_LR = 0.75" in t.shown and "q leave" in t.shown)
        assert "11 - EMBEDDING_LR = 0.6 " in t.shown
        assert [glyph for glyph in "●·×›▶" if glyph not in t.shown] == []


def test_hostile_text_does_not_reach_the_terminal(recorded: Path) -> None:
    journal = recorded / "journal.jsonl"
    journal.write_text(journal.read_text().replace("embedding LR 0.6 to 0.75", "\\u001b]0;owned\\u0007\\u001b[2Jquiet"))
    log = recorded / "trials" / "18-1" / "log"
    log.write_bytes(b"\x1b[2J\x1b[31mloud\x1b[0m\x07\x9b5n\xff\n" * 30)
    with terminal(recorded) as t:
        t.until(lambda: "quiet" in t.shown)
        t.press("2")
        t.until(lambda: "loud" in t.shown)
        assert b"owned" not in t.written
        assert b"\x1b[31mloud" not in t.written
        assert "val_bpb" in t.shown
