"""Keep or discard: a pure function of finished facts."""

from __future__ import annotations

import math
from typing import Literal

from core.digits import gain
from core.experiment import Verdict
from core.facts import fact

Direction = Literal["min", "max"]


@fact
class Score:
    """What a verdict is decided on: the metric's value and how many lines the artifact takes."""

    value: float
    lines: int


def greedy(direction: Direction, score: Score, incumbent: Score | None) -> Verdict:
    """The original's rule: strictly better is a keep; an equal score is a keep if it takes fewer lines.

    The baseline (no incumbent) is kept. A value that is not finite is a crash.
    """
    if not math.isfinite(score.value):
        return Verdict("crash", "nan")
    if incumbent is None:
        return Verdict("keep", "baseline")
    gained = gain(incumbent.value, score.value, direction)
    if gained > 0:
        return Verdict("keep", "better")
    if gained == 0 and score.lines < incumbent.lines:
        return Verdict("keep", "equal and shorter")
    return Verdict("discard", "equal, not shorter" if gained == 0 else "worse")


POLICIES = {"greedy": greedy}
RULES = {
    "greedy": "strictly better is kept; a score equal to six decimals (a small one: to six digits) is kept if the "
    "artifact has fewer lines"
}
