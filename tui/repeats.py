"""What further trials say of a run's scores: which step may be luck, and whether the whole gain is. Pure: no widget.

The score that an experiment was judged by counts for nothing here. That of a kept one was taken for being good, so it
is better than its like by luck as well; the trials after the verdict are not chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from core.digits import gain
from core.experiment import Experiment
from core.facts import fact
from core.history import History
from tui import text
from tui.state import State, find

LUCK = "luck?"  # the mark of a step that its further trials contradict
# Student's t by degrees of freedom: beyond it lie 5 % of the differences that luck alone makes
_T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 8: 2.306, 10: 2.228, 15: 2.131, 30: 2.042, 60: 2.0}


# --- figures: the module `statistics` takes a cockpit 10 ms to import -----------------------------------------------


def mean_of(values: Sequence[float]) -> float:
    return math.fsum(value / len(values) for value in values)


def _variance(values: Sequence[float]) -> float:
    """Of the sample: two values at least. Infinite where the numbers are absurd."""
    mean = mean_of(values)
    spread = math.hypot(*(value - mean for value in values))
    return spread * spread / (len(values) - 1)


# --- one experiment --------------------------------------------------------------------------------------------------


def scores(e: Experiment) -> list[float]:
    """Of all its trials that have one; the judged one is the first."""
    judged = [e.measurement.value] if e.measurement and math.isfinite(e.measurement.value) else []
    return judged + further(e)


def further(e: Experiment) -> list[float]:
    """Of its trials after the verdict."""
    return [r.measurement.value for r in e.repeats if r.measurement and math.isfinite(r.measurement.value)]


def repeated(e: Experiment, better: str, *, spread: bool = True) -> str:
    """`n=3 ±.0012`: how many trials measured it, and their standard deviation; empty where there was only one. A trial
    that was skipped counts for nothing. `luck?`: see below; without `spread` it stands alone."""
    values = scores(e)
    failed = sum(r.measurement is None and r.reason != "skipped" for r in e.repeats)
    lucky = LUCK if contradicted(e, better) else ""
    if lucky and not spread:
        return lucky
    if not failed and not any(r.measurement for r in e.repeats):
        return ""
    told = [f"n={len(values)}"]
    if len(values) > 1 and spread:
        told.append(f"±{math.sqrt(_variance(values)):.2g}".replace("±0.", "±."))
    return " ".join([*told, *([f"{failed} failed"] if failed else []), *([lucky] if lucky else [])])


def contradicted(e: Experiment, better: str) -> bool:
    """Whether it was kept, and the mean of its further trials is not better than the score it had to beat. `better`:
    "min" or "max". What was kept as equal and shorter may be equal still."""
    values = further(e)
    if e.verdict.outcome != "keep" or e.measurement is None or e.delta is None or not values:
        return False
    bar, mean = e.measurement.value - e.delta, mean_of(values)
    gained = gain(bar, mean, better)
    return gained < 0 or (gained == 0 and gain(bar, e.measurement.value, better) != 0)


# --- the steps of a run ----------------------------------------------------------------------------------------------


def doubted(h: History) -> list[Experiment]:
    """The kept experiments whose further trials contradict their step."""
    better = State(h).direction
    return [e for e in h.experiments if e.repeats and contradicted(e, better)]


def doubt(h: History, e: Experiment) -> str:
    """`#8: its step of −0.03 over #5 may be luck: its further trial came to 2.5161; against the baseline −2.80 %
    remain`; empty where nothing speaks against its verdict."""
    if not contradicted(e, State(h).direction):
        return ""
    values = further(e)
    over = "" if e.incumbent is None else f" over #{e.incumbent}"
    came = f"the mean of its {len(values)} further trials is {text.score(mean_of(values))}"
    if len(values) == 1:
        came = f"its further trial came to {text.exact(values[0])}"
    said = f"#{e.number}: its step of {text.delta(e.delta) or '0'}{over} may be luck: {came}"
    return "; ".join(filter(None, (said, _remains(h, e))))


def doubts(h: History) -> list[str]:
    """The same of every step that is doubted."""
    return [doubt(h, e) for e in doubted(h)]


def _remains(h: History, e: Experiment) -> str:
    """What its further trials have against the baseline: of that the mean of its own where it has any."""
    baseline = find(h, 0)
    were, first = (further(baseline), baseline.measurement) if baseline else ([], None)
    if not were and (e.incumbent == 0 or first is None):
        return ""  # that is the step itself
    before, mean = mean_of(were or [first.value if first else math.nan]), mean_of(further(e))
    change = text.percent_change(before, mean) or text.delta(mean - before)
    gains = mean < before if State(h).direction == "min" else mean > before
    return f"against the baseline {change} remain" if gains else f"nothing remains against the baseline ({change})"


# --- the best against the baseline -----------------------------------------------------------------------------------


@fact
class Comparison:
    """Further trials of the baseline and of the best (`number`), at least one of each."""

    number: int
    baseline: tuple[float, ...]
    best: tuple[float, ...]
    better: str

    @property
    def difference(self) -> float:
        """Of the means: the best's less the baseline's."""
        return mean_of(self.best) - mean_of(self.baseline)

    @property
    def standard_error(self) -> float | None:
        """Of the difference; None where one trial alone has no spread."""
        if min(len(self.baseline), len(self.best)) < 2:
            return None
        return math.sqrt(sum(_variance(v) / len(v) for v in (self.baseline, self.best)))

    @property
    def stands_out(self) -> bool | None:
        """Whether luck alone would make such a difference in fewer than 1 of 20 cases (Welch's test)."""
        error = self.standard_error
        if error is None or not error:
            return None if error is None else self.difference != 0
        parts = [(_variance(v) / len(v), len(v) - 1) for v in (self.baseline, self.best)]
        whole = sum(part for part, _ in parts)
        freedom = 1 / sum((part / whole) ** 2 / less_one for part, less_one in parts)
        return abs(self.difference) > error * _T[max(f for f in _T if f <= max(1.0, freedom))]

    @property
    def gains(self) -> bool:
        return self.difference < 0 if self.better == "min" else self.difference > 0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        names = ("baseline", "best", "difference", "standard_error", "stands_out", "gains")
        found = {name: getattr(self, name) for name in names}
        return {name: None if value in (math.inf, -math.inf) else value for name, value in found.items()}


def comparison(h: History) -> Comparison | None:
    """The best and the baseline by their further trials; None where one has none, or both are the same."""
    best, baseline = h.best, find(h, 0)
    if best is None or baseline is None or best.number == 0 or not (further(best) and further(baseline)):
        return None
    return Comparison(best.number, tuple(further(baseline)), tuple(further(best)), State(h).direction)


def means(c: Comparison) -> str:
    """`the baseline 574.1, 573.2, mean 573.65; #121 549.3, 542, mean 545.65`."""
    shown = [
        f"{who} {', '.join(map(text.exact, values))}, mean {_rounded(mean_of(values), c)}"
        for who, values in (("the baseline", c.baseline), (f"#{c.number}", c.best))
    ]
    return "; ".join(shown)


def _rounded(value: float, c: Comparison) -> str:
    """A mean or a difference, to the second digit of the standard error: what follows says nothing."""
    error = c.standard_error
    return text.score(round(value, 1 - math.floor(math.log10(error))) if error and error < math.inf else value)


def judgement(c: Comparison) -> str:
    """Whether the difference of the means stands out from the spread, in a sentence."""
    change = text.percent_change(mean_of(c.baseline), mean_of(c.best))
    sign = "+" if c.difference > 0 else ""
    said = f"further trials: {sign}{_rounded(c.difference, c)}{f' ({change})' if change else ''} against the baseline"
    error = c.standard_error
    count = f"n = {len(c.best)} and {len(c.baseline)}"
    if error is None:
        return f"{said}, {count}; one trial has no spread, so nothing can be said of luck"
    said += f", standard error {error:.2g}, {count}"
    if not error and c.difference:
        return f"{said}; all trials of each came to the same score{'' if c.gains else '; the best is the worse one'}"
    if not c.stands_out:
        return f"{said}; it does not stand out from the spread, so it may be luck: more trials can tell"
    meant = "it stands out from the spread: luck alone makes as much in fewer than 1 of 20 cases"
    return f"{said}; {meant}" if c.gains else f"{said}; the best is the worse one, and {meant}"


def unconfirmed(h: History) -> bool:
    """Whether there is a gain that nobody has looked at again."""
    return h.best is not None and h.best.number > 0 and comparison(h) is None


def verdicts(h: History) -> list[str]:
    """All that further trials say of the run's result: of the whole gain, and of the steps to it."""
    c = comparison(h)
    return ([judgement(c)] if c else []) + doubts(h)
