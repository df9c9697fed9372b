"""Windows come and go, the run goes on: detached, hung up, killed; and what is said of the time between."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from conftest import ended, git, history, until
from emulator import Terminal, terminal

from core import control
from core import events as ev
from core.journal import read
from core.launch import Options
from tui.away import last_look

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
SOURCE = """\
import time
for step in range(20):
    print("tick", step, flush=True)
    time.sleep(0.1)
RATE = 0.5
print("loss:", (RATE - 0.3) ** 2)
"""
RATES = {"better": "0.4", "crash": "1 / 0", "better still": "0.35", "worse": "0.9", "best": "0.31"}


@pytest.fixture
def run(toy: Path, engines: Callable[[Options], Path]) -> Path:
    """A run under way, two seconds a trial."""
    (toy / "train.py").write_text(SOURCE)
    git(toy, "commit", "-qam", "slower")
    steps = [{"description": d, "edits": {"train.py": SOURCE.replace("0.5", rate)}} for d, rate in RATES.items()]
    (toy.parent / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return engines(
        Options(str(toy), tag="here", agent=f"scripted:{toy.parent / 'steps.jsonl'}", experiments=len(RATES))
    )


def attach(run_folder: Path) -> AbstractContextManager[Terminal]:
    """`autoresearch` typed in the workspace, in a terminal that controls it as a person's does."""
    typed = f'cd {run_folder.parent.parent} && exec <"$(tty)" {AUTORESEARCH}'
    return terminal("sh", "-c", typed, size=(160, 40))


def shows_the_run(t: Terminal) -> None:
    t.until(lambda: "here" in t.screen.display[0] and "RUN" in t.screen.display[0] and "q leave" in t.shown)


def in_trial(run_folder: Path) -> int:
    """Wait until a trial of an experiment after the baseline runs; its process."""
    until(lambda: (p := history(run_folder).pending) is not None and p.number > 0 and p.trial_open)
    pending = history(run_folder).pending
    assert pending is not None
    assert pending.pid is not None
    return pending.pid


def goes_on(run_folder: Path, pid: int) -> None:
    """The engine lives, and so does that trial: it prints on, and its experiment is finished by it, not by another."""
    assert control.alive(run_folder)
    os.kill(pid, 0)
    pending = history(run_folder).pending
    assert pending is not None
    assert pending.pid == pid, "the same trial"
    log = run_folder / "trials" / f"{pending.number}-{pending.trial}" / "log"
    size = log.stat().st_size
    until(lambda: log.stat().st_size > size)
    until(lambda: len(history(run_folder).experiments) > pending.number)
    assert history(run_folder).experiments[pending.number].trials == 1


def tells_right(t: Terminal, run_folder: Path, seen: int) -> None:
    """The summary counts what was finished since: from the experiment `seen` on."""
    t.until(lambda: "while you were away" in t.shown)
    said = re.search(r"\): (\d+) experiments?, (\d+) kept, (\d+) crashed", t.shown)
    assert said is not None, t.shown
    new = history(run_folder).experiments[seen : seen + int(said[1])]
    outcomes = [e.verdict.outcome for e in new]
    assert (len(new), outcomes.count("keep"), outcomes.count("crash")) == tuple(map(int, said.groups()))
    assert new


def nothing_was_lost(run_folder: Path) -> None:
    h = ended(run_folder)
    assert [e.number for e in h.experiments] == list(range(len(RATES) + 1))
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep", "crash", "keep", "discard", "keep"]
    assert {e.trials for e in h.experiments} == {1}
    assert not [event for event, _ in read(run_folder / "journal.jsonl") if isinstance(event, ev.TrialVoid)]


def test_detached_it_goes_on_and_tells_on_the_return(run: Path) -> None:
    with attach(run) as t:
        shows_the_run(t)
        pid = in_trial(run)
        t.press("q")
        t.until(lambda: "detach" in t.shown.lower())
        t.press("d")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.left_clean
        assert "the engine goes on" in t.shown
    look = last_look(run)
    assert look is not None
    goes_on(run, pid)
    with attach(run) as t:
        tells_right(t, run, look.experiments)
    nothing_was_lost(run)


@pytest.mark.parametrize("how", ["hang up", "close", "kill"])
def test_a_window_that_is_torn_away_costs_nothing(run: Path, how: str) -> None:
    with attach(run) as t:
        shows_the_run(t)
        pid = in_trial(run)
        until(lambda: last_look(run) is not None)
        if how == "close":
            os.close(t.master)
            t.master = os.open(os.devnull, os.O_RDONLY)
        else:
            t.process.send_signal(signal.SIGHUP if how == "hang up" else signal.SIGKILL)
        until(lambda: t.process.poll() is not None)
        assert t.process.returncode == (-signal.SIGKILL if how == "kill" else -signal.SIGHUP)
    look = last_look(run)
    assert look is not None
    goes_on(run, pid)
    with attach(run) as t:
        tells_right(t, run, look.experiments)
    nothing_was_lost(run)
