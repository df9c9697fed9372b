"""One run of a command-line agent: its process, its clock, what it prints, and its end with everything it started."""

from __future__ import annotations

import codecs
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path

import psutil

from core import sandbox
from core.agents import Desk
from core.agents.command_words import Words, shortened
from core.facts import fact
from core.log import crash_reason, plain

LARGEST_OUTPUT = 64 * 2**20  # bytes it may print in all: more is a program that does not end
LONGEST_SAID = 2**18  # characters of it that are shown
_LONGEST_LINE = 8 * 2**20  # characters: a JSON line may hold a whole file
_POLL_SECONDS, _CHUNK = 0.1, 1 << 16
_LONGEST_REASON = 300  # characters
_ORPHANS_SECONDS = 5.0


@fact
class Errand:
    """What is to be run, and for how long. `prompt` lies in the folder by which its processes are found.

    hidden: a key that it may know, and which is shown and written down nowhere.
    """

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    prompt: Path
    limit_seconds: float
    hidden: str = field(default="", repr=False)


@fact
class Ended:
    """How it went. `failure`: why nothing can be taken from it, in a line; empty where it ended well."""

    words: Words
    seconds: float
    failure: str
    called_off: bool


def run(errand: Errand, desk: Desk) -> Ended:
    """Run the command with the prompt on stdin until it ends or must be ended. Afterwards none of it is left.

    Raises OSError where it cannot be started.
    """
    spare = {child.pid for child in psutil.Process().children()}
    running = _Running(errand, desk)
    try:
        with sandbox.end_of(running.process) as ends:
            running.watch(ends)
            while running.goes_on():
                running.turn()
    finally:
        running.close(spare)
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

    def __init__(self, errand: Errand, desk: Desk) -> None:
        self._errand, self._desk, self._name = errand, desk, Path(errand.argv[0]).name
        self._words = Words()
        self._failure, self._called_off = "", False
        self._printed, self._said = 0, 0
        self._errors = ""  # the end of what came on stderr
        self._pipes = {"output": _Pipe(self._hear), "errors": _Pipe(self._hear_error)}
        output, errors = self._pipes.values()
        self._began = time.monotonic()
        try:
            with open(errand.prompt, "rb") as source:
                self.process = sandbox.spawn(
                    errand.argv, cwd=errand.cwd, env=errand.env,
                    source=source.fileno(), output=output.writing, errors=errors.writing,
                )  # fmt: skip
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

    def goes_on(self) -> bool:
        """Whether it is to run on: it lives, nobody wants it to stop, and it keeps within its limits."""
        if self._desk.stopping:
            self._called_off = True
        elif self.process.poll() is not None:
            return False
        elif time.monotonic() - self._began > self._errand.limit_seconds:
            self._failure = f"{self._name} was not done after {span(self._errand.limit_seconds)} and was ended"
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

    def close(self, spare: set[int]) -> None:
        """End the whole process tree, reap it, and take the rest of what it said."""
        end(self.process, self._errand.prompt.parent, spare)
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
            failure = f"{self._name}: {_line(self._words.failed, 0)}"
        return Ended(self._words, time.monotonic() - self._began, failure, self._called_off)

    def _last_words(self, how: str) -> str:
        said = self._words.failed or plain(self._errors).strip() or self._words.message
        return f"{how}: {_line(said, -1)}" if said else how

    def _read(self, pipe: _Pipe) -> int:
        count = pipe.read()
        if count == 0:
            self._selector.unregister(pipe.reading)
        self._printed += max(0, count)
        return count

    def _hear(self, lines: Sequence[str]) -> None:
        self._show(self._words.hear(self._without_key(lines)))

    def _hear_error(self, lines: Sequence[str]) -> None:
        text = "\n".join(self._without_key(lines)) + "\n"
        self._errors = (self._errors + text)[-_CHUNK:]
        self._show(plain(text))

    def _without_key(self, lines: Sequence[str]) -> Sequence[str]:
        hidden = self._errand.hidden
        return [line.replace(hidden, "[key]") for line in lines] if hidden else lines

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


def _line(text: str, at: int) -> str:
    return shortened(text.strip().splitlines()[at].strip(), _LONGEST_REASON)


def span(seconds: float) -> str:
    """A limit in words."""
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"
