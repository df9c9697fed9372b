"""Where a run stands, in the words of a prompt: what is new each time an agent is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.agents import Request
from core.agents.account import diff, gain, losses, near_misses, row, rows, value
from core.agents.ladder import barren, rung
from core.agents.quoting import clean, fenced, one_line
from core.experiment import Experiment
from core.history import History
from core.judge import Direction
from core.notes import Note

DIFFS, LAST_DIFF, BEST_DIFF, SHOWN_DIFF = 3, 4_000, 6_000, 2_500  # how many of the last; characters of one
HUMAN, MEMORY, HYPOTHESIS, TAIL = 20_000, 12_000, 700, 6_000  # characters
_FINDINGS, _REPEATED, _REJECTED = 16, 8, 20


def situation(request: Request, latest: Sequence[Experiment], key: str) -> str:
    """Everything that a proposal should know and that no other part of the prompt says.

    latest: the experiments that are not in the record. key: how to read a line, where the record does not say it.
    """
    h, direction = request.history, request.direction
    parts = [_standing(h, direction)]
    if latest:
        parts.append(
            "\n\n".join(filter(None, ["# The latest experiments", key, fenced("latest", rows(latest, direction))]))
        )
    parts += [_diffs(h, direction), _noise(h.experiments), _memory(h.memory), _human(request)]
    return "\n\n".join(filter(None, parts))


def asked(request: Request) -> str:
    """The last words: what is wanted now."""
    if request.crash:
        return _mend(request)
    words = [f"# Now: a proposal for experiment #{request.number}"]
    refusal = request.history.last_refusal
    if refusal and refusal.number == request.number and not _rejected(request):
        said = ". ".join(filter(None, (refusal.description, refusal.reason)))
        words.append(
            "Your last answer was refused and became no experiment. Why:\n" + fenced("refusal", clean(said, 1_000))
        )
    if step := _bolder(request):
        words.append(step)
    words.append("Say in a few sentences what the record teaches, choose one idea, and propose it.")
    return "\n\n".join(words)


# --- the incumbent, the last few, the noise --------------------------------------------------------------------------


def _standing(h: History, direction: Direction) -> str:
    best, first = h.best, h.experiments[0] if h.experiments else None
    if best is None or best.measurement is None or first is None:
        return "# Where the run stands\n\nNothing has been measured yet."
    m = best.measurement
    kept, discarded, crashed = (h.count(outcome) for outcome in ("keep", "discard", "crash"))
    lines = [
        f"The incumbent is #{best.number}: {value(m.value)}"
        + (", as the artifact itself printed it" if m.self_reported else ""),
        f"{h.proposals:,} experiments after the baseline: {kept:,} kept, {discarded:,} discarded, {crashed:,} crashed",
        f"Its work took {m.train_seconds:.1f} s of {m.total_seconds:.1f} s in all, and {m.peak_memory_mb:,.0f} MB",
        *_speed(best),
        row(best, direction),
    ]
    if best.number and first.measurement:
        lines.insert(1, f"The baseline had {value(first.measurement.value)}")
    return "# Where the run stands\n\n" + fenced("standing", "\n".join(lines))


def _speed(e: Experiment) -> list[str]:
    """What was found besides the score, and how fast the work went where the run counts steps or tokens."""
    assert e.measurement is not None
    found, seconds = e.measurement.findings, e.measurement.train_seconds
    numbers = {k: v for k, v in found.items() if isinstance(v, int | float) and math.isfinite(v)}
    lines = [f"{one_line(k, 60)}: {v:,.6g}" for k, v in list(numbers.items())[:_FINDINGS]]
    if seconds > 0 and (steps := numbers.get("num_steps")):
        lines.append(f"steps a second: {steps / seconds:.4g}")
    if seconds > 0 and (tokens := numbers.get("total_tokens_M")):
        lines.append(f"tokens a second: {1e6 * tokens / seconds:,.0f}")
    return lines


def _diffs(h: History, direction: Direction) -> str:
    """What the last few changed, and the best one, which may lie far back."""
    last = [e for e in h.experiments[-DIFFS:] if e.number]
    parts = [_shown(e, direction, LAST_DIFF) for e in last]
    if (best := h.best) and best.number and best not in last:
        parts.insert(0, _shown(best, direction, BEST_DIFF))
    return "# What the best and the last few changed\n\n" + "\n\n".join(parts) if parts else ""


def _shown(e: Experiment, direction: Direction, characters: int) -> str:
    why = clean(e.hypothesis, HYPOTHESIS, line=HYPOTHESIS)
    return fenced("experiment", "\n".join(filter(None, (row(e, direction), why, diff(e, characters)))))


def spread(experiments: Sequence[Experiment]) -> tuple[float, int, int] | None:
    """The standard deviation of one source's scores, pooled; from how many trials of how many experiments."""
    squares, trials, groups = 0.0, 0, 0
    for e in experiments:
        scores = _scores(e)
        if len(scores) > 1:
            mean = sum(scores) / len(scores)
            squares += sum((x - mean) ** 2 for x in scores)
            trials, groups = trials + len(scores), groups + 1
    return (math.sqrt(squares / (trials - groups)), trials, groups) if groups else None


def _scores(e: Experiment) -> list[float]:
    found = [e.measurement, *(r.measurement for r in e.repeats)]
    return [m.value for m in found if m is not None and math.isfinite(m.value)]


