"""The experiment in flight: what is known of it so far, and how that changes."""

from __future__ import annotations

from typing import Literal

from core import events as ev
from core.experiment import Experiment, Measurement, Repair, Verdict
from core.facts import folded, replace

Phase = Literal[
    "starting", "proposing", "approving", "committing", "startup", "training", "evaluating", "deciding", "ended"
]


@folded
class Pending:
    """The experiment in flight: what is known of it so far."""

    number: int
    proposed: ev.Proposed | None = None
    committed: ev.Committed | None = None
    trial: int = 0  # of the last trial that was started
    trial_open: bool = False  # started and neither done with its measurement, nor crashed, nor void
    pid: int | None = None
    trials: int = 0  # trials that were measured or crashed
    measurement: Measurement | None = None
    crashed: ev.Crashed | None = None
    judged: ev.Judged | None = None
    held_since: float | None = None
    ready_at: float | None = None
    held_seconds: float = 0.0  # within this trial, since READY
    awaited: ev.ApprovalAwaited | None = None  # it waits for the user's word
    approved: bool = False
    edited: bool = False  # the user changed the proposal
    again: bool = False  # another trial of a finished experiment
    repairs: tuple[Repair, ...] = ()  # attempts at it that crashed, before the one under way
    before: Pending | None = None  # the last of them as it stood, for as long as its mend may still be rejected
    beyond_repair: bool = False  # the agent has no mend for the crash, or the user did not want it
    engines_lost: int = 0  # that went down in a trial of this commit

    @property
    def scored(self) -> bool:
        """Whether its trials are over, so that what is left to do takes no time."""
        return self.measurement is not None or self.judged is not None

    def finished(self) -> Experiment | None:
        """The experiment that it has become; None where something is missing for that."""
        if not (self.proposed and self.committed and self.judged):
            return None
        return Experiment(
            number=self.number,
            commit=self.committed.commit,
            parent=self.proposed.parent,
            description=self.proposed.description,
            hypothesis=self.proposed.hypothesis,
            diff=self.committed.diff,
            lines=self.committed.lines,
            details=self.proposed.details,
            measurement=self.measurement,
            verdict=Verdict(self.judged.outcome, self.judged.reason),
            incumbent=self.judged.incumbent,
            delta=self.judged.delta,
            trials=self.trials,
            trial=self.trial,
            log_tail=self.crashed.log_tail if self.crashed else "",
            edited=self.edited,
            repairs=self.repairs,
        )


def approved(p: Pending, event: ev.Approved) -> Pending:
    """After the user's yes, to the proposal or to a version of the user's own."""
    if event.edits is None or p.proposed is None:
        return replace(p, awaited=None, approved=True)
    proposed = replace(p.proposed, edits=event.edits, details={})  # what the agent knew of it is no longer so
    if event.description:
        why = f"The agent proposed: {p.proposed.description}. {p.proposed.hypothesis}".strip()
        proposed = replace(proposed, description=event.description, hypothesis=why)
    return replace(p, awaited=None, approved=True, edited=True, proposed=proposed)


def repaired(p: Pending, event: ev.RepairProposed) -> Pending:
    """What crashed is an attempt, and its mend stands in its place: on the same parent, still to be committed."""
    if p.proposed is None or p.committed is None or p.crashed is None:
        return p  # a foreign or damaged line
    proposed = replace(
        p.proposed,
        edits=event.edits,
        description=event.description or p.proposed.description,
        hypothesis=event.hypothesis or p.proposed.hypothesis,
        details=event.details,
    )
    attempts = (*p.repairs, Repair(p.committed.commit, p.crashed.reason))
    crashed = replace(p, before=None)
    p = replace(p, proposed=proposed, committed=None, crashed=None, approved=False, engines_lost=0)
    return replace(p, repairs=attempts, before=crashed)


def once_more(e: Experiment) -> Pending:
    """A finished experiment, in flight for another trial."""
    return Pending(
        e.number,
        proposed=ev.Proposed(e.number, e.parent, e.incumbent, {}, e.description, e.hypothesis, e.details),
        committed=ev.Committed(e.number, e.commit, "", e.diff, e.lines),
        trial=max([e.trial, *(r.trial for r in e.repeats)]),
        trials=e.trials,
        edited=e.edited,
        again=True,
    )
