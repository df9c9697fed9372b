"""The account of a run's experiments that a model reads: a line each, and where there are many, the telling ones.

Everything is a pure function of finished experiments and has a bound, whatever their number.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median

from core.agents.quoting import clean, one_line
from core.experiment import Experiment
from core.judge import Direction

ROWS = 120  # experiments that get a line of their own in the record
KEPT, GREATEST, NEAR, LOST, CRASHED, RECENT, CAUSES, NAMES = 30, 15, 25, 12, 12, 20, 10, 30
_DESCRIPTION, _REASON, _VALUE, _VALUES = 110, 100, 16, 8  # characters of one; values shown of one name
_ASSIGNED = re.compile(r"^[+-]\s*([A-Za-z_][\w.]{0,40})\s*(?::[^=\n]{1,40})?=(?!=)\s*([^#\n]{1,60})", re.M)


def row(e: Experiment, direction: Direction) -> str:
    """One experiment in one line."""
    said: str = e.verdict.outcome if e.number else "baseline"
    if e.verdict.outcome == "crash" or e.measurement is None:
        said += f": {one_line(e.verdict.reason, _REASON)}"
    elif e.verdict.reason not in ("better", "worse", "baseline"):
        said += f" ({one_line(e.verdict.reason, _REASON)})"
    parts = [f"#{e.number} {said}"]
    if m := e.measurement:
        parts.append(f"{value(m.value)}" + ("" if e.delta is None else f" (gain {gain(e, direction):+.3g})"))
        parts.append(f"{m.peak_memory_mb:,.0f} MB")
        if isinstance(steps := m.findings.get("num_steps"), int | float):
            parts.append(f"{steps:,.0f} steps")
    if e.number:
        parts.append("+{} −{} lines".format(*changed_lines(e.diff)))
    if e.repairs:
        causes = "; ".join(one_line(r.reason, _REASON) for r in e.repairs[:2])
        parts.append(f"mended after {len(e.repairs)} crashed: {causes}")
    if e.edited:
        parts.append("edited by the human")
    return ", ".join(parts) + f" · {one_line(e.description, _DESCRIPTION)}"


def rows(experiments: Iterable[Experiment], direction: Direction) -> str:
    return "\n".join(row(e, direction) for e in experiments)


def record(experiments: Sequence[Experiment], direction: Direction) -> str:
    """All experiments: each in a line, or, beyond ROWS, the telling ones in a line and the others in sums."""
    if len(experiments) <= ROWS:
        return rows(experiments, direction)
    told = telling(experiments, direction)
    rest = [e for e in experiments if e.number not in told]
    shown = rows((e for e in experiments if e.number in told), direction)
    sums = [f"Of {len(experiments):,} experiments the {len(told)} most telling ones are listed. The others:"]
    sums += _outcomes(rest, direction)
    if causes := _causes(rest):
        sums += ["Why others crashed:", *causes]
    if names := _names(experiments, direction):
        sums += ["What was set to what, over all experiments, the most often tried first:", *names]
    return shown + "\n\n" + "\n".join(sums)


def telling(experiments: Sequence[Experiment], direction: Direction) -> set[int]:
    """The numbers of ROWS worth a line: keeps, near misses, great losses, crashes of each kind, then the latest."""
    keeps = [e for e in experiments if e.verdict.outcome == "keep"]
    greatest = sorted((e for e in keeps if e.delta is not None), key=lambda e: -gain(e, direction))
    crashed: dict[str, Experiment] = {}
    for e in experiments:
        if e.verdict.outcome == "crash":
            crashed.pop(cause := _cause(e), None)
            crashed[cause] = e  # the latest of its kind, the latest kinds last
    ends = [*experiments[:1], *experiments[-RECENT:], *list(crashed.values())[-CRASHED:]]
    extremes = [*near_misses(experiments, direction, NEAR), *losses(experiments, direction, LOST)]
    told = {e.number for e in (*ends, *extremes, *keeps[-KEPT:], *greatest[:GREATEST])}
    others = (e.number for e in reversed(experiments) if e.number not in told)
    return told | set(islice(others, max(0, ROWS - len(told))))


def near_misses(experiments: Iterable[Experiment], direction: Direction, count: int) -> list[Experiment]:
    """Those that were discarded by the least, the closest first."""
    return sorted(_discarded(experiments), key=lambda e: (-gain(e, direction), -e.number))[:count]


def losses(experiments: Iterable[Experiment], direction: Direction, count: int) -> list[Experiment]:
    """Those that were discarded by the most, the worst first."""
    return sorted(_discarded(experiments), key=lambda e: (gain(e, direction), -e.number))[:count]


def gain(e: Experiment, direction: Direction) -> float:
    """How much better than the incumbent it was judged by; negative: worse."""
    delta = e.delta or 0.0
    return delta if direction == "max" else -delta


def value(number: float) -> str:
    """A metric's value, to seven figures."""
    return f"{number:.7g}"


