"""Another trial of a finished experiment: beside the verdict, before the next proposal, through every kind of end."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import pytest
from conftest import commit_all, ended, git, history, kill_engine, lost_one, rates_agent, until, waits
from test_approval import events

from core import control
from core.errors import EngineUnreachable, UsageError
from core.events import AgainDone, AgainStarted, Judged, TrialStarted
from core.launch import Options

SAVES = """\
import json, os, random, time
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
open(told["checkpoint"], "wb").write(b"m" * 1000)
RATE = 0.5
time.sleep({seconds})
print("loss:", (RATE - 0.3) ** 2 + (told["seed"] - 42) / 1000)
"""


@pytest.fixture
def noisy(toy):
    """The toy task with a checkpoint, and a score that the seed has a share in."""
    (toy / "train.py").write_text(SAVES.format(seconds=0))
    commit_all(toy)
    return toy


def rates(toy: Path, *values: str, seconds: float = 0) -> str:
    """A `scripted:` agent that proposes these rates."""
    path = toy.parent / "script.jsonl"
    whole = SAVES.format(seconds=seconds)
    steps = [{"description": v, "edits": {"train.py": whole.replace("0.5", v)}} for v in values]
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return f"scripted:{path}"


def waiting_run(noisy, engines, *values: str, **options) -> Path:
    """A run that has done its baseline and waits with its first proposal."""
    folder = engines(Options(str(noisy), agent=rates(noisy, *values), tag="t", approve=True, **options))
    waits(folder, 1)
    return folder


def trials(folder: Path) -> set[str]:
    return {place.name for place in (folder / "trials").iterdir()}


def checkpoints(folder: Path) -> set[str]:
    return {file.parent.name for file in folder.glob("trials/*/checkpoint.safetensors")}


def test_it_stands_beside_the_verdict_and_changes_none(noisy, engines):
    folder = waiting_run(noisy, engines, "0.4", "0.9", "0.8")
    control.send(folder, "approve", number=1)
    waits(folder, 2)
    table = (folder / "results.tsv").read_text()
    before = history(folder)
    assert control.send(folder, "again", number=0) == "another trial of #0 follows #2"
    assert control.send(folder, "again", number=1) == "another trial of #1 follows the one asked for before"
    assert control.send(folder, "again", number=1) == "another trial of #1 follows the 2 asked for before"
    assert history(folder).asked_again == (0, 1, 1)
    control.send(folder, "approve", number=2)
    waits(folder, 3)
    h = history(folder)
    assert not h.asked_again
    for number, seeds in ((0, [43]), (1, [43, 44])):
        e, was = h.experiments[number], before.experiments[number]
        values = [r.measurement.value for r in e.repeats]
        assert values == pytest.approx([was.measurement.value + (seed - 42) / 1000 for seed in seeds])
        assert (e.measurement, e.verdict, e.trial, e.delta) == (was.measurement, was.verdict, 1, was.delta)
        assert [r.trial for r in e.repeats] == list(range(2, 2 + len(seeds)))
        assert e.trials == 1 + len(seeds)
    assert [j.number for j in events(folder, Judged)] == [0, 1, 2]
    assert (folder / "results.tsv").read_text().startswith(table)
    assert git(noisy, "rev-parse", "autoresearch/t").strip() == h.experiments[1].commit
    assert h.incumbent == 1
    assert h.next_number == 3


def test_its_files_do_not_displace_those_of_the_judged_trial(noisy, engines):
    folder = waiting_run(noisy, engines, "0.4", "0.9")
    control.send(folder, "again", number=0)
    control.send(folder, "reject", number=1)
    until(lambda: len(history(folder).experiments[0].repeats) == 1)
    waits(folder, 1)
    assert checkpoints(folder) == {"0-1"}
    assert trials(folder) == {"0-1", "0-2"}
    assert "loss: 0.041" in (folder / "trials/0-2/log").read_text()


def test_keep_checkpoints_keeps_these_too(noisy, engines):
    folder = waiting_run(noisy, engines, "0.4", "0.9", keep_checkpoints=True)
    control.send(folder, "again", number=0)
    control.send(folder, "approval-off")
    ended(folder)
    assert checkpoints(folder) == {"0-1", "0-2", "1-1", "2-1"}
    engines(Options(str(noisy), resume="t"))
    ended(folder)
    assert checkpoints(folder) == {"0-1", "0-2", "1-1", "2-1"}


def test_at_the_limit_it_comes_first_and_no_experiment_too_many(noisy, engines):
    folder = waiting_run(noisy, engines, "0.4", "0.9", "0.8", experiments=1)
    control.send(folder, "again", number=0)
    control.send(folder, "approve", number=1)
    h = ended(folder)
    assert h.ended.reason == "done"
    assert [e.number for e in h.experiments] == [0, 1]
    assert len(h.experiments[0].repeats) == 1
    with pytest.raises(EngineUnreachable, match="autoresearch resume t"):
        control.send(folder, "again", number=0)


def test_what_cannot_be_repeated_is_refused(noisy, engines):
    folder = waiting_run(noisy, engines, "0.4")
    for number, said in (
        (1, "#1 is not finished.*0 to 0 are"), (99, "#99 is no experiment of this run.*0 to 0 are"), (-1, "#-1 is no "),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            control.send(folder, "again", number=number)
    with pytest.raises(UsageError, match="must be the number"):
        control.send(folder, "again", number=None)
    assert not history(folder).asked_again


def test_a_crash_of_it_is_noted_with_its_reason(toy, engines):
    flaky = 'import os\nprint("loss:", 1 / (not os.path.exists("{mark}")))\nopen("{mark}", "w").close()\n'
    (toy / "train.py").write_text(flaky.format(mark=toy.parent / "mark"))
    commit_all(toy)
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True))
    waits(folder, 1)
    control.send(folder, "again", number=0)
    control.send(folder, "approval-off")
    e = ended(folder).experiments[0]
    assert e.verdict.outcome == "keep"
    assert e.log_tail == ""
    assert [(r.measurement, r.reason) for r in e.repeats] == [(None, "ZeroDivisionError: division by zero")]


def in_trial(folder: Path, number: int) -> bool:
    p = history(folder).pending
    return p is not None and p.number == number and p.again and p.trial_open


@pytest.fixture
def slow(toy, engines):
    """A run in the middle of another trial of its baseline, which takes two seconds."""
    (toy / "train.py").write_text(SAVES.format(seconds=2))
    commit_all(toy)
    folder = engines(Options(str(toy), agent=rates(toy, "0.4", "0.9"), tag="t", approve=True))
    waits(folder, 1)
    control.send(folder, "again", number=0)
    control.send(folder, "reject", number=1)
    until(lambda: in_trial(folder, 0))
    return folder


def test_skip_ends_this_trial_and_the_verdict_stays(slow):
    assert control.send(slow, "skip") == "ends this trial; the verdict on #0 stays"
    waits(slow, 1)
    e = history(slow).experiments[0]
    assert e.verdict.outcome == "keep"
    assert [(r.measurement, r.reason) for r in e.repeats] == [(None, "skipped")]


def test_a_kill_in_the_middle_voids_it_and_it_runs_again(toy, engines, slow):
    kill_engine(slow)
    engines(Options(str(toy), resume="t"))
    waits(slow, 1)
    e = history(slow).experiments[0]
    assert [r.trial for r in e.repeats] == [3]
    assert e.trials == 2
    started = [(t.trial, t.seed) for t in events(slow, TrialStarted) if t.number == 0]
    assert started == [(1, 42), (2, 43), (3, 43)]  # a trial that was cut spends no seed
    assert len(events(slow, AgainStarted)) == 1
    assert checkpoints(slow) == {"0-1"}


def test_stop_lets_it_finish_and_stop_now_does_not(toy, engines, slow):
    control.send(slow, "again", number=0)
    control.send(slow, "stop")
    assert control.send(slow, "again", number=0).endswith("and does it on resume")
    h = ended(slow)
    assert h.ended.reason == "stopped"
    assert len(h.experiments[0].repeats) == 1
    assert h.asked_again == (0, 0)
    assert h.pending is None
    engines(Options(str(toy), resume="t"))
    until(lambda: in_trial(slow, 0))
    control.send(slow, "stop-now")
    h = ended(slow, 5)
    assert h.pending.again
    assert not h.pending.trial_open
    engines(Options(str(toy), resume="t"))
    waits(slow, 1)
    e = history(slow).experiments[0]
    assert len(e.repeats) == 3
    assert [j.number for j in events(slow, Judged)] == [0]


def test_a_pause_holds_it_and_pause_after_holds_after_it(slow):
    control.send(slow, "pause")
    until(lambda: history(slow).standing_still)
    control.send(slow, "resume")
    control.send(slow, "pause-after")
    until(lambda: history(slow).paused is not None)
    assert len(history(slow).experiments[0].repeats) == 1
    assert control.send(slow, "again", number=0) == "another trial of #0 begins when the run goes on"
    control.send(slow, "resume")
    waits(slow, 1)
    assert len(history(slow).experiments[0].repeats) == 2  # before the next proposal


def test_kill_9_at_random_moments_with_repeats_in_between(toy, engines):
    """A run with two more trials of each of its experiments comes to the same, however often it is killed."""
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True))
    chance, kills = random.Random(3), 0
    for number in range(1, 5):
        waits(folder, number)
        for _ in range(2):
            control.send(folder, "again", number=number - 1)
        control.send(folder, "approve", number=number)
        for _ in range(4):
            until(lambda: not lost_one(folder))
            threading.Event().wait(chance.uniform(0, 0.15))
            kill_engine(folder)
            kills += 1
            engines(Options(str(toy), resume="t"))
    h = ended(folder)
    assert kills == 16
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep", "discard", "crash", "keep"]
    assert [len(e.repeats) for e in h.experiments] == [2, 2, 2, 2, 0]
    assert [e.trials for e in h.experiments] == [3, 3, 3, 3, 1]
    assert [d.number for d in events(folder, AgainDone)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [j.number for j in events(folder, Judged)] == [0, 1, 2, 3, 4]
    kept = [e.commit for e in h.experiments if e.verdict.outcome == "keep"]
    assert git(toy, "rev-list", "--reverse", "main..autoresearch/t").split() == kept[1:]
