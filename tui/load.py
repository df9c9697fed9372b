"""How busy the device of a trial is: an NVIDIA card as nvidia-smi tells, else the processors, as the system tells.

Nothing here waits: nvidia-smi is started at one reading and its answer is taken at a later one. What cannot be told
is None, and what never can is not asked again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.facts import fact

if TYPE_CHECKING:
    import psutil

EVERY_SECONDS = 3.0
_LIMIT_SECONDS = 10.0
_FAILURES = 3  # in a row, after which nvidia-smi is left alone
_FAMILY_EVERY = 5  # samples after which a trial's children are looked up anew
_BORN_SECONDS = 5.0  # by which a process may seem younger than the record of its trial
_WSL_SMI = Path("/usr/lib/wsl/lib/nvidia-smi")
_FIELDS = ("index", "uuid", "name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")


@fact
class Load:
    """`cpu` and `gpu` in per cent, of all cores and of the card. None: not known."""

    cpu: int | None = None
    gpu: int | None = None
    used_mb: int | None = None
    total_mb: int | None = None
    celsius: int | None = None
    watts: int | None = None


@fact
class Card:
    """One line of nvidia-smi's answer."""

    index: int
    uuid: str
    name: str
    load: Load


def cards(answer: str) -> list[Card]:
    """The cards in `0, GPU-…, NVIDIA H100 80GB HBM3, 97, 45321, 81559, 63, 612.43`; a figure may be `[N/A]`."""
    found = []
    for line in answer.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(_FIELDS) or not fields[0].isdigit() or not fields[1].startswith("GPU-"):
            continue
        gpu, used, total, celsius, watts = map(_figure, fields[3:])
        load = Load(None, gpu, used, total, celsius, watts)
        found.append(Card(int(fields[0]), fields[1], fields[2], load))
    return found


def _figure(field: str) -> int | None:
    """A figure without its fraction; None for `[N/A]`, `[Not Supported]`, `[Unknown Error]`."""
    try:
        return max(0, round(float(field)))
    except (ValueError, OverflowError):
        return None


def card_of(device: str, found: Sequence[Card], environment: Mapping[str, str] | None) -> Card | None:
    """The card that a trial with this environment (None: not known) calls `cuda` or `cuda:1`; None where not sure.

    CUDA counts what CUDA_VISIBLE_DEVICES names; without CUDA_DEVICE_ORDER=PCI_BUS_ID cards that differ may be counted
    in another order than nvidia-smi's.
    """
    if environment is None:
        return found[0] if len(found) == 1 else None
    wanted = device.partition(":")[2] or "0"
    named = environment.get("CUDA_VISIBLE_DEVICES")
    entries = [str(card.index) for card in found] if named is None else [e.strip() for e in named.split(",")]
    if not wanted.isdigit() or int(wanted) >= len(entries):
        return None
    entry = entries[int(wanted)]
    if entry.startswith("GPU-"):
        return next((card for card in found if card.uuid.startswith(entry)), None)
    sure = len({card.name for card in found}) == 1 or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return next((card for card in found if str(card.index) == entry), None) if sure else None


class Gauge:
    """Looks at one trial at a time, every few seconds, however often it is read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trial: tuple[int, float] | None = None
        self._load: Load | None = None
        self._due = 0.0
        self._tree: Tree | None = None
        self._smi = Smi(clock)

    def read(self, device: str, pid: int, since: float) -> Load | None:
        """The load of the trial with this process, recorded at Unix time `since`; None while nothing is known."""
        if self._trial != (pid, since):
            self._trial, self._load, self._due, self._tree = (pid, since), None, 0.0, Tree(pid, since)
        now = self._clock()
        if self._tree is None:
            return None
        if device.startswith("cuda"):
            answer = self._smi.answer(start=now >= self._due)
            if now >= self._due:
                self._due = now + EVERY_SECONDS
            if answer is not None:
                card = card_of(device, cards(answer), self._tree.environment())
                self._load = card.load if card else None
        elif now >= self._due:
            self._due = now + EVERY_SECONDS
            percent = self._tree.percent(now)
            self._load = None if percent is None else Load(cpu=percent)
        return self._load


class Tree:
    """A process and what descends from it."""

    def __init__(self, pid: int, since: float) -> None:
        self._pid, self._since = pid, since
        self._family: list[psutil.Process] = []
        self._seconds: dict[int, float] = {}
        self._at = 0.0
        self._samples = 0
        self._environment: dict[str, str] | None = None
        self._asked = False

    def percent(self, now: float) -> int | None:
        """Of all cores, since the last time; None the first time, and when the process is gone."""
        import psutil

        try:
            if self._samples % _FAMILY_EVERY == 0:
                root = self._root()
                self._family = [root, *root.children(recursive=True)]
            seconds = {p.pid: _used(p) for p in self._family if p.is_running()}
        except (psutil.Error, OSError):
            return None
        self._samples += 1
        before, at = self._seconds, self._at
        self._seconds, self._at = seconds, now
        if not before or now <= at:
            return None
        spent = sum(max(0.0, used - before.get(pid, used)) for pid, used in seconds.items())
        return min(100, round(100 * spent / ((now - at) * _cores())))

    def environment(self) -> Mapping[str, str] | None:
        """What it was started with; None where that cannot be read."""
        import psutil

        if not self._asked:
            self._asked = True
            with contextlib.suppress(psutil.Error, OSError):
                self._environment = self._root().environ()
        return self._environment

    def _root(self) -> psutil.Process:
        """Raises psutil.Error where the number belongs to another process by now."""
        import psutil

        root = psutil.Process(self._pid)
        if root.create_time() > self._since + _BORN_SECONDS:
            raise psutil.NoSuchProcess(self._pid)
        return root


def _used(process: psutil.Process) -> float:
    """Seconds of processor time; 0.0 of a process that has just ended."""
    import psutil

    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Smi:
    """nvidia-smi, asked without waiting for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._process: subprocess.Popen[str] | None = None
        self._started = 0.0
        self._failures = 0

    def answer(self, start: bool) -> str | None:
        """What it printed, once; None before. `start`: ask again if nothing is under way."""
        if self._process is None:
            if start and self._failures < _FAILURES:
                self._ask()
            return None
        code = self._process.poll()
        if code is None and self._clock() - self._started <= _LIMIT_SECONDS:
            return None
        if code is None:
            self._process.kill()
        said, _ = self._process.communicate()
        self._process = None
        self._failures = 0 if code == 0 else self._failures + 1
        return said if code == 0 else None

    def _ask(self) -> None:
        program = shutil.which("nvidia-smi") or (str(_WSL_SMI) if _WSL_SMI.exists() else None)
        if program is None:
            self._failures = _FAILURES
            return
        argv = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
        try:
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
            )
        except OSError:
            self._failures = _FAILURES
        self._started = self._clock()
