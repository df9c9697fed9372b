"""Where the next trial will run, and the process that waits there, its imports done before its turn comes.

A task with `[commands] standby` has each trial begin in such a process: born as a trial is, told by one message which
trial it is to become, and used once. It holds no checkout, no rows and no seed until then. A task without one has its
train command started when its turn comes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import sandbox
from core.channel import Channel
from core.facts import fact
from core.trial import tell

TAKEN = b'{"type":"taken"}\n'  # a standby's answer to the message that makes it a trial
PATIENCE_SECONDS = 5.0  # for that answer: what waits has nothing else to do


@fact
class Born:
    """A trial's process and the engine's ends of what ties it to us. `control`: the number of its own end."""

    process: subprocess.Popen[bytes]
    channel: Channel
    output: int
    control: int

    @classmethod
    def of(cls, argv: Sequence[str], cwd: Path, trial_file: Path, told: Mapping[str, Any]) -> Born:
        """Start `argv` with a control socket and a pipe for what it prints. Raises OSError."""
        channel = Channel()
        output, writer = os.pipe()
        os.set_blocking(output, False)
        control = channel.theirs.fileno()
        try:
            tell(trial_file, {**told, "control": control})
            env = sandbox.environment(trial_file)
            process = sandbox.spawn(argv, cwd=cwd, env=env, pass_fds=(control,), output=writer)
        except OSError:
            os.close(output)
            channel.close()
            raise
        finally:
            channel.theirs.close()
            os.close(writer)
        return cls(process, channel, output, control)

    def end(self) -> None:
        """End it with everything it started, and reap it."""
        sandbox.kill_tree(self.process)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process stuck in the kernel is left behind
            self.process.wait(timeout=10.0)

    def close(self) -> None:
        os.close(self.output)
        self.channel.close()


class Place:
    """The work folder of one trial. What lies there before its turn is nobody's: `clear` it first."""

    def __init__(self, work: Path, standby: Sequence[str], device: str) -> None:
        """`standby` is the command that waits here; empty where the task has none."""
        self.work, self.folder = work, work / "train"
        self.trial_file = self.folder / "trial.json"
        self._waits_by = self.folder / "standby.json"  # read by what waits as it starts: it may not have done so yet
        self._standby, self._device = standby, device
        self._waiting: Born | None = None
        self.clear()

    def wait(self) -> None:
        """Have the standby process wait here. One that cannot be started is found out at its turn."""
        if self._standby:
            with contextlib.suppress(OSError):
                self._waiting = self._stand_by()

    @property
    def pids(self) -> set[int]:
        return set() if self._waiting is None else {self._waiting.process.pid}

    def clear(self) -> None:
        """Empty the folder: earlier trials knew where it is. `folder` itself stays: somebody waits in it."""
        for own in (self.work, self.folder):
            if not _is_folder(own):
                own.unlink(missing_ok=True)
                own.mkdir(parents=True)
        for stranger in (*self.work.iterdir(), *self.folder.iterdir()):
            if _is_folder(stranger):
                if stranger != self.folder:
                    shutil.rmtree(stranger)
            elif stranger != self._waits_by or stranger.is_symlink():
                stranger.unlink()
        if self._standby:  # who waits here knows already where its temporary files go
            sandbox.temporary(self._waits_by).mkdir()

    def start(self, argv: Sequence[str], cwd: Path, told: Mapping[str, Any]) -> Born:
        """The trial's process: the standby, told which trial it is, or a plain start. Raises OSError."""
        if not self._standby:
            return Born.of(argv, cwd, self.trial_file, told)
        waited, self._waiting = self._waiting, None
        if waited is not None:
            if self._hand_over(waited, argv, cwd, told) and _answers(waited):
                self._waits_by.unlink(missing_ok=True)
                return waited
            waited.end()
            waited.close()
            code = waited.process.returncode
            print(f"standby: process {waited.process.pid} did not answer ({code}) and was replaced", file=sys.stderr)
        fresh = self._stand_by()
        self._hand_over(fresh, argv, cwd, told)
        return fresh

    def close(self) -> None:
        """End the process that waits here, if one does."""
        if self._waiting is not None:
            self._waiting.end()
            self._waiting.close()
            self._waiting = None

    def _stand_by(self) -> Born:
        told = {"role": "standby", "device": self._device}
        return Born.of(self._standby, self.folder, self._waits_by, told)

    def _hand_over(self, born: Born, argv: Sequence[str], cwd: Path, told: Mapping[str, Any]) -> bool:
        """Tell a standby which trial it is. False where it has ended already."""
        waits = born.process.poll() is None  # afterwards it may be a trial that is over already
        tell(self.trial_file, {**told, "control": born.control})
        turn = {"type": "trial", "file": str(self.trial_file), "folder": str(cwd), "argv": list(argv)}
        born.channel.send(turn)
        return waits


class Standby:
    """Hands out places, one trial each, and keeps one ahead."""

    def __init__(self, root: Path, command: Sequence[str], device: str) -> None:
        """`root` holds the places; `command` is the task's standby command, empty where it has none."""
        self._root, self._command, self._device = root, command, device
        self._next: Place | None = None

    def take(self) -> Place:
        """An empty place for a trial that starts now."""
        place, self._next = self._next or self._place(), None
        try:
            place.clear()
        except OSError:  # an earlier trial saw to it that it cannot be emptied: take one that nobody has seen
            place.close()
            place = self._place()
        return place

    def prepare(self) -> None:
        """Have a process wait for the trial after this one."""
        if self._command and self._next is None:
            self._next = self._place()
            self._next.wait()

    @property
    def pids(self) -> set[int]:
        """Processes that wait: not to be ended with a trial."""
        return self._next.pids if self._next else set()

    def close(self) -> None:
        """Nobody will follow."""
        if self._next is not None:
            self._next.close()
            sandbox.sweep(self._next.work)
            shutil.rmtree(self._next.work, ignore_errors=True)
            self._next = None

    def _place(self) -> Place:
        self._root.mkdir(parents=True, exist_ok=True)
        return Place(Path(tempfile.mkdtemp(dir=self._root)), self._command, self._device)


def _answers(born: Born) -> bool:
    """Whether it says that it has become the trial. Takes those bytes and not one more: the trial's own follow."""
    if not select.select([born.channel.socket], [], [], PATIENCE_SECONDS)[0]:
        return False
    try:
        return born.channel.socket.recv(len(TAKEN)) == TAKEN
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
