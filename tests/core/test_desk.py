"""What an agent may do at a run: speak, wait, write down, and have its conversation kept for a resume."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from conftest import autoresearch, until
from thinker import Thinker, close, fails, past_baseline, rate, record

from core import agents, control, opening
from core import events as ev
from core.experiment import Proposal
from core.history import fold
from core.launch import Options
from core.loop import REFUSALS_IN_A_ROW, propose


@pytest.fixture
def run(toy):
    with past_baseline(toy) as run:
        yield run


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


class Client:
    """Holds itself, as clients and event loops do."""

    def __init__(self) -> None:
        self.loop = self


def test_what_an_agent_leaves_behind_in_memory_goes_with_its_proposal(run):
    left: list[weakref.ref[Client]] = []

    def leaves(request: agents.Request) -> Proposal:
        left.append(weakref.ref(Client()))
        return rate("0.3", request)

    run.agent.does = [leaves]
    gc.disable()
    try:
        record(run, propose)
        assert [client() for client in left] == [None]
    finally:
        gc.enable()


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


# --- the conversation about a proposal -------------------------------------------------------


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


def test_hours_go_by_the_clock_while_a_server_is_waited_for_and_stand_still_in_a_pause(run):
    h, at = run.history, run.history.last_time
    h = fold([(ev.AgentWaits(1, "529 overloaded", 300.0), at + 10), (ev.CallReserved(1, 0, "m", 1, 0.0), at + 3610)], h)
    assert h.active_seconds - run.history.active_seconds == pytest.approx(3610)
    h = fold([(ev.RunPaused("paused by the user", ""), at + 3620), (ev.RunContinued(), at + 9000)], h)
    assert h.active_seconds - run.history.active_seconds == pytest.approx(3620)
    said = " ".join(autoresearch("run", "--help", cwd=run.workspace.root).stdout.split())
    assert "Stop after H hours by the clock: waiting for a server counts, a pause does not." in said
