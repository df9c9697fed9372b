"""Approval: a proposal waits for the user's yes, no, or another version, whatever happens to the engine meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest
from conftest import (
    TOY_SOURCE,
    autoresearch,
    commit_all,
    ended,
    git,
    history,
    kill_engine,
    lost_one,
    rates_agent,
    until,
    waits,
)

from core import control
from core.errors import EngineUnreachable, UsageError
from core.events import ApprovalAwaited, Approved, EngineStarted
from core.journal import Journal, read
from core.launch import Options


def events(folder: Path, kind: type) -> list:
    return [event for event, _ in read(folder / "journal.jsonl") if isinstance(event, kind)]


def pins(toy: Path, tag: str = "t") -> list[str]:
    return git(toy, "for-each-ref", "--format=%(refname:lstrip=3)", f"refs/autoresearch/{tag}").split()


@pytest.fixture
def asking(toy, engines):
    """A run of four steps that waits with its first proposal."""
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True))
    waits(folder, 1)
    return folder


def test_a_proposal_waits_uncommitted_until_the_yes(toy, asking):
    h = history(asking)
    assert h.approval
    assert h.phase == "approving"
    assert h.standing_still
    assert "-RATE = 0.5\n+RATE = 0.4\n" in h.pending.awaited.diff
    assert pins(toy) == ["0"]
    assert control.send(asking, "approve", number=1) == "#1 begins now"
    waits(asking, 2)
    done = history(asking).experiments[1]
    assert done.diff == h.pending.awaited.diff  # what was shown is what was committed
    assert not done.edited
    assert pins(toy) == ["0", "1"]
    assert "Edited-by-user" not in git(toy, "show", "-s", "--format=%B", "refs/autoresearch/t/1")
    assert [a.number for a in events(asking, ApprovalAwaited)] == [1, 2]  # the baseline is nobody's proposal


def test_turned_on_in_mid_run_and_off_again(toy, engines):
    slow = "import time\ntime.sleep(1)\n" + TOY_SOURCE
    (toy / "train.py").write_text(slow)
    commit_all(toy)
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t"))
    assert control.send(folder, "approval-on") == "every proposal waits for your yes from the next one on"
    assert control.send(folder, "approval-on") == "approval is on already"
    waits(folder, 1)
    assert control.send(folder, "approval-off") == "#1 is approved, and no proposal waits any more"
    assert control.send(folder, "approval-off") == "approval is off already"
    h = ended(folder)
    assert len(h.experiments) == 5
    assert len(events(folder, ApprovalAwaited)) == 1
    assert not events(folder, Approved)


def test_a_no_is_no_experiment_and_the_agent_goes_on_to_something_else(toy, asking):
    assert control.send(asking, "reject", number=1, reason="too \x1b[31mbold\x07").startswith("#1 is rejected")
    until(lambda: (p := history(asking).waiting) is not None and p.description == "worse")
    h = history(asking)
    assert h.pending.number == 1
    assert h.rejected[0].description == "better"
    assert (h.notes[0].text, h.notes[0].rejected, h.notes[0].number) == ("too bold", "better", 1)
    assert h.last_refusal.reason == "rejected: too bold"
    assert pins(toy) == ["0"]
    assert (asking / "results.tsv").read_text().count("\n") == 2
    control.send(asking, "reject", number=1)
    until(lambda: len(history(asking).notes) == 2)
    assert history(asking).notes[1].text == "no reason given"


def test_any_number_of_rejections_is_no_trouble(toy, engines):
    rates = {f"step {k}": f"0.{400 + k}" for k in range(30)}
    folder = engines(Options(str(toy), agent=rates_agent(toy, rates), tag="t", approve=True))
    for k in range(30):
        until(lambda k=k: (p := history(folder).waiting) is not None and p.description == f"step {k}")
        control.send(folder, "reject", number=1, reason="no")
    h = ended(folder)
    assert h.ended.reason == "done"
    assert [e.number for e in h.experiments] == [0]


def test_a_version_of_the_users_own_is_checked_committed_and_marked(toy, asking):
    def answer(text: object, name: str = "train.py") -> str:
        return control.send(asking, "approve", number=1, edits={name: text})

    for text, said in (
        ("RATE = ((\n", "does not parse"),
        (TOY_SOURCE, "no edit"),
        ("x" * 2**20 + "y", "the limit is 1 MiB"),
        ("a\x00b", "does not parse"),
        (7, "must map file names to whole texts"),
    ):
        with pytest.raises(UsageError, match=said):
            answer(text)
    with pytest.raises(UsageError, match=r"prepare\.py is not part of the artifact"):
        answer("x = 1\n", "prepare.py")
    with pytest.raises(UsageError, match="an engine takes"):
        answer("x" * 5 * 2**20)
    assert history(asking).waiting.number == 1
    mine = TOY_SOURCE.replace("0.5", "0.32") + "# größer\n"
    assert answer(mine).startswith("#1 begins now, as you edited it: ")
    waits(asking, 2)
    done = history(asking).experiments[1]
    assert done.edited
    assert done.measurement.value == pytest.approx(0.0004)
    assert done.details == {}
    assert git(toy, "show", "refs/autoresearch/t/1:train.py") == mine
    assert "Edited-by-user: yes" in git(toy, "show", "-s", "--format=%B", "refs/autoresearch/t/1")
    assert events(asking, Approved)[0].edits == {"train.py": mine}
    with pytest.raises(UsageError, match="a duplicate"):
        control.send(asking, "approve", number=2, edits={"train.py": TOY_SOURCE})


def test_the_proposal_itself_sent_back_counts_as_a_plain_yes(asking):
    same = TOY_SOURCE.replace("0.5", "0.4")
    assert control.send(asking, "approve", number=1, edits={"train.py": same}) == "#1 begins now"
    waits(asking, 2)
    assert not history(asking).experiments[1].edited
    assert events(asking, Approved)[0].edits is None


@pytest.mark.parametrize(
    ("command", "details", "said"),
    [
        ("approve", {"number": 2}, "#2 does not wait for an answer; #1 does"),
        ("reject", {"number": 0, "reason": "x"}, "#0 does not wait"),
        ("approve", {"number": "1"}, "must be the number"),
        ("approve", {"number": True}, "must be the number"),
        ("approve", {}, "must be the number"),
        ("approve", {"number": 1, "edits": [["train.py", "x"]]}, "must map file names"),
        ("reject", {"number": 1, "reason": 7}, "must be text"),
        ("reject", {"number": 1, "reason": "x" * 4001}, "say it shorter"),
        ("reject", {"number": 1, "edits": {}}, "takes no 'edits'"),
        ("approval-on", {"number": 1}, "takes no 'number'"),
        ("pause", {"number": 1}, "takes no 'number'"),
    ],
)
def test_what_is_refused_changes_nothing(asking, command, details, said):
    before = (asking / "journal.jsonl").read_bytes()
    with pytest.raises(UsageError, match=said):
        control.send(asking, command, **details)
    assert (asking / "journal.jsonl").read_bytes() == before


def test_an_answer_where_nothing_waits_is_refused(toy, engines):
    (toy / "train.py").write_text("import time\ntime.sleep(2)\n" + TOY_SOURCE)
    commit_all(toy)
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t"))
    for command in ("approve", "reject"):
        with pytest.raises(UsageError, match="no proposal waits"):
            control.send(folder, command, number=0)


def test_kill_9_while_it_waits_and_after_the_yes(toy, engines, asking):
    shown = history(asking).pending.awaited.diff
    kill_engine(asking)
    with pytest.raises(EngineUnreachable, match="autoresearch resume t"):
        control.send(asking, "approve", number=1)
    engines(Options(str(toy), resume="t"))
    h = history(asking)
    assert h.phase == "approving"
    assert h.pending.awaited.diff == shown
    assert len(events(asking, ApprovalAwaited)) == 1
    kill_engine(asking)
    journal = Journal(asking / "journal.jsonl")
    journal.append(Approved(1))  # the last durable line of an engine that was killed before it committed
    journal.close()
    engines(Options(str(toy), resume="t"))
    waits(asking, 2)
    assert history(asking).experiments[1].verdict.outcome == "keep"
    assert [a.number for a in events(asking, ApprovalAwaited)] == [1, 2]  # the yes was not asked for again


@pytest.mark.parametrize("way", ["stop", "stop-now", "sigterm"])
def test_a_stop_while_it_waits_keeps_it_for_the_resume(toy, engines, asking, way):
    if way == "sigterm":
        os.kill(int((asking / "engine.lock").read_text().split()[0]), signal.SIGTERM)
    else:
        assert control.send(asking, way) == "stops now; the proposal waits for your answer again on resume"
    h = ended(asking, 10)
    assert h.ended.reason == "stopped"
    assert h.waiting.number == 1
    assert pins(toy) == ["0"]
    engines(Options(str(toy), resume="t"))
    assert control.send(asking, "reject", number=1, reason="changed my mind")
    until(lambda: (p := history(asking).waiting) is not None and p.description == "worse")


def test_a_pause_while_it_waits_holds_the_trial_that_follows_the_yes(asking):
    assert control.send(asking, "pause") == "holds before the next trial"
    assert control.send(asking, "skip").startswith("nothing to skip")
    assert control.send(asking, "resume") == "goes on"
    assert control.send(asking, "resume") == "was not paused; #1 waits for your answer"
    assert control.send(asking, "pause") == "holds before the next trial"
    control.send(asking, "approve", number=1)
    until(lambda: history(asking).paused is not None)
    assert history(asking).pending.committed
    assert not history(asking).pending.trial
    control.send(asking, "resume")
    waits(asking, 2)


def test_waiting_takes_nothing_of_the_hours(toy, engines):
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True, hours=1.0))
    waits(folder, 1)
    kill_engine(folder)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    long_ago = [json.dumps({**(e := json.loads(line)), "time": e["time"] - 7200}) for line in lines]
    (folder / "journal.jsonl").write_text("\n".join(long_ago) + "\n")
    assert engines(Options(str(toy), resume="t")) == folder
    control.send(folder, "approve", number=1)
    waits(folder, 2)  # two hours later than it was proposed, and the limit is one
    assert history(folder).active_seconds < 600


def test_a_run_that_goes_on_still_waits(toy, engines, asking):
    control.send(asking, "approve", number=1)
    waits(asking, 2)
    control.send(asking, "stop")
    ended(asking)
    engines(Options(str(toy), resume="t", experiments=3))
    control.send(asking, "approve", number=2)
    waits(asking, 3)
    assert history(asking).approval


def test_a_run_that_goes_on_can_be_told_to_wait_no_more(toy, asking):
    control.send(asking, "approve", number=1)
    waits(asking, 2)
    control.send(asking, "stop")
    ended(asking)
    assert "without: autoresearch resume t --no-approve" in autoresearch("status", "t", cwd=toy).stdout
    done = autoresearch("resume", "t", "--no-approve", "--experiments", "1", "--plain", cwd=toy)
    assert done.returncode == 0, done.stderr
    h = history(asking)
    assert not h.approval
    assert len(h.experiments) == 3  # the one that waited is the one more


def test_an_engine_that_lives_is_told_too(toy, asking):
    done = autoresearch("resume", "t", "--no-approve", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert "#1 is approved, and no proposal waits any more" in done.stdout
    assert not history(asking).approval


def test_kill_9_at_random_moments_with_answers_in_between(toy, engines):
    """Every proposal is answered once: odd ones by a yes, every fourth by a no, and none is lost or asked twice."""
    rates = {f"step {k}": f"0.{500 + k}" for k in range(1, 13)}
    folder = engines(Options(str(toy), agent=rates_agent(toy, rates), tag="t", approve=True))
    chance, answered = random.Random(1), {}

    def answer() -> bool:
        waiting = history(folder).waiting
        if waiting is None:
            return history(folder).ended is not None
        no = int(waiting.description.split()[1]) % 4 == 0
        try:
            details = {"reason": "no"} if no else {}
            control.send(folder, "reject" if no else "approve", number=waiting.number, **details)
        except EngineUnreachable:
            return True  # killed under our hands
        answered.setdefault(waiting.description, no)
        return False

    kills = 0
    while history(folder).ended is None:
        if kills < 15 and not lost_one(folder) and chance.random() < 0.5:
            kill_engine(folder)
            kills += 1
            engines(Options(str(toy), resume="t"))
        answer()
    h = ended(folder)
    assert kills >= 5
    assert [e.description for e in h.experiments[1:]] == [f"step {k}" for k in range(1, 13) if k % 4]
    assert [p.description for p in h.rejected] == ["step 4", "step 8", "step 12"]
    assert len(events(folder, EngineStarted)) == kills + 1
    assert len(events(folder, ApprovalAwaited)) == 12
