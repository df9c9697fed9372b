"""A process that imports what the next trial will need, waits for its turn, and becomes that trial.

    standby     imports, at a low priority ─► waits on its control socket
    its turn    {"type": "trial", "file", "folder", "argv"} ─► answers `taken` ─► runs argv in itself

`PYTHON [-P] SCRIPT ARGUMENTS` runs here as that interpreter would run it: as `__main__`, with its folder first on the
path, with its own tracebacks and exit status. What could tell the difference, and every other argv, is exec'ed.
It touches no device, and reads nothing beyond its line: what follows on the socket is the trial's.

Any Python task can use it: `[commands] standby = "{python} -P -m backends.reference.standby numpy pandas"`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from core import sandbox

TAKEN = b'{"type":"taken"}\n'
LOW, USUAL = 10, 0  # nice values
PATIENCE_SECONDS = 2.0  # with imports that are not done when their time has come
_AUTOGROUP = Path("/proc/self/autogroup")  # sched(7): where it is in force, nice values count within a session only
_AUTOGROUP_SECONDS = 1.0  # the kernel takes one change in a tenth of a second from all users together


def main(modules: Callable[[str], Sequence[str]], late: Set[bytes] = frozenset()) -> None:
    """The `standby` verb. `modules(device)` names what a trial on that device will import.

    `late`: lines on the environment that an artifact may have, because what they change is read after all imports.
    """
    told = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text(encoding="utf-8"))
    control: int = told["control"]
    importing = import_until_asked(control, modules(told["device"]))
    line = _line(control)
    if not line:
        os._exit(0)  # the engine is gone; an import may be under way, so this is no time for an orderly end
    os.write(control, TAKEN)
    turn = json.loads(line)
    os.environ[sandbox.VARIABLE] = turn["file"]
    os.chdir(turn["folder"])
    if finished(importing):  # from here on there is one thread, as in any start
        become(turn["argv"], late)
    else:
        start(turn["argv"])


def import_until_asked(control: int, modules: Sequence[str]) -> threading.Thread:
    """Import these with what others leave over, until there is something to read. Returns who imports: see `finished`.

    Where somebody asks already, nothing is imported: what is needed now is imported by who needs it, at full speed.
    """
    importing = threading.Thread(target=import_quietly, args=(modules,), daemon=True)
    if not select.select([control], [], [], 0)[0]:
        with giving_way():
            importing.start()
            select.select([control], [], [])
    return importing


def finished(importing: threading.Thread) -> bool:
    """Whether its imports are done, or are so in a moment.

    A thread cannot take its low priority back. On a busy machine, starting over takes less time than waiting for it.
    """
    if importing.is_alive():
        importing.join(PATIENCE_SECONDS)
    return not importing.is_alive()


def import_quietly(modules: Sequence[str]) -> None:
    """Import these at a low priority. What cannot be imported is the trial's to find out, in its own words."""
    _import(name for name in modules if name == "numpy")  # its BLAS starts threads, which would keep the nice value
    if sys.platform == "linux":  # elsewhere a nice value is the whole process's, and cannot be taken back
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW)
    _import(modules)


def _import(modules: Iterable[str]) -> None:
    for name in modules:
        with contextlib.suppress(ImportError, OSError, RuntimeError):
            importlib.import_module(name)


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """Let this process's session have only what others leave over (Linux with autogroups; else nothing happens)."""
    changed = _set_autogroup(LOW)
    try:
        yield
    finally:
        if changed and not _set_autogroup(USUAL):
            print("standby: the low priority of its session could not be taken back", file=sys.stderr)


def _set_autogroup(nice: int) -> bool:
    deadline = time.monotonic() + _AUTOGROUP_SECONDS
    while True:
        try:
            _AUTOGROUP.write_text(str(nice))
        except OSError as error:
            if error.errno != errno.EAGAIN or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _line(control: int) -> bytes:
    """One line, byte by byte; empty at the end of the stream."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(control, 1)
        if not byte:
            return b""
        line += byte
    return line


# --- becoming the trial ----------------------------------------------------------------------------------------------


def become(argv: Sequence[str], late: Set[bytes] = frozenset()) -> None:
    """Run this command in this process. Returns where a script has run to its end; raises SystemExit as it does."""
    python, *words = argv
    safe_path = words[:1] == ["-P"]
    script, arguments = (words[safe_path:] or [""])[0], words[safe_path + 1 :]
    ours = python == sys.executable and not script.startswith("-") and Path(script).is_file()
    if ours and _same_here(Path(script), late):
        run_script(script, arguments, safe_path=safe_path)
    else:
        start(argv)


def start(argv: Sequence[str]) -> NoReturn:
    """Leave this program for that command: a start from scratch, on the same descriptors."""
    sys.stdout.flush()
    os.execvp(argv[0], list(argv))


def _same_here(script: Path, late: Set[bytes]) -> bool:
    """Whether a start from scratch would do nothing that an interpreter with its imports done cannot.

    No module of the artifact's own stands in for one that is imported already, and no line speaks of the environment,
    of which libraries read some while they are loaded; but for `late` lines.
    """
    beside = list(script.resolve().parent.iterdir())
    if any(path.name.partition(".")[0] in sys.modules for path in beside):
        return False
    sources = {script, *(path for path in beside if path.suffix == ".py" and path.is_file())}
    return not set().union(*map(lines_on_environment, sources)) - late


def lines_on_environment(source: Path) -> set[bytes]:
    """The lines of a source that read or change environment variables."""
    lines = (line.strip() for line in source.read_bytes().splitlines())
    return {line for line in lines if b"environ" in line or b"putenv" in line}


def run_script(script: str, arguments: Sequence[str], *, safe_path: bool) -> None:
    """What `python SCRIPT ARGUMENTS` does, in this process."""
    path = os.path.abspath(script)
    sys.argv = [script, *arguments]
    if not safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=path, __cached__=None, __package__=None, __annotations__={}, __builtins__=sys.modules["builtins"],
        __loader__=SourceFileLoader("__main__", path),
    )  # fmt: skip
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    failure: BaseException
    try:
        code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)
        return
    except SystemExit:
        raise
    except BaseException as error:  # the interpreter's own last resort, but for the frames of this file
        failure = error
    trace = failure.__traceback__
    _fail(failure.with_traceback(trace.tb_next if trace else None))
    del before  # it lives as long as the script does


def _fail(error: BaseException) -> NoReturn:
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(1)


if __name__ == "__main__":
    main(lambda device: sys.argv[1:])
