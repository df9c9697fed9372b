"""Another trial of a run that has ended or was stopped: an engine for it alone, which leaves the run as it stood."""

from __future__ import annotations

import json

import pytest
from conftest import autoresearch, ended, git, history, kill_engine, until, waits
from test_again import noisy, rates  # noqa: F401 - a fixture
from test_approval import events

from core import control
from core.errors import UsageError
from core.events import AgainDone, EngineStarted, Proposed, Proposing, RunEnded
from core.history import fold
from core.launch import Options, launch
from core.records import to_record


def in_trial(folder, number):
    p = history(folder).pending
    return p is not None and p.number == number and p.trial_open


def test_of_a_run_that_is_done(noisy, engines):  # noqa: F811
    folder = engines(Options(str(noisy), agent=rates(noisy, "0.4", "0.9", "0.8"), tag="t", experiments=2))
    ended(folder)
    branch, proposals = git(noisy, "rev-parse", "autoresearch/t"), len(events(folder, Proposing))
    engines(Options(str(noisy), resume="t", experiments=0, again=(0, 1, 0)))
    h = ended(folder)
    assert [len(e.repeats) for e in h.experiments] == [2, 1, 0]
    assert (h.ended.reason, h.ended.message) == ("done", "the limit was reached")
    assert [d.number for d in events(folder, AgainDone)] == [0, 1, 0]
    assert len(events(folder, Proposing)) == proposals
    assert git(noisy, "rev-parse", "autoresearch/t") == branch
    started = events(folder, EngineStarted)[-1]
    assert started.plan == "3 further trials of #0, #1 of at most 5 s, 15 s in all, and no proposal"
    assert started.experiments == 2
    engines(Options(str(noisy), resume="t", experiments=1))
    assert [e.number for e in ended(folder).experiments] == [0, 1, 2, 3]


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_in_flight_is_left_as_it_stands(noisy, engines, killed):  # noqa: F811
    folder = engines(Options(str(noisy), agent=rates(noisy, "0.4", "0.9", seconds=2), tag="t", experiments=2))
    until(lambda: in_trial(folder, 1))
    if killed:
        kill_engine(folder)
    else:
        control.send(folder, "stop-now")
    before = ended(folder).pending
    assert before.number == 1
    assert before.trial_open is killed
    engines(Options(str(noisy), resume="t", experiments=0, again=(0,)))
    h = ended(folder)
    assert len(h.experiments[0].repeats) == 1
    assert h.pending == before
    assert (h.ended.reason, h.ended.message) == ("stopped", "what was asked for is done")
    engines(Options(str(noisy), resume="t"))
    h = ended(folder)
    assert [e.number for e in h.experiments] == [0, 1, 2]
    assert [p.number for p in events(folder, Proposed)] == [0, 1, 2]
    assert h.ended.reason == "done"


def test_a_proposal_that_waits_for_a_yes_waits_on(noisy, engines):  # noqa: F811
    agent = rates(noisy, "0.4")
    folder = engines(Options(str(noisy), agent=agent, tag="t", approve=True))
    waits(folder, 1)
    control.send(folder, "stop")
    ended(folder)
    (noisy.parent / "script.jsonl").unlink()  # no agent is needed
    engines(Options(str(noisy), resume="t", experiments=0, again=(0,)))
    h = ended(folder)
    assert len(h.experiments[0].repeats) == 1
    assert h.waiting.number == 1
    rates(noisy, "0.4")
    engines(Options(str(noisy), resume="t"))
    waits(folder, 1)
    control.send(folder, "approve", number=1)
    assert [e.number for e in ended(folder).experiments] == [0, 1]


def test_a_kill_in_the_middle_loses_neither(noisy, engines):  # noqa: F811
    folder = engines(Options(str(noisy), agent=rates(noisy, "0.4", seconds=1), tag="t", experiments=1))
    until(lambda: in_trial(folder, 1))
    control.send(folder, "stop-now")
    ended(folder)
    engines(Options(str(noisy), resume="t", experiments=0, again=(0,)))
    until(lambda: (p := history(folder).pending) is not None and p.again)
    kill_engine(folder)
    engines(Options(str(noisy), resume="t"))
    h = ended(folder)
    assert len(h.experiments[0].repeats) == 1
    assert [e.number for e in h.experiments] == [0, 1]


def test_without_one_to_do_it_is_refused(noisy, engines):  # noqa: F811
    folder = engines(Options(str(noisy), tag="t", experiments=0))
    ended(folder)
    before = (folder / "journal.jsonl").read_bytes()
    for again, said in (((), r"none was; ask for one with: autoresearch again N t"), ((7,), "#7 is no experiment")):
        with pytest.raises(UsageError, match=said):
            launch(Options(str(noisy), resume="t", experiments=0, again=again), lambda line: None)
    with pytest.raises(UsageError, match="takes no --hours"):
        launch(Options(str(noisy), resume="t", experiments=0, again=(0,), hours=2.0), lambda line: None)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_run_whose_baseline_crashed_has_no_further_trials(noisy, engines):  # noqa: F811
    (noisy / "train.py").write_text("1 / 0\n")
    git(noisy, "commit", "-qam", "broken")
    folder = engines(Options(str(noisy), tag="t", experiments=0))
    ended(folder)
    with pytest.raises(UsageError, match="its baseline crashed, so the run cannot go on"):
        launch(Options(str(noisy), resume="t", experiments=0, again=(0,)), lambda line: None)


def test_it_is_no_wish_for_a_run_that_is_going_on(noisy, engines):  # noqa: F811
    folder = engines(Options(str(noisy), agent=rates(noisy, "0.4"), tag="t", experiments=1))
    control.send(folder, "pause")
    done = autoresearch("resume", "t", "--experiments", "0", cwd=noisy)
    assert done.returncode == 2
    assert "run t is paused; its limits can be changed when it has stopped: autoresearch stop t" in done.stderr
    assert control.send(folder, "resume")
    ended(folder)


def test_how_a_run_had_ended_outlives_a_killed_engine_and_is_told_of_a_failure(noisy, engines):  # noqa: F811
    folder = engines(Options(str(noisy), agent=rates(noisy, "0.9"), tag="t", experiments=5))
    h = ended(folder)
    assert (h.ended.reason, "limit" in h.ended.message) == ("done", False)
    again = EngineStarted(1, True, "cpu", 5, only_asked=True)
    h = fold([(again, 1.0), (again, 2.0)], h)  # the first one was killed
    assert h.ended is None
    assert h.ended_before.reason == "done"
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    failed = json.dumps(to_record(RunEnded("failed", "the data is gone"), h.last_time))
    (folder / "journal.jsonl").write_text("".join(lines[:-1]) + failed + "\n")
    engines(Options(str(noisy), resume="t", experiments=0, again=(0,)))
    said = "what was asked for is done; before it the run had failed: the data is gone"
    assert (ended(folder).ended.reason, ended(folder).ended.message) == ("stopped", said)
