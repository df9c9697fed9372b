"""The loop: propose, commit, run, measure, judge, and keep what improved. It never stops by itself.

Between proposal and commit the user may want a word, between crash and verdict the agent may mend its experiment, and
between two experiments there may be another trial of a finished one.

Each step looks first whether the journal already has its result, so going on after a crash is the same code as going
on. Every event is durable before the next line here runs: `core.run` drains this generator into the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core import agents
from core.errors import RunFailed
from core.events import (
    AgainDone,
    AgainStarted,
    ApprovalAwaited,
    BranchMoved,
    Committed,
    Event,
    ExperimentDone,
    Judged,
    ProposalRefused,
    Proposed,
    Proposing,
    RepairProposed,
)
from core.experiment import Proposal
from core.judge import Score
from core.measure import measure

if TYPE_CHECKING:
    from core.in_flight import Pending
    from core.run import Run

BASELINE = Proposal({}, "baseline", "The artifact as committed: what everything else is measured against.")
REFUSALS_IN_A_ROW = 25


def research(run: Run) -> Iterator[Event]:
    """Do experiments on this run until a limit or the user ends it. START HERE."""
    while run.goes_on():
        yield from repeat(run)
        yield from propose(run)
        yield from approve(run)
        yield from commit(run)
        yield from measure(run)
        yield from repair(run)
        yield from decide(run)
        yield from move_branch(run)
        yield from conclude(run)


def repeat(run: Run) -> Iterator[Event]:
    """Begin another trial of a finished experiment where the user has asked for one.

    It is in flight once more: `measure` runs its commit with a fresh seed, nothing is judged, and the branch stays.
    """
    if run.in_flight.proposed or run.history.repeats is None:
        return
    yield from run.hold_if_paused()
    number = run.history.repeats
    if number is not None and not (run.control.stopping or run.control.stopping_now):
        yield AgainStarted(number)


def propose(run: Run) -> Iterator[Event]:
    """Ask the agent until it has an edit that no experiment has had. The first experiment is the baseline."""
    if run.in_flight.proposed:
        return
    yield from run.hold_if_paused()
    if not run.wants_proposal():
        return
    number, best = run.history.next_number, run.history.best
    yield Proposing(number, best.number if best else None)
    proposal, refusals = BASELINE if number == 0 else None, 0
    while proposal is None and run.wants_proposal():
        if number:
            yield from run.proposals.news()
        run.desk.clear()
        try:
            proposal = run.agent.propose(run.proposals.request())
            proposal = run.proposals.checked(proposal)
        except agents.Refused as refusal:
            proposal, refusals = None, refusals + 1
            yield ProposalRefused(number, refusal.reason, refusal.description)
            run.desk.done()
            if refusals % REFUSALS_IN_A_ROW == 0:
                yield from give_up(run, refusals, refusal.reason)
        except agents.Unable as trouble:
            yield from run.wait_for_mend(trouble.reason, trouble.mend)
        except agents.CalledOff:
            return
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
        run.desk.done()


def give_up(run: Run, refusals: int, reason: str) -> Iterator[Event]:
    """So many refusals in a row: an agent that reads what it is told waits for the user, of any other the run ends."""
    said = f"{refusals} proposals in a row were refused ({reason})"
    if not run.agent.reads_notes:
        raise RunFailed(f"{said}; {agents.ANOTHER}")
    yield from run.wait_for_mend(said, "change program.md, or tell the agent something, then say resume")


def approve(run: Run) -> Iterator[Event]:
    """Show the proposal and wait for the user's yes or no, where the user wants that. The baseline is nobody's idea.

    The answer is recorded by the door (`core.wishes`), so a no leaves nothing in flight: the agent is asked anew.
    """
    p = run.in_flight
    if p.proposed is None or p.committed or p.approved or p.number == 0:
        return
    if not p.awaited:
        with run.control.undisturbed():  # turned off between these lines, it would wait for a yes that nobody owes it
            if not run.history.approval:
                return
            yield ApprovalAwaited(p.number, run.diff(p.proposed))
    run.control.wait_until(lambda: run.history.waiting is None)


def commit(run: Run) -> Iterator[Event]:
    """Write the proposal into git on top of the incumbent, and pin it so that nothing is ever lost."""
    p, proposed = run.in_flight, run.in_flight.proposed
    if proposed is None or p.awaited or p.committed:
        return
    if proposed.edits:
        trailers = f"Experiment: {run.tag}/{proposed.number}\n" + ("Edited-by-user: yes\n" if p.edited else "")
        message = f"{proposed.description}\n\n{proposed.hypothesis}\n\n{trailers}"
        written = run.workspace.commit(proposed.parent, run.in_workspace(proposed.edits), message)
    else:
        written = proposed.parent  # the baseline is the artifact as committed
    ref = run.workspace.pin(run.tag, proposed.number, written, len(p.repairs))
    diff = run.workspace.diff(proposed.parent, written, run.artifact)
    yield Committed(proposed.number, written, ref, diff, run.lines(written))


def repair(run: Run) -> Iterator[Event]:
    """Have the agent mend its own experiment that crashed, as often as it may; the mend is tried in its place.

    What the user skipped or wrote, the baseline, and a finished experiment's other trial are not the agent's to mend.
    """
    p = run.in_flight
    if not mendable(p):
        return
    while len(p.repairs) < run.agent.repairs and not (run.control.stopping or run.control.stopping_now):
        yield from run.hold_if_paused()
        run.desk.clear(repair=len(p.repairs) + 1)
        try:
            proposal = run.proposals.repaired(run.agent.propose(run.proposals.repair_request()))
        except (agents.Refused, agents.Exhausted) as refusal:
            yield ProposalRefused(p.number, f"no repair: {refusal}", p.proposed.description if p.proposed else "")
            run.desk.done()
            return
        except agents.Unable as trouble:
            yield from run.wait_for_mend(trouble.reason, trouble.mend)
        except agents.CalledOff:
            return
        else:
            yield RepairProposed(
                p.number,
                len(p.repairs) + 1,
                dict(proposal.edits),
                proposal.description,
                proposal.hypothesis,
                dict(proposal.details),
            )
            run.desk.done()
            return


def mendable(p: Pending) -> bool:
    """Whether it is a crash that the agent may still mend."""
    mine = p.crashed is not None and p.crashed.reason != "skipped" and not (p.again or p.edited or p.number == 0)
    return mine and p.judged is None and not p.beyond_repair


def decide(run: Run) -> Iterator[Event]:
    """Keep, discard or crash: the judge compares finished facts. A mend that a stop has cut off comes on resume."""
    p, best = run.in_flight, run.history.best
    if p.committed is None or p.judged or p.again or not (p.measurement or p.crashed):
        return
    if run.control.stopping_now and mendable(p) and len(p.repairs) < run.agent.repairs:
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
        yield from run.wait_for_mend(*obstacle)
        if run.control.stopping or run.control.stopping_now:
            return
    yield BranchMoved(p.number, run.history.tip, p.committed.commit)


def conclude(run: Run) -> Iterator[Event]:
    """The experiment is over once its verdict, and the move that follows from it, are durable.

    One that is in flight once more has its verdict: there the measurement, or the crash, is the end.
    """
    p = run.in_flight
    if p.again and (p.measurement or p.crashed):
        run.tidy(p)
        yield AgainDone(p.number)
    elif p.committed and p.judged and (p.judged.outcome != "keep" or run.history.tip == p.committed.commit):
        run.tidy(p)
        yield ExperimentDone(p.number)
    else:
        return
    if run.control.pause_after:
        run.control.hold()
