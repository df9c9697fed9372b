"""What the events add up to. A pure fold: engine, agents and viewers all read a run through it.

history = fold(events)          # or, one event at a time: history = reduce(history, event, time)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from core import events as ev
from core.experiment import Experiment, Measurement, Repeat
from core.facts import folded, replace
from core.in_flight import Pending, Phase, approved, once_more, repaired
from core.notes import Note
from core.spending import Spent, Usage

__all__ = ["History", "Pending", "Phase", "fold", "reduce"]


@folded
class History:
    """Everything the journal says. `experiments` holds finished ones only, in the order of their numbers."""

    run: ev.RunStarted | None = None
    started_at: float = 0.0
    engine: ev.EngineStarted | None = None
    experiments: tuple[Experiment, ...] = ()
    pending: Pending | None = None
    incumbent: int | None = None  # a number
    tip: str | None = None  # where the branch points, by the journal
    phase: Phase = "starting"
    paused: ev.RunPaused | None = None
    paused_since: float | None = None
    ended: ev.RunEnded | None = None
    ended_before: ev.RunEnded | None = None  # how it had ended when engines came for further trials alone
    refused: int = 0
    last_refusal: ev.ProposalRefused | None = None
    notes: tuple[Note, ...] = ()
    notes_asked: int = 0  # how many there were when the agent was last asked
    notes_read: int = 0  # how many there were at the asking that it has answered
    memory: tuple[Note, ...] = ()  # the agent's notes to itself
    program: str = ""  # program.md as it was last read
    programs: int = 0  # how many versions of it were read
    spent: Spent = field(default_factory=Spent)
    waits: ev.AgentWaits | None = None  # what the agent waits for before it tries again, if it does
    waits_since: float = 0.0
    rejected: tuple[ev.Proposed, ...] = ()
    approval: bool = False  # whether every proposal waits for the user's word
    asked_again: tuple[int, ...] = ()  # experiments that the user wants another trial of
    aside: Pending | None = None  # was in flight when an engine came for such trials alone; it is again after each
    last_time: float = 0.0
    active_seconds: float = 0.0  # the time engines have spent on this run, pauses left out

    @property
    def best(self) -> Experiment | None:
        """The incumbent as an experiment; None before the baseline is kept."""
        return next((e for e in reversed(self.experiments) if e.number == self.incumbent), None)

    @property
    def plan(self) -> str:
        """The sentence that was said before the last engine began."""
        return (self.engine and self.engine.plan) or (self.run.plan if self.run else "")

    @property
    def standing_still(self) -> bool:
        """Whether a pause is in force, between trials or within one."""
        p = self.pending
        return self.paused is not None or (p is not None and (p.held_since is not None or p.awaited is not None))

    @property
    def waiting(self) -> ev.Proposed | None:
        """The proposal that waits for the user's word."""
        return self.pending.proposed if self.pending and self.pending.awaited else None

    @property
    def under_way(self) -> Pending | None:
        """The experiment in flight, if it is to be brought to its end now: an engine that is there for further trials
        alone leaves one without a score as it stands."""
        p, left = self.pending, self.engine is not None and self.engine.only_asked
        return None if p and left and p.proposed and not (p.again or p.scored) else p

    @property
    def next_number(self) -> int:
        """Of the experiment in flight, or of the next one where none is."""
        return self.pending.number if self.pending and not self.pending.again else len(self.experiments)

    @property
    def repeats(self) -> int | None:
        """The finished experiment whose turn it is to have another trial; None while something else is in flight."""
        p = self.under_way
        free = p is None or p.again or p.proposed is None
        return self.asked_again[0] if free and self.asked_again else None

    def count(self, outcome: str) -> int:
        """Finished experiments with this verdict. The baseline is no keep: it is what keeps are measured against."""
        return sum(e.verdict.outcome == outcome and (e.number > 0 or outcome != "keep") for e in self.experiments)

    @property
    def proposals(self) -> int:
        """Finished experiments after the baseline."""
        return sum(e.number > 0 for e in self.experiments)


