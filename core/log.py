"""What a trial prints: kept within bounds, and read back as text that cannot disturb a terminal or a prompt."""

from __future__ import annotations

import contextlib
import re
import signal
from collections import deque
from pathlib import Path

HEAD_BYTES = 4 * 2**20
TAIL_BYTES = 64 * 1024
_TAIL_LINES, _TAIL_CHARACTERS, _REASON_CHARACTERS = 30, 4000, 160
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*$")
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemoryError|^MemoryError|can't allocate memory", re.I | re.M)


class CappedLog:
    """Writes the first 4 MiB as they come, keeps the last 64 KiB of the rest, and says what was left out."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - open for the life of the trial
        self._written = 0
        self._held = 0
        self._dropped = 0
        self._recent: deque[bytes] = deque()  # the last bytes beyond the head, in chunks
        self._last = b""  # the last bytes of the head

    def write(self, chunk: bytes) -> None:
        head = chunk[: max(0, HEAD_BYTES - self._written)]
        if head:
            self._file.write(head)
            self._file.flush()
            self._written += len(head)
            self._last = (self._last + head)[-TAIL_BYTES:]
        if rest := chunk[len(head) :]:
            self._recent.append(rest)
            self._held += len(rest)
            while self._held - len(self._recent[0]) >= TAIL_BYTES:
                first = self._recent.popleft()
                self._held -= len(first)
                self._dropped += len(first)

    def tail(self) -> str:
        """The last lines as plain text."""
        return plain_tail(self._last + b"".join(self._recent))

    def close(self) -> None:
        if self._recent:
            if self._dropped:
                self._file.write(b"\n... %d bytes left out ...\n" % self._dropped)
            self._file.write(b"".join(self._recent))
        self._file.close()


def plain(text: str) -> str:
    """Text without escape sequences and control characters; tabs become spaces, a carriage return starts a line."""
    return _CONTROL.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).expandtabs(4)


def plain_tail(raw: bytes) -> str:
    """The last 30 lines, at most 4,000 characters, of what was printed."""
    lines = plain(raw[-TAIL_BYTES:].decode("utf-8", "replace")).rstrip().splitlines()
    return "\n".join(line[:400] for line in lines[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]


def tail_of(log: Path) -> str:
    """The last lines of a log that lies on the disk, as plain text; of one that cannot be read, nothing."""
    with contextlib.suppress(OSError), open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return plain_tail(file.read())
    return ""


def crash_reason(tail: str, code: int) -> str:
    """One line on why a process failed: `oom`, the exception it printed last, its signal, or its exit status."""
    if _OUT_OF_MEMORY.search(tail):
        return "oom"
    for line in reversed(tail.splitlines()):
        if _EXCEPTION.match(line):
            return line[:_REASON_CHARACTERS]
    if code < 0:
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else f"signal {-code}"
        return f"killed by {name}" + (" (perhaps the system ran out of memory)" if -code == signal.SIGKILL else "")
    return f"exit status {code}"
