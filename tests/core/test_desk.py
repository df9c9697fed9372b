"""What an agent may do at a run: spend within a cap, be held up, write down, mend its crash. Nothing is paid twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import git, rates_agent, until

from core import agents, control, opening
from core import events as ev
from core.desk import Paper
from core.errors import UsageError
from core.experiment import Proposal, Repair
from core.history import fold
from core.journal import read
from core.launch import Options
from core.loop import REFUSALS_IN_A_ROW, approve, commit, conclude, decide, move_branch, propose, repair
from core.proposals import program
from core.run import Run
from core.spending import Spent, Usage
from core.task import Budget, Metric, Task


class Thinker:
    """An agent that does what it is told, once for each time it is asked."""

    reads_notes = True
    repairs = 2

    def __init__(self) -> None:
        self.asked: list[agents.Request] = []
        self.does: list[Callable[[agents.Request], Proposal]] = []

    def propose(self, request: agents.Request) -> Proposal:
        self.asked.append(request)
        if self.does:
            return self.does.pop(0)(request)
        return rate(f"0.{len(self.asked)}1", request)


def rate(value: str, request: agents.Request) -> Proposal:
    lines = [f"RATE = {value}" if x.startswith("RATE") else x for x in request.sources["train.py"].splitlines()]
    return Proposal({"train.py": "\n".join(lines) + "\n"}, f"rate {value}", "why not", {"agent": "thinker"})


def fails(error: Exception) -> Callable[[agents.Request], Proposal]:
    def do(request: agents.Request) -> Proposal:
        raise error

    return do


def opened(toy: Path, **options) -> Run:
    options.setdefault("agent", rates_agent(toy))
    run = opening.open_run(Options(str(toy), tag="t", **options), lambda line: None)
    run.agent = Thinker()
    return run


def close(run: Run) -> None:
    run.control.close()
    run._journal.close()
    while opening._locks:
        opening._locks.pop().close()


@pytest.fixture
def run(toy):
    """A run in this process, past its baseline, with an agent of the test's."""
    priced = {"model": "m", "price_in": 1.0, "price_out": 2.0}
    run = opened(toy, agent="claude", agent_options=priced, max_dollars=1.0, max_tokens=40_000)
    record(run, propose, commit)
    run.record(ev.Measured(0, 1, 0.5, 1.0, 1.0, 1.0))
    record(run, decide, move_branch, conclude)
    yield run
    close(run)


def record(run: Run, *stations) -> None:
    for station in stations:
        for event in station(run):
            run.record(event)


def crash(run: Run, reason: str = "RuntimeError: no") -> None:
    run.record(ev.Crashed(run.in_flight.number, run.in_flight.trial + 1, reason, "Traceback\nRuntimeError: no", 1.0))


def events(run: Run, kind: type) -> list:
    return [event for event, _ in read(run.folder / "journal.jsonl") if isinstance(event, kind)]


# --- what it costs -------------------------------------------------------------------------------


def test_what_was_set_aside_counts_until_it_is_settled():
    spent = Spent().reserved(0, 1000, 0.5).reserved(1, 500, None)
    assert (spent.worst_tokens, spent.worst_dollars, spent.calls) == (1500, 0.5, 2)
    spent = spent.settled(0, Usage(100, 20, 30, 4), 0.1)
    assert (spent.tokens, spent.dollars, spent.cached) == (154, 0.1, 20)
    assert (spent.worst_tokens, spent.worst_dollars) == (654, 0.1)
    assert spent.settled(0, Usage(100), 0.1) == spent
    assert spent.settled(7, Usage(100), 0.1) == spent


def test_a_cap_holds_over_settled_and_open_calls_and_restarts(run, toy):
    first = run.desk.reserve("m", 1000, 0.6)
    run.desk.settle(first, Usage(input=200), 0.1)
    lost = run.desk.reserve("m", 1000, 0.6)  # never settled: its engine was killed
    assert lost == first + 1
    with pytest.raises(agents.CapReached, match=r"\$1\.30.*cap is \$1\.00; .*autoresearch resume t --max-dollars"):
        run.desk.reserve("m", 1000, 0.6)
    with pytest.raises(agents.CapReached, match=r"41,200 tokens, and the cap is 40,000; .*--max-tokens"):
        run.desk.reserve("m", 40_000, 0.2)
    with pytest.raises(UsageError, match=r"the price of m is not known; give it with --price IN/OUT"):
        run.desk.reserve("m", 10, None)
    close(run)
    again = opening.open_run(Options(str(toy), resume="t"), lambda line: None)
    try:
        assert (again.history.engine.max_dollars, again.history.engine.max_tokens) == (1.0, 40_000)
        assert again.history.spent.worst_dollars == pytest.approx(0.7)
        with pytest.raises(agents.CapReached):
            again.desk.reserve("m", 1000, 0.6)
        assert again.desk.reserve("m", 10, 0.2) == lost + 1
    finally:
        close(again)


