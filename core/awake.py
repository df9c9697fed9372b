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
from typing import IO

from core.log import plain

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
            self._give_up("there is no program for it here (systemd-inhibit, caffeinate)")
            return
        argv = [found, "-i", "-s", "-w", str(os.getpid())]
        if sys.platform != "darwin":
            how = ["--what=idle:sleep", "--mode=block", "--who=autoresearch", f"--why={_WHY}"]
            argv = [found, *how, "cat"]
        try:
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - read when the program has ended
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if k in _PASSED or k.startswith("DBUS_")},
            )
        except OSError as error:
            self._give_up(f"{found} cannot be started: {error.strerror}")
            self._let_go()

    def _complaint(self) -> str:
        assert self._complaints is not None
        self._complaints.seek(0)
        lines = plain(self._complaints.read(4096).decode("utf-8", "replace")).strip().splitlines()
        return lines[0][:200] if lines else "it said nothing"

    def _give_up(self, why: str) -> None:
        self._given_up = True
        print(f"idle sleep is not prevented: {why}", flush=True)

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
