"""A real terminal for tests: a pty with an emulator behind it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyte

COLUMNS, ROWS = 80, 24


class Screen(pyte.Screen):
    """pyte takes OSC 22, the shape of the mouse's pointer, for a title that begins with a semicolon."""

    def set_title(self, param: str) -> None:
        if not param.startswith(";"):
            super().set_title(param)


class Terminal:
    """A program in a pty, and what an emulator makes of its output."""

    def __init__(self, argv: Sequence[str], size: tuple[int, int] = (COLUMNS, ROWS), **environment: str) -> None:
        columns, rows = size
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.process = subprocess.Popen(
            argv,
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        )  # fmt: skip

    @property
    def shown(self) -> str:
        return "\n".join(self.screen.display)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def until(self, what: Callable[[], bool], limit: float = 60.0) -> None:
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

    def settle(self, quiet: float, limit: float = 20.0) -> None:
        """Let the emulator draw until nothing has come for `quiet` seconds."""
        deadline, last = time.monotonic() + limit, -1
        while last != len(self.written) and time.monotonic() < deadline:
            last = len(self.written)
            self.draw(quiet)

    @property
    def left_clean(self) -> bool:
        """Whether the main screen, the cursor, the mouse and the line discipline are as they were."""
        off = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l")
        return all(sequence in self.written for sequence in off) and termios.tcgetattr(self.slave) == self.before


@contextmanager
def terminal(*argv: str, size: tuple[int, int] = (COLUMNS, ROWS), **environment: str) -> Iterator[Terminal]:
    t = Terminal(argv, size, **environment)
    try:
        yield t
    finally:
        t.process.kill()
        t.process.wait()
        os.close(t.master)
        os.close(t.slave)
