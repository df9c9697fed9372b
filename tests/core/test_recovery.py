"""What survives: kill -9 at random moments, torn journals, pauses, stops."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import autoresearch, ended, git, history, kill_engine, lives, lost_one, until
from test_loop import script

from core import control
from core.journal import read
from core.launch import Options

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
SOURCE = "import time\nRATE = 0.5\ntime.sleep(0.1)\n" + 'print("loss:", (RATE - 0.3) ** 2)\n'


@pytest.fixture
def slow_toy(toy):
    """The toy task with trials of a tenth of a second."""
    (toy / "train.py").write_text(SOURCE)
    git(toy, "commit", "-qam", "slower")
    return toy


def many_steps(toy, count: int) -> tuple[str, list[str]]:
    """A script in which every third proposal is better, every third worse, every third crashes; and its verdicts."""
    steps, rate, verdicts = [], "0.5", ["keep"]
    for k in range(count):
        if k % 3 == 0:
            better = f"{0.5 - 0.001 * (k + 1):.3f}"
            steps.append((f"step {k}", f"RATE = {rate}", f"RATE = {better}"))
            rate = better
            verdicts.append("keep")
        elif k % 3 == 1:
            steps.append((f"step {k}", f"RATE = {rate}", f"RATE = {1 + k}"))
            verdicts.append("discard")
        else:
            steps.append((f"step {k}", f"RATE = {rate}", f"RATE = None  # {k}"))
            verdicts.append("crash")
    return script(toy, *steps), verdicts


def test_kill_9_at_fifty_random_moments_loses_nothing(slow_toy, engines):
    agent, verdicts = many_steps(slow_toy, 90)
    base = git(slow_toy, "rev-parse", "HEAD").strip()
    chance = random.Random(0)
    options = Options(str(slow_toy), agent=agent, tag="t")
    folder = engines(options)
    acknowledged: list[str] = []
    kills = 0
    while kills < 50 and history(folder).ended is None:
        until(lambda: not lost_one(folder))
        moment = threading.Event()
        moment.wait(chance.uniform(0.0, 0.35))
        kill_engine(folder)
        kills += 1
        lines = (folder / "journal.jsonl").read_text().splitlines()
        whole = [line for line in lines if is_json(line)]
        assert whole[: len(acknowledged)] == acknowledged
        acknowledged = whole
        engines(Options(str(slow_toy), resume="t"))
    h = ended(folder, 120)
    assert kills >= 40
    assert [e.verdict.outcome for e in h.experiments] == verdicts
    assert [e.number for e in h.experiments] == list(range(91))
    kept = [e.commit for e in h.experiments if e.verdict.outcome == "keep"]
    assert git(slow_toy, "rev-list", "--reverse", f"{base}..autoresearch/t").split() == kept[1:]
    for e in h.experiments:
        assert git(slow_toy, "rev-parse", f"refs/autoresearch/t/{e.number}").strip() == e.commit
    assert not git(slow_toy, "fsck", "--no-dangling")


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_a_trial_that_was_cut_is_void_and_runs_again(toy, engines):
    whole = (toy / "train.py").read_text()
    waits = "import time\ntime.sleep(3)\n" + whole.replace("0.5", "0.4")
    folder = engines(Options(str(toy), agent=script(toy, ("waits", whole, waits)), tag="t"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    trial = history(folder).pending.pid
    kill_engine(folder)
    until(lambda: not lives(trial))
    assert autoresearch("status", cwd=toy).stdout.startswith("run t: its engine is gone")
    engines(Options(str(toy), resume="t"))
    h = ended(folder)
    assert h.experiments[1].verdict.outcome == "keep"
    assert h.experiments[1].trial == 2
    assert h.experiments[1].trials == 1
    assert '"TrialVoid"' in (folder / "journal.jsonl").read_text()


def test_a_torn_last_line_is_dropped_and_a_foreign_one_is_named(toy, engines):
    folder = engines(
        Options(str(toy), agent=script(toy, ("a", "0.5", "0.4"), ("b", "0.4", "0.3")), experiments=1, tag="t")
    )
    ended(folder)
    journal = folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"type":"Judged","ti')
    engines(Options(str(toy), resume="t", experiments=1))
    assert len(ended(folder).experiments) == 3
    assert journal.read_bytes().startswith(whole)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"foreign\n", *lines[1:]]))
    refused = autoresearch("resume", "t", "--experiments", "1", cwd=toy)
    assert refused.returncode == 1
    assert "line 2" in refused.stderr
    assert len(list(read(journal))) == len(lines)


def test_pause_takes_no_training_time_from_a_command_that_knows_nothing_of_us(toy, engines):
    whole = (toy / "train.py").read_text()
    waits = "import time\nfor _ in range(10): time.sleep(0.1)\n" + whole.replace("0.5", "0.4")
    folder = engines(Options(str(toy), agent=script(toy, ("waits", whole, waits)), tag="t"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    assert control.send(folder, "pause")
    until(lambda: history(folder).pending.held_since is not None)
    assert "paused" in autoresearch("status", cwd=toy).stdout
    assert control.send(folder, "pause") == "already paused"
    threading.Event().wait(4.5)  # longer than the trial has left of its 5 + 3 s, were it counted
    assert history(folder).pending.held_since is not None
    assert autoresearch("resume", "t", cwd=toy).stdout == "t: goes on\n"
    h = ended(folder)
    assert h.experiments[1].verdict.outcome == "keep"
    assert 0.9 < h.experiments[1].measurement.train_seconds < 4.5


def test_skip_stop_and_stop_now(toy, engines):
    whole = (toy / "train.py").read_text()
    waits = "import time\ntime.sleep(4)\n" + whole
    steps = [(f"waits {k}", whole, f"{waits}# {k}\n") for k in range(3)]
    folder = engines(Options(str(toy), agent=script(toy, *steps), tag="t"))

    def training(number: int) -> bool:
        p = history(folder).pending
        return p is not None and p.number == number and p.trial_open

    until(lambda: training(1))
    assert control.send(folder, "skip") == "ends this trial and discards its experiment"
    until(lambda: training(2))
    assert history(folder).experiments[1].verdict.reason == "skipped"
    assert history(folder).experiments[1].verdict.outcome == "discard"
    assert autoresearch("stop", "--now", cwd=toy).returncode == 0
    h = ended(folder)
    assert h.ended.reason == "stopped"
    assert h.pending.number == 2
    assert not h.pending.trial_open
    engines(Options(str(toy), resume="t"))
    until(lambda: training(2))
    control.send(folder, "stop")
    h = ended(folder)
    assert h.experiments[-1].number == 2
    assert h.experiments[-1].verdict.outcome == "discard"


def test_stop_is_heard_while_the_branch_cannot_be_moved(toy, engines, tmp_path):
    folder = engines(
        Options(str(toy), agent=script(toy, ("a", "0.5", "0.4"), ("b", "0.4", "0.3")), tag="t", experiments=1)
    )
    ended(folder)
    git(toy, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    (toy / "train.py").write_text("")  # the checkout is not what counts
    whole = "RATE = 0.3\nimport time\ntime.sleep(2)\n" + 'print("loss:", (RATE - 0.3) ** 2)\n'
    agent = toy.parent / "script.jsonl"
    agent.write_text(json.dumps({"description": "slow", "edits": {"train.py": whole}}) + "\n")
    folder = engines(Options(str(toy), agent=f"scripted:{agent}", tag="u"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    git(tmp_path / "other", "checkout", "-q", "autoresearch/u")
    until(lambda: history(folder).paused is not None)
    assert "checked out" in history(folder).paused.reason
    assert control.send(folder, "stop")
    h = ended(folder)
    assert h.ended.reason == "stopped"
    assert len((folder / "journal.jsonl").read_text().splitlines()) < 40
    git(tmp_path / "other", "checkout", "-q", "--detach")
    engines(Options(str(toy), resume="u"))
    h = ended(folder)
    assert h.experiments[1].verdict.outcome == "keep"
    assert git(toy, "rev-parse", "autoresearch/u").strip() == h.experiments[1].commit


def test_a_pause_between_experiments_then_stop_starts_none(toy, engines):
    agent, _ = many_steps(toy, 30)
    folder = engines(Options(str(toy), agent=agent, tag="t"))
    control.send(folder, "pause-after")
    until(lambda: history(folder).paused is not None)
    done = len(history(folder).experiments)
    assert control.send(folder, "stop")
    assert len(ended(folder).experiments) == done


def test_resume_takes_back_a_stop(toy, engines):
    whole = (toy / "train.py").read_text()
    steps = (("waits", whole, "import time\ntime.sleep(2)\n" + whole), ("better", "0.5", "0.4"))
    folder = engines(Options(str(toy), agent=script(toy, *steps), tag="t"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    control.send(folder, "stop")
    refused = autoresearch("resume", "t", "--experiments", "5", cwd=toy)
    assert refused.returncode == 2
    assert autoresearch("resume", "t", cwd=toy).stdout == "t: goes on\n"
    assert len(ended(folder).experiments) == 3


def test_a_branch_that_is_gone_is_found_out_before_anything_is_trained(toy, engines):
    folder = engines(
        Options(str(toy), agent=script(toy, ("a", "0.5", "0.4"), ("b", "0.4", "0.3")), tag="t", experiments=1)
    )
    ended(folder)
    git(toy, "branch", "-D", "autoresearch/t")
    refused = autoresearch("resume", "t", "--experiments", "1", cwd=toy)
    assert refused.returncode == 2
    assert "is gone; put it back with: git branch -f autoresearch/t" in refused.stderr


def test_a_lock_of_somebody_elses_git_is_waited_for(toy, engines):
    whole = (toy / "train.py").read_text()
    slow = "import time\ntime.sleep(1.5)\n" + whole.replace("0.5", "0.4")
    folder = engines(Options(str(toy), agent=script(toy, ("slow", whole, slow)), tag="t"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    lock = toy / ".git/refs/heads/autoresearch/t.lock"
    lock.touch()
    until(lambda: (p := history(folder).pending) is not None and p.judged is not None)
    threading.Event().wait(0.5)  # the move is being tried
    assert history(folder).tip == history(folder).experiments[0].commit
    lock.unlink()
    h = ended(folder)
    assert h.ended.reason == "done"
    assert git(toy, "rev-parse", "autoresearch/t").strip() == h.experiments[1].commit


def test_what_acts_on_a_run_never_takes_the_demos(toy, tmp_path, engines):
    demo = tmp_path / "data" / "autoresearch" / "demo"
    demo.parent.mkdir(parents=True)
    (toy / ".git").parent.rename(demo)
    ended(engines(Options(str(demo), tag="t", experiments=0)))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert autoresearch("status", cwd=elsewhere).stdout.startswith("run t: done")
    for words in (("resume",), ("pause",), ("skip",), ("stop",)):
        done = autoresearch(*words, cwd=elsewhere)
        assert done.returncode == 2
        assert f"--workspace {demo}" in done.stderr


def test_ctrl_c_in_a_plain_viewer_stops_the_run(toy):
    whole = (toy / "train.py").read_text()
    agent = script(toy, ("waits", whole, "import time\ntime.sleep(4)\n" + whole))
    argv = [AUTORESEARCH, "run", "--plain", "--agent", agent, "--tag", "t"]
    with subprocess.Popen(
        argv, cwd=toy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    ) as viewer:  # fmt: skip
        folder = toy / ".autoresearch" / "t"
        until(lambda: (folder / "journal.jsonl").exists() and (p := history(folder).pending) is not None
              and p.number == 1 and p.trial_open)  # fmt: skip
        viewer.send_signal(signal.SIGINT)
        _, said = viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert "autoresearch resume t" in said
    assert ended(folder).ended.reason == "stopped"


def test_a_viewer_that_vanishes_changes_nothing(toy):
    agent, _ = many_steps(toy, 4)
    line = f"{AUTORESEARCH} run --plain --agent {agent} --tag t | head -2"
    shown = subprocess.run(line, shell=True, cwd=toy, capture_output=True, text=True, timeout=30)
    assert len(shown.stdout.splitlines()) == 2
    assert "Traceback" not in shown.stderr
    h = ended(toy / ".autoresearch" / "t")
    assert len(h.experiments) == 5
    assert h.ended.reason == "done"


def test_sigterm_is_stop_now(toy, engines):
    whole = (toy / "train.py").read_text()
    folder = engines(Options(str(toy), agent=script(toy, ("waits", whole, "import time\ntime.sleep(4)\n" + whole))))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    os.kill(int((folder / "engine.lock").read_text().split()[0]), signal.SIGTERM)
    assert ended(folder, 3.0).ended.reason == "stopped"


def test_a_branch_that_somebody_else_moved_is_not_overwritten(toy, engines):
    steps = (("a", "0.5", "0.4"), ("b", "0.4", "0.3"))
    folder = engines(Options(str(toy), agent=script(toy, *steps), tag="t", experiments=1))
    ended(folder)
    git(toy, "branch", "-f", "autoresearch/t", "HEAD")
    refused = autoresearch("resume", "t", "--experiments", "1", cwd=toy)
    assert refused.returncode == 2
    assert "git branch -f autoresearch/t" in refused.stderr
    tip = history(folder).tip
    git(toy, "branch", "-f", "autoresearch/t", tip)
    assert autoresearch("resume", "t", "--experiments", "1", "--plain", cwd=toy).returncode == 0
