"""A pause of one trial: asked for, answered at a step boundary or frozen in mid-step, and over.

A trial that speaks to us is asked and holds by itself at its next step; one that does not answer, or knows nothing of
us, is frozen where it is. Either way its processes are stopped and its clock stands still.
"""

from __future__ import annotations

import subprocess
import time
from typing import Literal

from core import sandbox
from core.channel import Channel, Clock
from core.events import TrialContinued, TrialHeld

PATIENCE_SECONDS = 10.0  # how long a step may take before the trial is frozen in the middle of it


class Hold:
    """Follows what the user wants; returns the event of each change."""

    def __init__(
        self, number: int, trial: int, process: subprocess.Popen[bytes], channel: Channel, clock: Clock
    ) -> None:
        self._number, self._trial = number, trial
        self._process, self._channel, self._clock = process, channel, clock
        self._state: Literal["going", "asked", "held"] = "going"
        self._asked_at = 0.0  # real monotonic seconds
        self._answered = False  # whether the trial itself confirmed the hold in force
        self.seconds = 0.0  # held in all

    @property
    def held(self) -> bool:
        return self._state == "held"

    def follow(self, *, paused: bool, ready: bool) -> TrialHeld | TrialContinued | None:
        """Bring the trial to where the user wants it. `ready`: it speaks to us, and its clock runs."""
        if not paused:
            return None if self._state == "going" else self._go_on(ready)
        if self._state == "going":
            if not ready:
                return self._stop(step=None, answered=False)
            self._state, self._asked_at = "asked", time.monotonic()
            self._channel.send({"type": "pause"})
        elif self._state == "asked" and time.monotonic() - self._asked_at > PATIENCE_SECONDS:
            return self._stop(step=None, answered=False)
        return None

    def answer(self, step: int | None) -> TrialHeld | None:
        """The trial says that it holds; None where nobody asked (any more)."""
        return self._stop(step, answered=True) if self._state == "asked" else None

    def _stop(self, step: int | None, answered: bool) -> TrialHeld:
        self._state, self._answered = "held", answered
        self._clock.hold()
        sandbox.freeze(self._process, frozen=True)
        return TrialHeld(self._number, self._trial, step)

    def _go_on(self, ready: bool) -> TrialContinued | None:
        was_held, self._state = self.held, "going"
        span = 0.0
        if was_held:
            span = self._clock.go()
            self.seconds += span
            sandbox.freeze(self._process, frozen=False)
        if ready:
            self._channel.send({"type": "resume", "frozen_seconds": 0.0 if self._answered else span})
        self._answered = False
        return TrialContinued(self._number, self._trial, span) if was_held else None
