"""How far several transfers at once have come: threads report, one thread shows it, as a bar or as lines."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

from tqdm import tqdm

from backends.reference.corpus import BadInput

_A = TypeVar("_A")
_B = TypeVar("_B")

LINE_EVERY_SECONDS = 5.0
STOPPED_WITHIN_SECONDS = 0.5  # a thread that is not blocked ends in this time


class Stopped(Exception):
    """Another transfer failed, or the user wants to leave: this one is to end too."""


class Meter:
    """What is transferred. Threads call received, say, check and pause; the thread that waits for them calls show."""

    def __init__(self, what: str, total_bytes: int, line: Callable[[str], None]) -> None:
        self._what, self._total, self._line = what, total_bytes, line
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._bytes = 0
        self._said: deque[str] = deque()
        self._shown_at = time.monotonic()
        terminal = sys.stderr.isatty() and total_bytes > 0
        self._bar = tqdm(total=total_bytes, desc=what, unit="B", unit_scale=True, leave=False) if terminal else None

    def received(self, count: int) -> None:
        """So many more bytes are there; a negative count takes some back."""
        with self._lock:
            self._bytes += count

    def say(self, line: str) -> None:
        self._said.append(line)

    def check(self) -> None:
        """Raises Stopped once all are to end."""
        if self._stop.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait, unless all are to end: raises Stopped."""
        if self._stop.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        self._stop.set()

    def show(self) -> None:
        """Draw the bar, or give a line where the last one is long enough ago; and what the threads had to say."""
        while self._said:
            line = self._said.popleft()
            if self._bar is not None:
                self._bar.clear()
            self._line(line)
        if self._bar is not None:
            self._bar.n = self._bytes
            self._bar.refresh()
        elif self._total and (now := time.monotonic()) - self._shown_at >= LINE_EVERY_SECONDS:
            self._shown_at = now
            self._line(f"{self._what}: {self._bytes / 1e6:,.1f} of {self._total / 1e6:,.1f} MB")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def in_parallel(work: Callable[[_A], _B], items: Sequence[_A], meter: Meter, threads: int) -> list[_B]:
    """work(item) of each, on a few threads; the first failure stops the others and is raised.

    A thread that waits for a server then is not waited for, nor at the end of the process: an interrupt ends it all.
    """
    jobs: deque[tuple[Future[_B], _A]] = deque((Future(), item) for item in items)
    futures = [future for future, _ in jobs]
    pool = [threading.Thread(target=_work_off, args=(work, jobs, meter), daemon=True) for _ in range(threads)]
    for thread in pool:
        thread.start()
    try:
        while True:
            done, left = wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION)
            meter.show()
            for future in done:
                future.result()
            if not left:
                return [future.result() for future in futures]
    finally:
        meter.stop()
        for thread in pool:
            thread.join(STOPPED_WITHIN_SECONDS)
        meter.show()
        meter.close()


def _work_off(work: Callable[[_A], _B], jobs: deque[tuple[Future[_B], _A]], meter: Meter) -> None:
    """One thread's part. What a work raises goes to its future; what nobody expects is printed as well."""
    with contextlib.suppress(BadInput, OSError, Stopped):
        while jobs:
            try:
                future, item = jobs.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                meter.check()
                future.set_result(work(item))
            finally:
                if error := sys.exception():
                    future.set_exception(error)
