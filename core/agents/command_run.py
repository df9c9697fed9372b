"""One run of a command-line agent: its process, its clock, what it prints, and its end with everything it started."""

from __future__ import annotations

import codecs
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from core import sandbox
from core.agents import Desk
from core.agents.command_words import Words
from core.log import crash_reason, plain

LARGEST_OUTPUT = 64 * 2**20  # bytes it may print in all: more is a program that does not end
LONGEST_SAID = 2**20  # characters of it that are shown
_LONGEST_LINE = 8 * 2**20  # characters: a JSON line may hold a whole file
_POLL_SECONDS, _CHUNK = 0.1, 1 << 16
_ORPHANS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went. `failure`: why nothing can be taken from it, in a line; empty where it ended well."""

    words: Words
    seconds: float
    failure: str
    called_off: bool


def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], prompt: Path, limit_seconds: float, desk: Desk
) -> Ended:
    """Run the command with the prompt on stdin until it ends or must be ended. Afterwards none of it is left.

    `prompt` lies in the folder by which its processes are found. Raises OSError where it cannot be started.
    """
    spare = {child.pid for child in psutil.Process().children()}
    running = _Running(argv, cwd, env, prompt, desk)
    try:
        with sandbox.end_of(running.process) as ends:
            running.watch(ends)
            while running.goes_on(limit_seconds):
                running.turn()
    finally:
        running.close(prompt.parent, spare)
    return running.ended()


class _Pipe:
    """What one of its two outputs says, by lines."""

    def __init__(self, heard: Callable[[Sequence[str]], None]) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._heard = heard

    def read(self) -> int:
        """Take what has come: how many bytes, 0 at its end, -1 for nothing yet."""
        try:
            chunk = os.read(self.reading, _CHUNK)
        except BlockingIOError:
            return -1
        *lines, self._line = (self._line + self._decoder.decode(chunk)).split("\n")
        if lines:
            self._heard(lines)
        if len(self._line) > _LONGEST_LINE:
            self.flush()
        return len(chunk)

    def flush(self) -> None:
        """What has come of a line that does not end."""
        line, self._line = self._line, ""
        if line:
            self._heard([line])


class _Running:
    """The living process and what it has said so far."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], prompt: Path, desk: Desk) -> None:
        self._desk, self._name = desk, Path(argv[0]).name
        self._words = Words()
        self._failure, self._called_off = "", False
        self._printed, self._said = 0, 0
        self._errors = ""  # the end of what came on stderr
        self._pipes = {"output": _Pipe(self._hear), "errors": _Pipe(self._hear_error)}
        output, errors = self._pipes.values()
        self._began = time.monotonic()
        try:
            with open(prompt, "rb") as source:
                self.process = sandbox.spawn(
                    argv, cwd=cwd, env=env, source=source.fileno(), output=output.writing, errors=errors.writing
                )
        except OSError:
            os.close(output.reading)
            os.close(errors.reading)
            raise
        finally:
            os.close(output.writing)
            os.close(errors.writing)
        self._selector = selectors.DefaultSelector()
        for pipe in self._pipes.values():
            self._selector.register(pipe.reading, selectors.EVENT_READ, pipe)

    def goes_on(self, limit_seconds: float) -> bool:
        """Whether it is to run on: it lives, nobody wants it to stop, and it keeps within its limits."""
        if self._desk.stopping:
            self._called_off = True
        elif self.process.poll() is not None:
            return False
        elif time.monotonic() - self._began > limit_seconds:
            self._failure = f"{self._name} was not done after {_span(limit_seconds)} and was ended"
        elif self._printed > LARGEST_OUTPUT:
            self._failure = f"{self._name} printed more than {LARGEST_OUTPUT >> 20} MiB and was ended"
        return not (self._failure or self._called_off)

    def watch(self, ends: Sequence[int]) -> None:
        """Wake up at these descriptors as well."""
        for descriptor in ends:
            self._selector.register(descriptor, selectors.EVENT_READ)

    def turn(self) -> None:
        """Wait a moment for it to say something, or to end."""
        for key, _ in self._selector.select(_POLL_SECONDS):
            if isinstance(key.data, _Pipe):
                self._read(key.data)

    def close(self, folder: Path, spare: set[int]) -> None:
        """End the whole process tree, reap it, and take the rest of what it said."""
        end(self.process, folder, spare)
        for pipe in self._pipes.values():
            while pipe.reading in self._selector.get_map() and self._printed <= LARGEST_OUTPUT:
                if self._read(pipe) < 0:
                    break
            pipe.flush()
            os.close(pipe.reading)
        self._selector.close()

    def ended(self) -> Ended:
        code = self.process.returncode
        failure = self._failure
        if not failure and code:
            failure = self._last_words(f"{self._name}: {crash_reason('', code)}")
        if not failure and self._words.failed:
            failure = f"{self._name}: {self._words.failed.splitlines()[0]}"
        return Ended(self._words, time.monotonic() - self._began, failure, self._called_off)

    def _last_words(self, how: str) -> str:
        said = self._words.failed or plain(self._errors).strip() or self._words.message
        return f"{how}: {said.splitlines()[-1].strip()}" if said else how

    def _read(self, pipe: _Pipe) -> int:
        count = pipe.read()
        if count == 0:
            self._selector.unregister(pipe.reading)
        self._printed += max(0, count)
        return count

    def _hear(self, lines: Sequence[str]) -> None:
        self._show(self._words.hear(lines))

    def _hear_error(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines) + "\n"
        self._errors = (self._errors + text)[-_CHUNK:]
        self._show(plain(text))

    def _show(self, text: str) -> None:
        room = LONGEST_SAID - self._said
        if text and room > 0:
            self._desk.say(text if len(text) <= room else f"{text[:room]}\n… the rest is not shown\n")
        self._said += len(text)


def end(process: subprocess.Popen[bytes], folder: Path, spare: set[int]) -> None:
    """End a process, its group, its descendants, what was forked away from it, and reap it.

    What was forked away is found by its trial file in `folder`, and, where this process inherits orphans, as a child
    of it that is not one of `spare`.
    """
    sandbox.kill_tree(process)
    try:
        process.wait(timeout=10.0)
    except subprocess.TimeoutExpired:  # stuck in the kernel: left behind
        return
    sandbox.sweep(folder)
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while {child.pid for child in psutil.Process().children()} - spare and time.monotonic() < deadline:
        sandbox.end_orphans(spare)  # each may leave orphans of its own


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"
