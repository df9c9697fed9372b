"""A trial that takes its engine down: it is tried once more, and then it is a crash, and the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import TOY_SOURCE, autoresearch, commit_all, ended, history, kill_engine, until
from test_approval import events

from core import control
from core.events import Crashed, TrialVoid
from core.launch import Options

FATAL = (
    'import os, signal, time\nprint("on its way", flush=True)\ntime.sleep(0.5)\nos.kill(os.getppid(), signal.SIGKILL)\n'
)
WAITS = "import time\ntime.sleep(20)\n"


def agent(toy: Path, *sources: str) -> str:
    """A `scripted:` agent that proposes these whole sources."""
    path = toy.parent / "script.jsonl"
    steps = [{"description": f"step {k}", "edits": {"train.py": text}} for k, text in enumerate(sources, 1)]
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return f"scripted:{path}"


def gone(folder: Path) -> None:
    """Wait until the engine has been taken down."""
    until(lambda: not control.alive(folder))
    assert history(folder).ended is None


def test_twice_is_a_crash_and_the_loop_goes_on(toy, engines):
    better = TOY_SOURCE.replace("0.5", "0.4")
    folder = engines(Options(str(toy), agent=agent(toy, FATAL + TOY_SOURCE, better), tag="t"))
    gone(folder)
    engines(Options(str(toy), resume="t"))
    gone(folder)
    shown = autoresearch("resume", "t", "--plain", cwd=toy)
    h = ended(folder)
    assert [(e.verdict.outcome, e.verdict.reason) for e in h.experiments[1:]] == [
        ("crash", "the engine went down in it twice"),
        ("keep", "better"),
    ]
    assert h.experiments[1].log_tail == "on its way"
    assert [(v.number, v.engine_gone) for v in events(folder, TrialVoid)] == [(1, True)]
    assert "once more, that is a crash" in events(folder, TrialVoid)[0].reason
    assert "the engine went down in it twice" in shown.stdout
    assert shown.returncode == 0
    assert "the engine went down in it twice" in autoresearch("diff", "1", cwd=toy).stdout


def test_a_stop_counts_for_nothing(toy, engines):
    folder = engines(Options(str(toy), agent=agent(toy, WAITS + TOY_SOURCE), tag="t"))

    def in_trial(trial: int) -> None:
        until(lambda: (p := history(folder).pending) is not None and p.trial_open and (p.number, p.trial) == (1, trial))

    in_trial(1)
    for trial in (2, 3):
        control.send(folder, "stop-now")
        ended(folder)
        engines(Options(str(toy), resume="t"))
        in_trial(trial)
    kill_engine(folder)
    engines(Options(str(toy), resume="t"))
    in_trial(4)
    assert history(folder).pending.engines_lost == 1
    assert not events(folder, Crashed)


def test_another_trial_that_does_so_holds_up_nothing_either(toy, engines):
    flaky = f'import os\nif os.path.exists("{toy.parent}/fatal"):\n    os.kill(os.getppid(), 9)\n' + TOY_SOURCE
    (toy / "train.py").write_text(flaky)
    commit_all(toy)
    folder = engines(Options(str(toy), tag="t", experiments=0))
    ended(folder)
    (toy.parent / "fatal").touch()
    engines(Options(str(toy), resume="t", experiments=0, again=(0,)))
    gone(folder)
    engines(Options(str(toy), resume="t", experiments=0))
    gone(folder)
    engines(Options(str(toy), resume="t", experiments=0))
    h = ended(folder)
    assert [(r.measurement, r.reason) for r in h.experiments[0].repeats] == [(None, "the engine went down in it twice")]
    assert (h.asked_again, h.pending, h.ended.reason) == ((), None, "done")


@pytest.mark.parametrize("mends", [False, True])
def test_a_mend_has_its_own_two_chances(mends):
    from core import events as ev
    from core.history import fold

    stream = [
        ev.Proposed(1, "p", 0, {"train.py": "a"}, "d", "h", {}),
        ev.Committed(1, "c", "r", "", 1),
        ev.TrialStarted(1, 1, 42, 7),
        ev.TrialVoid(1, 1, "gone", engine_gone=True),
        ev.TrialStarted(1, 2, 42, 8),
        ev.Crashed(1, 2, "the engine went down in it twice", "", 0.0),
    ]
    stream += [ev.RepairProposed(1, 1, {"train.py": "b"}, "d", "h", {})] if mends else []
    assert fold([(e, 0.0) for e in stream]).pending.engines_lost == (0 if mends else 1)
