"""Where every child process of a task is born and where it ends.

`spawn` gives a child no input, a session and process group of its own, a scrubbed environment and, on Linux, a death
signal that arrives when the engine goes. Confinement of files, network and other processes is not here yet: a child
runs with the user's rights.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

VARIABLE = "AUTORESEARCH_TRIAL"

# What a child needs to find programs, devices and fonts of numbers; keys and tokens are never on such a list.
_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
)  # fmt: skip
_PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "GOMP_", "MKL_", "PYTORCH_", "XDG_")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def environment(trial_file: Path) -> dict[str, str]:
    """The scrubbed environment of a child, with our one variable in it."""
    # OpenMP's threads spin while they wait: wherever another program wants a core, single steps took ten times longer.
    # 3,000 turns cost nothing on quiet cores; OMP_WAIT_POLICY=PASSIVE, no turns at all, costs 40 % there.
    calm = {"GOMP_SPINCOUNT": "3000"}
    gpu = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as nvidia-smi counts: CUDA itself puts the fastest first
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",  # less is lost to fragments; read when CUDA starts
    }
    kept = {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith(_PASSED_PREFIXES)}
    own = temporary(trial_file)  # what a child leaves in a place for all could be read, and run, by the next
    own.mkdir(parents=True, exist_ok=True)
    return {**calm, **gpu, **kept, VARIABLE: str(trial_file), "TMPDIR": str(own), "PYTHONUNBUFFERED": "1"}


def temporary(trial_file: Path) -> Path:
    """The folder for temporary files of the child that is told by this file."""
    return trial_file.with_suffix(".tmp")


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    source: int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
    errors: int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own. `output` takes stdout and stderr: a descriptor, PIPE or DEVNULL.

    source: where its stdin comes from. errors: takes stderr, where that is to go elsewhere.
    Raises OSError where the program cannot be started.
    """
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=source,
        stdout=output,
        stderr=errors,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def die_with_parent() -> None:
    """For a child, between fork and exec: on Linux a signal ends it when its parent is gone, however that went."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the one that inherits grandchildren whose parents exit (Linux only), so that they are found."""
    if _libc:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def end_of(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """A descriptor that becomes readable when the child ends, for select; none where the system has no such thing."""
    descriptors = []
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # an old kernel, or a container that forbids it: the caller looks at times
            descriptors.append(os.pidfd_open(process.pid))
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a child, its group and every descendant that can still be found. Does not reap `process` itself."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            _kill(child)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def sweep(folder: Path, limit_seconds: float = 5.0) -> int:
    """End every process whose trial file lies in `folder`, however it was forked. Returns how many there were.

    A process that rewrote its environment escapes this; where there is a subreaper, `end_orphans` finds it.
    """
    marker = str(folder) + os.sep
    ended = 0
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        found = [p for p in psutil.process_iter() if p.pid != os.getpid() and _carries(p, marker)]
        if not found:
            break
        for process in found:
            _kill(process)
        psutil.wait_procs(found, timeout=0.5)
        ended += len(found)
    return ended


def end_orphans(spare: Collection[int] = ()) -> None:
    """End and reap every child of this process but those: after a trial, they are what escaped from it."""
    children = [child for child in psutil.Process().children() if child.pid not in spare]
    for child in children:
        _kill(child)
    psutil.wait_procs(children, timeout=5.0)


def freeze(process: subprocess.Popen[bytes], *, frozen: bool) -> None:
    """Stop, or let go on, a child with all its descendants."""
    wanted = signal.SIGSTOP if frozen else signal.SIGCONT
    with contextlib.suppress(psutil.Error, OSError):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.send_signal(wanted)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, wanted)


def resident(process: psutil.Process) -> int:
    """Bytes: the high-water mark where the system keeps one, else what is resident now."""
    with contextlib.suppress(OSError, StopIteration, IndexError, ValueError), open(f"/proc/{process.pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) * 1024
    return int(process.memory_info().rss)


def _carries(process: psutil.Process, marker: str) -> bool:
    try:
        carried = process.environ().get(VARIABLE, "")
        return carried.startswith(marker) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.kill()