def fold(stream: Iterable[tuple[ev.Event, float]], history: History | None = None) -> History:
    """The history after all these (event, time)."""
    history = history or History()
    for event, time in stream:
        history = reduce(history, event, time)
    return history


def reduce(h: History, event: ev.Event, time: float) -> History:
    """The history after one more event. Pure."""
    h = replace(h, last_time=time, active_seconds=h.active_seconds + _worked(h, event, time))
    match event:
        case ev.RunStarted():
            return replace(h, run=event, started_at=time)
        case ev.EngineStarted():
            phase: Phase = "approving" if h.waiting else "starting"
            before = h.ended_before if h.engine and h.engine.only_asked else h.ended
            h = replace(h, engine=event, ended=None, ended_before=before)
            return replace(h, paused=None, paused_since=None, phase=phase, waits=None)
        case ev.RunPaused():
            return replace(h, paused=event, paused_since=time, waits=None)
        case ev.RunContinued():
            return replace(h, paused=None, paused_since=None)
        case ev.RunEnded():
            return replace(h, ended=event, phase="ended", paused=None, paused_since=None)
        case ev.Proposing():
            return replace(h, phase="proposing", pending=Pending(event.number), notes_asked=len(h.notes))
        case ev.ProposalRefused():
            p = h.pending
            unmended = replace(p, beyond_repair=True) if p and p.crashed else p
            return replace(
                h, refused=h.refused + 1, last_refusal=event, notes_read=h.notes_asked, waits=None, pending=unmended
            )
        case ev.ProgramRead():
            return replace(h, program=event.text, programs=h.programs + 1)
        case ev.CallReserved():
            return replace(h, spent=h.spent.reserved(event.call, event.tokens, event.dollars), waits=None)
        case ev.CallSettled():
            usage = Usage(event.input, event.cache_read, event.cache_write, event.output)
            return replace(h, spent=h.spent.settled(event.call, usage, event.dollars))
        case ev.AgentWaits():
            return replace(h, waits=event, waits_since=time)
        case ev.Remembered():
            return replace(h, memory=(*h.memory, Note(event.number, event.text, time)))
        case ev.Acknowledged():
            return h
        case ev.Steered():
            return replace(h, notes=(*h.notes, Note(_reader(h), event.text, time)))
        case ev.ApprovalTurned():
            h = replace(h, approval=event.on)
            off = h.pending if h.waiting and not event.on else None
            if h.aside and h.aside.awaited and not event.on:
                h = replace(h, aside=replace(h.aside, awaited=None, approved=True))
            return replace(h, phase="committing", pending=replace(off, awaited=None, approved=True)) if off else h
        case ev.AgainAsked() if any(e.number == event.number for e in h.experiments):
            return replace(h, asked_again=(*h.asked_again, event.number))
        case ev.AgainStarted():
            return _again(h, event.number)
        case ev.AgainDone():
            return _repeated(h, event.number)
        case _:
            return _experiment(h, event, time)


def _reader(h: History) -> int:
    """The number of the next experiment to be proposed. One that waits for the user's word may be proposed anew."""
    p = h.pending
    begun = p is not None and p.proposed is not None and not (p.awaited or p.again)
    return h.next_number + begun


def _worked(h: History, event: ev.Event, time: float) -> float:
    """Seconds since the last event, if an engine was at work between the two."""
    between_engines = isinstance(event, ev.RunStarted | ev.EngineStarted) or h.ended is not None
    return 0.0 if between_engines or h.standing_still or not h.last_time else max(0.0, time - h.last_time)


