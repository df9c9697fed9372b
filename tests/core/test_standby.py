"""Trials that begin in a standby process: nothing about a run changes, and nobody is left waiting."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest
from conftest import TOY_TASK, commit_all, ended, git, history, kill_engine, lives, until
from test_harness_task import PREPARE, SCORE, TASK, TRAIN, short
from test_hostile import environ
from test_loop import STEPS, script

from core import control
from core.launch import Options
from core.standby import Place

COMMAND = 'standby = "{python} -P -m backends.reference.standby json"\n'
SLOW = "import time\ntime.sleep(4)\n"


@pytest.fixture
def waited(toy: Path) -> Path:
    """The toy task, its trials beginning in a standby process."""
    (toy / "task.toml").write_text(TOY_TASK.replace("[commands]\n", "[commands]\n" + COMMAND))
    git(toy, "commit", "-qam", "standby")
    return toy


@pytest.fixture
def speaking(tmp_path: Path) -> Path:
    """The task that speaks, likewise."""
    folder = tmp_path / "speaking"
    folder.mkdir()
    task = TASK.replace("[commands]\n", "[commands]\n" + COMMAND)
    for name, text in (("task.toml", task), ("prepare.py", PREPARE), ("score.py", SCORE), ("train.py", TRAIN)):
        (folder / name).write_text(text)
    commit_all(folder)
    return folder


def processes(toy: Path) -> list[psutil.Process]:
    """Everything that was started for a trial of this test's runs."""
    marker = str(toy.parent / "cache")
    return [p for p in psutil.process_iter() if marker in environ(p) and lives(p.pid)]


def standbys(toy: Path) -> list[psutil.Process]:
    """Those that wait, and the trial that began as one."""
    return [p for p in processes(toy) if environ(p).endswith("standby.json")]


def waiting(toy: Path, folder: Path) -> psutil.Process:
    """The one that waits while a trial trains; once its imports are done."""
    found: list[psutil.Process] = []

    def one() -> bool:
        p = history(folder).pending
        trial = p.pid if p is not None and p.trial_open else None
        found[:] = [s for s in standbys(toy) if s.pid != trial] if trial else []
        return len(found) == 1

    until(one)
    return found[0]


def training(folder: Path, number: int) -> bool:
    p = history(folder).pending
    return p is not None and p.number == number and p.trial_open


def test_a_run_comes_out_as_it_does_without(waited, engines):
    folder = engines(Options(str(waited), agent=script(waited, *STEPS), tag="t"))
    h = ended(folder)
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep", "discard", "crash", "keep"]
    log = (folder / "trials/3-1/log").read_text()
    assert log.startswith("Traceback (most recent call last):\n")
    assert log.count('File "') == 1
    assert "RATE = 1 / 0" in log
    assert log.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "standby" not in (folder / "engine.log").read_text()
    assert not processes(waited)


def test_the_next_trial_is_the_process_that_waited(waited, engines):
    whole = (waited / "train.py").read_text()
    steps = (("slow", whole, SLOW + whole), ("slow too", whole, SLOW + whole + "# 2\n"))
    folder = engines(Options(str(waited), agent=script(waited, *steps), tag="t", experiments=2))
    until(lambda: training(folder, 1))
    waits = waiting(waited, folder)
    until(lambda: training(folder, 2))
    assert history(folder).pending.pid == waits.pid
    threading.Event().wait(0.5)  # by now it would be there
    assert standbys(waited) == [waits]  # none waits for a trial beyond the limit
    control.send(folder, "stop-now")
    ended(folder)
    assert not processes(waited)


@pytest.mark.parametrize("way", ["skip", "stop-now", "kill -9"])
def test_nobody_is_left(way, waited, engines):
    whole = (waited / "train.py").read_text()
    steps = (("slow", whole, SLOW + whole), ("better", "0.5", "0.4"))
    folder = engines(Options(str(waited), agent=script(waited, *steps), tag="t"))
    until(lambda: training(folder, 1))
    before = {waiting(waited, folder), *standbys(waited)}
    if way == "kill -9":
        kill_engine(folder)
        until(lambda: not [p for p in before if p.is_running() and lives(p.pid)])
        engines(Options(str(waited), resume="t"))
        until(lambda: training(folder, 1))
        control.send(folder, "skip")
    else:
        control.send(folder, way)
    h = ended(folder)
    assert not processes(waited)
    if way != "stop-now":
        assert [e.verdict.outcome for e in h.experiments] == ["keep", "discard", "keep"]
    assert not list((waited.parent / "cache").glob("autoresearch/work/*/*"))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_died_or_hangs_is_replaced_and_only_the_engines_log_says_so(sent, waited, engines):
    whole = (waited / "train.py").read_text()
    steps = (("slow", whole, SLOW.replace("4", "2") + whole), ("better", "0.5", "0.4"))
    folder = engines(Options(str(waited), agent=script(waited, *steps), tag="t"))
    until(lambda: training(folder, 1))
    waits = waiting(waited, folder)
    os.kill(waits.pid, sent)
    h = ended(folder)
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "discard", "keep"]
    assert str(waits.pid) in (folder / "engine.log").read_text()
    assert "standby" not in (folder / "trials/2-1/log").read_text()
    assert not processes(waited)


