"""Idle sleep is held off while the engine trains, where the desktop has a program for that.

Linux: systemd-inhibit, around a child that reads a pipe of ours: when the engine goes, however it goes, the pipe
closes, and both end. macOS: caffeinate, which watches our process id (untested). Closing a lid is left to its owner.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

from core.log import plain

NOT_PREVENTED = "idle sleep is not prevented"
_NO_PROGRAM = "there is no program for it here (systemd-inhibit, caffeinate)"
_WHY = "an experiment is training"
_PATIENCE_SECONDS = 2.0
_PASSED = (
    "PATH",
    "HOME",
    "USER",
    "XDG_RUNTIME_DIR",
    "LANG",
)  # for the session's bus; keys are none of its business


def program() -> str | None:
    """Where the program lies that holds off idle sleep here; None where there is none."""
    return shutil.which("caffeinate" if sys.platform == "darwin" else "systemd-inhibit")


def trouble(said: Sequence[str], pid: int) -> str:
    """Why the machine may fall asleep under this engine, of all that engines have printed; empty where it said nothing
    of it."""
    own = f"engine {pid}: {NOT_PREVENTED}"
    return next((line.partition(": ")[2] for line in reversed(said) if line.startswith(own)), "")


def refusal() -> str:
    """Why idle sleep cannot be held off here, found out by trying it for a moment; empty where it can."""
    found = program()
    if found is None:
        return _NO_PROGRAM
    try:
        done = subprocess.run(
            [*_argv(found), "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        return f"{found} cannot be started: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{found} does not answer"
    return "" if done.returncode == 0 else f"{found} ended with status {done.returncode}: {_first_line(done.stderr)}"


def _argv(found: str) -> list[str]:
    """The program, with what stands before the command that it is to run."""
    if sys.platform == "darwin":
        return [found, "-i", "-s"]
    return [found, "--what=idle:sleep", "--mode=block", "--who=autoresearch", f"--why={_WHY}"]


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith("DBUS_")}


def _first_line(said: bytes) -> str:
    lines = plain(said.decode("utf-8", "replace")).strip().splitlines()
    return lines[0][:200] if lines else "it said nothing"


class Awake:
    """Holds off idle sleep between `keep(True)` and `keep(False)`. What fails is said once and costs nothing."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._given_up = False

    @property
    def pids(self) -> set[int]:
        """The process that holds sleep off: not to be ended with a trial."""
        return set() if self._process is None else {self._process.pid}

    def keep(self, wanted: bool) -> None:
        """Have it so, or leave it so."""
        if self._process is not None and self._process.poll() is not None:
            self._give_up(f"{program()} ended with status {self._process.returncode}: {self._complaint()}")
            self._let_go()
        if wanted and self._process is None and not self._given_up:
            self._start()
        elif not wanted:
            self._let_go()

    def close(self) -> None:
        """Let it go."""
        self.keep(False)

    def _start(self) -> None:
        found = program()
        if found is None:
            self._give_up(_NO_PROGRAM)
            return
        last = ["-w", str(os.getpid())] if sys.platform == "darwin" else ["cat"]
        try:
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - read when the program has ended
            self._process = subprocess.Popen(
                [*_argv(found), *last],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            self._give_up(f"{found} cannot be started: {error.strerror}")
            self._let_go()

    def _complaint(self) -> str:
        assert self._complaints is not None
        self._complaints.seek(0)
        return _first_line(self._complaints.read(4096))

    def _give_up(self, why: str) -> None:
        self._given_up = True
        print(f"engine {os.getpid()}: {NOT_PREVENTED}: {why}", flush=True)

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            if sys.platform == "darwin":
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_PATIENCE_SECONDS)
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None
