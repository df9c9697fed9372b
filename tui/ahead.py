"""Reading a long journal while the rest of the cockpit is still being imported: on another core, in a forked process.

What it has read comes back through a pipe. If anything goes wrong there nothing comes, and the journal is read as ever.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

WORTH_BYTES = 256 * 1024  # of a journal: below it, starting a process costs what it saves
_PIPE_BYTES = 1 << 20  # the most that Linux gives without asking: what has been read lies there until it is wanted


class Ahead:
    """Something computed in a forked process. It must be made before any thread is."""

    def __init__(self, compute: Callable[[], object]) -> None:
        self._read_end, write_end = os.pipe()
        self._received = bytearray()
        self._process = os.fork()
        if self._process:
            os.close(write_end)
        else:
            os.close(self._read_end)
            _compute(compute, write_end)

    def result(self, limit: float) -> tuple[Any] | None:
        """What came of it, waiting for so many seconds at most; None: nothing yet. Raises EOFError if nothing will."""
        deadline = time.monotonic() + limit
        while select.select([self._read_end], [], [], max(0.0, deadline - time.monotonic()))[0]:
            chunk = os.read(self._read_end, 1 << 20)
            self._received += chunk
            if not chunk:
                self.close()
                try:
                    return (pickle.loads(self._received),)
                except (pickle.UnpicklingError, AttributeError, IndexError) as error:
                    raise EOFError("the process that read ahead did not come to an end") from error
        return None

    def close(self) -> None:
        """Want no more of it."""
        os.close(self._read_end)
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)


def _compute(compute: Callable[[], object], write_end: int) -> None:
    """The forked process: it ends here, and nothing that its parent has open is flushed or tidied up."""
    try:
        for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(caught, signal.SIG_DFL)
        if sys.platform == "linux":
            with suppress(OSError):  # users have a limit
                fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        computed = pickle.dumps(compute(), pickle.HIGHEST_PROTOCOL)
        with open(write_end, "wb") as pipe:
            pipe.write(computed)
    finally:
        os._exit(0)  # before a traceback could be printed over the cockpit


def worth_it(journal: Path) -> bool:
    """Whether there is much to read, and a second core to do it. Not on a Mac: its libraries do not expect a fork."""
    try:
        return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and journal.stat().st_size >= WORTH_BYTES
    except OSError:
        return False
