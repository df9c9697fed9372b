"""A crash of the agent's own experiment is the agent's to mend, twice, and nobody else's."""

from __future__ import annotations

import pytest
from conftest import git
from thinker import Thinker, close, crash, fails, past_baseline, record

from core import agents, control, opening
from core import events as ev
from core.experiment import Proposal, Repair
from core.history import fold
from core.journal import read
from core.launch import Options
from core.loop import approve, commit, conclude, decide, move_branch, propose, repair
from core.measure import measure


@pytest.fixture
def run(toy):
    with past_baseline(toy) as run:
        yield run


def test_a_crash_is_mended_on_the_same_parent_and_both_commits_stay(run, toy):
    record(run, propose, commit)
    first = run.in_flight.committed
    crash(run)
    record(run, repair)
    request = run.agent.asked[-1]
    assert request.crash == agents.Crash("RuntimeError: no", "Traceback\nRuntimeError: no", 1)
    assert "RATE = 0.11" in request.sources["train.py"], "what crashed, not the incumbent"
    record(run, approve, commit)
    mended = run.in_flight.committed
    assert mended.commit != first.commit
    assert run.in_flight.proposed.parent == git(toy, "rev-parse", f"{mended.commit}^").strip()
    run.record(ev.Measured(1, 2, 0.4, 1.0, 1.0, 1.0))
    record(run, repair, decide, move_branch, conclude)
    done = run.history.experiments[1]
    assert done.verdict.outcome == "keep"
    assert done.repairs == (Repair(first.commit, "RuntimeError: no"),)
    pins = git(toy, "for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", "refs/autoresearch/t").split("\n")
    assert {f"1 {first.commit}", f"1-r1 {mended.commit}"} < set(pins)
    assert fold(read(run.folder / "journal.jsonl")) == run.history


def test_repairs_are_counted(run):
    record(run, propose, commit)
    for k in (1, 2):
        crash(run, f"Error {k}")
        record(run, repair, commit)
        assert len(run.in_flight.repairs) == k
    crash(run, "Error 3")
    record(run, repair, decide, move_branch, conclude)
    assert len(run.agent.asked) == 3
    done = run.history.experiments[1]
    assert (done.verdict.outcome, done.verdict.reason) == ("crash", "Error 3")
    assert [r.reason for r in done.repairs] == ["Error 1", "Error 2"]


@pytest.mark.parametrize("answer", ["refuses", "nothing new"])
def test_without_a_mend_it_stays_a_crash(run, answer):
    same = lambda request: Proposal(dict(request.sources), "the same", "")  # noqa: E731
    record(run, propose, commit)
    run.agent.does = [fails(agents.Refused("no idea")) if answer == "refuses" else same]
    crash(run)
    record(run, repair)
    assert "no repair: " in run.history.last_refusal.reason
    record(run, repair, decide, move_branch, conclude)
    assert run.history.experiments[1].verdict.outcome == "crash"
    assert len(run.agent.asked) == 2


def test_what_is_not_the_agents_to_mend(run):
    record(run, propose, commit)
    crash(run, "skipped")
    record(run, repair, decide, move_branch, conclude)
    assert run.history.experiments[1].verdict.outcome == "discard"
    record(run, propose)
    run.record(ev.ApprovalAwaited(2, ""))
    control.send(run.folder, "approve", number=2, edits={"train.py": "RATE = 0.77\n"})
    record(run, commit)
    crash(run)
    record(run, repair)
    assert len(run.agent.asked) == 2


def test_a_mend_waits_for_the_users_word_and_may_be_rejected(run, toy):
    run.record(ev.ApprovalTurned(True))
    record(run, propose)
    run.record(ev.ApprovalAwaited(1, ""))
    control.send(run.folder, "approve", number=1)
    record(run, commit)
    crash(run)
    record(run, repair)
    run.record(ev.ApprovalAwaited(1, ""))
    control.send(run.folder, "reject", number=1, reason="leave it")
    record(run, propose, commit, repair, decide, move_branch, conclude)
    done = run.history.experiments[1]
    assert (done.verdict.outcome, done.repairs) == ("crash", ())
    assert len(run.agent.asked) == 2
    assert [n.text for n in run.history.notes] == ["leave it"]


def test_a_stop_in_mid_mend_leaves_the_crash_to_be_mended_on_resume(run, toy):
    def called_off(request: agents.Request) -> Proposal:
        run.control.stopping_now = True
        raise agents.CalledOff

    record(run, propose, commit)
    crash(run)
    run.agent.does = [called_off]
    record(run, repair, decide, move_branch, conclude)
    assert len(run.history.experiments) == 1
    close(run)
    again = opening.open_run(Options(str(toy), resume="t"), lambda line: None)
    again.agent = Thinker()
    record(again, measure, repair, commit)
    close(again)
    assert [r.crash.repair for r in again.agent.asked] == [1]
    assert again.in_flight.committed is not None
