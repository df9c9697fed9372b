"""Whether the engine stood still: the machine slept, a container was frozen, a process group was stopped.

The clocks of a trial cannot tell. Asleep they stand still, and what comes after a sleep is often a card that fails;
stopped they go on, and the budget runs out with nothing trained. So such a trial is void and runs again.
"""

from __future__ import annotations

import time

STOOD_STILL = "the machine slept or stood still"
MOST_IN_A_ROW = 3  # trials of an experiment: what does this to the machine each time is no accident
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # which go on in a sleep: Linux, macOS


def seconds() -> float:
    """Monotonic seconds, those that the machine slept included."""
    return time.clock_gettime(_CLOCK)


def allowed(train_seconds: float) -> float:
    """How long a supervisor may not look at most: a hundredth of the budget shows in no score."""
    return max(2.0, train_seconds / 100)


class Watch:
    """Of a supervisor that looks again and again: whether it was kept from it."""

    def __init__(self, train_seconds: float) -> None:
        self._train_seconds = train_seconds
        self._looked = seconds()

    def looked(self) -> float:
        """That it has looked just now. How long it had not, in seconds, where that is too long; else 0."""
        before, self._looked = self._looked, seconds()
        span = self._looked - before
        return span if span > allowed(self._train_seconds) else 0.0


def words(span: float) -> str:
    """The reason of a void trial."""
    return f"{STOOD_STILL} for {span:,.0f} s in the middle of it"
