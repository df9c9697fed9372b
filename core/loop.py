"""The loop: propose, commit, run, measure, judge, and keep what improved. It never stops by itself.

Each step looks first whether the journal already has its result, so going on after a crash is the same code as going
on. Every event is durable before the next line here runs: `core.run` drains this generator into the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core import agents
from core.errors import RunFailed
from core.events import (
    BranchMoved,
    Committed,
    Event,
    ExperimentDone,
    Judged,
    ProposalRefused,
    Proposed,
    Proposing,
    RunContinued,
    RunPaused,
)
from core.experiment import Proposal
from core.judge import Score
from core.measure import measure

if TYPE_CHECKING:
    from core.run import Run

BASELINE = Proposal({}, "baseline", "The artifact as committed: what everything else is measured against.")
REFUSALS_IN_A_ROW = 25


def research(run: Run) -> Iterator[Event]:
    """Do experiments on this run until a limit or the user ends it. START HERE."""
    while run.goes_on():
        yield from propose(run)
        yield from commit(run)
        yield from measure(run)
        yield from decide(run)
        yield from move_branch(run)
        yield from conclude(run)


def propose(run: Run) -> Iterator[Event]:
    """Ask the agent until it has an edit that no experiment has had. The first experiment is the baseline."""
    if run.in_flight.proposed:
        return
    number, best = run.history.next_number, run.history.best
    yield from run.hold_if_paused()
    if run.control.stopping or run.control.stopping_now:
        return
    yield Proposing(number, best.number if best else None)
    proposal, refusals = BASELINE if number == 0 else None, 0
    while proposal is None and not run.control.stopping_now:
        try:
            proposal = run.agent.propose(run.request())
            proposal = run.checked(proposal)
        except agents.Refused as refusal:
            proposal, refusals = None, refusals + 1
            yield ProposalRefused(number, refusal.reason, refusal.description)
            if refusals == REFUSALS_IN_A_ROW:
                mend = "change program.md or the artifact, or use another --agent"
                raise RunFailed(f"{refusals} proposals in a row were refused ({refusal.reason}); {mend}") from None
    if proposal is not None:
        yield Proposed(
            number,
            best.commit if best else run.base,
            best.number if best else None,
            dict(proposal.edits),
            proposal.description,
            proposal.hypothesis,
            dict(proposal.details),
        )


def commit(run: Run) -> Iterator[Event]:
    """Write the proposal into git on top of the incumbent, and pin it so that nothing is ever lost."""
    proposed = run.in_flight.proposed
    if proposed is None or run.in_flight.committed:
        return
    if proposed.edits:
        message = f"{proposed.description}\n\n{proposed.hypothesis}\n\nExperiment: {run.tag}/{proposed.number}\n"
        written = run.workspace.commit(proposed.parent, run.in_workspace(proposed.edits), message)
    else:
        written = proposed.parent  # the baseline is the artifact as committed
    ref = run.workspace.pin(run.tag, proposed.number, written)
    diff = run.workspace.diff(proposed.parent, written, run.artifact)
    yield Committed(proposed.number, written, ref, diff, run.lines(written))


def decide(run: Run) -> Iterator[Event]:
    """Keep, discard or crash: the judge compares finished facts."""
    p, best = run.in_flight, run.history.best
    if p.committed is None or p.judged or not (p.measurement or p.crashed):
        return
    number = best.number if best else None
    if p.crashed:
        skipped = p.crashed.reason == "skipped"
        yield Judged(p.number, "discard" if skipped else "crash", p.crashed.reason, number, None)
        return
    assert p.measurement is not None
    incumbent = Score(best.measurement.value, best.lines) if best and best.measurement else None
    verdict = run.policy(run.task.metric.direction, Score(p.measurement.value, p.committed.lines), incumbent)
    delta = p.measurement.value - incumbent.value if incumbent else None
    yield Judged(p.number, verdict.outcome, verdict.reason, number, delta)


def move_branch(run: Run) -> Iterator[Event]:
    """A keep moves the branch; reverting means not to move it. A branch that somebody holds is waited for."""
    p = run.in_flight
    if not (p.committed and p.judged) or p.judged.outcome != "keep" or run.history.tip == p.committed.commit:
        return
    while (obstacle := run.obstacle_to_move(p.committed.commit)) is not None:
        run.control.hold()  # before anybody can read that it waits, and say resume
        yield RunPaused(*obstacle)
        run.control.wait_while_paused()
        yield RunContinued()
        if run.control.stopping or run.control.stopping_now:
            return
    yield BranchMoved(p.number, run.history.tip, p.committed.commit)


def conclude(run: Run) -> Iterator[Event]:
    """The experiment is over once its verdict, and the move that follows from it, are durable."""
    p = run.in_flight
    if not (p.committed and p.judged) or (p.judged.outcome == "keep" and run.history.tip != p.committed.commit):
        return
    run.tidy(p)
    yield ExperimentDone(p.number)
    if run.control.pause_after:
        run.control.hold()