def test_a_resumed_run_may_get_another_cap_and_another_model(run, toy):
    close(run)
    for value in (0, -1.0):
        with pytest.raises(UsageError, match="must be a number above 0"):
            opening.open_run(Options(str(toy), resume="t", max_dollars=value), lambda line: None)
        while opening._locks:
            opening._locks.pop().close()
    options = Options(str(toy), resume="t", max_dollars=9.0, agent_options={"model": "m2"})
    again = opening.open_run(options, lambda line: None)
    engine = again.history.engine
    close(again)
    assert (engine.max_dollars, engine.max_tokens, engine.agent_options["model"]) == (9.0, 40_000, "m2")


def test_a_run_whose_cap_is_reached_is_done(run):
    run.agent.does = [fails(agents.CapReached("enough"))]
    with pytest.raises(agents.Exhausted):
        record(run, propose)


# --- what it says, where it waits ----------------------------------------------------------------


def test_what_it_says_is_shown_and_bounded(run, monkeypatch):
    record_number = run.in_flight.number
    run.desk.say("thinking…\n")
    monkeypatch.setattr("core.desk.MOST_SAID", 20)
    run.desk.say("x" * 100)
    assert (run.folder / "agent" / f"{record_number}.log").read_bytes() == "thinking…\n".encode() + b"x" * 8
    (run.folder / "agent" / f"{record_number}.log").unlink()
    (run.folder / "agent" / f"{record_number}.log").mkdir()
    run.desk.say("no place")  # and nothing is raised


def test_notes_to_itself_stay_and_are_plain(run):
    run.desk.remember("depth \x1b[31mhelps\x1b[0m\x07 ")
    run.desk.remember("   ")
    assert [(n.number, n.text) for n in run.history.memory] == [(1, "depth helps")]


def test_waiting_ends_when_the_run_is_to_stop_and_says_what_for(run):
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(run.desk.wait(600.0, "529 overloaded\x07")))
    thread.start()
    until(lambda: run.history.waits is not None)
    assert (run.history.waits.reason, run.history.waits.seconds) == ("529 overloaded", 600.0)
    control.send(run.folder, "stop-now")
    thread.join(20)
    assert waited == [False]
    assert run.desk.stopping


def test_a_pause_holds_a_wait_and_the_next_call_and_resume_tries_at_once(run):
    did: list[object] = []
    thread = threading.Thread(target=lambda: did.append(run.desk.wait(600.0, "down")))
    thread.start()
    until(lambda: run.history.waits is not None)
    assert "a wait of it holds now" in control.send(run.folder, "pause") or run.history.phase != "proposing"
    until(lambda: run.history.paused is not None)
    assert run.history.waits is None
    control.send(run.folder, "resume")
    thread.join(20)
    assert did == [True]
    control.send(run.folder, "pause")
    thread = threading.Thread(target=lambda: did.append(run.desk.reserve("m", 1, 0.01)))
    thread.start()
    until(lambda: run.history.paused is not None)
    assert run.history.spent.calls == 0
    control.send(run.folder, "resume")
    thread.join(20)
    assert did[1:] == [0]


def test_an_agent_that_is_refused_on_and_on_pauses_the_run_until_it_is_told_something(run):
    run.agent.does = [fails(agents.Refused("no idea"))] * REFUSALS_IN_A_ROW
    thread = threading.Thread(target=lambda: record(run, propose))
    thread.start()
    until(lambda: run.history.paused is not None)
    assert run.history.paused.reason == "25 proposals in a row were refused (no idea)"
    control.send(run.folder, "resume")
    thread.join(20)
    assert run.history.pending.proposed is not None


def test_waiting_does_not_outlast_the_hours_of_the_run(run, toy):
    close(run)
    again = opening.open_run(Options(str(toy), resume="t", hours=0.2 / 3600), lambda line: None)
    try:
        again.agent = Thinker()
        again.agent.does = [lambda request: request.desk.wait(600.0, "down") or fails(agents.CalledOff())(request)]
        record(again, propose)
        assert again.history.waits.seconds <= 0.2
        assert again.history.pending.proposed is None
        assert not again.goes_on()
    finally:
        close(again)


