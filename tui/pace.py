"""How long things take: what the run has shown so far, and what follows from it for the trial under way. Pure.

Seconds, and Unix times. An estimate is made of earlier experiments of the same run, or it is not made.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from core import events as ev
from core.facts import folded, replace
from core.history import History, Pending
from core.task import Budget
from tui.live import Live
from tui.tail import as_float

_LATELY = 9  # stations that are averaged
_CYCLES = 20  # experiments that are averaged
_LEAST_SILENCE_SECONDS = 20.0
_GAPS = 20  # of the usual length without a report: then the trial is stalled
_UNKNOWN_GAP_SECONDS = 3.0  # before the first report of a run
_GRACE_SECONDS = 5.0  # in which the engine itself ends a start-up that takes too long
_SHORT_SECONDS = 3.0  # of training: to say when it is over would flicker
_FAR = 2.0  # times as long as usual: then the limit is told
_SLOW_GAP_SECONDS = 2.0  # from which a clock that only moved with the reports would look broken


@folded
class Pace:
    """`startups` and `evaluations` of the last trials; `cycles`: whole experiments, pauses left out."""

    engine_since: float = 0.0  # when the engine at work, or the last one, began
    since: float = 0.0  # when the phase began that the run is in
    trial_since: float = 0.0
    finished_at: float = 0.0  # when the last experiment was over
    startups: tuple[float, ...] = ()
    evaluations: tuple[float, ...] = ()
    cycles: tuple[float, ...] = ()
    cycle_from: float = 0.0  # what the run's clock showed when the experiment under way began


def after(pace: Pace, before: History, history: History, event: ev.Event, at: float) -> Pace:
    """The pace after an event that led from one history to the other."""
    if isinstance(event, ev.EngineStarted):
        pace = replace(pace, engine_since=at)
    match event:
        case ev.TrialStarted():
            return replace(pace, trial_since=at, since=at)
        case ev.TrialReady():
            return replace(pace, since=at, startups=_lately(pace.startups, event.startup_seconds))
        case ev.Measured() if before.phase == "evaluating":
            took = at - pace.since
            return replace(pace, since=at, evaluations=_lately(pace.evaluations, took))
        case ev.ExperimentDone() | ev.AgainDone():
            worked, asked = history.active_seconds, isinstance(event, ev.AgainDone)
            cycles = pace.cycles if asked else _lately(pace.cycles, worked - pace.cycle_from, _CYCLES)
            return replace(pace, since=at, finished_at=at, cycles=cycles, cycle_from=worked)
    return pace if history.phase == before.phase else replace(pace, since=at)


def _lately(known: tuple[float, ...], seconds: float, most: int = _LATELY) -> tuple[float, ...]:
    return (*known, seconds)[-most:] if math.isfinite(seconds) and seconds >= 0 else known


def budget(history: History) -> Budget | None:
    """The budget of a trial; None before the run began."""
    run = history.run
    if run is None:
        return None
    written = run.task.get("budget")
    told = written if isinstance(written, Mapping) else {}
    startup, timeout = as_float(told.get("startup_seconds")), as_float(told.get("timeout_seconds"))
    return Budget(run.train_seconds, 120.0 if startup is None else startup, math.inf if timeout is None else timeout)


def has_start_up(history: History) -> bool:
    """Whether trials say when they are ready; those of a task that prepares nothing are timed from their start."""
    commands = history.run.task.get("commands") if history.run else None
    return not isinstance(commands, Mapping) or "prepare" in commands or bool(history.run and history.run.backend)


# --- the trial under way ---------------------------------------------------------------------------------------------


def training_left(history: History, live: Live | None, now: float) -> float | None:
    """Seconds of training that are left: by the trial's own account, else by its budget, which a backend uses up. A
    trial that ends when it is done takes as long as those before it; None: nobody can tell, or it is overdue."""
    counted, limits = _counted(history, live, now), budget(history)
    if counted is None or limits is None:
        return None
    if is_guessed(history, live):
        usual = usual_training(history)
        left = math.nan if usual is None or usual < _SHORT_SECONDS else usual - counted
        return left if left >= 1 else None
    longest = limits.train_seconds - counted
    if live and live.eta_seconds is not None and math.isfinite(live.eta_seconds) and live.seconds is not None:
        told = live.eta_seconds - (counted - live.seconds)
        longest = min(told, longest + limits.overtime_seconds)
    return max(0.0, longest) if math.isfinite(longest) else None


def training_at_most(history: History, live: Live | None, pace: Pace, now: float) -> float | None:
    """Seconds until the limit of a trial of which nobody can tell when it ends: none before it has, or it takes far
    longer than those."""
    counted, limits = _counted(history, live, now), budget(history)
    if counted is None or limits is None or not is_guessed(history, live):
        return None
    usual = usual_training(history)
    if usual is not None and counted < _FAR * max(usual, _SHORT_SECONDS):
        return None
    held = history.pending.held_since if history.pending else None
    left = min(limits.train_seconds - counted, cut_in(history, pace, now if held is None else held) or 0.0)
    return left if math.isfinite(left) and left > 0 else None


def is_guessed(history: History, live: Live | None) -> bool:
    """Whether a trial ends when it is done, and does not say when: its budget is a limit, and no estimate."""
    return bool(history.run and not history.run.backend) and (live is None or live.eta_seconds is None)


def usual_training(history: History) -> float | None:
    """How many seconds the last trials trained; None before one had a score."""
    took = [e.measurement.train_seconds for e in history.experiments[-_LATELY:] if e.measurement]
    took = [seconds for seconds in took if math.isfinite(seconds) and seconds > 0]
    return statistics.median(took) if took else None


def _counted(history: History, live: Live | None, now: float) -> float | None:
    """Seconds that the trial under way has trained; None while none does."""
    p = history.pending
    if history.phase != "training" or p is None or p.ready_at is None:
        return None
    if live and live.seconds is not None and math.isfinite(live.seconds):
        return live.seconds + (_age(live, p, now) if p.held_since is None else 0.0)
    return (now if p.held_since is None else p.held_since) - p.ready_at - p.held_seconds


def _age(live: Live, p: Pending, now: float) -> float:
    """Seconds since the last report, where reports are so rare that waiting for the next would look like standing."""
    gap, at = live.usual_gap, last_sign(p, live)
    return min(gap, max(0.0, now - at)) if gap is not None and gap >= _SLOW_GAP_SECONDS and at is not None else 0.0


def score_in(history: History, live: Live | None, pace: Pace, now: float) -> float | None:
    """Seconds until the trial under way has its score; None where nothing is known of that yet, or it is overdue."""
    if not pace.evaluations or history.standing_still:
        return None
    evaluation = statistics.median(pace.evaluations)
    if history.phase == "evaluating":
        left: float | None = evaluation - (now - pace.since)
    elif history.phase == "training":
        training = training_left(history, live, now)
        left = None if training is None else training + evaluation
    elif history.phase == "startup" and pace.startups and history.run and has_start_up(history):
        startup = max(0.0, statistics.median(pace.startups) - (now - pace.since))
        training = usual_training(history) if is_guessed(history, live) else history.run.train_seconds
        left = None if training is None else startup + training + evaluation
    else:
        left = None
    return left if left is not None and math.isfinite(left) and left >= 1 else None


def over_at(history: History, live: Live | None, pace: Pace, now: float) -> float | None:
    """When the run will have reached its limit of experiments or hours, rounded; None where it has none, or waits."""
    engine, done = history.engine, len(history.experiments)
    if engine is None or history.ended or history.standing_still or len(pace.cycles) < 2:
        return None
    worked = history.active_seconds + max(0.0, now - history.last_time)
    ends = []
    if engine.experiments is not None:
        cycle = statistics.fmean(pace.cycles)
        # The baseline is no proposal; the experiment under way is one of those that are still to come.
        to_come = engine.experiments + 1 - done
        under_way = max(cycle - (worked - pace.cycle_from), score_in(history, live, pace, now) or 0.0)
        ends.append(under_way + max(0, to_come - 1) * cycle)
    if engine.hours is not None:
        ends.append(max(0.0, engine.hours * 3600 - worked))
    left = min(ends, default=math.nan)
    if not math.isfinite(left):
        return None
    grain = 60 if left < 3600 else 300 if left < 6 * 3600 else 600
    return math.ceil((now + left) / grain) * grain


# --- silence ---------------------------------------------------------------------------------------------------------


def last_sign(p: Pending, live: Live | None) -> float | None:
    """When the trial last reported, or last began or went on."""
    if p.ready_at is None:
        return None
    counted = live.seconds if live and live.seconds is not None and math.isfinite(live.seconds) else 0.0
    own = p.ready_at + p.held_seconds + counted
    return max(own, live.at) if live and live.at is not None else own


def silent_seconds(history: History, live: Live | None, pace: Pace, now: float) -> float | None:
    """For how long a trial has said nothing that should long have said something; None: all is well."""
    p = history.pending
    if p is None or p.held_since is not None or history.paused is not None:
        return None
    if history.phase == "startup":
        limits, took = budget(history), now - pace.trial_since
        late = limits is not None and has_start_up(history) and took > limits.startup_seconds + _GRACE_SECONDS
        return took if late else None
    at, gap = last_sign(p, live), _usual_gap(history, live)
    if history.phase != "training" or at is None or gap is None:
        return None
    silent = now - at
    return silent if silent > max(_LEAST_SILENCE_SECONDS, _GAPS * gap) else None


def _usual_gap(history: History, live: Live | None) -> float | None:
    """Seconds between two reports: of this trial, else of earlier ones; None where trials report nothing at all."""
    if live and live.reports:
        return live.usual_gap
    for e in reversed(history.experiments[-_LATELY:]):
        steps = as_float(e.measurement.findings.get("num_steps")) if e.measurement else None
        if e.measurement and steps is not None and steps > 0:
            return e.measurement.train_seconds / steps
    return _UNKNOWN_GAP_SECONDS if history.run and history.run.backend else None


def cut_in(history: History, pace: Pace, now: float) -> float | None:
    """Seconds until the engine ends a trial that trains and does not end by itself."""
    p, limits = history.pending, budget(history)
    if p is None or p.ready_at is None or limits is None:
        return None
    ends = p.ready_at + p.held_seconds + limits.train_seconds + limits.overtime_seconds
    left = min(ends, pace.trial_since + p.held_seconds + limits.timeout_seconds) - now
    return left if math.isfinite(left) and left > 0 else None
