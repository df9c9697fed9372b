"""A terminal for measuring: a pty, when what came, and what the program in it costs. It draws nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

COLUMNS, ROWS = 120, 40
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[ -/]*[0-~])")
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program in a pty. `said`: what it wrote since the last `forget`, without escape sequences."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._raw = b""
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=dict(environment)
        )
        os.close(slave)

    @property
    def said(self) -> str:
        return _ESCAPES.sub(b"", self._raw).decode(errors="replace")

    def forget(self) -> None:
        """Drop what was written so far."""
        while self._read(0.0):
            pass
        self._raw = b""

    def press(self, keys: str) -> float:
        """Press keys; returns when, by the performance counter."""
        now = time.perf_counter()
        os.write(self._master, keys.encode())
        return now

    def until(self, what: Callable[[str], object], limit: float = 20.0) -> float:
        """Read until something stands in what was said; returns when it came. Raises TimeoutError."""
        deadline = time.perf_counter() + limit
        while not what(self.said):
            if not self._read(max(0.0, deadline - time.perf_counter())):
                raise TimeoutError(f"it did not come within {limit:.0f} s; the last that came: {self.said[-600:]!r}")
        return time.perf_counter()

    def idle(self, seconds: float) -> None:
        """Take what comes for so long, and drop it."""
        drain([self], seconds)

    def _read(self, limit: float) -> bool:
        if not select.select([self._master], [], [], limit)[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the program has ended
            return False
        self._raw += data
        return bool(data)

    # --- what it costs

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS

    @property
    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextmanager
def terminal(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    t = Terminal(argv, environment)
    try:
        yield t
    finally:
        t.close()


def drain(terminals: Sequence[Terminal], seconds: float) -> None:
    """Take what several programs write for so long, and drop it."""
    deadline = time.perf_counter() + seconds
    while (left := deadline - time.perf_counter()) > 0:
        readable = select.select([t._master for t in terminals], [], [], left)[0]
        for t in terminals:
            if t._master in readable:
                t.forget()
