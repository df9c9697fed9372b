"""The control socket between the engine and a child: JSON lines both ways, and one descriptor with the word go."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LONGEST_MESSAGE = 64 * 1024  # bytes
_LARGEST = 1e300


class Overflow(Exception):
    """The child sent a line longer than LONGEST_MESSAGE."""


class Channel:
    """The engine's end. `theirs` is the child's: pass its descriptor on, then close it."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.closed = False
        self._buffer = b""

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """What has arrived: objects only, anything else is passed over. Sets `closed` at the end. Raises Overflow."""
        try:
            chunk = self.socket.recv(LONGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self.closed = not chunk
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        if len(self._buffer) > LONGEST_MESSAGE:
            raise Overflow
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one line; a child that is gone or does not listen is found out elsewhere."""
        with contextlib.suppress(OSError):
            self.socket.send(json.dumps(message).encode() + b"\n")

    def go(self, handover: Path | None = None) -> None:
        """Say go, with the descriptor of `handover`, read-only, if there is one."""
        if handover is None:
            self.send({"type": "go"})
            return
        descriptor = os.open(handover, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                socket.send_fds(self.socket, [b'{"type": "go"}\n'], [descriptor])
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self.socket.close()
        self.theirs.close()


class Clock:
    """Monotonic seconds since its making that stand still while held."""

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._held_at: float | None = None

    def __call__(self) -> float:
        return (self._held_at or time.monotonic()) - self._origin

    def hold(self) -> None:
        self._held_at = time.monotonic()

    def go(self) -> float:
        """Go on; returns the seconds held."""
        span = time.monotonic() - (self._held_at or time.monotonic())
        self._origin, self._held_at = self._origin + span, None
        return span


def finite(value: object) -> bool:
    """Whether this is a number that a clock, a plot or a sum can take: JSON also has NaN and integers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


class Telemetry:
    """Appends a trial's reports to telemetry.jsonl, at most 20 a second. Not fsynced.

    Of a trial that is over some hundred lines stay: whole they would be most of what a run of weeks leaves on disk.
    """

    FIELDS = ("step", "loss", "progress", "tokens_per_second", "memory_mb", "eta_seconds", "mfu")
    MOST_KEPT = 300  # lines of a trial that is over
    _SECONDS = 0.05

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, 0
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open for the life of the trial
        self._reported = -math.inf
        self.step: int | None = None

    def report(self, seconds: float, message: Mapping[str, Any]) -> None:
        """Take one "step" message; `seconds` are counted training seconds. Numbers only: the trial is not trusted."""
        if finite(message.get("step")):
            self.step = int(message["step"])
        if seconds - self._reported < self._SECONDS:
            return
        self._reported = seconds
        said = {k: message[k] if finite(message.get(k)) else None for k in self.FIELDS}
        self._file.write(json.dumps({"seconds": round(seconds, 3), **said}, separators=(",", ":")) + "\n")
        self._file.flush()
        self._lines += 1

    def close(self) -> None:
        """Thin it out: the first line stays, the last, and what is spread evenly between them."""
        self._file.close()
        every, last = math.ceil(self._lines / self.MOST_KEPT), self._lines - 1
        if every < 2:
            return
        thin = self._path.with_name(self._path.name + ".part")
        try:
            with open(self._path, "rb") as lines, open(thin, "wb") as file:
                file.writelines(line for k, line in enumerate(lines) if k % every == 0 or k == last)
            os.replace(thin, self._path)
        except OSError:  # a full disk: then it stays whole
            with contextlib.suppress(OSError):
                thin.unlink(missing_ok=True)