def test_a_short_wait_is_over_by_itself(run):
    assert run.desk.wait(0.01, "soon")
    run.desk.reserve("m", 1, 0.01)
    assert run.history.waits is None, "what follows tells that it is over"


def test_an_agent_that_cannot_work_pauses_the_run_and_is_asked_again(run):
    run.agent.does = [fails(agents.Unable("401 invalid x-api-key", "set ANTHROPIC_API_KEY"))]
    thread = threading.Thread(target=lambda: record(run, propose))
    thread.start()
    until(lambda: run.history.paused is not None)
    assert (run.history.paused.reason, run.history.paused.mend) == ("401 invalid x-api-key", "set ANTHROPIC_API_KEY")
    assert control.send(run.folder, "resume") == "goes on"
    thread.join(20)
    assert run.history.pending.proposed is not None
    assert len(run.agent.asked) == 2


def test_an_agent_called_off_leaves_nothing_in_flight(run):
    run.agent.does = [fails(agents.CalledOff())]
    record(run, propose)
    assert run.history.pending.proposed is None


# --- the conversation about a proposal -----------------------------------------------------------


def test_kept_turns_survive_the_engine_and_end_with_the_proposal(run, toy):
    def killed(request: agents.Request) -> Proposal:
        request.desk.keep({"role": "assistant", "content": "ä"})
        request.desk.keep({"role": "user"})
        raise KeyboardInterrupt

    run.agent.does = [killed]
    with pytest.raises(KeyboardInterrupt):
        record(run, propose)
    close(run)
    with (run.folder / "agent" / "1.turns.jsonl").open("ab") as file:
        file.write(b'{"torn')
    again = opening.open_run(Options(str(toy), resume="t"), lambda line: None)
    try:
        again.agent, found = Thinker(), []
        again.agent.does = [lambda request: found.extend(request.desk.kept()) or rate("0.3", request)]
        record(again, propose)
        assert found == [{"role": "assistant", "content": "ä"}, {"role": "user"}]
        assert again.desk.kept() == []
    finally:
        close(again)


def test_a_refusal_ends_the_conversation(run):
    def refused(request: agents.Request) -> Proposal:
        assert request.desk.kept() == []
        request.desk.keep({"role": "assistant"})
        (request.desk.folder / "x").write_text("")
        raise agents.Refused("no idea")

    run.agent.does = [refused, refused]
    record(run, propose)
    assert len(run.agent.asked) == 3
    assert not list((run.folder / "agent").glob("*.jsonl"))


@pytest.mark.parametrize("place", ["program.md", "task/program.md"])
def test_a_program_that_the_task_does_not_name_is_found_beside_it_or_in_the_workspace(tmp_path, place):
    task = Task("task", "t", ("x",), Metric("m", "min"), Budget(1, 1, 1), {})
    (tmp_path / "task").mkdir()
    (tmp_path / "program.md").write_text("of the workspace")
    (tmp_path / place).write_text("this one")
    assert program(tmp_path, task) == "this one"
    assert program(tmp_path / "elsewhere", task) == ""


def test_the_program_is_recorded_when_it_changes_and_only_then(toy):
    (toy / "program.md").write_text("be bold")
    (toy / "task.toml").write_text((toy / "task.toml").read_text().replace("[task]", '[task]\nprogram = "program.md"'))
    git(toy, "add", "-A")
    git(toy, "commit", "-q", "-m", "program")
    run = opened(toy)
    try:
        for measured in (0.5, 0.4, 0.3):
            record(run, propose, commit)
            run.record(ev.Measured(run.in_flight.number, 1, measured, 1.0, 1.0, 1.0))
            record(run, decide, move_branch, conclude)
            if measured == 0.4:
                (toy / "program.md").write_text("be careful")
        assert [(e.number, e.text) for e in events(run, ev.ProgramRead)] == [(1, "be bold"), (2, "be careful")]
        assert [r.program for r in run.agent.asked] == ["be bold", "be careful"]
        assert run.history.program == "be careful"
    finally:
        close(run)


# --- repairs -------------------------------------------------------------------------------------


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


# --- paper ---------------------------------------------------------------------------------------


def test_a_desk_on_paper_holds_the_same_caps(tmp_path):
    desk = Paper(tmp_path, max_dollars=1.0)
    desk.settle(desk.reserve("m", 10, 0.6), Usage(input=5), 0.2)
    desk.reserve("m", 10, 0.6)
    with pytest.raises(agents.CapReached):
        desk.reserve("m", 10, 0.6)
    with pytest.raises(UsageError):
        desk.reserve("m", 10, None)
