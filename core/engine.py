"""The engine's process: open the run, say so to whoever launched it, do the research.

python -P -m core.engine REPORTS OPTIONS [KEY]     (OPTIONS is JSON, the others are descriptors; see core/launch.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from errno import ENOSPC
from pathlib import Path
from typing import IO

from core import sandbox, secrets
from core.errors import AutoresearchError, UsageError
from core.launch import Options
from core.locks import cache_folder
from core.opening import open_run
from core.run import drain


class Reports:
    """The engine's end of the pipe to whoever launched it. Somebody who no longer listens is no reason to stop."""

    def __init__(self, descriptor: int) -> None:
        self._file: IO[str] | None = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115

    def say(self, **report: object) -> None:
        if self._file is not None:
            try:
                print(json.dumps(report), file=self._file, flush=True)
            except OSError:
                self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def main(argv: list[str]) -> int:
    """Open the run, say so, do the research."""
    reports = Reports(int(argv[0]))
    if len(argv) > 2:
        secrets.take(int(argv[2]))
    for ignored in (signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # called off: children go too
    sandbox.adopt_orphans()
    try:
        run = open_run(Options(**json.loads(argv[1])), lambda line: reports.say(progress=line))
    except AutoresearchError as error:
        reports.say(error=str(error), exit_code=error.exit_code)
        return error.exit_code
    except OSError as error:  # a read-only workspace, a full disk, a file where a folder should be
        where = error.filename or "the workspace or the cache folder"
        said = f"{where}: {error.strerror or error}; nothing was started"
        cache, place = cache_folder(), Path(str(where))
        if error.errno != ENOSPC and (place in (cache, *cache.parents) or cache in place.parents):
            said += "; on Linux XDG_CACHE_HOME may name a folder that can be written"
        reports.say(error=said, exit_code=UsageError.exit_code)
        return UsageError.exit_code

    def stop() -> None:
        with contextlib.suppress(UsageError):  # it has ended by itself just now
            run.control.apply("stop-now")

    def stop_now(signum: int, frame: object) -> None:
        threading.Thread(target=stop).start()  # not in a handler: it takes locks

    signal.signal(signal.SIGTERM, stop_now)
    log = os.open(run.folder / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    reports.say(run_folder=str(run.folder))
    reports.close()
    ended = drain(run)
    run.control.close()
    return 1 if ended.reason == "failed" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
