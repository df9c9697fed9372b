"""What further trials of an experiment say about its score. Pure: no widget, no file."""

from __future__ import annotations

import math
import statistics

from core.experiment import Experiment
from core.judge import EQUAL_DECIMALS
from tui import text


def scores(e: Experiment) -> list[float]:
    """Of all its trials that have one; the judged one is the first."""
    measured = (e.measurement, *(repeat.measurement for repeat in e.repeats))
    return [m.value for m in measured if m and math.isfinite(m.value)]


def repeated(e: Experiment, better: str, *, spread: bool = True) -> str:
    """`n=3 ±.0012`: how many trials measured it, and their standard deviation; empty where there was only one. A trial
    that was skipped counts for nothing. `luck?`: see below; without `spread` it stands alone."""
    values = scores(e)
    failed = sum(r.measurement is None and r.reason != "skipped" for r in e.repeats)
    lucky = "luck?" if contradicted(e, better) else ""
    if lucky and not spread:
        return lucky
    if not failed and not any(r.measurement for r in e.repeats):
        return ""
    told = [f"n={len(values)}"]
    if len(values) > 1 and spread:
        told.append(f"±{statistics.stdev(values):.2g}".replace("±0.", "±."))
    return " ".join([*told, *([f"{failed} failed"] if failed else []), *([lucky] if lucky else [])])


def contradicted(e: Experiment, better: str) -> bool:
    """Whether it was kept, and the mean of its trials is not better than the score it was judged by. `better`: "min" or
    "max". What was kept as equal and shorter may be equal still."""
    values = scores(e)
    if e.verdict.outcome != "keep" or e.measurement is None or e.delta is None or len(values) < 2:
        return False
    bar, mean = e.measurement.value - e.delta, math.fsum(values) / len(values)
    gain = round(bar, EQUAL_DECIMALS) - round(mean, EQUAL_DECIMALS)
    gain = gain if better == "min" else -gain
    return gain < 0 or (gain == 0 and round(e.delta, EQUAL_DECIMALS) != 0)


def doubt(e: Experiment, better: str) -> str:
    """`#8 2.270300, its other trial 2.516100: the gain may be luck`; empty where nothing speaks against its verdict."""
    if not contradicted(e, better):
        return ""
    first, *others = scores(e)
    mean = math.fsum([first, *others]) / (1 + len(others))
    other = f"its other trial {text.exact(others[0])}"
    if len(others) > 1:
        other = f"the mean of its {1 + len(others)} trials {text.exact(mean)}"
    return f"#{e.number} {text.exact(first)}, {other}: the gain may be luck"
