"""Whether the engine stood still: the machine slept, a container was frozen, a process group was stopped.

The clocks of a trial cannot tell. Asleep they stand still, and what comes after a sleep is often a card that fails;
stopped they go on, and the budget runs out with nothing trained. So such a trial is void and runs again.
"""

from __future__ import annotations

import threading
import time

STOOD_STILL = "the machine slept or stood still"
MOST_IN_A_ROW = 3  # trials of an experiment: what does this to the machine each time is no accident
_BEAT_SECONDS = 0.25
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # which go on in a sleep: Linux, macOS


def seconds() -> float:
    """Monotonic seconds, those that the machine slept included."""
    return time.clock_gettime(_CLOCK)


def allowed(train_seconds: float) -> float:
    """How long it may stand still at most: a hundredth of the budget shows in no score."""
    return max(2.0, train_seconds / 100)


class Watch:
    """Whether this process stood still: a thread that does nothing but look at the clock tells it.

    Whoever supervises may be busy meanwhile, or wait for a slow disk: that is no standstill (a call that keeps all of
    Python waiting for so long is one). Close it in the end.
    """

    def __init__(self, train_seconds: float) -> None:
        self._train_seconds = train_seconds
        self._lock = threading.Lock()
        self._beat, self._longest = seconds(), 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="standstill", daemon=True)
        self._thread.start()

    def looked(self) -> float:
        """How long it stood still since this was asked last, in seconds, where that is too long; else 0."""
        with self._lock:
            self._note()
            span, self._longest = self._longest, 0.0
        return span if span > allowed(self._train_seconds) else 0.0

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            with self._lock:
                self._note()

    def _note(self) -> None:
        before, self._beat = self._beat, seconds()
        self._longest = max(self._longest, self._beat - before)


def words(span: float) -> str:
    """The reason of a void trial."""
    return f"{STOOD_STILL} for {span:,.0f} s in the middle of it"