def diff(e: Experiment, characters: int) -> str:
    """What it changed, under its line of the account."""
    return clean(e.diff, characters) or "(no change)"


def changed_lines(text: str) -> tuple[int, int]:
    """Lines added and removed by a unified diff."""
    lines = text.split("\n")
    added = sum(x.startswith("+") and not x.startswith("+++ ") for x in lines)
    return added, sum(x.startswith("-") and not x.startswith("--- ") for x in lines)


# --- sums over those without a line ----------------------------------------------------------------------------------


def _discarded(experiments: Iterable[Experiment]) -> list[Experiment]:
    return [e for e in experiments if e.verdict.outcome == "discard" and e.measurement and e.delta is not None]


def _outcomes(experiments: Sequence[Experiment], direction: Direction) -> list[str]:
    said = []
    for outcome in ("keep", "discard", "crash"):
        those = [e for e in experiments if e.verdict.outcome == outcome]
        gains = [gain(e, direction) for e in those if e.delta is not None]
        spread = f", gains {min(gains):+.3g} to {max(gains):+.3g}, median {median(gains):+.3g}" if gains else ""
        if those:
            said.append(f"{outcome}: {len(those):,}{spread}")
    return said


def _cause(e: Experiment) -> str:
    """Why it crashed, without the numbers, so that alike causes are one."""
    return re.sub(r"\d+(\.\d+)?", "N", one_line(e.verdict.reason, _REASON))


def _causes(experiments: Sequence[Experiment]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for e in experiments:
        if e.verdict.outcome == "crash":
            counts[_cause(e)] += 1
    return [f"{n:,} × {cause}" for cause, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:CAUSES]]


@dataclass(slots=True)
class _Name:
    tries: int = 0
    kept: int = 0
    best: float | None = None
    values: dict[str, None] = field(default_factory=dict)  # distinct ones, in the order of their last use


def _names(experiments: Sequence[Experiment], direction: Direction) -> list[str]:
    """What diffs assigned to which name: the memory of what was turned, long after the lines are gone."""
    names: dict[str, _Name] = defaultdict(_Name)
    for e in experiments:
        before = {n: v.strip() for n, v in _ASSIGNED.findall(_side(e.diff, "-"))}
        after = {n: v.strip() for n, v in _ASSIGNED.findall(_side(e.diff, "+"))}
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                _count(names[one_line(name, 40)], e, one_line(after[name], _VALUE), direction)
    often = sorted(names.items(), key=lambda n: (-n[1].tries, n[0]))
    return [
        f"{name}: tried {n.tries:,} ×, {n.kept} kept"
        + ("" if n.best is None else f", best gain {n.best:+.3g}")
        + f"; last {' | '.join(list(n.values)[-_VALUES:])}"
        for name, n in often[:NAMES]
    ]


def _count(name: _Name, e: Experiment, to: str, direction: Direction) -> None:
    name.tries += 1
    name.kept += e.verdict.outcome == "keep"
    if e.delta is not None:
        name.best = max(gain(e, direction), -1e308 if name.best is None else name.best)
    name.values.pop(to, None)
    name.values[to] = None


def _side(diff: str, sign: str) -> str:
    return "\n".join(x for x in diff[:100_000].split("\n") if x.startswith(sign) and not x.startswith(sign * 3 + " "))
