"""What all viewers show: a pure fold of a run's journal, with what is known of its trial, its log and its engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from core import events as ev
from core.experiment import Experiment
from core.facts import fact, folded, replace
from core.history import History, Pending
from core.history import reduce as reduce_history
from tui import pace, text
from tui.asked import Asked, after
from tui.live import Live
from tui.load import Load
from tui.pace import Pace


@fact
class Log:
    """The end of one trial's log, cleaned. `thoughts`: what the agent says while it thinks of an experiment."""

    number: int
    lines: tuple[str, ...]
    thoughts: bool = False


@folded
class State:
    """All a viewer shows. `alive`: whether an engine holds the run, None before anybody looked; `engine_log`: its last
    words before the run began, or after the engine went."""

    history: History = field(default_factory=History)
    asked: Asked = ()  # commands that are still to take effect
    pace: Pace = field(default_factory=Pace)
    counts: Mapping[str, int] = field(default_factory=dict)  # by verdict; the baseline's is no keep
    live: Live | None = None
    load: Load | None = None
    log: Log | None = None
    alive: bool | None = None
    engine_log: tuple[str, ...] = ()
    sleep_trouble: str = ""  # that the machine may fall asleep under the engine, and why
    trouble: str = ""  # why the journal cannot be read any more
    resume: str | None = None  # the command that makes the run go on; "" where none does; None: by its tag
    recorded: bool = False  # nothing went on when it was opened to be looked at, nor since: that is no alarm
    replay: str = ""  # `60x` or `held`, where it is shown as it happened
    length_seconds: float | None = None  # of a replay: what engines spent on the whole of the run

    @property
    def tag(self) -> str:
        return text.one_line(self.history.run.tag) if self.history.run else ""

    @property
    def metric(self) -> str:
        """The name of the task's metric."""
        task = self.history.run.task if self.history.run else {}
        metric = task.get("metric")
        return text.one_line(str(metric.get("name", "metric"))) if isinstance(metric, Mapping) else "metric"

    @property
    def direction(self) -> str:
        """`min` or `max`: which way the metric is better."""
        task = self.history.run.task if self.history.run else {}
        metric = task.get("metric")
        return "max" if isinstance(metric, Mapping) and metric.get("direction") == "max" else "min"

    @property
    def best(self) -> Experiment | None:
        """The incumbent; None before the baseline is kept."""
        number = self.history.incumbent
        return None if number is None else find(self.history, number)

    def elapsed_seconds(self, now: float) -> float:
        """The time engines have spent on this run, the one at work included."""
        h = self.history
        working = self.alive and h.ended is None and h.last_time and not h.standing_still
        return h.active_seconds + (max(0.0, now - h.last_time) if working else 0.0)


def find(history: History, number: int) -> Experiment | None:
    """The finished experiment with this number."""
    experiments = history.experiments
    if 0 <= number < len(experiments) and experiments[number].number == number:
        return experiments[number]
    return next((e for e in experiments if e.number == number), None)


def reduce(state: State, event: ev.Event, at: float) -> State:
    """The state after one more event of the journal. Pure."""
    return fold(state, [(event, at)])


def fold(state: State, events: Iterable[tuple[ev.Event, float]]) -> State:
    """The state after all these events, each with its time: as `reduce` one by one, with one new state for all."""
    history, live, asked, paced = state.history, state.live, state.asked, state.pace
    for event, at in events:
        before, history = history, reduce_history(history, event, at)
        live = _live(live, history.pending)
        asked, paced = after(asked, event, history), pace.after(paced, before, history, event, at)
    if history is state.history:
        return state
    return replace(state, history=history, live=live, asked=asked, pace=paced, counts=_counts(state, history))


def _live(live: Live | None, pending: Pending | None) -> Live | None:
    if pending is None or not pending.trial:
        return None
    if live is not None and live.number == pending.number and live.trial == pending.trial:
        return live
    return Live(pending.number, pending.trial)


def _counts(state: State, history: History) -> Mapping[str, int]:
    """Finished experiments by verdict; only new ones are looked at."""
    before, now = state.history.experiments, history.experiments
    if now is before or len(now) == len(before):  # another trial changes no verdict
        return state.counts
    counts = dict(state.counts)
    for e in now[len(before) :]:
        if e.number > 0 or e.verdict.outcome != "keep":
            counts[e.verdict.outcome] = counts.get(e.verdict.outcome, 0) + 1
    return counts
