"""What the cockpit's benches look at: recorded runs, engines that pretend, and the programs that show them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cockpit_terminal import Terminal

ROOT = Path(__file__).parents[1]
BENCH, RECORDED = ROOT / "bench", ROOT / "tests" / "tui"
PYTHON = sys.executable

Viewer = Literal["cockpit", "twin", "minimal"]
KEYS = {"cockpit": ("j", "k"), "twin": ("\x1b[A", "\x1b[B")}  # to an older, to a newer experiment


def environment(scratch: Path) -> dict[str, str]:
    """A user's environment with folders of its own; compiled Python is kept there, so only the first start pays."""
    own = {f"XDG_{kind}_HOME": str(scratch / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA", "STATE")}
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "NO_COLOR")}
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    return {**kept, **own, **terminal, "HOME": str(scratch), "PYTHONPYCACHEPREFIX": str(scratch / "compiled")}


def write_run(folder: Path, experiments: int, *words: str) -> Path:
    """A recorded run of `experiments` finished ones, and one in training unless `words` say --ended."""
    argv = [PYTHON, str(RECORDED / "recorded_run.py"), str(folder), str(experiments), *words]
    subprocess.run(argv, check=True)
    return folder


@contextmanager
def engine(folder: Path, environment: Mapping[str, str], rows: float, every: float = 1e9) -> Iterator[int]:
    """Something that holds the run, writes `rows` of telemetry a second and ends an experiment `every` so often.

    Yields its process id."""
    argv = [PYTHON, str(BENCH / "cockpit_engine.py"), str(folder), "--rows", str(rows), "--every", str(every)]
    paths = os.pathsep.join(filter(None, (str(RECORDED), environment.get("PYTHONPATH"))))
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**environment, "PYTHONPATH": paths}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError(f"{argv[1]}: did not get to work")
        yield process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def start(viewer: Viewer, folder: Path, environment: Mapping[str, str]) -> Terminal:
    """The program in a terminal, just started."""
    if viewer == "cockpit":
        return Terminal([str(Path(PYTHON).with_name("autoresearch")), "open", str(folder)], environment)
    return Terminal([PYTHON, str(BENCH / f"cockpit_{viewer}.py"), str(folder)], environment)


def painted(viewer: Viewer, experiments: int) -> Callable[[str], object]:
    """Whether what was said holds what its first screen must: the best score, and the newest finished experiment."""
    if viewer == "minimal":
        return lambda said: "minimal app" in said
    best, listed = re.compile(r"best \d\.\d{4} \(#\d+\)"), f"softcap tried at {experiments - 1}"
    return lambda said: listed in said and best.search(said)


def changed(number: int) -> Callable[[str], object]:
    """Whether what was said holds the diff of an experiment."""
    line = re.compile(rf"\+ ?SOFTCAP = {number}\.5")
    return line.search