def _noise(experiments: Sequence[Experiment]) -> str:
    measured = spread(experiments)
    if measured is None:
        return (
            "# Noise\n\nNo source has been measured twice in this run, so nobody knows how far a score moves by "
            "itself. Do not build a theory on a small difference."
        )
    deviation, trials, groups = measured
    repeated = [e for e in experiments if len(_scores(e)) > 1][-_REPEATED:]
    listed = "\n".join(f"#{e.number}: " + ", ".join(map(value, _scores(e)[:_REPEATED])) for e in repeated)
    return (
        f"# Noise\n\nThe same source with another seed scores differently: standard deviation {deviation:.3g}, from "
        f"{trials} trials of {groups} experiments. A difference below {2 * deviation:.3g} may be luck: neither a keep "
        f"nor a loss of that size proves anything.\n\n{fenced('repeats', listed)}"
    )


# --- words -----------------------------------------------------------------------------------------------------------


def _memory(notes: Sequence[Note]) -> str:
    """The agent's own notes, as many of the newest as fit."""
    shown, left = _newest([f"#{n.number}: {one_line(n.text, 2_000)}" for n in notes], MEMORY)
    if not shown:
        return ""
    old = f" ({left} older ones are left out: write down again what still matters)" if left else ""
    return f"# Your own notes{old}\n\n{fenced('notes', chr(10).join(shown))}"


def _human(request: Request) -> str:
    """What the human said while the run was going; what came since the agent last answered is marked."""
    new, said = set(request.new_notes), []
    for note in request.notes:
        when = f"no to a proposal for #{note.number}" if note.rejected else f"before #{note.number}"
        said.append(f"{'NEW ' if note in new else ''}{when}: {clean(note.text, 4_100, line=4_000)}")
    shown, left = _newest(said, HUMAN)
    if not shown:
        return ""
    old = f" ({left} older ones are left out)" if left else ""
    newly = " Those marked NEW came since your last proposal: they come first." if new else ""
    words = f"# What the human told you{old}\n\nIn the order of time.{newly}\n\n{fenced('human', chr(10).join(shown))}"
    no = [f"#{n.number}: {one_line(n.rejected, 200)}" for n in request.notes if n.rejected][-_REJECTED:]
    return words + (f"\n\nThe proposals that got a no:\n{fenced('rejected', chr(10).join(no))}" if no else "")


def _newest(texts: Sequence[str], characters: int) -> tuple[list[str], int]:
    """The newest that fit, in the order of time, and how many are left out."""
    shown: list[str] = []
    for text in reversed(texts):
        characters -= len(text) + 1
        if characters < 0:
            break
        shown.append(text)
    return shown[::-1], len(texts) - len(shown)


def _rejected(request: Request) -> bool:
    """Whether the last refusal is the human's no, which stands among the human's words."""
    return any(n.rejected and n.number == request.number for n in request.notes)


# --- what is wanted --------------------------------------------------------------------------------------------------


def _bolder(request: Request) -> str:
    """The rung of the ladder that the run has come to, with the experiments that it speaks of."""
    h, direction = request.history, request.direction
    count = barren(h)
    if (step := rung(count)) is None:
        return ""
    turn, found = step
    again = f" This is round {turn} of these steps: take a larger one than last time." if turn > 1 else ""
    words = (
        f"{count} experiments in a row were not kept. It is time for a bolder step. {found.name}: {found.words}{again}"
    )
    chosen: list[Experiment] = []
    if found.shows == "near misses":
        chosen = near_misses(h.experiments, direction, 3)
    elif found.shows == "losses":
        chosen = losses(h.experiments, direction, 3)
    elif found.shows == "keeps":
        kept = [e for e in h.experiments if e.verdict.outcome == "keep" and e.number]
        chosen = sorted(kept, key=lambda e: gain(e, direction))[:3]  # the least gain has the least claim to its lines
    return "\n\n".join([words, *(_shown(e, direction, SHOWN_DIFF) for e in chosen)])


def _mend(request: Request) -> str:
    """A repair: what crashed, why, and the end of its log."""
    crash, p = request.crash, request.history.pending
    assert crash is not None
    words = [f"# Now: mend experiment #{request.number}, which crashed (repair {crash.repair})"]
    if p and p.proposed:
        what = clean(f"{p.proposed.description}\n{p.proposed.hypothesis}", 2 * HYPOTHESIS, line=HYPOTHESIS)
        words.append("What you proposed:\n" + fenced("proposed", what))
    if p and p.committed:
        words.append("What that changed, against the incumbent:\n" + fenced("diff", clean(p.committed.diff, BEST_DIFF)))
    if p and p.repairs:
        earlier = "\n".join(f"attempt {i}: {one_line(r.reason, 200)}" for i, r in enumerate(p.repairs, 1))
        words.append("It had crashed before, and your mend did not hold:\n" + fenced("earlier", earlier))
    tail = clean(crash.log_tail, TAIL, end=True)
    words.append("Why, and the end of its log:\n" + fenced("log", f"{one_line(crash.reason, 300)}\n\n{tail}".rstrip()))
    words.append(
        "The artifact above is what crashed. Mend it with the smallest change that keeps the idea, and submit it with "
        "a description of the whole experiment. If the idea itself cannot work, hand in the simplest version that can."
    )
    return "\n\n".join(words)
