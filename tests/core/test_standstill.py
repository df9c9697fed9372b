"""A machine that sleeps, a container that is frozen, processes that are stopped: no trial is judged for such time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from conftest import ended, git, history, until
from thinker import close, events, opened, record

from core import control, standstill
from core import events as ev
from core.control import Control
from core.evaluator import Evaluation
from core.journal import read
from core.launch import Options
from core.loop import commit, propose
from core.measure import measure
from core.standstill import MOST_IN_A_ROW, Watch, allowed

SLOW = 'import time\ntime.sleep(1.0)\nprint("loss: 0.5")\n'
WAITS = 'import os, time\nwhile not os.path.exists("{go}"):\n    time.sleep(0.01)\nprint("loss: 0.5")\n'
LONGER_THAN_ALLOWED = 2.5  # seconds


@pytest.fixture
def slow(toy):
    (toy / "train.py").write_text(SLOW)
    git(toy, "commit", "-qam", "slow")
    return toy


@pytest.fixture
def waits(toy, tmp_path):
    """A task whose trials end only when the file has come that this is the path of, and the file."""
    go = tmp_path / "go"
    (toy / "train.py").write_text(WAITS.format(go=go))
    git(toy, "commit", "-qam", "waits")
    return toy, go


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes stand still for longer than a trial may."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield threading.Event().wait(LONGER_THAN_ALLOWED)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


def begun(engines, toy):
    """A run whose baseline trains, its engine's pid and its trial's."""
    folder = engines(Options(str(toy), tag="t", experiments=0))
    until(lambda: (p := history(folder).pending) is not None and p.ready_at is not None)
    return folder, int((folder / "engine.lock").read_text().split()[0]), history(folder).pending.pid


def voids(folder):
    return [event for event, _ in read(folder / "journal.jsonl") if isinstance(event, ev.TrialVoid)]


def test_a_supervisor_that_is_busy_has_not_stood_still():
    with contextlib.closing(Watch(5.0)) as watch:
        threading.Event().wait(LONGER_THAN_ALLOWED)
        assert watch.looked() == 0.0


def test_a_standstill_is_told_once_however_busy_the_supervisor_was(monkeypatch):
    now = standstill.seconds
    with contextlib.closing(Watch(5.0)) as watch:
        monkeypatch.setattr(standstill, "seconds", lambda: now() + 60)
        threading.Event().wait(1.0)
        assert 60 <= watch.looked() < 60 + LONGER_THAN_ALLOWED
        assert watch.looked() == 0.0


def test_a_trial_in_which_the_machine_stood_still_is_void_and_runs_again(waits, engines):
    toy, go = waits
    folder, engine, trial = begun(engines, toy)
    with stopped(engine, trial):
        pass
    until(lambda: voids(folder))
    go.touch()
    (measured,) = ended(folder).experiments
    (void,) = voids(folder)
    assert void.reason.startswith("the machine slept or stood still for ")
    assert (measured.trial, measured.trials, measured.verdict.outcome) == (2, 1, "keep")


def test_a_trial_that_is_paused_meanwhile_goes_on(waits, engines):
    toy, go = waits
    folder, engine, _ = begun(engines, toy)
    control.send(folder, "pause")
    until(lambda: history(folder).pending.held_since is not None)
    with stopped(engine):
        pass
    go.touch()
    control.send(folder, "resume")
    (measured,) = ended(folder).experiments
    assert (measured.trial, measured.verdict.outcome) == (1, "keep")


def test_a_skip_is_not_lost_over_it(toy, monkeypatch):
    monkeypatch.setattr("core.standstill.allowed", lambda train_seconds: -1.0)
    run = opened(toy)
    record(run, propose, commit)
    asked = iter([False, True])  # one that came too late for the trial before; in the middle of this
    monkeypatch.setattr(Control, "take_skip", lambda self: next(asked, False))
    record(run, measure)
    close(run)
    assert not events(run, ev.TrialVoid)
    assert run.in_flight.crashed.reason == "skipped"


def test_what_stands_still_each_time_is_no_accident(toy, monkeypatch):
    monkeypatch.setattr("core.standstill.allowed", lambda train_seconds: -1.0)
    run = opened(toy)
    record(run, propose, commit)
    for _ in range(MOST_IN_A_ROW):
        assert run.in_flight.crashed is None
        record(run, measure)
    close(run)
    assert len(events(run, ev.TrialVoid)) == MOST_IN_A_ROW - 1
    assert run.in_flight.crashed.reason.startswith("timeout: the machine slept or stood still")
    assert run.in_flight.crashed.reason.endswith("in each of 3 trials")


def test_a_hundredth_of_a_long_budget_shows_in_no_score():
    assert (allowed(5), allowed(300), allowed(3600)) == (2.0, 3.0, 36.0)


def test_an_evaluation_that_was_stopped_with_the_engine_keeps_its_time(toy, tmp_path, monkeypatch):
    now, begun = standstill.seconds, time.monotonic()
    monkeypatch.setattr(standstill, "seconds", lambda: now() + (60 if time.monotonic() > begun + 1.0 else 0))
    answers = (
        "import json, os, time; told = json.load(open(os.environ['AUTORESEARCH_TRIAL'])); time.sleep(2.8); "
        "open(told['answer'], 'w').write(json.dumps({'value': 0.25}))"
    )
    run = opened(toy)
    evaluation = Evaluation([sys.executable, "-c", answers], tmp_path / "work", {}, tmp_path / "log")
    evaluation.start()
    answer = evaluation.finish(run.control, 2.0)
    evaluation.close()
    close(run)
    assert (answer.end, answer.value) == ("done", 0.25)


def test_a_clock_that_is_set_back_changes_neither_a_score_nor_the_hours(slow, monkeypatch):
    run = opened(slow, hours=1.0)
    record(run, propose, commit)
    before, now = run.history, time.time
    for event in measure(run):
        if isinstance(event, ev.TrialReady):
            monkeypatch.setattr(time, "time", lambda: now() - 3600)
        run.record(event)
    after = run.history
    assert 1.0 <= after.pending.measurement.train_seconds < LONGER_THAN_ALLOWED
    assert after.last_time < before.last_time
    assert 0 <= after.active_seconds - before.active_seconds < 60
    assert 3500 < run.seconds_left <= 3600
    close(run)