def _experiment(h: History, event: ev.Event, time: float) -> History:
    p = h.pending or Pending(getattr(event, "number", 0))
    match event:
        case ev.Proposed():
            pending = Pending(event.number, proposed=event)
            return replace(h, phase="committing", pending=pending, notes_read=h.notes_asked, waits=None)
        case ev.ApprovalAwaited():
            return replace(h, phase="approving", pending=replace(p, awaited=event))
        case ev.Approved():
            return replace(h, phase="committing", pending=approved(p, event))
        case ev.Rejected():
            return _rejected(h, p, event, time)
        case ev.Committed():
            return replace(h, pending=replace(p, committed=event))
        case ev.TrialStarted():
            p = replace(
                p, trial=event.trial, trial_open=True, pid=event.pid, ready_at=None, held_since=None, held_seconds=0.0
            )
            return replace(h, phase="startup", pending=p)
        case ev.TrialReady():
            return replace(h, phase="training", pending=replace(p, ready_at=time, held_seconds=0.0))
        case ev.TrialHeld():
            return replace(h, pending=replace(p, held_since=time))
        case ev.TrialContinued():
            return replace(h, pending=replace(p, held_since=None, held_seconds=p.held_seconds + event.held_seconds))
        case ev.TrialDone():
            return replace(h, phase="evaluating", pending=replace(p, held_since=None))
        case ev.TrialVoid():
            lost = p.engines_lost + event.engine_gone
            return replace(h, pending=replace(p, trial_open=False, held_since=None, engines_lost=lost))
        case ev.Measured():
            m = Measurement(event.value, event.train_seconds, event.total_seconds, event.peak_memory_mb,
                            event.findings, event.self_reported)  # fmt: skip
            p = replace(p, measurement=m, trial=p.trial or event.trial, trials=p.trials + 1, trial_open=False)
            return replace(h, phase="deciding", pending=p)
        case ev.Crashed():
            p = replace(p, crashed=event, trial=p.trial or event.trial, trials=p.trials + 1, trial_open=False)
            return replace(h, phase="deciding", pending=p)
        case ev.RepairProposed():
            return replace(h, phase="committing", pending=repaired(p, event), waits=None)
        case ev.Judged():
            return replace(h, pending=replace(p, judged=event))
        case ev.BranchMoved():
            return replace(h, tip=event.new)
        case ev.ExperimentDone():
            return _finished(h, p)
    return h


def _finished(h: History, p: Pending) -> History:
    experiment = p.finished()
    if experiment is None or (h.experiments and p.number <= h.experiments[-1].number):
        return h  # a foreign or damaged line: nothing to conclude from it
    return replace(
        h,
        experiments=(*h.experiments, experiment),
        pending=None,
        incumbent=experiment.number if experiment.verdict.outcome == "keep" else h.incumbent,
        phase="starting",
    )


# --- the user's word on a proposal, and another trial of what is finished --------------------------------------------


def _rejected(h: History, p: Pending, event: ev.Rejected, time: float) -> History:
    if p.proposed is None:
        return h
    described = p.proposed.description
    return replace(
        h,
        phase="deciding" if p.before else "proposing",  # of a mend that nobody wants the crash is left
        pending=replace(p.before, beyond_repair=True) if p.before else Pending(event.number),
        refused=h.refused + 1,
        last_refusal=ev.ProposalRefused(event.number, f"rejected: {event.reason}", described),
        rejected=(*h.rejected, p.proposed),
        notes=(*h.notes, Note(event.number, event.reason, time, described)),
    )


def _again(h: History, number: int) -> History:
    e = next((e for e in h.experiments if e.number == number), None)
    if e is None:
        return h  # a foreign or damaged line
    p = h.pending
    return replace(h, pending=once_more(e), aside=p if p and p.proposed and not p.again else h.aside)


def _repeated(h: History, number: int) -> History:
    p = h.pending
    if p is None or not p.again or p.number != number:
        return h
    repeat = Repeat(p.trial, p.measurement, p.crashed.reason if p.crashed else "")
    experiments = tuple(
        replace(e, trials=p.trials, repeats=(*e.repeats, repeat)) if e.number == number else e for e in h.experiments
    )
    at = h.asked_again.index(number) if number in h.asked_again else len(h.asked_again)
    left = (*h.asked_again[:at], *h.asked_again[at + 1 :])
    phase: Phase = "approving" if h.aside and h.aside.awaited else "starting"
    return replace(h, experiments=experiments, asked_again=left, pending=h.aside, aside=None, phase=phase)
