"""`steer`, `approval`, `approve`, `reject`, `again` as a user types them, and what the viewers without a screen say."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TOY_SOURCE, autoresearch, commit_all, ended, git, history, rates_agent, until, waits

from core import control
from core.commands import digest
from core.imported import import_run
from core.launch import Options
from tui import report
from tui.cli import cli
from tui.feed import Feed
from tui.plain import attach, follow
from tui.sources import Sources
from tui.standing import standing


@pytest.fixture
def asking(toy, engines):
    """A run that waits with its first proposal."""
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t", approve=True))
    waits(folder, 1)
    return folder


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    """An environment whose editor does this to the file that it is given, as `path`."""
    program = tmp_path / "editor.py"
    program.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{script}\n")
    return {**os.environ, "EDITOR": f"{sys.executable} {program}", "VISUAL": ""}


def approve_edited(toy: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).parent / "autoresearch"), "approve", "--edit", "t"]
    nobody = subprocess.DEVNULL  # to be asked whether to edit it again
    return subprocess.run(argv, cwd=toy, env=env, capture_output=True, text=True, timeout=60, stdin=nobody)


def test_yes_and_no(toy, asking):
    shown = autoresearch("status", cwd=toy).stdout
    assert shown.startswith("run t: waiting\n")
    assert "approval is on" in shown
    assert "#1 waits for your yes: better; autoresearch diff 1 t shows it" in shown
    found = json.loads(autoresearch("status", "--json", cwd=toy).stdout)
    assert (found["state"], found["phase"], found["waiting"], found["approval"]) == ("waiting", "approving", 1, True)
    diff = autoresearch("diff", "1", cwd=toy).stdout
    assert "better (waits for your yes)" in diff
    assert "+RATE = 0.4" in diff
    yes = autoresearch("approve", cwd=toy)
    assert yes.stdout == "t: #1 begins now\n"
    assert yes.stderr == "#1: better\n"
    waits(asking, 2)
    no = autoresearch("reject", "t", "--reason", "too bold", cwd=toy)
    assert no.stdout == "t: #2 is rejected; the scripted agent reads no notes, and proposes something else\n"
    until(lambda: len(history(asking).notes) == 1)
    assert history(asking).notes[0].text == "too bold"


def test_what_is_said_elsewhere_works_there(toy, asking, tmp_path):
    (tmp_path / "far").mkdir()
    shown = autoresearch("status", "t", "--workspace", str(toy), cwd=tmp_path / "far").stdout
    said = f"autoresearch diff 1 t --workspace {toy} shows it; autoresearch approve t --workspace {toy} answers"
    assert said in shown
    words = shlex.split(said)
    assert "+RATE = 0.4" in autoresearch(*words[1:6], cwd=tmp_path / "far").stdout
    assert "begins now" in autoresearch(*words[-5:-1], cwd=tmp_path / "far").stdout


def test_diff_alone_shows_what_waits(toy, asking):
    assert "+RATE = 0.4" in autoresearch("diff", cwd=toy).stdout
    assert autoresearch("diff", "t", cwd=toy).stdout == autoresearch("diff", "1", cwd=toy).stdout
    assert "there are 0 to 1" in autoresearch("diff", "2", cwd=toy).stderr


def test_another_proposal_in_place_of_a_rejected_one_says_so(toy, asking):
    control.send(asking, "reject", number=1, reason="too bold")
    waits(asking, 1)
    feed = Feed(asking)
    feed.read()
    assert standing(feed.state, time.time()).detail.startswith("#1 waits for your yes (in place of 1 rejected): ")


def test_approval_on_and_off_and_nothing_to_answer(toy, engines):
    (toy / "train.py").write_text("import time\ntime.sleep(3)\n" + TOY_SOURCE)
    commit_all(toy)
    folder = engines(Options(str(toy), agent=rates_agent(toy), tag="t"))
    nothing = autoresearch("approve", cwd=toy)
    assert nothing.returncode == 2
    assert (
        "no proposal of run t waits for an answer; approval is off; autoresearch approval on t turns it on"
        in nothing.stderr
    )
    assert autoresearch("approval", "on", cwd=toy).stdout.startswith("t: every proposal waits for your yes")
    assert "the next one will" in autoresearch("reject", cwd=toy).stderr
    assert autoresearch("approval", "perhaps", cwd=toy).returncode == 2
    waits(folder, 1)
    assert "#1 is approved" in autoresearch("approval", "off", "t", cwd=toy).stdout
    assert len(ended(folder).experiments) == 5


def test_steer_and_again(toy, asking):
    noted = autoresearch("steer", "try\nless", "t", cwd=toy)
    assert noted.stdout.startswith("t: recorded; but the scripted agent reads no notes")
    argv = [str(Path(sys.executable).parent / "autoresearch"), "steer", "-"]
    piped = subprocess.run(argv, cwd=toy, input="from a pipe\n", capture_output=True, text=True, timeout=60)
    assert piped.returncode == 0
    assert [n.text for n in history(asking).notes] == ["try\nless", "from a pipe"]
    assert autoresearch("again", "0", cwd=toy).stdout == "t: another trial of #0 follows #1\n"
    assert "#7 is no experiment of this run" in autoresearch("again", "7", cwd=toy).stderr
    shown = autoresearch("status", cwd=toy).stdout
    assert "asked for: another trial of #0" in shown
    assert "2 notes to the agent, the last first:\n- from a pipe\n- " in shown
    autoresearch("approve", cwd=toy)
    waits(asking, 2)
    assert "once more: 0.04" in autoresearch("diff", "0", cwd=toy).stdout
    assert "once more: 0.04" in autoresearch("best", "--experiment", "0", cwd=toy).stdout


def test_an_own_version_from_the_editor(toy, asking, tmp_path):
    untouched = approve_edited(toy, editor(tmp_path, "pass"))
    assert untouched.returncode == 2
    assert "nothing was changed" in untouched.stderr
    quits = approve_edited(toy, editor(tmp_path, "sys.exit(3)"))
    assert quits.returncode == 2
    assert "exit status 3, so nothing was sent" in quits.stderr
    missing = approve_edited(toy, {**os.environ, "EDITOR": "/nonexistent/editor", "VISUAL": ""})
    assert "set EDITOR" in missing.stderr
    broken = approve_edited(toy, editor(tmp_path, "path.write_text('RATE = ((')"))
    assert broken.returncode == 2
    assert "does not parse" in broken.stderr
    kept = Path(broken.stderr.strip().rpartition(" ")[2])
    assert (kept / "train.py").read_text() == "RATE = (("  # hours of a user's work are not lost
    assert history(asking).waiting.number == 1
    done = approve_edited(toy, editor(tmp_path, "path.write_text(path.read_text().replace('0.4', '0.31'))"))
    assert done.stdout.startswith("t: #1 begins now, as you edited it: RATE 0.5 → 0.31 (edited by hand)")
    waits(asking, 2)
    assert git(toy, "show", "refs/autoresearch/t/1:train.py") == TOY_SOURCE.replace("0.5", "0.31")
    called = "RATE 0.5 → 0.31 (edited by hand)"
    assert git(toy, "log", "-1", "--format=%s", "refs/autoresearch/t/1").strip() == called
    assert called in autoresearch("diff", "1", cwd=toy).stdout
    assert called in (asking / "results.tsv").read_text()
    assert history(asking).experiments[1].description == called


def test_an_answer_is_for_the_proposal_that_was_shown(toy, asking, tmp_path, monkeypatch):
    """While the editor is open the proposal is rejected elsewhere, and another one takes its number."""
    meanwhile = (
        "import time\n"
        "from pathlib import Path\n"
        "from core import control\n"
        "from core.history import fold\n"
        "from core.journal import read\n"
        f"run = Path({str(asking)!r})\n"
        "control.send(run, 'reject', number=1, reason='elsewhere')\n"
        "while (p := fold(read(run / 'journal.jsonl')).waiting) is None or p.description != 'worse': time.sleep(0.05)\n"
        "path.write_text(path.read_text().replace('0.4', '0.31'))"
    )
    late = approve_edited(toy, editor(tmp_path, meanwhile))
    assert late.returncode == 2
    assert "another #1 waits by now; look at it first" in late.stderr
    assert "your version was not taken; it is kept in" in late.stderr
    assert history(asking).waiting.description == "worse"
    sent = []
    monkeypatch.setattr(control, "send", lambda folder, name, timeout, **details: sent.append(details) or "taken")
    words = ["t", "--workspace", str(toy)]
    for answer in ("approve", "reject"):
        assert cli([answer, *words], standalone_mode=False) == 0
    seen = digest(history(asking).pending.awaited.diff)
    assert [details["seen"] for details in sent] == [seen, seen]


def test_of_a_run_that_is_over_the_mend_is_said(toy, asking, tmp_path):
    control.send(asking, "stop")
    ended(asking)
    for words in (("steer", "x"), ("approval", "on"), ("approve",), ("reject",)):
        refused = autoresearch(*words, cwd=toy)
        assert refused.returncode == 1
        assert "run t was stopped, so there is nothing to control; go on with: autoresearch resume t" in refused.stderr
    shown = autoresearch("status", cwd=toy).stdout
    assert "#1 waits for your yes once the run goes on: better" in shown
    (tmp_path / "other").mkdir()
    table = tmp_path / "other" / "results.tsv"
    table.write_text("commit\tval_bpb\tmemory_gb\tstatus\tdescription\nabc1234\t0.9\t1.0\tkeep\tbaseline\n")
    import_run(tmp_path / "other", "old")
    refused = autoresearch("again", "0", "old", cwd=tmp_path / "other")
    assert refused.returncode == 2
    assert "imported: nothing of it can go on" in refused.stderr


def test_demo_and_run_take_approve(toy):
    for words in (("run", "--help"), ("demo", "--help")):
        assert "--approve" in autoresearch(*words, cwd=toy).stdout


def test_the_plain_viewer_tells_all_of_it(toy, asking, monkeypatch):
    monkeypatch.chdir(toy)
    control.send(asking, "steer", text="try \x1b[31mdepth")
    control.send(asking, "again", number=0)
    control.send(asking, "reject", number=1, reason="too bold")
    waits(asking, 1)
    control.send(asking, "approve", number=1, edits={"train.py": TOY_SOURCE + "".join(f"X = {k}\n" for k in range(60))})
    waits(asking, 2)
    control.send(asking, "approval-off")
    ended(asking)
    out = io.StringIO()
    assert follow(asking, out=out, as_json=False, from_start=True) == 0
    lines = out.getvalue().splitlines()
    for line in (
        "approval is on: every proposal waits for your yes",
        "#1 waits for your yes; it changes",
        "    + RATE = 0.4",
        'answer with: autoresearch approve t   or   autoresearch reject t --reason "…"',
        "your note: try depth",
        "#1 rejected: too bold",
        "#0 another trial begins",
        "#0 once more: loss 0.04, 0 against the first trial; its verdict stays",
        "#1 approved, as you edited it",
        "approval is off",
    ):
        assert line in lines
    assert "\x1b" not in out.getvalue()


def test_a_long_proposal_is_told_in_part_and_a_viewer_that_joins_sees_it(toy, engines, monkeypatch):
    monkeypatch.chdir(toy)
    long = "".join(f"X = {k}\n" for k in range(100))
    path = toy.parent / "long.jsonl"
    path.write_text(json.dumps({"description": "long", "edits": {"train.py": TOY_SOURCE + long}}) + "\n")
    folder = engines(Options(str(toy), agent=f"scripted:{path}", tag="t", approve=True))
    waits(folder, 1)
    feed = Feed(folder)
    feed.read()
    lines = attach(feed.state)
    assert "    … 60 more lines: autoresearch diff 1 t" in lines
    assert sum(line.startswith("    + X = ") for line in lines) == 40
    assert lines[0].startswith("waits: #1 waits for your")


def test_the_journal_alone_tells_a_waiting_and_an_edited_version(toy, asking):
    def sources(number: int) -> dict[str, str]:
        feed = Feed(asking)
        feed.read()
        return Sources(asking).of(feed.state.history, number)

    assert sources(1) == {"train.py": TOY_SOURCE.replace("0.5", "0.4")}
    assert sources(0) == {"train.py": TOY_SOURCE}
    control.send(asking, "reject", number=1)
    until(lambda: (p := history(asking).waiting) is not None and p.description == "worse")
    assert sources(1) == {"train.py": TOY_SOURCE.replace("0.5", "0.9")}
    mine = TOY_SOURCE.replace("0.5", "0.31")
    control.send(asking, "approve", number=1, edits={"train.py": mine})
    waits(asking, 2)
    assert sources(1) == {"train.py": mine}
    assert sources(0) == {"train.py": TOY_SOURCE}
    feed = Feed(asking)
    feed.read()
    assert feed.state.history.experiments[1].edited  # also where the edits themselves are not held in memory
    assert feed.state.history.experiments[1].details == {}
    assert report.history(asking).experiments[1].edited


def test_two_files_of_an_artifact_are_told_apart(toy, engines):
    task = (toy / "task.toml").read_text().replace('["train.py"]', '["train.py", "more.py"]')
    (toy / "task.toml").write_text(task)
    (toy / "more.py").write_text("A = 1\nB = 2\n")
    commit_all(toy)
    edits = {"train.py": TOY_SOURCE.replace("0.5", "0.4"), "more.py": "A = 1\nB = 3\n"}
    path = toy.parent / "two.jsonl"
    path.write_text(json.dumps({"description": "both", "edits": edits}) + "\n")
    folder = engines(Options(str(toy), agent=f"scripted:{path}", tag="t", approve=True))
    waits(folder, 1)
    for _ in range(2):
        feed = Feed(folder)
        feed.read()
        assert Sources(folder).of(feed.state.history, 1) == edits
        assert Sources(folder).of(feed.state.history, 0) == {"train.py": TOY_SOURCE, "more.py": "A = 1\nB = 2\n"}
        if history(folder).waiting:
            control.send(folder, "approve", number=1)
            ended(folder)