def test_the_first_words_of_the_trial_are_not_lost_in_the_answer(tmp_path):
    """Both may arrive in one piece, where the engine was slow to look."""
    says = "import json, os; told = json.load(open(os.environ['AUTORESEARCH_TRIAL']))\n"
    says += 'os.read(told[\'control\'], 4096); os.write(told[\'control\'], b\'{"type":"taken"}\\n{"type":"ready"}\\n\')'
    place = Place(tmp_path / "place", [sys.executable, "-c", says], "cpu")
    place.wait()
    born = place.start(["never"], tmp_path, {"role": "train"})
    assert list(born.channel.messages()) == [{"type": "ready"}]
    born.end()
    born.close()


def test_a_command_that_does_not_work_is_the_reason_of_the_crash(waited, engines):
    task = (waited / "task.toml").read_text().replace("backends.reference.standby", "no_such_module")
    (waited / "task.toml").write_text(task)
    git(waited, "commit", "-qam", "broken")
    h = ended(engines(Options(str(waited), experiments=0)))
    assert h.experiments[0].verdict.reason == "exit status 1"
    assert "no_such_module" in h.experiments[0].log_tail


def test_a_trial_that_speaks_is_timed_from_its_turn(speaking, engines):
    steps = (("slow start", 'say(type="ready")', 'time.sleep(0.5); say(type="ready")'), ("better", "0.5", "0.25"))
    folder = engines(Options(str(speaking), agent=script(speaking, *steps), tag="t"))
    h = ended(folder)
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "discard", "keep"]
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    ready = {e["number"]: e["startup_seconds"] for e in lines if e["type"] == "TrialReady"}
    assert ready[1] >= 0.5
    assert h.experiments[2].measurement.findings == {"num_steps": 5, "depth": 2}
    assert not processes(speaking)


def test_one_that_ends_without_asking_for_rows_is_told_so(speaking, engines):
    steps = (("leaves", 'say(type="ready")\n', "raise SystemExit(0)\n"), ("good", "0.5", "0.25"))
    h = ended(engines(Options(str(speaking), agent=script(speaking, *steps))))
    assert h.experiments[1].verdict.reason == "it ended without asking for the rows"
    assert h.experiments[2].measurement.value == 0.25


def test_a_pause_before_ready_freezes_it_and_nothing_is_counted(speaking, engines):
    short(speaking)
    slow = 'time.sleep(1); say(type="ready")'
    (speaking / "train.py").write_text(TRAIN.replace('say(type="ready")', slow))
    commit_all(speaking)
    folder = engines(Options(str(speaking), experiments=1, agent=script(speaking, ("b", "0.5", "0.25")), tag="t"))
    until(lambda: training(folder, 1))
    control.send(folder, "pause")
    until(lambda: history(folder).pending.held_since is not None)
    trial = psutil.Process(history(folder).pending.pid)
    until(lambda: trial.status() == psutil.STATUS_STOPPED)
    threading.Event().wait(3.5)  # longer than start-up may take
    control.send(folder, "resume")
    h = ended(folder)
    assert h.experiments[1].measurement.value == 0.25
    assert h.experiments[1].measurement.total_seconds < 3.5
    assert not processes(speaking)


MEDDLER = """
import os, pathlib, sys
here = pathlib.Path(os.environ["AUTORESEARCH_TRIAL"]).parent.parent
for place in here.parent.iterdir():
    if place != here:
        for name in ("json.py", "train.py", "sitecustomize.py", "standby.json", "trial.json"):
            (place / "train" / name).write_text("print('loss: 0.0001')")
        (place / "evaluation").symlink_to(pathlib.Path.home())
        (place / "train" / "tree").symlink_to(here.parent)
        (place / "train" / "meddled").mkdir()
        print("meddled")
"""
SHOWS = """
import os, pathlib
print(sorted(p.name for p in pathlib.Path(os.environ["AUTORESEARCH_TRIAL"]).parent.rglob("*")))
"""


def test_a_trial_cannot_make_the_next_one_run_something_else(waited, engines):
    whole = (waited / "train.py").read_text()
    wait = "import time\ntime.sleep(0.5)\n"  # until somebody waits
    steps = (("meddles", whole, wait + MEDDLER + whole), ("shows", whole, SHOWS + whole.replace("0.5", "0.4")))
    folder = engines(Options(str(waited), agent=script(waited, *steps), tag="t"))
    h = ended(folder)
    assert "meddled" in (folder / "trials/1-1/log").read_text()
    shown = (folder / "trials/2-1/log").read_text().splitlines()[0]
    assert shown == str(["standby.tmp", "task.toml", "train.py", "tree", "trial.json"])
    assert h.experiments[2].measurement.value == pytest.approx(0.01)


def test_what_a_trial_leaves_behind_goes_with_it(waited, engines):
    whole = (waited / "train.py").read_text()
    leaves = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n"
        "    os._exit(0)\nos.wait()\n"
    )
    steps = (("leaves", whole, leaves + whole), ("slow", whole, SLOW + whole))
    folder = engines(Options(str(waited), agent=script(waited, *steps), tag="t", experiments=2))
    until(lambda: training(folder, 2))
    assert [p.pid for p in standbys(waited)] == [history(folder).pending.pid]
    control.send(folder, "stop-now")
    ended(folder)
    assert not processes(waited)
